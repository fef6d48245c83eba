"""The reference that `make docs` makes: it is whole, and what the docstrings say of a signature is true of it."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import importlib
import inspect
import pkgutil
import re
import textwrap
import zlib

import pytest
from airflow.providers.common.compat import sdk

import airflow_provider_moengage
from airflow_provider_moengage.client import MoEngageClient, errors
from airflow_provider_moengage.operators import (
    base,
    bulk,
    bulk_base,
    callbacks,
    file_base,
    one_segment,
    segments,
    update,
)
from airflow_provider_moengage.transfers import audience_base
from tests.pages import PAGES, REPOSITORY, built_pages
from tests.support import once

# What operators inherit is explained by each of them.
UNDOCUMENTED = tuple(module.__name__ for module in (base, bulk_base, callbacks, update, file_base, one_segment))
UNDOCUMENTED += (audience_base.__name__,)

pytestmark = once


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    """The classes, functions and properties of the reference, by their names: (kind, object)."""
    folder = built_pages(tmp_path_factory)
    inventory = zlib.decompress((folder / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    entries = re.findall(r"(?m)^(airflow_provider_moengage\S*) py:(?!module|attribute|data)(\w+) 1 ", inventory)
    return {name: (kind, pkgutil.resolve_name(name)) for name, kind in entries}


def test_whatever_the_pages_import_is_in_the_reference(documented):
    texts = "\n".join(page.read_text() for page in (REPOSITORY / "README.md", *PAGES))
    imports = re.findall(r"(?m)^from (airflow_provider_moengage\S*) import (\([^)]+\)|.+)$", texts)
    used = {(module, name) for module, names in imports for name in re.findall(r"\w+", names)}
    assert used
    there = {id(thing) for _, thing in documented.values()}
    assert [
        f"{module}.{name}" for module, name in used if id(pkgutil.resolve_name(f"{module}.{name}")) not in there
    ] == []


def test_every_error_is_in_the_reference(documented):
    for module in pkgutil.walk_packages(airflow_provider_moengage.__path__, "airflow_provider_moengage."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds, there = [errors.MoEngageError], {thing for kind, thing in documented.values() if kind == "exception"}
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    assert {kind for kind in kinds if kind.__module__.startswith("airflow_provider_moengage")} <= there


def test_what_is_said_of_parameters_is_true(documented):
    wrong = []
    for name, (kind, thing) in documented.items():
        if kind == "property":
            continue
        said = re.findall(r"(?m)^:param (\w+): \S", inspect.getdoc(thing))
        required, optional = _parameters_of(thing)
        if len(said) != len(set(said)) or not required <= set(said) <= required | optional:
            wrong.append(f"{name} explains {said} and takes {sorted(required)}")
    assert wrong == []


def test_what_is_said_of_results_is_true(documented):
    wrong = []
    for name, (kind, thing) in documented.items():
        # A builder of filters gives the filter that its name says.
        if kind not in ("function", "method") or name.startswith("airflow_provider_moengage.segments.filters."):
            continue
        says = re.search(r"(?m)^:return: \S", inspect.getdoc(thing)) is not None
        # A context manager that gives nothing is annotated as a generator.
        gives = inspect.signature(_function_of(thing)).return_annotation not in ("None", "Iterator[None]")
        if gives != says:
            wrong.append(f"{name} {'gives' if gives else 'does not give'} a result")
    assert wrong == []


def test_what_is_said_of_errors_is_true(documented):
    wrong = []
    for name, (_, thing) in documented.items():
        said = re.findall(r"(?m)^:raises (\w+): \S", inspect.getdoc(thing))
        errors_said = tuple(error for error in (_error_named(word, thing) for word in said) if error)
        if len(errors_said) < len(said):
            wrong.append(f"{name}: one of {said} is no error")
        wrong += [f"{name} raises {error}" for error in _raised_in(thing) if not issubclass(error, errors_said)]
    assert wrong == []


def test_each_operator_and_each_call_names_its_document():
    calls = [method for name, method in vars(MoEngageClient).items() if name[0] != "_" and inspect.isfunction(method)]
    classes = [
        kind
        for operators in (segments, bulk)
        for name, kind in vars(operators).items()
        if name[0] != "_" and inspect.isclass(kind)
        if kind.__module__ == operators.__name__ or name in getattr(operators, "__all__", ())
    ]
    assert calls
    assert classes
    document = re.compile(r"(API\s+documents?|OpenAPI\s+description\s+of\s+\w+\s+\d+):")
    assert [thing.__name__ for thing in calls + classes if not document.search(thing.__doc__)] == []


def _function_of(thing):
    """What a decorator has been put around."""
    for wrapper in ("__func__", "fget", "func", "_fixture_function"):
        thing = getattr(thing, wrapper, thing)
    return thing


def _parameters_of(thing):
    """The parameters to explain, and those like **kwargs, which may be explained."""
    if hasattr(thing, "_fixture_function"):  # pytest gives them
        return set(), set()
    if hasattr(thing, "_fields"):  # a NamedTuple has no constructor of its own
        return set(thing._fields), set()
    functions = _constructors_of(thing) if inspect.isclass(thing) else [_function_of(thing)]
    parameters = {
        name: given for function in functions for name, given in inspect.signature(function).parameters.items()
    }
    if inspect.isclass(thing) and issubclass(thing, audience_base.AudienceOperator):
        del parameters["file_url"]  # it finds out itself where its file is
    starred = {name for name, given in parameters.items() if given.kind in (given.VAR_KEYWORD, given.VAR_POSITIONAL)}
    return set(parameters) - starred - {"self", "cls"}, starred


def _constructors_of(kind):
    """Those that the arguments go to, up to a class that explains its own."""
    for ancestor in kind.__mro__:
        if ancestor is not kind and not ancestor.__name__.startswith("_") and ancestor.__module__ not in UNDOCUMENTED:
            return
        if "__init__" in vars(ancestor):
            yield ancestor.__init__
            if not any(
                given.kind is given.VAR_KEYWORD for given in inspect.signature(ancestor.__init__).parameters.values()
            ):
                return


def _raised_in(thing):
    """The errors that stand behind a raise in its very body."""
    if inspect.isclass(thing):
        body = vars(thing).get("__post_init__" if dataclasses.is_dataclass(thing) else "__init__")
    else:
        body = _function_of(thing)
    if body is None:
        return set()
    raises = [
        node.exc
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(body))))
        if isinstance(node, ast.Raise)
    ]
    names = {node.func.id for node in raises if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return {error for error in (_error_named(name, thing) for name in names) if error}


def _error_named(name, thing):
    spaces = (vars(builtins), vars(errors), vars(sdk), vars(inspect.getmodule(_function_of(thing))))
    # What nobody has asked the compatible names for yet is not among their variables.
    found = next((space[name] for space in spaces if name in space), None) or getattr(sdk, name, None)
    return found if inspect.isclass(found) and issubclass(found, BaseException) else None
