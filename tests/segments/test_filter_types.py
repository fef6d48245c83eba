"""What an editor and mypy know of the builders: lines that must pass, and lines that must not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
from datetime import date, datetime
from decimal import Decimal
from typing import Any
import json
from airflow_provider_moengage.segments.filters import *
"""
RIGHT = """
group: dict[str, Any] = all_of(
    user("City").is_in(["Pune"]),
    not_(user("LTV").between(10, Decimal("9.5"))),
    user("Seen").before(date(2026, 1, 1)),
    user("Seen").between(days_ago(30), days_ago(7)),
    user("Tags").texts.is_in(["a"], match="all_of"),
    user("Home").object_where(user("city").is_("Pune")),
    event("Buy").at_least(2).in_the_last(days=14).where(any_of(event_attribute("C").is_in(["a"]))),
    event("Buy").today().where(event_attribute("C").is_("a"), not_(event_attribute("P").less_than(3))),
    event("Buy").today().sum_of("P").change().greater_than(3).where(event_attribute("C").is_("a")),
    not_(event("Buy").today()),
    affinity("Buy").predominantly(event_attribute("C").is_("a")).in_the_last(days=3),
    in_segment("abc"),
    any_of(user("A").is_(True), user("B").less_than(value_of("A"))),
    json.loads("{}"),
    {"filter_type": "weather"},
)
places: list[tuple[str, str]] = check_filters(group, "excluded_filters", allow_empty_values=True)
"""
WRONG = """
all_of(event("Buy"))
all_of(event("Buy").at_least(2))
all_of(event("Buy").today().sum_of("P"))
all_of(affinity("Buy"))
all_of(user("City"))
all_of(user("City").text)
all_of([user("City").is_("a")])
all_of(event_attribute("C").is_("a"))["filters"].nothing
wrong: dict[str, Any] = all_of(event_attribute("C").is_("a"))
all_of(user("A").is_("a"), event_attribute("C").is_("a"))
event("Buy").where(event_attribute("C").is_("a"))
event("Buy").today().where(user("C").is_("a"))
event("Buy").first_time().today().sum_of("P")
event("Buy").before(date(2026, 1, 1)).sum_of("P")
event("Buy").after(days_ago(3))
event("Buy").at_least(2).at_most(3)
event("Buy").at_least(None)
user("City").exists()
user("City").is_in([None])
user("LTV").less_than(None)
user("LTV").number.contains("a")
user("Tags").texts.is_in(["a"], match="both")
user("Home").object_where(event("Buy").today())
not_(in_segment("abc"))
not_(event("Buy"))
"""


@pytest.fixture(scope="module")
def wrong_lines(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Run mypy over both, once."""
    folder = tmp_path_factory.mktemp("types")
    file = folder / "lines.py"
    file.write_text(HEAD + RIGHT + WRONG)
    repository = Path(__file__).parents[2]
    options = [
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(repository / ".mypy_cache"),
        "--python-version=3.10",
    ]
    said = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(file)], capture_output=True, text=True, check=False, cwd=repository
    )
    assert not said.stderr, said.stderr
    lines = file.read_text().splitlines()
    numbers = re.findall(r"lines\.py:(\d+): error", said.stdout)
    assert numbers, said.stdout
    return {lines[int(number) - 1] for number in numbers}


def test_right_lines_pass(wrong_lines):
    assert not wrong_lines & set((HEAD + RIGHT).splitlines())


@pytest.mark.parametrize("line", WRONG.strip().splitlines())
def test_a_wrong_line_is_told(line, wrong_lines):
    assert line in wrong_lines
