"""The state of a sandbox in a file: it comes back as it was, it is always whole, and nothing else passes for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.definition_rules import name_problem
from airflow_provider_moengage.sandbox.demo import demo_segments
from airflow_provider_moengage.sandbox.json_body import MAX_JSON_DEPTH
from airflow_provider_moengage.sandbox.state import replace_file
from tests.sandbox.calling import MovableClock, action, attribute, group, nested, wait_until

GOOD = {"format": "moengage-sandbox-state", "version": 1, "clock_ahead": 0, "segments": []}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_everything_comes_back(clock: MovableClock, file: Path) -> None:
    before = Sandbox(clock=clock)
    for fields in demo_segments(clock):
        before.add_segment(**fields)
    before.add_segment(name="deep", included_filters=deep(90), excluded_filters=group(action()), updated_by="me")
    before.add_segment(name="strange \ud800 \x00 ☃", description="", more={"team": {"a": [None]}, "note": None})
    before.move_clock(timedelta(days=31, microseconds=1))

    before.save_state(str(file))
    after = Sandbox(clock=clock)
    after.load_state(str(file))

    assert after.segments == before.segments
    assert after.now == before.now


def deep(levels: int) -> dict[str, Any]:
    inner = nested(attribute())
    for _ in range((levels - 4) // 2):
        inner = nested(inner)
    return group(inner)


def test_a_loaded_state_takes_the_place_of_the_present_one(file: Path) -> None:
    Sandbox().save_state(file)
    sandbox = Sandbox()
    sandbox.add_segment(name="Spring")
    sandbox.load_state(file)
    assert sandbox.segments == []
    sandbox.add_segment(name="Spring")


def test_a_saved_state_takes_the_place_of_the_former_one(file: Path) -> None:
    target = file.with_name("target.json")
    target.write_text("old")
    target.chmod(0o640)
    file.symlink_to(target)

    Sandbox().save_state(file)

    assert file.is_symlink()
    assert json.loads(target.read_bytes()) == GOOD
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in file.parent.iterdir()) == ["state.json", "target.json"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b'{"format": "moengage-sandbox-state", "ver', "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"name": "something else"}', "is not a state of the sandbox"),
        ({**GOOD, "version": 2}, "is of version 2, and this sandbox reads version 1"),
        ({**GOOD, "clock_ahead": -1}, "has a broken clock_ahead"),
        ({**GOOD, "clock_ahead": "1"}, "has a broken clock_ahead"),
        ({**GOOD, "clock_ahead": 1e18}, "has a broken clock_ahead"),
        ({**GOOD, "segments": None}, "has broken segments"),
        ({**GOOD, "segments": [7]}, "has broken segments"),
        ({**GOOD, "segments": [{}]}, "name must be a text"),
        ({**GOOD, "segments": [{"name": "x", "created_time": "soon"}]}, "created_time must be a time"),
        ({**GOOD, "segments": [{"name": "x"}, {"name": "x"}]}, "already is"),
    ],
)
def test_what_is_no_state_is_refused_and_changes_nothing(file: Path, content: Any, sentence: str) -> None:
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    sandbox = Sandbox()
    segment = sandbox.add_segment(name="Spring")

    with pytest.raises(ValueError, match=sentence):
        sandbox.load_state(file)

    assert sandbox.segments == [segment]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(file: Path) -> None:
    file.mkdir()
    (file / "precious").touch()
    with pytest.raises(OSError, match=r"state\.json"):
        replace_file(file, b"new")
    assert [path.name for path in file.parent.iterdir()] == ["state.json"]


def test_a_kill_in_the_middle_leaves_a_whole_file(file: Path) -> None:
    contents = [b"a" * 3_000_000, b"b" * 3_000_000]
    code = (
        "import sys, pathlib, itertools\n"
        "from airflow_provider_moengage.sandbox.state import replace_file\n"
        "for letter in itertools.cycle([b'a', b'b']):\n"
        "    replace_file(pathlib.Path(sys.argv[1]), letter * 3_000_000)\n"
    )
    for delay in range(8):
        process = subprocess.Popen([sys.executable, "-c", code, str(file)])
        wait_until(file.exists)
        time.sleep(delay * 0.003)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert file.read_bytes() in contents
        file.unlink()
    replace_file(file, b"the next try clears away what the kills have left")
    assert [path.name for path in file.parent.iterdir()] == ["state.json"]


def test_a_state_counts_time_once(file: Path) -> None:
    sandbox = Sandbox()
    sandbox.move_clock(timedelta(days=31))
    sandbox.save_state(file)
    again = Sandbox()
    again.move_clock(timedelta(days=30))
    again.load_state(file)
    assert again.now - sandbox.now < timedelta(hours=1)


def test_what_can_be_added_can_be_loaded(file: Path) -> None:
    sandbox = Sandbox()
    sandbox.add_segment(name="deep", more=deep(MAX_JSON_DEPTH - 2))
    with pytest.raises(ValueError, match="nested too deeply"):
        sandbox.add_segment(name="deeper", more=deep(MAX_JSON_DEPTH + 1))
    sandbox.save_state(file)
    Sandbox().load_state(file)


def test_a_state_outlives_a_change_of_the_language_of_filters(file: Path) -> None:
    """Former versions took, and seeded, filters that are refused now: what is in the workspace already stays there."""
    shown = Sandbox().add_segment(name="Win-back", included_filters=group(nested(action())), description="silent ones")
    shown["included_filters"]["filters"][0]["filters"][0].update(executed=False, execution={"count": 1, "type": "most"})
    file.write_text(json.dumps({**GOOD, "segments": [shown]}), encoding="utf-8")
    sandbox = Sandbox()

    sandbox.load_state(file)

    assert sandbox.segments == [shown]
    with pytest.raises(ValueError, match=r"filters\[0\]\.execution"):
        sandbox.add_segment(name="Another", included_filters=shown["included_filters"])


@pytest.mark.parametrize(
    "group_of_filters",
    [
        {"filter_operator": "xor", "filters": []},
        {"filter_operator": "and", "filters": ["x"]},
        group({"name": "x"}),
        group({"filter_type": "nested_filters"}),
    ],
)
def test_a_state_with_what_is_no_group_of_filters_is_refused(file: Path, group_of_filters: Any) -> None:
    shown = {**Sandbox().add_segment(name="Spring"), "included_filters": group_of_filters}
    file.write_text(json.dumps({**GOOD, "segments": [shown]}), encoding="utf-8")

    with pytest.raises(ValueError, match=r"segment 'Spring' .* included_filters\.fil"):
        Sandbox().load_state(file)


def test_the_demo_has_names_that_moengage_lets_people_give() -> None:
    assert [fields["name"] for fields in demo_segments() if name_problem(fields["name"])] == []
