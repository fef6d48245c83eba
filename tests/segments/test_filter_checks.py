"""What check_filters says of definitions: each row of MoEngage's published language, right and wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given

from airflow_provider_moengage.segments.filters import check_filters
from tests.any_values import ANYTHING, JSON_VALUES, many, nested
from tests.sandbox.calling import action, group, reference
from tests.sandbox.calling import nested as nested_filters

EMPTY = {"filter_operator": "and", "filters": []}
LEFT_OUT = object()


def attribute(data_type: str = "string", operator: Any = "in", **fields: Any) -> dict[str, Any]:
    return {"filter_type": "user_attributes", "name": "X", "data_type": data_type, "operator": operator, **fields}


def of_no_operator(data_type: str, **fields: Any) -> dict[str, Any]:
    return {"filter_type": "user_attributes", "name": "X", "data_type": data_type, **fields}


def dated(operator: str, **fields: Any) -> dict[str, Any]:
    return attribute("datetime", operator, **fields)


def dynamic(**fields: Any) -> dict[str, Any]:
    value = {"value": "{{MoeUserAttribute['Y']}}", "is_dynamic_value": True, "dynamic_attribute_type": "double"}
    return attribute(**{"data_type": "double", "operator": "lessThan", **value, **fields})


def changed(made: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {key: value for key, value in {**made, **fields}.items() if value is not LEFT_OUT}


def timed(**fields: Any) -> dict[str, Any]:
    span = {"type": "inTheLast", "value": 3, "value_type": "relative_past", "period_unit": "days"}
    return action(primary_time_range=changed(span, **fields))


def narrowed(*filters: dict[str, Any]) -> dict[str, Any]:
    return action(attributes=group(*filters))


def aggregated(event: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    condition = {"attribute_name": "X", "data_type": "double", "aggregation_type": "sum", "operator": "is", "value": 1}
    return {**(event or timed()), "aggregation_attributes": group(changed(condition, **fields))}


def affinity(**fields: Any) -> dict[str, Any]:
    about = {"name": "X", "data_type": "string", "operator": "is", "value": "v"}
    head = {"filter_type": "psychographic_event", "operator_type": "predominant"}
    return changed({**timed(), **head, "psychographic_attributes": group(about)}, **fields)


IN_LISTS = ("in", "containsInTheFollowing", "startsWithInTheFollowing", "endsWithInTheFollowing")
NOW = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-31T23:59:59.999Z"

RIGHT = [
    *(attribute("string", operator, value=["v"], case_sensitive=True) for operator in IN_LISTS),
    *(attribute("string", operator, value="v") for operator in ("is", "contains", "startsWith", "endsWith", "in")),
    attribute("string", "is", value=""),
    attribute("string", "startWithInTheFollowing", value=["v"]),  # as the description of August spells it
    *(attribute("double", operator, value=1.5) for operator in ("lessThan", "greaterThan")),
    attribute("double", "in", value=[1]),
    attribute("double", "between", value=1, value1=2),
    attribute("bool", "is", value=False),
    *(dated(operator, value=NOW, value_type="absolute") for operator in ("on", "before", "after")),
    *(dated(operator, value=3, value_type="relative_past") for operator in ("on", "before", "inTheLast")),
    *(dated(operator, value=3, value_type="relative_future") for operator in ("after", "inTheNext")),
    dated("between", value=NOW, value1=LATER, value_type="absolute"),
    dated("today"),
    dated("is", value=0, extract_type="time_of_the_day"),
    dated("is", value=23, extract_type="time_of_the_day"),
    dated("in", value=[0, 6], extract_type="day_of_the_week"),
    dated("between", value=1, value1=31, extract_type="day_of_the_month"),
    dated("is", value="12", extract_type="month_of_the_year"),
    dated("is", value="06-15", extract_type="date_month_of_the_year"),
    dated("inTheNext", value=7, value_type="relative_future", extract_type="date_month_of_the_year"),
    of_no_operator("geopoint", value=18.5, value1=73.8, radius=500, negate=True),
    *(
        attribute("array_string", operator, value="v", array_filter_type="any_of")
        for operator in ("contains", "startsWith", "endsWith", "is")
    ),
    attribute("array_string", "contains", value=["v"]),  # one page says a list, another one value
    attribute("array_string", "in", value=["v"], array_filter_type="all_of", negate=True),
    attribute("array_string", "in", value=["v"], negate=True),
    *(
        attribute("array_double", operator, value=1, array_filter_type="any_of")
        for operator in ("lessThan", "greaterThan")
    ),
    attribute("array_double", "in", value=[1]),
    attribute("array_double", "between", value=1, value1=2),
    *(attribute(kind, "exists") for kind in ("string", "double", "bool", "datetime", "array_string", "array_double")),
    of_no_operator("object", filter_operator="or", filters=[attribute("double", "in", value=[1])]),
    of_no_operator("array_object", **group(of_no_operator("object", **group(attribute(value=["v"]))))),
    dynamic(),
    dynamic(data_type="string", operator="in", dynamic_attribute_type="string"),
    attribute(value=["v"], category="Tracked Custom Attribute", project_name="p", negate=True),
    # What nobody documents.
    attribute("vector", "near", value={"any": "thing"}),
    {"filter_type": "weather"},
    {**attribute(value=["v"]), "made_by": "the dashboard"},
    *(action(execution={"type": kind, "count": 2}) for kind in ("atleast", "exactly", "atmost")),
    *(action(execution={"type": kind}) for kind in ("firstTime", "lastTime")),
    action(executed=False, execution={"type": "exactly", "count": 0}),
    *(timed(period_unit=unit) for unit in ("hours", "days", "weeks", "months")),
    timed(type="between", value=7, value1=30),
    timed(type="between", value=NOW, value1=LATER, value_type="absolute", period_unit=LEFT_OUT),
    timed(type="on", value=0, period_unit="weeks"),
    timed(type="on", value=NOW, value_type="absolute", period_unit=LEFT_OUT),
    timed(type="before", value=3),
    timed(type="after", value=NOW, value_type="absolute"),
    timed(days=30, value=LEFT_OUT, period_unit=LEFT_OUT),  # as the dashboard spells it
    timed(type="between", days=30, days1=7, value=LEFT_OUT, value_type=LEFT_OUT, period_unit=LEFT_OUT),
    *(
        narrowed(changed(attribute(value=["v"]), filter_type=kind))
        for kind in ("action_attributes", "event_attributes", "user_attributes", LEFT_OUT)
    ),
    narrowed(changed(attribute("string", "is", value="v"), filter_type="action_attributes", category="default")),
    *(aggregated(aggregation_type=kind) for kind in ("sum", "avg", "min", "max", "median")),
    *(aggregated(operator=operator) for operator in ("is", "lessThan", "greaterThan")),
    aggregated(operator="between", value1=2),
    aggregated(comparator="change", base_time_range={"type": "previousPeriod"}),
    affinity(),
    affinity(attributes=LEFT_OUT),
    affinity(operator_type="minimum", percent_of_times=1),
    *(affinity(operator_type=kind, percent_of_users=100) for kind in ("top", "bottom")),
    affinity(primary_time_range={"type": "inTheLast", "value_type": "relative_past", "days": 90}),
    affinity(primary_time_range={"type": "between", "value_type": "absolute", "from": NOW, "to": LATER}),
    {"filter_type": "custom_segments", "id": "63d8cec0c085939e6c1ab727", "name": "VIP"},
    {"filter_type": "custom_segments", "id": "63d8cec0c085939e6c1ab727"},
    nested_filters(attribute(value=["v"])),
    # What Airflow has yet to render.
    attribute(value="{{ params.cities }}"),
    attribute("double", "between", value="{{ a }}", value1="{{ b }}"),
    attribute("double", "in", value="{{ a }}"),
    "{{ params.filter }}",
]


@pytest.mark.parametrize("filter_", RIGHT, ids=range(len(RIGHT)))
def test_right(filter_):
    assert check_filters(group(filter_)) == []


SAMPLE = attribute(value=["v"])
WRONG = [
    # A filter of each kind, where it is wrong, and how the sentence begins.
    ({**SAMPLE, "name": " "}, "name", "It is missing, or blank"),
    (changed(SAMPLE, name=LEFT_OUT), "name", "It is missing"),
    ({**SAMPLE, "name": 7}, "name", "It is text, not"),
    (changed(SAMPLE, data_type=LEFT_OUT), "data_type", "It is missing: string, double"),
    (changed(SAMPLE, operator=LEFT_OUT), "operator", "It is missing: in, is, contains"),
    *(
        ({**SAMPLE, "operator": word}, "operator", f'string has no operator "{word}". It has: in, is')
        for word in ("equals", "notEquals", "not_equal", "lessThan", "today")
    ),
    (attribute("double", "is", value=1), "operator", 'double has no operator "is"'),
    (attribute("double", "contains", value=1), "operator", "double has no"),
    (attribute("bool", "in", value=[True]), "operator", "bool has no"),
    (dated("greaterThan", value=NOW), "operator", "datetime has no"),
    (dated(operator=True, value=NOW), "operator", "MoEngage's word on became true"),
    (attribute("array_string", "between", value=1, value1=2), "operator", "array_string has no"),
    (attribute("array_double", "is", value=1), "operator", "array_double has no"),
    (attribute("geopoint", "in", value=1, value1=2, radius=3), "operator", "geopoint has no operator"),
    (of_no_operator("geopoint", value1=2, radius=3), "value", "It is missing: the latitude"),
    (of_no_operator("geopoint", value=1, radius=3), "value1", "It is missing: the longitude"),
    (of_no_operator("geopoint", value=1, value1=2), "radius", "It is missing: how many metres"),
    *(
        ({**of_no_operator(kind, **group(SAMPLE)), key: value}, key, f"{kind} has no {key}")
        for kind in ("object", "array_object")
        for key, value in (("operator", "in"), ("negate", False), ("value", 1))
    ),
    (
        of_no_operator("object", is_dynamic_value=True, **group(SAMPLE)),
        "is_dynamic_value",
        "object is compared with no",
    ),
    (of_no_operator("object", filters=[SAMPLE]), "filter_operator", "It is missing: and or or"),
    (of_no_operator("object", **group(action())), "filters[0].filter_type", "actions has no place here"),
    (of_no_operator("object", **group({**SAMPLE, "operator": "equals"})), "filters[0].operator", "string has no"),
    (of_no_operator("object", **EMPTY), "filters", "The list is empty"),
    *((attribute("string", operator, value="v"), "value", f"{operator} takes a list") for operator in IN_LISTS[1:]),
    (attribute("double", "in", value=1), "value", "in takes a list"),
    (attribute("string", "contains", value=["v"]), "value", "contains takes one value"),
    (attribute("double", "lessThan", value=[1]), "value", "lessThan takes one value"),
    (attribute("array_string", "is", value=["v"]), "value", "is takes one value"),
    (attribute("string", "in"), "value", "It is missing: in compares"),
    (attribute("bool", "is"), "value", "It is missing: is compares"),
    (attribute("string", "exists", value="v"), "value", "exists compares with nothing"),
    (dated("today", value=0), "value", "today compares with nothing"),
    (dated("exists", value_type="absolute"), "value_type", "exists compares with nothing"),
    (attribute("double", "exists", value1=1), "value1", "exists compares with nothing"),
    *(
        (attribute(kind, "between", value=1), "value1", "It is missing: between needs both")
        for kind in ("double", "array_double", "datetime")
    ),
    (dated("on", value=NOW, value_type="relative"), "value_type", '"relative" is not a word'),
    (dated("is", value=1, extract_type="hour"), "extract_type", '"hour" is not a word'),
    (dated("is", value=24, extract_type="time_of_the_day"), "value", "time_of_the_day is a whole number from 0 to 23"),
    (dated("is", value=7, extract_type="day_of_the_week"), "value", "day_of_the_week is a whole number from 0 to 6"),
    (
        dated("in", value=[1, 0], extract_type="day_of_the_month"),
        "value[1]",
        "day_of_the_month is a whole number from 1",
    ),
    (dated("between", value=1, value1=13, extract_type="month_of_the_year"), "value1", "month_of_the_year is a whole"),
    (dated("is", value="15-06", extract_type="date_month_of_the_year"), "value", "date_month_of_the_year is text such"),
    (attribute("array_string", "in", value=["v"], array_filter_type="one_of"), "array_filter_type", '"one_of" is not'),
    (changed(dynamic(), dynamic_attribute_type=LEFT_OUT), "dynamic_attribute_type", "It is missing: string"),
    (dynamic(dynamic_attribute_type="object"), "dynamic_attribute_type", '"object" is not a word'),
    (dynamic(value=3), "value", "With is_dynamic_value"),
    (dynamic(operator="between", value1=3), "is_dynamic_value", "between is compared with no other"),
    *(
        (changed(action(), **{key: LEFT_OUT}), key, "")
        for key in ("action_name", "executed", "execution", "primary_time_range", "attributes")
    ),
    (action(executed="yes"), "executed", "It has to be true, or false"),
    (action(execution={"type": "many", "count": 1}), "execution.type", '"many" is not a word'),
    *(
        (action(execution={"type": "atleast", **count}), "execution.count", "atleast needs")
        for count in ({}, {"count": 0}, {"count": -1}, {"count": True}, {"count": 1.5})
    ),
    (action(execution={"type": "exactly", "count": 0}), "execution.count", "exactly needs a whole number above 0"),
    *(
        (action(execution={"type": kind, "count": 1}), "execution.count", f"{kind} has no count")
        for kind in ("firstTime", "lastTime")
    ),
    *(
        (action(executed=False, execution=execution), "execution", "With executed false")
        for execution in ({"type": "atleast", "count": 1}, {"type": "exactly", "count": 1}, {"type": "firstTime"})
    ),
    (timed(type=True), "primary_time_range.type", "MoEngage's word on became true"),
    (timed(type="today"), "primary_time_range.type", '"today" is not a word'),
    (timed(value_type="absolute"), "primary_time_range.value_type", "inTheLast is relative_past"),
    (timed(value_type=LEFT_OUT), "primary_time_range.value_type", "It is missing"),
    (timed(value_type="relative_future"), "primary_time_range.value_type", '"relative_future" is not'),
    (timed(type="after"), "primary_time_range.value_type", "after is absolute"),
    (timed(value=LEFT_OUT), "primary_time_range.value", "It is missing"),
    (timed(period_unit=LEFT_OUT), "primary_time_range.period_unit", "It is missing: hours"),
    (timed(period_unit="years"), "primary_time_range.period_unit", '"years" is not a word'),
    (timed(type="between"), "primary_time_range.value1", "It is missing: between needs both"),
    (timed(type="between", value1=3), "primary_time_range.value1", "It has to be greater"),
    (
        timed(type="between", value=LATER, value1=NOW, value_type="absolute"),
        "primary_time_range.value1",
        "It has to be greater",
    ),
    (narrowed({**SAMPLE, "operator": "equals"}), "attributes.filters[0].operator", "string has no operator"),
    (narrowed(action()), "attributes.filters[0].filter_type", "actions has no place here"),
    (narrowed(attribute(value=[])), "attributes.filters[0].value", "The list is empty"),
    (
        {**timed(), "aggregation_attributes": EMPTY},
        "aggregation_attributes",
        "An aggregation has exactly one condition",
    ),
    (aggregated(timed(type="before")), "aggregation_attributes", "An aggregation needs a bounded time"),
    (
        aggregated(action(execution={"type": "firstTime"})),
        "aggregation_attributes",
        "An aggregation goes with no firstTime",
    ),
    (
        aggregated(action(executed=False, execution={"type": "exactly", "count": 0})),
        "aggregation_attributes",
        "An aggregation needs executed",
    ),
    (aggregated(data_type="string"), "aggregation_attributes.filters[0].data_type", '"string" is not a word'),
    (aggregated(aggregation_type="count"), "aggregation_attributes.filters[0].aggregation_type", '"count" is not'),
    (aggregated(operator="in"), "aggregation_attributes.filters[0].operator", '"in" is not a word'),
    (aggregated(operator="between"), "aggregation_attributes.filters[0].value1", "It is missing: between"),
    (aggregated(value=LEFT_OUT), "aggregation_attributes.filters[0].value", "It is missing: is compares"),
    (aggregated(comparator="ratio"), "aggregation_attributes.filters[0].comparator", '"ratio" is not a word'),
    (aggregated(comparator="change"), "aggregation_attributes.filters[0].base_time_range", "It is missing: change"),
    (affinity(operator_type=LEFT_OUT), "operator_type", "It is missing: predominant"),
    (affinity(operator_type="most"), "operator_type", '"most" is not a word'),
    *(
        (affinity(operator_type="minimum", percent_of_times=percent), "percent_of_times", "minimum needs it")
        for percent in (0, 101, LEFT_OUT)
    ),
    *(
        (affinity(operator_type=kind, percent_of_users=0), "percent_of_users", f"{kind} needs it")
        for kind in ("top", "bottom")
    ),
    (affinity(primary_time_range=LEFT_OUT), "primary_time_range", "It has to be an object"),
    (affinity(psychographic_attributes=EMPTY), "psychographic_attributes.filters", "An affinity is about at least one"),
    (
        affinity(psychographic_attributes=group(SAMPLE)),
        "psychographic_attributes.filters[0].filter_type",
        "What an affinity",
    ),
    (affinity(psychographic_attributes=LEFT_OUT), "psychographic_attributes", "A group of filters is an object"),
    ({"filter_type": "custom_segments", "name": "VIP"}, "id", "It is missing"),
    ({"filter_type": "nested_filters", "filters": [SAMPLE]}, "filter_operator", "It is missing: and or or"),
    ({"filter_type": "nested_filters", "filter_operator": "xor", "filters": [SAMPLE]}, "filter_operator", '"xor" is'),
    ({"filter_type": "nested_filters", "filter_operator": "or"}, "filters", "A group needs a list"),
    (nested_filters(SAMPLE, {**SAMPLE, "operator": "equals"}), "filters[1].operator", "string has no operator"),
    (nested_filters(), "filters", "The list is empty"),
    (attribute(value=[]), "value", "The list is empty"),
    (attribute("double", "in", value=[]), "value", "The list is empty"),
    (attribute("array_string", "in", value=[]), "value", "The list is empty"),
    (dated("in", value=[], extract_type="day_of_the_week"), "value", "The list is empty"),
    (changed(SAMPLE, filter_type=LEFT_OUT), "filter_type", "It is missing: user_attributes"),
    (
        {**SAMPLE, "filter_type": "action_attributes"},
        "filter_type",
        "action_attributes has its place in the attributes",
    ),
    (attribute("double", "lessThan", value=float("nan")), "value", "JSON has neither NaN"),
    (attribute(value=["v", {1, 2}]), "value[1]", "JSON has no set"),
]


@pytest.mark.parametrize(("filter_", "place", "sentence"), WRONG, ids=range(len(WRONG)))
def test_wrong(filter_, place, sentence):
    ((found, said),) = check_filters(group(SAMPLE, filter_), "excluded_filters")
    assert found == f"excluded_filters.filters[1].{place}"
    assert said.startswith(sentence)
    assert said.endswith(".")


@pytest.mark.parametrize("value", [None, "text", 7, [], True])
def test_no_object(value):
    assert [place for place, _ in check_filters(value)] == ["included_filters"]
    assert [place for place, _ in check_filters(group(value))] == ["included_filters.filters[0]"]


def test_all_mistakes_at_once_in_their_order():
    wrong = {**SAMPLE, "operator": "equals"}
    found = check_filters(group(wrong, nested_filters(wrong, SAMPLE, wrong), narrowed(wrong), wrong))
    assert [place.removeprefix("included_filters.").removesuffix(".operator") for place, _ in found] == [
        "filters[0]",
        "filters[1].filters[0]",
        "filters[1].filters[2]",
        "filters[2].attributes.filters[0]",
        "filters[3]",
    ]


def test_empty_values_can_be_allowed():
    empty = group(attribute(value=[]), nested_filters(), narrowed(attribute("double", "in", value=[])))
    assert len(check_filters(empty)) == 3
    assert check_filters(empty, allow_empty_values=True) == []


class TestLimits:
    def test_references(self):
        segments = [reference({"id": f"{number:024x}", "name": "x"}) for number in range(11)]
        assert check_filters(group(*segments[:10], *segments[:5])) == []
        ((place, sentence),) = check_filters(group(*segments[:9], nested_filters(*segments[9:])))
        assert place == "included_filters.filters[9].filters[1]"
        assert "refer to 10 segments" in sentence

    def test_levels(self):
        inner = group(reference({"id": "a", "name": "x"}))
        for _ in range(5):
            inner = group(nested_filters(*inner["filters"]))
        assert check_filters(inner) == []
        ((place, sentence),) = check_filters(group(nested_filters(*inner["filters"])))
        assert place == "included_filters" + ".filters[0]" * 7
        assert "7 levels deep: MoEngage takes 6" in sentence

    def test_levels_without_references_are_one(self):
        inner = SAMPLE
        for _ in range(20):
            inner = nested_filters(inner)
        assert check_filters(group(inner)) == []

    def test_characters(self):
        length = 262_144 - len(json.dumps(group(attribute(value=[""])), separators=(",", ":")))
        assert check_filters(group(attribute(value=["ü" * length]))) == []
        ((place, sentence),) = check_filters(group(attribute(value=["ü" * (length + 1)])))
        assert (place, sentence) == (
            "included_filters",
            "The definition has 262,145 characters: MoEngage takes 262,144.",
        )


@pytest.mark.parametrize("make", [nested_filters, lambda inner: of_no_operator("object", **group(inner))])
def test_depth_does_not_overflow_the_stack(make):
    inner = {**SAMPLE, "operator": "equals"}
    for _ in range(200):
        inner = make(inner)
    ((place, _),) = check_filters(group(inner))
    assert place == "included_filters" + ".filters[0]" * 201 + ".operator"
    for _ in range(100_000):
        inner = make(inner)
    ((place, sentence),) = check_filters(group(inner))
    assert place == "included_filters" + ".filters[0]" * 300
    assert sentence == "It is nested more than 300 groups deep, which cannot be sent."


def test_a_group_that_holds_itself():
    circle = group(SAMPLE)
    circle["filters"].append({**circle, "filter_type": "nested_filters"})
    assert [sentence for _, sentence in check_filters(circle)] == ["It holds itself, or a key that is no text."]


@many(2)
@given(ANYTHING)
def test_anything_gets_an_answer(value):
    for given_ in (value, group(value), group({**SAMPLE, "value": value}), group(action(execution=value))):
        assert all(isinstance(place, str) and sentence for place, sentence in check_filters(given_))


KEYS = sorted(
    {*attribute(), *action(), *affinity(), *dynamic(), "value1", "extract_type", "array_filter_type", "filters"}
)


@pytest.mark.parametrize("key", KEYS)
@many(0.3)
@given(JSON_VALUES)
def test_any_value_under_any_key_gets_an_answer_that_does_not_show_it(key, value):
    secret = "jane@example.com"
    for made in (
        attribute(value=["v"]),
        dated("is", value=1, extract_type="day_of_the_week"),
        aggregated(),
        affinity(),
    ):
        check_filters(group({**made, key: value}))
        said = " ".join(sentence for _, sentence in check_filters(group({**made, key: secret})))
        assert secret not in said
    assert not re.search("jane", str(check_filters(group(attribute("double", "in", value=secret)))))


def test_nested_any_depth_of_values():
    assert check_filters(group(attribute(value=nested(100_000)))) == [
        ("included_filters", "It is nested too deeply to be sent.")
    ]
