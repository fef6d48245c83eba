"""What the checks of the filter language share: a problem with its place, and the checks of a single key."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """
    One thing that is surely wrong with a filter.

    :param place: where it is, such as ``included_filters.filters[2].value1``.
    :param reason: what is wrong, as a sentence goes on after the place.
    :param is_malformed: whether a key is missing or of the wrong type; otherwise what it says is impossible. The API
        has a 400 for each.
    """

    place: str
    reason: str
    is_malformed: bool = False

    def __str__(self) -> str:
        return f"{self.place} {self.reason}."


Problems = Iterator[Problem]
CheckFilter = Callable[[JsonObject, str], Problems]
"""From a filter and its place to what is wrong with it."""


def group_problems(group: object, place: str, check: CheckFilter, *, may_be_empty: bool = False) -> Problems:
    """
    Check a group and each of its filters.

    :param group: what stands where a group has to.
    :param place: where that is.
    :param check: checks one filter, which is an object already.
    :param may_be_empty: whether the group may do without filters.
    """
    if not isinstance(group, dict):
        yield Problem(place, 'must be a group such as {"filter_operator": "and", "filters": [...]}', is_malformed=True)
        return
    if group.get("filter_operator") not in ("and", "or"):
        yield Problem(f"{place}.filter_operator", 'must be "and" or "or"', is_malformed=True)
    filters = group.get("filters")
    if not isinstance(filters, list):
        yield Problem(f"{place}.filters", "must be a list of filters", is_malformed=True)
        return
    if not filters and not may_be_empty:
        yield Problem(f"{place}.filters", "must have at least one filter")
    for position, item in enumerate(filters):
        where = f"{place}.filters[{position}]"
        if isinstance(item, dict):
            yield from check(item, where)
        else:
            yield Problem(where, "must be an object", is_malformed=True)


def text_problems(item: JsonObject, place: str, *keys: str) -> Problems:
    """Find those keys that do not have a text, or a blank one."""
    for key in keys:
        value = item.get(key)
        if value is None:
            yield Problem(f"{place}.{key}", "is missing", is_malformed=True)
        elif not isinstance(value, str) or not value.strip():
            yield Problem(f"{place}.{key}", "must be a text that is not blank", is_malformed=True)


def flag_problems(item: JsonObject, place: str, *keys: str) -> Problems:
    """Find those keys that are there and neither true nor false."""
    for key in keys:
        if is_given(item, key) and not isinstance(item[key], bool):
            yield Problem(f"{place}.{key}", "must be true or false", is_malformed=True)


def choice_problems(item: JsonObject, place: str, key: str, choices: tuple[str, ...], *, required: bool) -> Problems:
    """
    Check a key that has one of a few texts.

    :param choices: the texts.
    :param required: whether the key has to be there.
    """
    if not is_given(item, key):
        if required:
            yield Problem(f"{place}.{key}", f"is missing: it is {any_of(choices)}", is_malformed=True)
    elif item[key] not in choices:
        is_text = isinstance(item[key], str)
        yield Problem(f"{place}.{key}", f"is {in_short(item[key])}, not {any_of(choices)}", is_malformed=not is_text)


def surplus_problems(item: JsonObject, place: str, keys: tuple[str, ...], why: str) -> Problems:
    """
    Find those keys that are there and have to be left out.

    :param why: why they have to, as a sentence goes on after a colon.
    """
    for key in keys:
        if is_given(item, key):
            yield Problem(f"{place}.{key}", f"must be left out: {why}")


def is_given(item: JsonObject, key: str) -> bool:
    """Say whether a key is there; null counts as left out, since programs write it for what they do not set."""
    return item.get(key) is not None


def as_number(value: object) -> float | None:
    """
    Read a number.

    :param value: a number, or a text of one, as the dashboard sends it.
    :return: the number, or None when it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def any_of(choices: tuple[str, ...]) -> str:
    """Write choices as a sentence has them."""
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def in_short(value: object) -> str:
    """Show a value in a few characters, however large it is."""
    return reprlib.repr(value)
