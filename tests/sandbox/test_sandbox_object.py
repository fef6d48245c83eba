"""The Sandbox as people use it from Python."""

from __future__ import annotations

import ast
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_moengage.sandbox as package
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.demo import demo_segments
from tests.sandbox.calling import Caller, MovableClock, attribute, group, run

SOURCES = sorted(Path(package.__file__).parent.glob("*.py"))


def test_the_connection_is_an_airflow_connection(spoken: Caller, dialect: str) -> None:
    connection = json.loads(json.dumps(spoken.sandbox.connection))
    assert connection == {
        "conn_type": "moengage",
        "login": "SANDBOXWORKSPACE",
        "password": "sandbox-data-api-key",
        "host": spoken.sandbox.url,
    }


def test_there_is_no_url_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Sandbox().url


def test_a_sandbox_starts_once() -> None:
    sandbox = Sandbox()
    with sandbox, pytest.raises(RuntimeError, match="started before"):
        sandbox.start()
    with pytest.raises(RuntimeError, match="started before"):
        sandbox.start()


def test_a_stopped_sandbox_can_still_be_looked_at() -> None:
    with Sandbox() as sandbox:
        sandbox.add_segment(name="Spring")
    sandbox.stop()
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert len(sandbox.segments) == 1


def test_stopping_before_the_start_is_harmless() -> None:
    Sandbox().stop()


def test_a_port_in_use_is_an_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=int(sandbox.url.rpartition(":")[2])).start()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"dialect": "tomorrow"}, "seeds, today"),
        ({"reset": "date"}, "epoch, seconds"),
        ({"clock": lambda: datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sandbox(**arguments)


def test_added_segments_are_shown_in_full(clock: MovableClock) -> None:
    sandbox = Sandbox(clock=clock)
    filters = group(attribute())
    added = sandbox.add_segment(
        name="Spring",
        created_time=datetime(2025, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        updated_time=datetime(2025, 1, 2),  # noqa: DTZ001 - without a zone it is UTC
        included_filters=filters,
        excluded_filters=group(),
        description="Those who bloom",
        updated_by="admin@example.com",
        more={"team": "Growth"},
    )
    assert sandbox.segments == [added]
    assert added == {
        "name": "Spring",
        "id": added["id"],
        "created_time": "2025-01-01T00:00:00.000000",
        "updated_time": "2025-01-02T00:00:00.000000",
        "type": "ELASTIC_SEARCH",
        "source": "API",
        "description": "Those who bloom",
        "included_filters": filters,
        "excluded_filters": group(),
        "team": "Growth",
        "updated_by": "admin@example.com",
        "archived": False,
        "archived_time": None,
    }


def test_segments_are_copies(sandbox: Sandbox) -> None:
    filters = group(attribute())
    sandbox.add_segment(name="Spring", included_filters=filters)["name"] = "changed"
    filters["filters"].clear()
    sandbox.segments[0]["included_filters"]["filters"].clear()
    assert sandbox.segments[0]["name"] == "Spring"
    assert sandbox.segments[0]["included_filters"] == group(attribute())


def test_a_file_segment_has_no_filters(sandbox: Sandbox) -> None:
    assert "included_filters" not in sandbox.add_segment(name="upload", kind="file")


def test_undocumented_fields_are_answered(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring", more={"team": "Growth"})
    assert api.list().json()["data"][0]["team"] == "Growth"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "taken"}, "already is"),
        ({"name": "x", "id": "a" * 24}, "already is"),
        ({"name": "x", "id": "short"}, "24 hexadecimal digits"),
        ({"name": "x", "kind": "other"}, "'filter' or 'file'"),
        ({"name": "x", "age": timedelta(1), "created_time": datetime(2026, 1, 1)}, "not both"),  # noqa: DTZ001
        ({"name": "x", "kind": "file", "included_filters": group(attribute())}, "no filters"),
        ({"name": "x", "included_filters": {"filters": []}}, "not valid"),
        ({"name": "x", "more": {"team": object()}}, "what JSON can express"),
        ({"name": "x", "more": {"id": "y"}}, "id is an argument of its own"),
        ({"name": "x", "more": ["y"]}, "more must be a mapping"),
        ({"name": "x", "age_days": 70}, "a segment has no age_days; it takes age, archived, "),
        ({"name": "x", "age": "90 days"}, "age must be a timedelta"),
        ({"name": "x", "age": "P"}, "age must be a timedelta"),
        ({"name": "x", "age": "P1M"}, "age must be a timedelta"),
        ({"name": "x", "age": True}, "age must be a timedelta"),
        ({"name": "x", "age": float("nan")}, "values are numbers"),
        ({"name": "x", "created_time": "2026-01-01"}, "must be a datetime"),
    ],
)
def test_segments_that_cannot_be_are_refused(sandbox: Sandbox, fields: dict[str, Any], sentence: str) -> None:
    sandbox.add_segment(name="taken", id="A" * 24)
    with pytest.raises(ValueError, match=sentence):
        sandbox.add_segment(**fields)
    assert len(sandbox.segments) == 1


@pytest.mark.parametrize(
    ("age", "meant"),
    [
        (timedelta(days=70), timedelta(days=70)),
        (70, timedelta(days=70)),
        (0.5, timedelta(hours=12)),
        ("P70D", timedelta(days=70)),
        ("P10W", timedelta(weeks=10)),
        ("P1DT12H30M1.5S", timedelta(days=1, hours=12, minutes=30, seconds=1.5)),
    ],
)
def test_an_age_may_be_given_in_three_ways(clock: MovableClock, age: Any, meant: timedelta) -> None:
    created = Sandbox(clock=clock).add_segment(name="Spring", age=age)["created_time"]
    assert datetime.fromisoformat(created).replace(tzinfo=timezone.utc) == clock.now - meant


def test_demo_segments_are_a_believable_workspace(clock: MovableClock) -> None:
    sandbox = Sandbox(clock=clock)
    for fields in demo_segments(clock):
        sandbox.add_segment(**fields)

    segments = sandbox.segments
    assert len(segments) == 12
    assert len({segment["created_time"][:10] for segment in segments}) == 12
    assert sum(segment["type"] == "FILE" for segment in segments) == 3
    assert sum(segment["archived"] for segment in segments) == 2
    assert sum(segment["source"] == "Campaigns" for segment in segments) == 1


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_the_sandbox_imports_only_itself_and_the_standard_library(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                if module == "typing_extensions":  # for type checkers alone
                    continue
                own = module.startswith("airflow_provider_moengage.sandbox")
                assert own or module.partition(".")[0] in sys.stdlib_module_names, module


def test_the_sandbox_loads_nothing_else() -> None:
    code = (
        "import sys, airflow_provider_moengage.sandbox;"
        "print([m for m in ('requests', 'airflow', 'airflow_provider_moengage.client') if m in sys.modules])"
    )
    loaded = run(sys.executable, "-c", code)
    assert loaded.stdout == "[]\n"
