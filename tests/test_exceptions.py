"""Every exception of the package arrives whole through pickle, copy and deepcopy."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest
from urllib3.exceptions import HTTPError

import airflow_provider_moengage

# The first brings no tests of its own, and is imported by pytest; the second needs what Airflow 2 has not.
_LEFT_OUT = ("airflow_provider_moengage.pytest_plugin", "airflow_provider_moengage.plugins.airflow_internals")


def exception_classes():
    found = set()
    package = airflow_provider_moengage
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name in _LEFT_OUT or module.name.endswith("__main__"):
            continue
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__.startswith(package.__name__):
                found.add(kind)
    # What urllib3 raises ends in the transport, which makes an error of ours from it.
    found = {kind for kind in found if not issubclass(kind, HTTPError)}
    return sorted(found, key=lambda kind: (kind.__module__, kind.__qualname__))


def made(kind):
    """Make one as any code may: what it needs at least, each a text, with other fields set."""
    try:
        needed = inspect.signature(kind).parameters.values()
    except ValueError:  # without an __init__ of its own
        needed = []
    given = [
        f"{parameter.name} of this one"
        for parameter in needed
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    try:
        error = kind(*given)
    except AttributeError:  # it takes more than a text, a report say
        error = kind.__new__(kind, "made without its parts")
    for name in ("status", "retry_after", "existing_segment_id", "way_out", "is_outcome_unknown"):
        setattr(error, name, f"{name} of this one")
    return error


@pytest.mark.parametrize("kind", exception_classes(), ids=lambda kind: kind.__qualname__)
@pytest.mark.parametrize(
    "send",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],  # noqa: S301 - made one call before
    ids=["pickle", "copy", "deepcopy"],
)
def test_it_arrives_whole(kind, send):
    error = made(kind)
    again = send(error)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert again.args == error.args
