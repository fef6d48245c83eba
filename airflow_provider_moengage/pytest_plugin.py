"""
The pytest plugin of this provider: a MoEngage workspace on localhost for the tests of your own DAGs.

pytest finds it by itself. A test that takes the fixture ``moengage_sandbox`` gets a sandbox, to which the connection
``moengage_default`` leads; see :func:`moengage_sandbox`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox import Sandbox

_WHY = (
    "because MoEngage has no such call, or because they are about file segments or cohort sync, which it does not have "
    "yet"
)

CONNECTION_VARIABLE = "AIRFLOW_CONN_MOENGAGE_DEFAULT"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known that chooses the sandbox's arguments."""
    config.addinivalue_line(
        "markers",
        'moengage_sandbox(**arguments): start the sandbox with these arguments, for example dialect="today".',
    )


@pytest.fixture
def moengage_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    Start a MoEngage workspace on a free port of localhost, to which the connection ``moengage_default`` leads.

    Fill it with ``add_segment``, let requests fail with ``fail_next``, let time pass with ``move_clock``, and look at
    ``segments`` and ``requests`` afterwards. The marker ``moengage_sandbox`` takes arguments of
    :class:`~airflow_provider_moengage.sandbox.Sandbox`. The test fails when it has called anything that the sandbox
    does not know.

    :return: the sandbox, which stops after the test.
    """
    # Here and not above: most test runs load the plugin and never use it.
    from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
    from airflow_provider_moengage.sandbox import Sandbox

    # A sandbox of an earlier test may have listened on the same port.
    RATE_LIMITER.reset()
    arguments: dict[str, object] = {}
    for marker in reversed(list(request.node.iter_markers("moengage_sandbox"))):
        if marker.args:
            pytest.fail('The marker moengage_sandbox takes its arguments by name: dialect="today".', pytrace=False)
        arguments.update(marker.kwargs)
    with Sandbox(**arguments) as sandbox:  # type: ignore[arg-type]  # Sandbox itself explains a wrong one
        monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(sandbox.connection))
        yield sandbox
    _fail_on_unknown_calls(sandbox)


def _fail_on_unknown_calls(sandbox: Sandbox) -> None:
    unknown = [f"  {call.method or '?'} {call.path}" for call in sandbox.unknown_requests]
    if unknown:
        calls = "\n".join(unknown)
        pytest.fail(f"The sandbox does not know these calls, {_WHY}:\n{calls}", pytrace=False)
