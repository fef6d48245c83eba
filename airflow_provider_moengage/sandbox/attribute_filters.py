"""Filters on one attribute, of a user or of an event: the operators of each data type, and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import partial

from airflow_provider_moengage.sandbox.filter_parts import (
    JsonObject,
    Problem,
    Problems,
    any_of,
    as_number,
    choice_problems,
    flag_problems,
    group_problems,
    in_short,
    is_given,
    surplus_problems,
    text_problems,
)


class Takes(Enum):
    """What stands in ``value``, and whether ``value1`` is there too."""

    LIST = "a list"
    LIST_OR_TEXT = "a list or one text"
    ONE = "one value"
    TWO = "one value, and value1 another"
    NONE = "nothing"


OPERATORS: dict[str, dict[str, Takes]] = {
    "string": {
        "in": Takes.LIST_OR_TEXT,  # a list in every newer text; the sample in the API document of update has a text
        "is": Takes.ONE,  # for the empty text alone, says one page; the description's own examples have others
        "contains": Takes.ONE,
        "startsWith": Takes.ONE,
        "endsWith": Takes.ONE,
        "containsInTheFollowing": Takes.LIST,
        "startsWithInTheFollowing": Takes.LIST,
        "endsWithInTheFollowing": Takes.LIST,
        "exists": Takes.NONE,
    },
    "double": {
        "in": Takes.LIST,
        "lessThan": Takes.ONE,
        "greaterThan": Takes.ONE,
        "between": Takes.TWO,
        "exists": Takes.NONE,
    },
    "bool": {
        "is": Takes.ONE,
        "exists": Takes.NONE,
    },
    "datetime": {
        "on": Takes.ONE,
        "between": Takes.TWO,
        "before": Takes.ONE,
        "after": Takes.ONE,
        "inTheLast": Takes.ONE,
        "inTheNext": Takes.ONE,
        "today": Takes.NONE,
        "is": Takes.ONE,
        "in": Takes.LIST,
        "exists": Takes.NONE,
    },
    "array_string": {
        "in": Takes.LIST,
        "contains": Takes.ONE,
        "startsWith": Takes.ONE,
        "endsWith": Takes.ONE,
        "is": Takes.ONE,
        "exists": Takes.NONE,
    },
    "array_double": {
        "in": Takes.LIST,
        "lessThan": Takes.ONE,
        "greaterThan": Takes.ONE,
        "between": Takes.TWO,
        "exists": Takes.NONE,
    },
}
"""The operators of each data type that has some. geopoint, object and array_object have none."""

OBJECT_TYPES = ("object", "array_object")
DATA_TYPES = (*OPERATORS, "geopoint", *OBJECT_TYPES)

VALUE_TYPES = ("absolute", "relative_past", "relative_future")
ARRAY_FILTER_TYPES = ("any_of", "all_of")
DYNAMIC_ATTRIBUTE_TYPES = ("string", "double", "bool", "datetime")

EXTRACTED_NUMBERS = {
    "time_of_the_day": (0, 23),
    "day_of_the_week": (0, 6),
    "day_of_the_month": (1, 31),
    "month_of_the_year": (1, 12),
}
"""From a part of a time to its least and its greatest number."""

DAY_OF_A_YEAR = "date_month_of_the_year"
EXTRACT_TYPES = (*EXTRACTED_NUMBERS, DAY_OF_A_YEAR)

OF_A_USER = ("user_attributes",)
OF_AN_EVENT = ("action_attributes", "event_attributes", "user_attributes", None)
"""What it is called by the newest description, by public programs, by the description of August, and by the
dashboard, which leaves it out."""
OF_AN_AFFINITY = (None,)

_MONTH_AND_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_TEMPLATE = re.compile(r"\{\{\s*MoeUserAttribute\s*\[")


def attribute_problems(item: JsonObject, place: str, *, filter_types: tuple[str | None, ...]) -> Problems:
    """
    Check a filter on one attribute.

    :param item: the filter.
    :param place: where it is.
    :param filter_types: what its ``filter_type`` may be, None for left out.
    """
    yield from _filter_type_problems(item, place, filter_types)
    yield from text_problems(item, place, "name", "data_type")
    data_type = item.get("data_type")
    if not isinstance(data_type, str) or not data_type.strip():
        return
    yield from flag_problems(item, place, "negate", "case_sensitive", "is_dynamic_value")
    if data_type in OBJECT_TYPES:
        yield from _object_problems(item, place, data_type, filter_types)
    elif data_type == "geopoint":
        yield from _geopoint_problems(item, place)
    elif data_type in OPERATORS:
        yield from _comparison_problems(item, place, data_type)
    else:
        yield Problem(f"{place}.data_type", f"is {in_short(data_type)}, not {any_of(DATA_TYPES)}")


def _filter_type_problems(item: JsonObject, place: str, filter_types: tuple[str | None, ...]) -> Problems:
    if item.get("filter_type") not in filter_types:
        known = tuple(filter_type for filter_type in filter_types if filter_type)
        yield Problem(f"{place}.filter_type", f"must be {any_of(known)}" if known else "must be left out here")


def _object_problems(item: JsonObject, place: str, data_type: str, filter_types: tuple[str | None, ...]) -> Problems:
    has_children = f"a filter on an {data_type} has filters on its children instead"
    yield from surplus_problems(item, place, ("operator", "negate", "value", "value1"), has_children)
    if item.get("is_dynamic_value") is True:
        yield Problem(f"{place}.is_dynamic_value", f"must not be true: {has_children}")
    yield from group_problems(item, place, partial(attribute_problems, filter_types=filter_types))


def _geopoint_problems(item: JsonObject, place: str) -> Problems:
    yield from surplus_problems(item, place, ("operator",), "a geopoint has a value, a value1 and a radius instead")
    meanings = {"value": "the latitude", "value1": "the longitude", "radius": "in metres"}
    for key, meaning in meanings.items():
        if as_number(item.get(key)) is None:
            yield Problem(f"{place}.{key}", f"must be a number, {meaning}", is_malformed=not is_given(item, key))


def _comparison_problems(item: JsonObject, place: str, data_type: str) -> Problems:
    yield from text_problems(item, place, "operator")
    operator = item.get("operator")
    if not isinstance(operator, str) or not operator.strip():
        return
    takes = OPERATORS[data_type].get(operator)
    if takes is None:
        operators = any_of(tuple(OPERATORS[data_type]))
        yield Problem(f"{place}.operator", f"is {in_short(operator)}, not {operators}, as a {data_type} has them")
        return
    yield from choice_problems(item, place, "array_filter_type", ARRAY_FILTER_TYPES, required=False)
    yield from choice_problems(item, place, "dynamic_attribute_type", DYNAMIC_ATTRIBUTE_TYPES, required=False)
    if data_type == "datetime":
        yield from choice_problems(item, place, "value_type", VALUE_TYPES, required=False)
        yield from choice_problems(item, place, "extract_type", EXTRACT_TYPES, required=False)
    yield from _value_problems(item, place, operator, takes)
    if item.get("is_dynamic_value") is True:
        yield from _template_problems(item, place, operator)
    else:
        yield from _type_problems(item, place, data_type)


def _value_problems(item: JsonObject, place: str, operator: str, takes: Takes) -> Problems:
    if takes is Takes.NONE:
        yield from surplus_problems(item, place, ("value", "value1", "value_type"), f"{operator} takes none")
        return
    # The dashboard writes times as days and days1.
    for key, other, due in (("value", "days", True), ("value1", "days1", takes is Takes.TWO)):
        if due and not is_given(item, key) and not is_given(item, other):
            yield Problem(f"{place}.{key}", f"is missing: {operator} takes {takes.value}", is_malformed=True)
    if is_given(item, "value1") and not _is_scalar(item["value1"]):
        yield Problem(f"{place}.value1", "must be one value")
    value = item.get("value")
    if isinstance(value, list):
        fits = takes in (Takes.LIST, Takes.LIST_OR_TEXT) and all(map(_is_scalar, value))
    elif takes is Takes.LIST_OR_TEXT:
        fits = value is None or isinstance(value, str)
    else:
        fits = value is None or (takes is not Takes.LIST and _is_scalar(value))
    if not fits:
        yield Problem(f"{place}.value", f"must be {takes.value.partition(',')[0]} with {operator}")


def _template_problems(item: JsonObject, place: str, operator: str) -> Problems:
    if operator == "between":
        yield Problem(f"{place}.is_dynamic_value", "must not be true with between")
    if not any(isinstance(value, str) and _TEMPLATE.search(value) for _, value in _values(item, place)):
        example = "{{MoeUserAttribute['...']}}"
        yield Problem(f"{place}.value", f"must be a template such as {example}, since is_dynamic_value is true")


def _type_problems(item: JsonObject, place: str, data_type: str) -> Problems:
    extract_type = item.get("extract_type")
    for where, value in _values(item, place):
        if data_type in ("double", "array_double"):
            if as_number(value) is None:
                yield Problem(where, "must be a number")
        elif data_type == "bool":
            if not isinstance(value, bool) and str(value).lower() not in ("true", "false"):
                yield Problem(where, "must be true or false")
        elif data_type == "datetime" and extract_type == DAY_OF_A_YEAR:
            if not isinstance(value, str) or not _MONTH_AND_DAY.fullmatch(value):
                yield Problem(where, f'must be a month and a day such as "06-15" with {DAY_OF_A_YEAR}')
        elif data_type == "datetime" and isinstance(extract_type, str) and extract_type in EXTRACTED_NUMBERS:
            least, greatest = EXTRACTED_NUMBERS[extract_type]
            number = as_number(value)
            if number is None or not number.is_integer() or not least <= number <= greatest:
                yield Problem(where, f"must be a whole number from {least} to {greatest} with {extract_type}")


def _values(item: JsonObject, place: str) -> Iterator[tuple[str, object]]:
    """Walk through the single values of a filter, each with its place."""
    for key in ("value", "value1"):
        value = item.get(key)
        if isinstance(value, list):
            yield from ((f"{place}.{key}[{position}]", part) for position, part in enumerate(value))
        elif value is not None:
            yield f"{place}.{key}", value


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)
