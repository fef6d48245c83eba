"""
Keep the tests that another build has too, and no others: `pytest -p tests.benchmarks.same_cases`, with the ids of that
build's tests in the file CASES_OF_THE_OTHER_BUILD, as `pytest --collect-only` prints them.

A test is found again by its function and its parameters, since files have been renamed; where the parameters have
other names now, by its function.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FILE = "CASES_OF_THE_OTHER_BUILD"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is new."""
    others = [line for line in Path(os.environ[FILE]).read_text().splitlines() if "::" in line]
    same = same_as(others, [_id_of(item) for item in items])
    config.hook.pytest_deselected(items=[item for item in items if _id_of(item) not in same])
    items[:] = [item for item in items if _id_of(item) in same]


def same_as(others: Iterable[str], ours: Iterable[str]) -> set[str]:
    """
    Find the tests that there were before.

    :param others: the ids of the other build's tests.
    :param ours: those of this one's.
    :return: those of ours that stand for one of the others; one for each at most.
    """
    by_words, by_function = defaultdict(list), defaultdict(list)
    for ours_id in ours:
        function, parameters = _parts(ours_id)
        by_words[function, parameters].append(ours_id)
        by_function[function].append(ours_id)
    same: set[str] = set()
    renamed = []
    for other in others:
        function, parameters = _parts(other)
        _take(by_words[function, parameters], same) or renamed.append(function)
    for function in renamed:
        _take(by_function[function], same)
    return same


def _take(candidates: list[str], taken: set[str]) -> bool:
    free = next((candidate for candidate in candidates if candidate not in taken), None)
    if free is not None:
        taken.add(free)
    return free is not None


def _parts(test_id: str) -> tuple[str, str]:
    name, _, parameters = test_id.partition("::")[2].partition("[")
    return name.rpartition("::")[2], parameters


def _id_of(item: pytest.Item) -> str:
    """Give the id without the group that xdist adds."""
    return re.sub(r"@[^@\]]*$", "", item.nodeid)
