"""The house: no circle of imports, nobody imports upwards, no file that is too long to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import airflow_provider_moengage

PACKAGE = Path(airflow_provider_moengage.__file__).parent
ROOT = PACKAGE.name

# From the ground up. A room imports itself and what is on a floor below it, and nothing that is beside it.
FLOORS = (
    {"client", "sandbox"},
    {"segments"},
    {"retry_policy", "task_failure"},
    {"hooks"},
    {"assets", "links"},
    {"triggers", "plugins"},
    {"operators"},
    # Above the operators: a sensor renders its arguments as they do.
    {"sensors"},
    {"transfers"},
    {"pytest_plugin", "__init__"},
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}

# What segments/ needs of the client: its errors, its checks of what a user gives, and the published limits. No HTTP
# comes with them.
CLIENT_OF_SEGMENTS = ("client.errors", "client.inputs", "client.limits")

LONGEST_FILE = 400


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module: str) -> set[str]:
    """Find the modules of the package that a module imports: in functions and for its types, too."""
    return {imported for name in names_in(FILES[module]) if (imported := _module_in_package(name))} - {module}


@cache
def names_in(file: Path) -> set[str]:
    return {name for node in ast.walk(ast.parse(file.read_text())) for name in _named_by(node)}


def _named_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute here"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_in_package(name: str) -> str | None:
    package, _, module = name.partition(".")
    # The version is a text in the root, which imports nothing by itself: whoever reads it imports no room.
    if package != ROOT or module == "__version__":
        return None
    return module if module in FILES else module.rpartition(".")[0] or "__init__"


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_its_floor():
    assert {room_of(module) for module in FILES} <= set(FLOOR_OF)


def test_no_circle_of_imports():
    try:
        TopologicalSorter({module: imports_of(module) for module in FILES}).prepare()
    except CycleError as circle:
        pytest.fail(f"these import each other in a circle: {circle.args[1]}")


@pytest.mark.parametrize("module", FILES)
def test_nobody_imports_upwards(module):
    above = [
        imported
        for imported in sorted(imports_of(module))
        if room_of(imported) != room_of(module) and FLOOR_OF[room_of(imported)] >= FLOOR_OF[room_of(module)]
    ]
    assert above == []


@pytest.mark.parametrize("module", [module for module in FILES if room_of(module) == "segments"])
def test_segments_know_neither_airflow_nor_http(module):
    packages = {name.partition(".")[0] for name in names_in(FILES[module])}
    assert not packages & {"airflow", "requests", "urllib3", "http", "socket"}
    of_client = [imported for imported in imports_of(module) if room_of(imported) == "client"]
    assert [imported for imported in of_client if not imported.startswith(CLIENT_OF_SEGMENTS)] == []


def test_no_file_is_too_long_to_read():
    lines = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES.values()}
    assert {file: count for file, count in lines.items() if count > LONGEST_FILE} == {}
