"""
The language of filters, sentence by sentence, over the wire and in both dialects.

Each case is named after what it shows. A right one is taken and comes back as it was sent; a wrong one is a 400 that
names no field, while the journal says which filter is wrong, and why.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.attribute_filters import OPERATORS, Takes
from airflow_provider_moengage.sandbox.definition_rules import Definition
from airflow_provider_moengage.sandbox.descriptions import describe
from airflow_provider_moengage.sandbox.filter_language import problems_of
from tests.sandbox.calling import Caller, group, nested

FIRST = "included_filters.filters[0]"
TEMPLATE = "{{MoeUserAttribute['Average order value']}}"
LIST_OPERATORS = ("in", "containsInTheFollowing", "startsWithInTheFollowing", "endsWithInTheFollowing")
ABSENT = object()


def user(data_type: Any, operator: Any = ABSENT, value: Any = ABSENT, **fields: Any) -> dict[str, Any]:
    """Write a filter on a user attribute, without what is absent."""
    written = {
        "filter_type": "user_attributes",
        "name": "Any",
        "data_type": data_type,
        "category": "Tracked Custom Attribute",
        "operator": operator,
        "value": value,
        **fields,
    }
    return {key: part for key, part in written.items() if part is not ABSENT}


def acted(**fields: Any) -> dict[str, Any]:
    """Write a filter on an event, without what is absent."""
    written = {
        "filter_type": "actions",
        "action_name": "Purchase",
        "executed": True,
        "execution": {"type": "atleast", "count": 1},
        "primary_time_range": within(),
        "attributes": group(),
        **fields,
    }
    return {key: part for key, part in written.items() if part is not ABSENT}


def within(kind: str = "inTheLast", **fields: Any) -> dict[str, Any]:
    """Write a time range, without what is absent."""
    written = {"type": kind, "value_type": "relative_past", "value": 30, "period_unit": "days", **fields}
    return {key: part for key, part in written.items() if part is not ABSENT}


def at(kind: str, **fields: Any) -> dict[str, Any]:
    """Write a time range by the calendar."""
    return within(
        kind, **{"value_type": "absolute", "value": "2026-03-01T00:00:00.000Z", "period_unit": ABSENT, **fields}
    )


def event_attribute(**fields: Any) -> dict[str, Any]:
    """Write a filter on an attribute of an event, without what is absent."""
    written = {
        "filter_type": "action_attributes",
        "category": "default",
        "name": "price",
        "data_type": "double",
        "operator": "greaterThan",
        "value": 10,
        **fields,
    }
    return {key: part for key, part in written.items() if part is not ABSENT}


def preferring(**fields: Any) -> dict[str, Any]:
    """Write a filter on an affinity, without what is absent."""
    written = {
        "filter_type": "psychographic_event",
        "action_name": "Purchase",
        "primary_time_range": within(),
        "psychographic_attributes": group(event_attribute(filter_type=ABSENT)),
        "operator_type": "predominant",
        **fields,
    }
    return {key: part for key, part in written.items() if part is not ABSENT}


def summed(*conditions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Write a filter on what an attribute of an event adds up to."""
    condition = {
        "name": "price",
        "data_type": "double",
        "aggregation_type": "sum",
        "operator": "greaterThan",
        "value": 9,
    }
    return acted(**{"aggregation_attributes": group(*conditions or (condition,)), **fields})


def condition(**fields: Any) -> dict[str, Any]:
    return {"name": "price", "data_type": "double", "operator": "is", "value": 9, **fields}


def child(**fields: Any) -> dict[str, Any]:
    return user("string", "in", ["Pune"], **fields)


def place(**fields: Any) -> dict[str, Any]:
    return user("geopoint", **{"value": 18.52, "value1": 73.85, "radius": 5_000, "negate": False, **fields})


def parent(data_type: str = "object", **fields: Any) -> dict[str, Any]:
    return user(data_type, **{**group(child()), **fields})


def of_each_type(operator_of: dict[str, dict[str, Takes]]) -> dict[str, dict[str, Any]]:
    """Write one filter for each operator of each data type."""
    one: dict[str, Any] = {"double": 1.5, "array_double": 2, "bool": True, "datetime": "2026-03-01T00:00:00.000Z"}
    written = {}
    for data_type, operators in operator_of.items():
        value = one.get(data_type, "gold")
        for operator, takes in operators.items():
            item = user(data_type, operator)
            if takes is not Takes.NONE:
                item["value"] = [value] if operator in LIST_OPERATORS else value
            if takes is Takes.TWO:
                item["value1"] = "2026-04-01T00:00:00.000Z" if data_type == "datetime" else 7
            written[f"{data_type}: {operator}"] = item
    return written


RIGHT: dict[str, dict[str, Any]] = {
    **of_each_type(OPERATORS),
    # The required keys, and those that no document lists
    "category may be left out": user("string", "in", ["gold"], category=ABSENT),
    "keys that no document lists pass": user("string", "in", ["gold"], made_by={"a": [None]}, uuid=7),
    "null counts as left out": user("string", "exists", None, value1=None),
    # What goes beside an operator
    "string: case_sensitive": user("string", "in", ["gold"], case_sensitive=True),
    "double: value1 with between": user("double", "between", 1, value1=9),
    "double: a number as text": user("double", "lessThan", "9.5"),
    "bool: is true, negated": user("bool", "is", value=True, negate=True),
    "bool: true as text": user("bool", "is", "true"),
    "datetime: absolute": user("datetime", "after", "2026-03-01", value_type="absolute"),
    "datetime: relative_past": user("datetime", "inTheLast", 7, value_type="relative_past"),
    "datetime: relative_future": user("datetime", "inTheNext", 7, value_type="relative_future"),
    "datetime: value1 with between": user("datetime", "between", 1, value1=9, value_type="relative_past"),
    "datetime: an hour": user("datetime", "in", [0, 23], extract_type="time_of_the_day"),
    "datetime: a day of the week": user("datetime", "between", 0, value1=6, extract_type="day_of_the_week"),
    "datetime: a day of the month": user("datetime", "in", [1, "31"], extract_type="day_of_the_month"),
    "datetime: a month": user("datetime", "in", [1, 12], extract_type="month_of_the_year"),
    "datetime: a birthday": user("datetime", "is", "06-15", extract_type="date_month_of_the_year"),
    "datetime: days and days1, as the dashboard writes them": user("datetime", "between", days=30, days1=7),
    "array_string: any_of": user("array_string", "in", ["a"], array_filter_type="any_of", case_sensitive=False),
    "array_string: all_of": user("array_string", "contains", "a", array_filter_type="all_of"),
    "array_double: any_of": user("array_double", "between", 1, value1=2, array_filter_type="any_of"),
    "an array filter with negate and array_filter_type": user(
        "array_string", "in", ["a"], negate=True, array_filter_type="any_of"
    ),
    "an array filter with negate and without array_filter_type": user("array_string", "in", ["a"], negate=True),
    # Text equality
    "string: in with a list": user("string", "in", ["gold"]),
    "string: in with a bare text, as in the seeds": user("string", "in", "chandan"),
    "string: is with the empty text": user("string", "is", ""),
    "string: is with a text, as in the description's examples": user("string", "is", "gold"),
    "is not: the same operator with negate": user("string", "in", ["gold"], negate=True),
    # No operator at all
    "geopoint: without an operator": place(),
    "geopoint: negate": place(negate=True),
    "object: filters on its children": parent(),
    "array_object: filters on its children": parent("array_object", **group(child(), child(name="B"), operator="or")),
    "object: in an object, to any depth": parent(**group(parent("array_object", **group(parent())))),
    # Dynamic values
    "dynamic: with its type": user(
        "double", "greaterThan", TEMPLATE, is_dynamic_value=True, dynamic_attribute_type="double"
    ),
    "dynamic: without its type, as the guide writes it": user("string", "in", TEMPLATE, is_dynamic_value=True),
    "dynamic: in a list": user("string", "in", [TEMPLATE], is_dynamic_value=True, dynamic_attribute_type="string"),
    "dynamic: false with between": user("double", "between", 1, value1=2, is_dynamic_value=False),
    # Actions
    "execution: atleast": acted(),
    "execution: exactly": acted(execution={"type": "exactly", "count": 3}),
    "execution: atmost": acted(execution={"type": "atmost", "count": 3}),
    "execution: firstTime without a count": acted(execution={"type": "firstTime"}),
    "execution: lastTime without a count": acted(execution={"type": "lastTime"}),
    "executed false: exactly 0": acted(executed=False, execution={"type": "exactly", "count": 0}),
    "time range: inTheLast": acted(primary_time_range=within(value="7")),
    "time range: hours": acted(primary_time_range=within(period_unit="hours")),
    "time range: weeks": acted(primary_time_range=within(period_unit="weeks")),
    "time range: months": acted(primary_time_range=within(period_unit="months")),
    "time range: between, absolute": acted(primary_time_range=at("between", value1="2026-03-02T00:00:00.000Z")),
    "time range: between, with a period_unit as in the seeds": acted(
        primary_time_range=at("between", value1="2026-03-31T23:59:59.999Z", period_unit="days")
    ),
    "time range: between, relative": acted(primary_time_range=within("between", value=7, value1=30)),
    "time range: on a day": acted(primary_time_range=at("on")),
    "time range: before a day": acted(primary_time_range=at("before")),
    "time range: after a day": acted(primary_time_range=at("after")),
    "time range: today is on 0 days": acted(primary_time_range=within("on", value=0)),
    "time range: last week is on 1 week": acted(primary_time_range=within("on", value=1, period_unit="weeks")),
    "time range: days, as the dashboard writes it": acted(
        primary_time_range={"type": "inTheLast", "value_type": "relative_past", "days": 30}
    ),
    "time range: days and days1, as the dashboard writes them": acted(
        primary_time_range={"type": "between", "value_type": "relative_past", "days": 30, "days1": 7}
    ),
    "attributes: action_attributes": acted(attributes=group(event_attribute())),
    "attributes: event_attributes, as public programs send": acted(
        attributes=group(event_attribute(filter_type="event_attributes"))
    ),
    "attributes: without filter_type, as answers have them": acted(
        attributes=group(event_attribute(filter_type=ABSENT))
    ),
    "attributes: user_attributes, as the description of August has them": acted(
        attributes=group(event_attribute(filter_type="user_attributes"))
    ),
    "attributes: is with a text, as in the description's examples": acted(
        attributes=group(event_attribute(data_type="string", operator="is", value="shoes"))
    ),
    "attributes: an object": acted(
        attributes=group(event_attribute(data_type="object", operator=ABSENT, value=ABSENT, **group(event_attribute())))
    ),
    "aggregation: sum": summed(),
    **{f"aggregation: {name}": summed(condition(aggregation_type=name)) for name in ("avg", "min", "max", "median")},
    "aggregation: is": summed(condition()),
    "aggregation: lessThan": summed(condition(operator="lessThan")),
    "aggregation: between": summed(condition(operator="between", value1=12)),
    "aggregation: the one condition without a group": summed(aggregation_attributes=condition()),
    "aggregation: on a day, which is bounded": summed(primary_time_range=at("on")),
    "comparator: change with base_time_range": summed(condition(comparator="change"), base_time_range=within()),
    "comparator: percentageChange with base_time_range": summed(
        comparator="percentageChange", base_time_range=within()
    ),
    "project_name: nobody but a portfolio workspace needs it": acted(project_name="Shop"),
    # Affinity
    "affinity: predominant": preferring(),
    "affinity: minimum": preferring(operator_type="minimum", percent_of_times=1),
    "affinity: top": preferring(operator_type="top", percent_of_users=100),
    "affinity: bottom": preferring(operator_type="bottom", percent_of_users=20),
    "affinity: with what an action has": preferring(
        executed=True, execution={"type": "atleast", "count": 2}, attributes=group(event_attribute())
    ),
    # References and nesting
    "custom_segments: id and name": {"filter_type": "custom_segments", "id": "moe_all_users", "name": "All Users"},
    "custom_segments: the id alone": {"filter_type": "custom_segments", "id": "moe_all_users"},
    "nested_filters: to any depth": nested(nested(nested(nested(acted(), user("bool", "is", value=True))))),
    # Names of events and attributes are nobody's to check
    "a wrong name of an event is accepted": acted(action_name="no such event"),
    "a wrong name of an event attribute is accepted": acted(attributes=group(event_attribute(name="no such"))),
    "a wrong name of a user attribute is accepted": user("string", "in", ["x"], name="no such"),
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    # Required keys
    "filter_type is required": ({"name": "City", "data_type": "bool", "operator": "exists"}, ".filter_type"),
    "filter_type is one of five": (user("bool", "exists", filter_type="user_attribute"), ".filter_type"),
    "name is required": (user("bool", "exists", name=ABSENT), ".name"),
    "data_type is required": (user(ABSENT, "exists"), ".data_type"),
    "data_type is one of nine": (user("text", "in", ["a"]), ".data_type"),
    "operator is required": (user("string", value=["a"]), ".operator"),
    "negate is true or false": (user("string", "in", ["a"], negate="no"), ".negate"),
    # Operators by data type
    **{
        f"string: {operator} exists nowhere": (user("string", operator, "a"), ".operator")
        for operator in ("equals", "notEquals", "not_equal", "startWithInTheFollowing", "lessThan", "between")
    },
    "double: is": (user("double", "is", 1), ".operator"),
    "double: equals": (user("double", "equals", 1), ".operator"),
    "bool: in": (user("bool", "in", [True]), ".operator"),
    "bool: equals": (user("bool", "equals", value=True), ".operator"),
    "datetime: greaterThan": (user("datetime", "greaterThan", 1), ".operator"),
    "array_string: containsInTheFollowing": (user("array_string", "containsInTheFollowing", ["a"]), ".operator"),
    "array_double: is": (user("array_double", "is", 1), ".operator"),
    "geopoint: with an operator": (place(operator="in"), ".operator"),
    "geopoint: without a radius": (place(radius=ABSENT), ".radius"),
    "geopoint: without a longitude": (place(value1=ABSENT), ".value1"),
    "geopoint: a latitude that is no number": (place(value="north"), ".value"),
    "object: with an operator": (parent(operator="in"), ".operator"),
    "object: with negate": (parent(negate=False), ".negate"),
    "object: with a value": (parent(value="a"), ".value"),
    "object: without filters": (parent(filters=ABSENT), ".filters"),
    "object: without filter_operator": (parent(filter_operator=ABSENT), ".filter_operator"),
    "object: without children": (parent(filters=[]), ".filters"),
    "object: a wrong child": (parent(**group(user("bool", "in", [True]))), ".filters[0].operator"),
    "object: an action as a child": (parent(**group(acted())), ".filters[0].filter_type"),
    "array_object: with an operator": (parent("array_object", operator="in"), ".operator"),
    # The shape of value
    **{
        f"string: {operator} without a list": (user("string", operator, "a"), ".value")
        for operator in LIST_OPERATORS[1:]
    },
    "double: in without a list": (user("double", "in", 1), ".value"),
    "datetime: in without a list": (user("datetime", "in", "2026-03-01"), ".value"),
    "array_string: in without a list": (user("array_string", "in", "a"), ".value"),
    "string: contains with a list": (user("string", "contains", ["a"]), ".value"),
    "string: is with a list": (user("string", "is", ["a"]), ".value"),
    "bool: is with a list": (user("bool", "is", [True]), ".value"),
    "a value that is an object": (user("string", "contains", {"a": 1}), ".value"),
    "in without a value": (user("string", "in"), ".value"),
    "lessThan without a value": (user("double", "lessThan"), ".value"),
    "exists with a value": (user("string", "exists", "a"), ".value"),
    "exists with value1": (user("double", "exists", value1=1), ".value1"),
    "today with a value": (user("datetime", "today", 1), ".value"),
    "today with value_type": (user("datetime", "today", value_type="absolute"), ".value_type"),
    "double: between without value1": (user("double", "between", 1), ".value1"),
    "datetime: between without value1": (user("datetime", "between", "2026-03-01"), ".value1"),
    "array_double: between without value1": (user("array_double", "between", 1), ".value1"),
    "double: between with a list as value1": (user("double", "between", 1, value1=[2]), ".value1"),
    "double: a text": (user("double", "lessThan", "many"), ".value"),
    "double: a text in a list": (user("double", "in", [1, "many"]), ".value[1]"),
    "bool: a text": (user("bool", "is", "yes"), ".value"),
    # What goes beside an operator
    "datetime: an unknown value_type": (user("datetime", "on", 1, value_type="relative"), ".value_type"),
    "datetime: an unknown extract_type": (user("datetime", "is", 1, extract_type="year"), ".extract_type"),
    "datetime: hour 24": (user("datetime", "is", 24, extract_type="time_of_the_day"), ".value"),
    "datetime: weekday 7": (user("datetime", "in", [6, 7], extract_type="day_of_the_week"), ".value[1]"),
    "datetime: day 0 of a month": (user("datetime", "is", 0, extract_type="day_of_the_month"), ".value"),
    "datetime: day 32 of a month": (user("datetime", "is", 32, extract_type="day_of_the_month"), ".value"),
    "datetime: month 13": (
        user("datetime", "between", 1, value1=13, extract_type="month_of_the_year"),
        ".value1",
    ),
    "datetime: a birthday in month 15": (
        user("datetime", "is", "15-06", extract_type="date_month_of_the_year"),
        ".value",
    ),
    "array_string: an unknown array_filter_type": (
        user("array_string", "in", ["a"], array_filter_type="none_of"),
        ".array_filter_type",
    ),
    # Dynamic values
    "dynamic: a value that is no template": (user("string", "in", ["a"], is_dynamic_value=True), ".value"),
    "dynamic: an unknown type": (
        user("string", "in", [TEMPLATE], is_dynamic_value=True, dynamic_attribute_type="object"),
        ".dynamic_attribute_type",
    ),
    "dynamic: with between": (
        user("double", "between", TEMPLATE, value1=TEMPLATE, is_dynamic_value=True),
        ".is_dynamic_value",
    ),
    "dynamic: with an object": (parent(is_dynamic_value=True), ".is_dynamic_value"),
    "dynamic: with an array_object": (parent("array_object", is_dynamic_value=True), ".is_dynamic_value"),
    # Actions
    **{
        f"actions: {key} is required": (acted(**{key: ABSENT}), f".{key}")
        for key in ("action_name", "executed", "execution", "primary_time_range", "attributes")
    },
    "execution: an unknown type": (acted(execution={"type": "often", "count": 1}), ".execution.type"),
    "execution: atleast 0": (acted(execution={"type": "atleast", "count": 0}), ".execution.count"),
    "execution: exactly 0 though executed": (acted(execution={"type": "exactly", "count": 0}), ".execution.count"),
    "execution: atmost without a count": (acted(execution={"type": "atmost"}), ".execution.count"),
    "execution: half a time": (acted(execution={"type": "atleast", "count": 0.5}), ".execution.count"),
    "execution: firstTime with a count": (acted(execution={"type": "firstTime", "count": 1}), ".execution.count"),
    "execution: lastTime with a count": (acted(execution={"type": "lastTime", "count": 1}), ".execution.count"),
    "executed false: atleast 1": (acted(executed=False), ".execution"),
    "executed false: exactly 1": (acted(executed=False, execution={"type": "exactly", "count": 1}), ".execution"),
    "executed false: atmost 0": (acted(executed=False, execution={"type": "atmost", "count": 0}), ".execution"),
    "executed false: firstTime": (acted(executed=False, execution={"type": "firstTime"}), ".execution"),
    "time range: an unknown type": (acted(primary_time_range=within("today")), ".primary_time_range.type"),
    "time range: without value_type": (
        acted(primary_time_range=within(value_type=ABSENT)),
        ".primary_time_range.value_type",
    ),
    "time range: in the future": (
        acted(primary_time_range=within("on", value_type="relative_future")),
        ".primary_time_range.value_type",
    ),
    "time range: inTheLast, absolute": (
        acted(primary_time_range=at("inTheLast")),
        ".primary_time_range.value_type",
    ),
    "time range: after, relative": (acted(primary_time_range=within("after")), ".primary_time_range.value_type"),
    "time range: relative without period_unit": (
        acted(primary_time_range=within(period_unit=ABSENT)),
        ".primary_time_range.period_unit",
    ),
    "time range: an unknown period_unit": (
        acted(primary_time_range=within(period_unit="years")),
        ".primary_time_range.period_unit",
    ),
    "time range: without value": (acted(primary_time_range=within(value=ABSENT)), ".primary_time_range.value"),
    "time range: a relative value that is no number": (
        acted(primary_time_range=within(value="a month")),
        ".primary_time_range.value",
    ),
    "time range: between without value1": (acted(primary_time_range=at("between")), ".primary_time_range.value1"),
    "time range: between, value1 before value": (
        acted(primary_time_range=at("between", value1="2026-02-01T00:00:00.000Z")),
        ".primary_time_range.value1",
    ),
    "time range: between, value1 below value": (
        acted(primary_time_range=within("between", value=30, value1=7)),
        ".primary_time_range.value1",
    ),
    "attributes: an unknown filter_type": (
        acted(attributes=group(event_attribute(filter_type="actions"))),
        ".attributes.filters[0].filter_type",
    ),
    "attributes: an operator that its data type does not have": (
        acted(attributes=group(event_attribute(operator="equals"))),
        ".attributes.filters[0].operator",
    ),
    "aggregation: two conditions": (summed(condition(), condition()), ".aggregation_attributes"),
    "aggregation: no condition": (summed(aggregation_attributes=group()), ".aggregation_attributes"),
    "aggregation: not on a double": (
        summed(condition(data_type="string")),
        ".aggregation_attributes.filters[0].data_type",
    ),
    "aggregation: in": (summed(condition(operator="in")), ".aggregation_attributes.filters[0].operator"),
    "aggregation: between without value1": (
        summed(condition(operator="between")),
        ".aggregation_attributes.filters[0].value1",
    ),
    "aggregation: count": (
        summed(condition(aggregation_type="count")),
        ".aggregation_attributes.filters[0].aggregation_type",
    ),
    "aggregation: executed false": (
        summed(executed=False, execution={"type": "exactly", "count": 0}),
        ".aggregation_attributes",
    ),
    "aggregation: firstTime": (summed(execution={"type": "firstTime"}), ".aggregation_attributes"),
    "aggregation: lastTime": (summed(execution={"type": "lastTime"}), ".aggregation_attributes"),
    "aggregation: before a day, which is not bounded": (
        summed(primary_time_range=at("before")),
        ".aggregation_attributes",
    ),
    "aggregation: after a day, which is not bounded": (
        summed(primary_time_range=at("after")),
        ".aggregation_attributes",
    ),
    "comparator: without base_time_range": (summed(condition(comparator="change")), ".base_time_range"),
    "comparator: an unknown one": (summed(comparator="ratio", base_time_range=within()), ".comparator"),
    "comparator: a wrong base_time_range": (
        summed(comparator="change", base_time_range=within(period_unit=ABSENT)),
        ".base_time_range.period_unit",
    ),
    # Affinity
    **{
        f"affinity: {key} is required": (preferring(**{key: ABSENT}), f".{key}")
        for key in ("action_name", "primary_time_range", "psychographic_attributes", "operator_type")
    },
    "affinity: at least one attribute": (
        preferring(psychographic_attributes=group()),
        ".psychographic_attributes.filters",
    ),
    "affinity: attributes without filter_type": (
        preferring(psychographic_attributes=group(event_attribute())),
        ".psychographic_attributes.filters[0].filter_type",
    ),
    "affinity: an unknown operator_type": (preferring(operator_type="most"), ".operator_type"),
    "affinity: minimum without percent_of_times": (preferring(operator_type="minimum"), ".percent_of_times"),
    "affinity: top without percent_of_users": (
        preferring(operator_type="top", percent_of_times=5),
        ".percent_of_users",
    ),
    "affinity: bottom 0": (preferring(operator_type="bottom", percent_of_users=0), ".percent_of_users"),
    "affinity: minimum 101": (preferring(operator_type="minimum", percent_of_times=101), ".percent_of_times"),
    "affinity: executed false with atleast 1": (
        preferring(executed=False, execution={"type": "atleast", "count": 1}),
        ".execution",
    ),
    # References and nesting
    "custom_segments: an id that is no text": ({"filter_type": "custom_segments", "id": 7, "name": "x"}, ".id"),
    "custom_segments: neither id nor name": ({"filter_type": "custom_segments"}, ".name"),
    "nested_filters: without a filter": (nested(), ".filters"),
    "nested_filters: without filter_operator": (
        {"filter_type": "nested_filters", "filters": [acted()]},
        ".filter_operator",
    ),
    "nested_filters: a wrong filter inside": (
        nested(nested(user("double", "between", 1))),
        ".filters[0].filters[0].value1",
    ),
}


@pytest.fixture(scope="module", params=["seeds", "today"])
def long_lived(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A caller of a sandbox that all cases of a dialect share: it has one segment, and no rate limits."""
    with Sandbox(dialect=request.param, rate_limits=False) as sandbox:
        sandbox.add_segment(name="Spring")
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            yield caller


@pytest.mark.parametrize("item", RIGHT.values(), ids=RIGHT)
def test_right(long_lived: Caller, item: dict[str, Any]) -> None:
    sandbox = long_lived.sandbox
    answer = long_lived.update(sandbox.segments[0]["id"], group(item))
    assert answer.status_code == 200, sandbox.requests[-1].explanation
    data = answer.json()["data"]
    assert data["included_filters"] == group(item)
    assert data["description"].strip()
    assert sandbox.requests[-1].explanation is None


@pytest.mark.parametrize(("item", "where"), WRONG.values(), ids=WRONG)
def test_wrong(long_lived: Caller, item: dict[str, Any], where: str) -> None:
    sandbox = long_lived.sandbox
    answer = long_lived.create("Summer", group(item))

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"].startswith(("Invalid request format. Please check", "Invalid request. Please ensure"))
    explanation = sandbox.requests[-1].explanation
    assert explanation is not None
    assert explanation.startswith(f"{FIRST}{where} "), explanation
    assert [segment["name"] for segment in sandbox.segments] == ["Spring"]


def test_the_table_of_operators_is_the_published_one() -> None:
    published = {
        "string": "in is contains startsWith endsWith containsInTheFollowing startsWithInTheFollowing "
        "endsWithInTheFollowing exists",
        "double": "in lessThan greaterThan between exists",
        "bool": "is exists",
        "datetime": "on between before after inTheLast inTheNext today is in exists",
        "array_string": "in contains startsWith endsWith is exists",
        "array_double": "in lessThan greaterThan between exists",
    }
    assert {data_type: set(operators) for data_type, operators in OPERATORS.items()} == {
        data_type: set(operators.split()) for data_type, operators in published.items()
    }


def test_an_explanation_says_which_filter_is_wrong_and_why(spoken: Caller) -> None:
    segment = spoken.sandbox.add_segment(name="Spring")
    filters = group(user("bool", "is", value=True), user("string", "equals", "gold"), user("double", "between", 1))

    answer = spoken.update(segment["id"], group(acted()), excluded_filters=filters)

    explanation = (
        "excluded_filters.filters[1].operator is 'equals', not in, is, contains, startsWith, endsWith, "
        "containsInTheFollowing, startsWithInTheFollowing, endsWithInTheFollowing or exists, as a string has them. "
        "excluded_filters.filters[2].value1 is missing: between takes one value, and value1 another."
    )
    assert spoken.sandbox.requests[-1].explanation == explanation
    assert "excluded_filters" not in answer.text
    assert "explanation" not in answer.text


def test_an_explanation_has_no_value_of_a_filter(spoken: Caller) -> None:
    spoken.create("Spring", group(user("double", "in", ["someone@example.com"]), user("bool", "is", "secret")))
    explanation = spoken.sandbox.requests[-1].explanation
    assert explanation is not None
    assert "someone" not in explanation
    assert "secret" not in explanation


def test_an_explanation_ends(spoken: Caller) -> None:
    spoken.create("Spring", group(*(user("bool", "equals", value=True) for _ in range(500))))
    explanation = spoken.sandbox.requests[-1].explanation
    assert explanation is not None
    assert len(explanation) < 1_000


def test_a_reference_to_nothing_is_explained(spoken: Caller) -> None:
    spoken.create("Spring", group({"filter_type": "custom_segments", "name": "gone"}))
    assert spoken.sandbox.requests[-1].explanation == "There is no segment gone."


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (user("string", "in", ["a"], filters=None), "Any is a (case insensitive)"),
        (user("bool", "is", value=True, filters=[]), "Any is True"),
        (place(filters=[], filter_operator="and"), "Any within 5000 m of 18.52, 73.85"),
        (user("datetime", "inTheLast", None, days=3), "Any inTheLast 3"),
        (acted(execution={"type": "firstTime", "count": None}), "Has executed Purchase firstTime"),
        (preferring(operator_type="top", percent_of_times=None, percent_of_users=9), "Executes Purchase top 9% with"),
        ({"filter_type": "custom_segments", "id": "moe_all_users", "name": None}, "In segment moe_all_users"),
    ],
)
def test_what_stands_for_nothing_is_not_described(long_lived: Caller, item: dict[str, Any], sentence: str) -> None:
    """A null, or a key that this kind of filter does not have, passes as all keys do that no document lists."""
    sandbox = long_lived.sandbox
    answer = long_lived.update(sandbox.segments[0]["id"], group(item))

    assert answer.status_code == 200, sandbox.requests[-1].explanation
    assert answer.json()["data"]["description"].startswith(sentence)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(data=st.data())
def test_whatever_is_put_into_a_right_filter_is_judged(data: st.DataObject) -> None:
    """Nothing that JSON can express makes the check or the description of a filter fail."""
    item = copy.deepcopy(data.draw(st.sampled_from(list(RIGHT.values()))))
    odd: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
    )
    odd = (
        odd
        | st.lists(odd, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "filters", "value"]), odd, max_size=2)
    )
    holder = data.draw(st.sampled_from([item, *(part for part in item.values() if isinstance(part, dict))]))
    surplus = ("value1", "days", "filters", "filter_operator", "count", "aggregation_attributes", "percent_of_times")
    for key in data.draw(st.lists(st.sampled_from([*holder, *surplus]), min_size=1, max_size=2)):
        holder[key] = data.draw(odd)

    problems = list(problems_of(group(item), "included_filters"))

    assert all(problem.place.startswith("included_filters") for problem in problems)
    if not problems:
        assert json.dumps(describe(Definition(group(item))))
