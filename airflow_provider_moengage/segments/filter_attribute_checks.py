"""What is surely wrong with what an attribute is compared with."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_moengage.segments.filter_findings import Findings, whole_number
from airflow_provider_moengage.segments.filter_values import LISTS, comes_later, kind_of

AUGUST_SPELLING = "startWithInTheFollowing"
"""So in MoEngage's description of August 2026."""

_LIST_OPERATORS = (
    *("in", "containsInTheFollowing", "startsWithInTheFollowing", "endsWithInTheFollowing"),
    AUGUST_SPELLING,
)
_CONTAINERS = (dict, *LISTS)
_VALUE_TYPES = ("absolute", "relative_past", "relative_future")
_PARTS = {
    "time_of_the_day": (0, 23),
    "day_of_the_week": (0, 6),
    "day_of_the_month": (1, 31),
    "month_of_the_year": (1, 12),
    "date_month_of_the_year": None,
}
_MONTH_AND_DAY = re.compile("(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_DYNAMIC_TYPES = ("string", "double", "bool", "datetime")
_DYNAMIC_VALUE = re.compile(r"\{\{\s*MoeUserAttribute\s*\[")


def check_comparison(findings: Findings, place: str, filter_: dict[str, Any], data_type: str, operator: str) -> None:
    """
    Check what an attribute is compared with.

    :param findings: where mistakes are kept.
    :param place: where the filter stands.
    :param filter_: the filter.
    :param data_type: its type, one that has operators.
    :param operator: its operator, one of those.
    """
    if operator in {"exists", "today"}:
        for key in ("value", "value1", "value_type"):
            if filter_.get(key) is not None:
                findings.say(f"{place}.{key}", f"{operator} compares with nothing: leave it out.")
        return
    if filter_.get("is_dynamic_value") is True:
        _check_dynamic(findings, place, filter_, data_type, operator)
    else:
        _check_value(findings, place, filter_, data_type, operator)
    # The dashboard spells the ends of a relative time as days and days1.
    if operator == "between" and filter_.get("value1") is None and filter_.get("days1") is None:
        findings.say(f"{place}.value1", "It is missing: between needs both ends, value and value1.")
    if data_type == "datetime":
        findings.is_word(place, "value_type", filter_.get("value_type"), _VALUE_TYPES, needed=False)
        if findings.is_word(place, "extract_type", filter_.get("extract_type"), _PARTS, needed=False):
            _check_parts(findings, place, filter_)
    if data_type.startswith("array_"):
        match = filter_.get("array_filter_type")
        findings.is_word(place, "array_filter_type", match, ("any_of", "all_of"), needed=False)


def _check_value(findings: Findings, place: str, filter_: dict[str, Any], data_type: str, operator: str) -> None:
    value = filter_.get("value")
    findings.check_not_empty(place, "value", value)
    if value is None:
        if filter_.get("days") is None:
            findings.say(f"{place}.value", f"It is missing: {operator} compares with it.")
    elif comes_later(value):
        pass
    elif operator in _LIST_OPERATORS:
        # MoEngage's own sample has the operator in with text alone.
        is_text = isinstance(value, str) and operator == "in" and data_type in {"string", "array_string"}
        if not isinstance(value, LISTS) and not is_text:
            findings.say(f"{place}.value", f"{operator} takes a list, not {kind_of(value)}.")
    elif isinstance(value, _CONTAINERS) and not _may_be_a_list(value, data_type, operator):
        findings.say(
            f"{place}.value", f"{operator} takes one value, not {kind_of(value)}; the operator in takes a list."
        )


def _may_be_a_list(value: Any, data_type: str, operator: str) -> bool:
    # One page gives a list to these operators of lists of texts, another a single text.
    return isinstance(value, LISTS) and data_type == "array_string" and operator != "is"


def _check_dynamic(findings: Findings, place: str, filter_: dict[str, Any], data_type: str, operator: str) -> None:
    findings.is_word(place, "dynamic_attribute_type", filter_.get("dynamic_attribute_type"), _DYNAMIC_TYPES)
    if operator == "between" and data_type in {"double", "array_double"}:
        findings.say(f"{place}.is_dynamic_value", "between is compared with no other attribute.")
    value = filter_.get("value")
    is_moengages = isinstance(value, str) and _DYNAMIC_VALUE.search(value)
    if not is_moengages and not comes_later(value):
        findings.say(f"{place}.value", "With is_dynamic_value it is text such as {{MoeUserAttribute['...']}}.")


def _check_parts(findings: Findings, place: str, filter_: dict[str, Any]) -> None:
    if filter_.get("value_type") not in (None, "absolute"):
        return
    part = filter_["extract_type"]
    for key in ("value", "value1"):
        value = filter_.get(key)
        for index, each in enumerate(value if isinstance(value, LISTS) else [value]):
            if each is None or comes_later(each) or _is_part(part, each):
                continue
            bounds = _PARTS[part]
            wanted = (
                f"a whole number from {bounds[0]} to {bounds[1]}" if bounds else 'text such as "06-15", month first'
            )
            where = f"{place}.{key}[{index}]" if isinstance(value, LISTS) else f"{place}.{key}"
            findings.say(where, f"{part} is {wanted}.")


def _is_part(part: str, value: Any) -> bool:
    bounds = _PARTS[part]
    if bounds is None:
        return isinstance(value, str) and _MONTH_AND_DAY.fullmatch(value) is not None
    number = whole_number(value)
    return number is not None and bounds[0] <= number <= bounds[1]
