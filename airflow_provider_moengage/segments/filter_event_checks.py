"""What is surely wrong with a filter on an event, or with an affinity."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_moengage.segments.filter_findings import ON_BECAME_TRUE, Findings, whole_number
from airflow_provider_moengage.segments.filter_values import LISTS, comes_later

_COUNTED = ("atleast", "exactly", "atmost")
_UNCOUNTED = ("firstTime", "lastTime")
_EXECUTIONS = (*_COUNTED, *_UNCOUNTED)
_TIME_RANGES = ("inTheLast", "between", "on", "before", "after")
_PERIOD_UNITS = ("hours", "days", "weeks", "months")
# As the dashboard spells a time range, and as affinities have it.
_OTHER_SPELLINGS = frozenset({"days", "days1", "from", "to"})
_AGGREGATIONS = ("sum", "avg", "min", "max", "median")
_AGGREGATION_OPERATORS = ("is", "between", "lessThan", "greaterThan")
_PERCENTAGES = {
    "predominant": None,
    "minimum": "percent_of_times",
    "top": "percent_of_users",
    "bottom": "percent_of_users",
}
_UTC = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+)?)Z?")


def check_event(findings: Findings, place: str, filter_: dict[str, Any], *, affinity: bool) -> None:
    """
    Check a filter on an event, but for the filters on its attributes.

    :param findings: where mistakes are kept.
    :param place: where the filter stands.
    :param filter_: the filter.
    :param affinity: whether it is an affinity.
    """
    findings.check_name(place, "action_name", filter_.get("action_name"))
    # That an affinity needs what an event needs, no text says.
    executed = filter_.get("executed")
    if not isinstance(executed, bool) and not comes_later(executed) and not (affinity and executed is None):
        findings.say(f"{place}.executed", "It has to be true, or false for events that were not executed.")
    execution = filter_.get("execution")
    if not (affinity and execution is None):
        _check_execution(findings, f"{place}.execution", execution, executed)
    _check_time_range(findings, f"{place}.primary_time_range", filter_.get("primary_time_range"), affinity=affinity)
    if affinity:
        _check_affinity(findings, place, filter_)
    group = filter_.get("aggregation_attributes")
    if not (affinity or group is None or comes_later(group)):
        _check_aggregation(findings, f"{place}.aggregation_attributes", filter_, group)


def _check_execution(findings: Findings, place: str, execution: Any, executed: Any) -> None:
    if comes_later(execution):
        return
    if not isinstance(execution, dict):
        findings.say(place, 'It has to be an object such as {"type": "atleast", "count": 1}.')
        return
    kind, count = execution.get("type"), execution.get("count")
    if not findings.is_word(place, "type", kind, _EXECUTIONS):
        return
    if executed is False:
        if kind != "exactly" or not (whole_number(count) == 0 or comes_later(count)):
            findings.say(place, 'With executed false it is {"type": "exactly", "count": 0} and nothing else.')
    elif kind in _UNCOUNTED:
        if count is not None:
            findings.say(f"{place}.count", f"{kind} has no count: leave it out.")
    elif not comes_later(count) and (whole_number(count) or 0) < 1:
        findings.say(f"{place}.count", f"{kind} needs a whole number above 0; none at all is executed false.")


def _check_time_range(findings: Findings, place: str, span: Any, *, affinity: bool) -> None:
    if comes_later(span):
        return
    if not isinstance(span, dict):
        findings.say(place, "It has to be an object with type, value_type and value.")
        return
    kind, value_type = span.get("type"), span.get("value_type")
    is_spelt_otherwise = not _OTHER_SPELLINGS.isdisjoint(span)
    if kind is True:
        findings.say(f"{place}.type", ON_BECAME_TRUE)
    elif kind is None or not affinity:
        findings.is_word(place, "type", kind, _TIME_RANGES)
    findings.is_word(place, "value_type", value_type, ("absolute", "relative_past"), needed=not is_spelt_otherwise)
    if (kind, value_type) == ("inTheLast", "absolute"):
        findings.say(f"{place}.value_type", "inTheLast is relative_past.")
    elif (kind, value_type) == ("after", "relative_past"):
        findings.say(f"{place}.value_type", "after is absolute: inTheLast counts from today.")
    if not is_spelt_otherwise:
        _check_ends(findings, place, span)


def _check_ends(findings: Findings, place: str, span: dict[str, Any]) -> None:
    value, value1 = span.get("value"), span.get("value1")
    if value is None:
        findings.say(f"{place}.value", "It is missing: a time, or how many of period_unit.")
    if span.get("value_type") == "relative_past":
        findings.is_word(place, "period_unit", span.get("period_unit"), _PERIOD_UNITS)
    if span.get("type") != "between":
        return
    if value1 is None:
        findings.say(f"{place}.value1", "It is missing: between needs both ends, value and value1.")
    elif _is_surely_not_greater(value, value1):
        findings.say(f"{place}.value1", "It has to be greater than value.")


def _check_affinity(findings: Findings, place: str, filter_: dict[str, Any]) -> None:
    operator_type = filter_.get("operator_type")
    if findings.is_word(place, "operator_type", operator_type, _PERCENTAGES):
        key = _PERCENTAGES[str(operator_type)]
        percent = filter_.get(key) if key else None
        number = percent if isinstance(percent, float) else whole_number(percent)
        if key and not comes_later(percent) and not 1 <= (number or 0) <= 100:
            findings.say(f"{place}.{key}", f"{operator_type} needs it: a number from 1 to 100.")
    about = filter_.get("psychographic_attributes")
    if isinstance(about, dict) and about.get("filters") in ([], ()):
        findings.say(f"{place}.psychographic_attributes.filters", "An affinity is about at least one attribute.")


def _check_aggregation(findings: Findings, place: str, filter_: dict[str, Any], group: Any) -> None:
    # No text says what the condition stands in: a group, a list, or nothing.
    is_group = isinstance(group, dict) and "filters" in group
    conditions = group["filters"] if is_group else [group] if isinstance(group, dict) and group else group
    if comes_later(conditions):
        return
    if not isinstance(conditions, LISTS) or len(conditions) != 1:
        findings.say(place, "An aggregation has exactly one condition, in a group such as that of included_filters.")
        return
    execution, span = filter_.get("execution"), filter_.get("primary_time_range")
    if filter_.get("executed") is False:
        findings.say(place, "An aggregation needs executed true.")
    if isinstance(execution, dict) and execution.get("type") in _UNCOUNTED:
        findings.say(place, f"An aggregation goes with no {execution['type']}.")
    if isinstance(span, dict) and span.get("type") in ("before", "after"):
        findings.say(place, f"An aggregation needs a bounded time, and {span['type']} is none.")
    where = f"{place}.filters[0]" if is_group else f"{place}[0]" if isinstance(group, LISTS) else place
    _check_condition(findings, where, conditions[0])


def _check_condition(findings: Findings, place: str, condition: Any) -> None:
    if comes_later(condition):
        return
    if not isinstance(condition, dict):
        findings.say(place, "A condition is an object with attribute_name, aggregation_type, operator and value.")
        return
    findings.is_word(place, "data_type", condition.get("data_type"), ("double",), needed=False)
    findings.is_word(place, "aggregation_type", condition.get("aggregation_type"), _AGGREGATIONS, needed=False)
    operator = condition.get("operator")
    if findings.is_word(place, "operator", operator, _AGGREGATION_OPERATORS):
        for key in ("value", "value1") if operator == "between" else ("value",):
            if condition.get(key) is None:
                findings.say(f"{place}.{key}", f"It is missing: {operator} compares with it.")
    comparator, base = condition.get("comparator"), condition.get("base_time_range")
    known = findings.is_word(place, "comparator", comparator, ("change", "percentageChange"), needed=False)
    if known and not isinstance(base, dict) and not comes_later(base):
        findings.say(f"{place}.base_time_range", f"It is missing: {comparator} compares with an earlier time.")


def _is_surely_not_greater(value: Any, value1: Any) -> bool:
    first, second = whole_number(value), whole_number(value1)
    if first is not None and second is not None:
        return second <= first
    if isinstance(value, str) and isinstance(value1, str):
        begin, end = _UTC.fullmatch(value), _UTC.fullmatch(value1)
        return bool(begin and end and end[1] <= begin[1])
    return False
