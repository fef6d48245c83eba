"""Filters on what users did: how often, when, with which attributes, and what it adds up to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

from airflow_provider_moengage.sandbox.attribute_filters import OF_AN_AFFINITY, OF_AN_EVENT, attribute_problems
from airflow_provider_moengage.sandbox.filter_parts import (
    JsonObject,
    Problem,
    Problems,
    as_number,
    choice_problems,
    group_problems,
    is_given,
    surplus_problems,
    text_problems,
)

COUNTED = ("atleast", "exactly", "atmost")
UNCOUNTED = ("firstTime", "lastTime")

TIME_RANGES: dict[str, tuple[str, ...]] = {
    "inTheLast": ("relative_past",),
    "between": ("absolute", "relative_past"),
    "on": ("absolute", "relative_past"),
    "before": ("absolute", "relative_past"),
    "after": ("absolute",),
}
"""From the type of a time range to its value types."""

UNBOUNDED = ("before", "after")
PERIOD_UNITS = ("hours", "days", "weeks", "months")

AGGREGATIONS = ("sum", "avg", "min", "max", "median")
AGGREGATION_OPERATORS = ("is", "between", "lessThan", "greaterThan")
COMPARATORS = ("change", "percentageChange")

AFFINITIES: dict[str, str | None] = {
    "predominant": None,
    "minimum": "percent_of_times",
    "top": "percent_of_users",
    "bottom": "percent_of_users",
}
"""From the type of an affinity to the percentage that it needs."""


def action_problems(item: JsonObject, place: str) -> Problems:
    """
    Check a filter on an event.

    :param item: the filter.
    :param place: where it is.
    """
    yield from text_problems(item, place, "action_name")
    yield from _executed_problems(item, place)
    yield from _execution_problems(item, place)
    yield from _time_range_problems(item.get("primary_time_range"), f"{place}.primary_time_range")
    yield from _attributes_problems(item, place)
    yield from _aggregation_problems(item, place)


def affinity_problems(item: JsonObject, place: str) -> Problems:
    """
    Check a filter on what users mostly do.

    :param item: the filter, of type ``psychographic_event``.
    :param place: where it is.
    """
    yield from text_problems(item, place, "action_name")
    yield from _time_range_problems(item.get("primary_time_range"), f"{place}.primary_time_range")
    # What a filter on an event must have, no text says that one on an affinity must have too.
    for key, check in (
        ("executed", _executed_problems),
        ("execution", _execution_problems),
        ("attributes", _attributes_problems),
    ):
        if is_given(item, key):
            yield from check(item, place)
    yield from group_problems(
        item.get("psychographic_attributes"),
        f"{place}.psychographic_attributes",
        partial(attribute_problems, filter_types=OF_AN_AFFINITY),
    )
    yield from choice_problems(item, place, "operator_type", tuple(AFFINITIES), required=True)
    kind = item.get("operator_type")
    percentage = AFFINITIES.get(kind) if isinstance(kind, str) else None
    if percentage is not None:
        number = as_number(item.get(percentage))
        if number is None or not 1 <= number <= 100:
            yield Problem(f"{place}.{percentage}", f"must be a number from 1 to 100 with {kind}")


def _executed_problems(item: JsonObject, place: str) -> Problems:
    if not isinstance(item.get("executed"), bool):
        yield Problem(f"{place}.executed", "must be true or false", is_malformed=True)


def _attributes_problems(item: JsonObject, place: str) -> Problems:
    check = partial(attribute_problems, filter_types=OF_AN_EVENT)
    yield from group_problems(item.get("attributes"), f"{place}.attributes", check, may_be_empty=True)


def _execution_problems(item: JsonObject, place: str) -> Problems:
    where, execution = f"{place}.execution", item.get("execution")
    if not isinstance(execution, dict):
        yield Problem(where, 'must be an object such as {"type": "atleast", "count": 1}', is_malformed=True)
        return
    wrong = list(choice_problems(execution, where, "type", (*COUNTED, *UNCOUNTED), required=True))
    yield from wrong
    if wrong:
        return
    kind = execution["type"]
    count: Any = execution.get("count")
    if item.get("executed") is False:
        if kind != "exactly" or isinstance(count, bool) or count != 0:
            yield Problem(where, 'must be {"type": "exactly", "count": 0}, since executed is false')
    elif kind in UNCOUNTED:
        yield from surplus_problems(execution, where, ("count",), f"{kind} counts nothing")
    elif not _is_whole_number(count) or count <= 0:
        yield Problem(f"{where}.count", f"must be a whole number above 0 with {kind}")


def _is_whole_number(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _time_range_problems(time_range: object, place: str) -> Problems:
    if not isinstance(time_range, dict):
        example = '{"type": "inTheLast", "value_type": "relative_past", "value": 30, "period_unit": "days"}'
        yield Problem(place, f"must be an object such as {example}", is_malformed=True)
        return
    wrong = list(choice_problems(time_range, place, "type", tuple(TIME_RANGES), required=True))
    yield from wrong
    if wrong:
        return
    kind = time_range["type"]
    # The dashboard writes days and days1 in the place of value, value1 and period_unit.
    by_dashboard = is_given(time_range, "days")
    yield from choice_problems(time_range, place, "value_type", TIME_RANGES[kind], required=not by_dashboard)
    is_relative = time_range.get("value_type") == "relative_past"
    needs_unit = is_relative and not by_dashboard
    yield from choice_problems(time_range, place, "period_unit", PERIOD_UNITS, required=needs_unit)
    for key, other, due in (("value", "days", True), ("value1", "days1", kind == "between")):
        value = time_range.get(key)
        if value is None:
            if due and not is_given(time_range, other):
                yield Problem(f"{place}.{key}", f"is missing: {kind} needs it", is_malformed=True)
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            yield Problem(f"{place}.{key}", "must be a time or a number", is_malformed=True)
        elif is_relative and as_number(value) is None:
            yield Problem(f"{place}.{key}", "must be a number with relative_past")
    if kind == "between" and _is_not_before(time_range.get("value"), time_range.get("value1")):
        yield Problem(f"{place}.value1", "must be greater than value")


def _is_not_before(value: object, value1: object) -> bool:
    """Say whether two ends of a time range are surely not in their order; what cannot be read may be."""
    numbers = as_number(value), as_number(value1)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] >= numbers[1]
    times = _as_time(value), _as_time(value1)
    return times[0] is not None and times[1] is not None and times[0] >= times[1]


def _as_time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        # Python 3.10 does not read the Z that stands for UTC.
        time = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _aggregation_problems(item: JsonObject, place: str) -> Problems:
    where, aggregation = f"{place}.aggregation_attributes", item.get("aggregation_attributes")
    conditions = dict(_conditions(aggregation, where))
    if aggregation is not None:
        if len(conditions) != 1:
            yield Problem(where, "must hold exactly one condition")
        if item.get("executed") is False:
            yield Problem(where, "must be left out: executed is false")
        if _type_of(item.get("execution")) in UNCOUNTED:
            yield Problem(where, "must be left out with firstTime and lastTime")
        if _type_of(item.get("primary_time_range")) in UNBOUNDED:
            yield Problem(where, "needs a time range with two ends, so neither before nor after")
        for condition_place, condition in conditions.items():
            yield from _condition_problems(condition, condition_place)
    # No text at hand says at which of these the comparator stands.
    holders = {place: item, where: aggregation, **conditions}
    objects = {holder_place: holder for holder_place, holder in holders.items() if isinstance(holder, dict)}
    for holder_place, holder in objects.items():
        yield from choice_problems(holder, holder_place, "comparator", COMPARATORS, required=False)
        if is_given(holder, "base_time_range"):
            yield from _time_range_problems(holder["base_time_range"], f"{holder_place}.base_time_range")
        elif is_given(holder, "comparator") and not any(
            is_given(other, "base_time_range") for other in objects.values()
        ):
            yield Problem(f"{place}.base_time_range", "is missing: the comparator needs it", is_malformed=True)


def _conditions(aggregation: object, place: str) -> Iterator[tuple[str, object]]:
    """Walk through the conditions of an aggregation, be it a group, a list, or the one condition itself."""
    if isinstance(aggregation, dict) and not isinstance(aggregation.get("filters"), list):
        if aggregation:
            yield place, aggregation
        return
    items, key = (aggregation["filters"], ".filters") if isinstance(aggregation, dict) else (aggregation, "")
    if isinstance(items, list):
        yield from ((f"{place}{key}[{position}]", condition) for position, condition in enumerate(items))


def _condition_problems(condition: object, place: str) -> Problems:
    if not isinstance(condition, dict):
        yield Problem(place, "must be an object", is_malformed=True)
        return
    yield from choice_problems(condition, place, "data_type", ("double",), required=False)
    wrong = list(choice_problems(condition, place, "operator", AGGREGATION_OPERATORS, required=True))
    yield from wrong
    operator = None if wrong else condition["operator"]
    for key in ("value", "value1") if operator == "between" else ("value",) if operator else ():
        if not is_given(condition, key):
            yield Problem(f"{place}.{key}", f"is missing: {operator} needs it", is_malformed=True)
    # No text at hand says how the key of the sum or the average is called.
    for key in condition:
        if key.startswith("aggregat"):
            yield from choice_problems(condition, place, key, AGGREGATIONS, required=False)


def _type_of(value: object) -> object:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None
