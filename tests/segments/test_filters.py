"""What the builders make: the row of MoEngage's language that each stands for, and what they refuse."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from importlib.metadata import version

import pendulum
import pytest
from hypothesis import given
from packaging.version import Version

from airflow_provider_moengage.segments.filters import (
    affinity,
    all_of,
    any_of,
    check_filters,
    days_ago,
    days_from_now,
    event,
    event_attribute,
    in_segment,
    not_,
    user,
    value_of,
)
from tests.any_values import many
from tests.segments.built_filters import GROUPS

NOON_IN_INDIA = datetime(2026, 1, 2, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
IST = pendulum.datetime(2026, 1, 2, 17, 30, tz="Asia/Kolkata")
NOON = "2026-01-02T12:00:00.000Z"
X = user("X")


class Colour(str, Enum):
    RED = "red"


def text(operator, value, **fields):
    return {"data_type": "string", "operator": operator, "value": value, "case_sensitive": False, **fields}


def number(operator, value, **fields):
    return {"data_type": "double", "operator": operator, "value": value, **fields}


def dated(operator, value, value_type="absolute", **fields):
    return {"data_type": "datetime", "operator": operator, "value_type": value_type, "value": value, **fields}


def part(operator, value, extract_type, **fields):
    return dated(operator, value, extract_type=extract_type, **fields)


def texts(operator, value, **fields):
    return {**text(operator, value), "data_type": "array_string", "array_filter_type": "any_of", **fields}


def numbers(operator, value, **fields):
    return {**number(operator, value), "data_type": "array_double", "array_filter_type": "any_of", **fields}


def dynamic(made, attribute_type):
    value = "{{MoeUserAttribute['Y']}}"
    return {**made, "value": value, "is_dynamic_value": True, "dynamic_attribute_type": attribute_type}


def existing(data_type):
    return {"data_type": data_type, "operator": "exists"}


Y = value_of("Y")
USERS = [
    (X.is_("a"), text("in", ["a"])),
    (
        X.is_(
            "a",
        ),
        text("in", ["a"]),
    ),
    (X.text.is_("a", case_sensitive=True), text("in", ["a"], case_sensitive=True)),
    (X.is_(""), text("is", "")),
    (X.is_empty(), text("is", "")),
    (X.is_in(["a", "b"]), text("in", ["a", "b"])),
    (X.is_in(("a", Colour.RED)), text("in", ["a", "red"])),
    (X.is_in({"b", "a"}), text("in", ["a", "b"])),
    (X.contains("a"), text("contains", "a")),
    (X.starts_with("a"), text("startsWith", "a")),
    (X.ends_with("a"), text("endsWith", "a")),
    (X.contains_any(["a"]), text("containsInTheFollowing", ["a"])),
    (X.starts_with_any(["a"]), text("startsWithInTheFollowing", ["a"])),
    (X.ends_with_any(["a"]), text("endsWithInTheFollowing", ["a"])),
    (X.is_(3), number("in", [3])),
    (X.is_in([1, 2.5, Decimal("3.25"), Decimal(4)]), number("in", [1, 2.5, 3.25, 4])),
    (X.less_than(3), number("lessThan", 3)),
    (X.greater_than(Decimal("0.5")), number("greaterThan", 0.5)),
    (X.between(10, 99), number("between", 10, value1=99)),
    (X.number.between("{{ a }}", "{{ b }}"), number("between", "{{ a }}", value1="{{ b }}")),
    (X.is_(value=True), {"data_type": "bool", "operator": "is", "value": True}),
    (X.flag.is_("{{ params.flag }}"), {"data_type": "bool", "operator": "is", "value": "{{ params.flag }}"}),
    (X.on(date(2026, 1, 2)), dated("on", "2026-01-02T00:00:00.000Z")),
    (X.before(NOON_IN_INDIA), dated("before", NOON)),
    (X.after(IST), dated("after", NOON)),
    (X.on(pendulum.date(2026, 1, 2)), dated("on", "2026-01-02T00:00:00.000Z")),
    (X.on("{{ ds }}T00:00:00.000Z"), dated("on", "{{ ds }}T00:00:00.000Z")),
    (
        X.between(date(2026, 1, 2), date(2026, 1, 2)),
        dated("between", "2026-01-02T00:00:00.000Z", value1="2026-01-02T23:59:59.999Z"),
    ),
    (X.between(days_ago(30), days_ago(7)), dated("between", 7, "relative_past", value1=30)),
    (X.on(days_ago(0)), dated("on", 0, "relative_past")),
    (X.before(days_ago(3)), dated("before", 3, "relative_past")),
    (X.after(days_from_now(3)), dated("after", 3, "relative_future")),
    (X.in_the_last(days=30), dated("inTheLast", 30, "relative_past")),
    (X.in_the_next(days=7), dated("inTheNext", 7, "relative_future")),
    (X.today(), {"data_type": "datetime", "operator": "today"}),
    (X.date.hour.is_(23), part("is", 23, "time_of_the_day")),
    (X.date.day_of_week.is_in([0, 6]), part("in", [0, 6], "day_of_the_week")),
    (X.date.day_of_month.between(1, 31), part("between", 1, "day_of_the_month", value1=31)),
    (X.date.month.is_(12), part("is", 12, "month_of_the_year")),
    (X.date.is_each_year_on(6, 15), part("is", "06-15", "date_month_of_the_year")),
    (
        X.within(500, latitude=18.5, longitude=-73),
        {"data_type": "geopoint", "value": 18.5, "value1": -73, "radius": 500},
    ),
    (X.texts.is_in(["a"], match="all_of"), texts("in", ["a"], array_filter_type="all_of")),
    (X.texts.is_("a"), texts("is", "a")),
    (X.texts.contains("a"), texts("contains", "a")),
    (X.texts.starts_with("a"), texts("startsWith", "a")),
    (X.texts.ends_with("a", case_sensitive=True), texts("endsWith", "a", case_sensitive=True)),
    (X.numbers.is_in([1]), numbers("in", [1])),
    (X.numbers.less_than(1), numbers("lessThan", 1)),
    (X.numbers.greater_than(1), numbers("greaterThan", 1)),
    (X.numbers.between(1, 2), numbers("between", 1, value1=2)),
    (X.text.exists(), existing("string")),
    (X.number.exists(), existing("double")),
    (X.flag.exists(), existing("bool")),
    (X.date.exists(), existing("datetime")),
    (X.texts.exists(), existing("array_string")),
    (X.numbers.exists(), existing("array_double")),
    (X.contains(Y), dynamic(text("contains", ""), "string")),
    (X.text.is_(Y), dynamic(text("in", ""), "string")),
    (X.less_than(Y), dynamic(number("lessThan", 0), "double")),
    (X.flag.is_(Y), dynamic({"data_type": "bool", "operator": "is"}, "bool")),
    (X.before(Y), dynamic(dated("before", ""), "datetime")),
    (X.numbers.less_than(Y), dynamic(numbers("lessThan", 0), "double")),
]


@pytest.mark.parametrize(("made", "row"), USERS, ids=range(len(USERS)))
def test_a_filter_on_users(made, row):
    assert made == {"filter_type": "user_attributes", "name": "X", "negate": False, **row}
    assert not_(made) == {**made, "negate": True}
    assert not_(not_(made)) == made
    assert check_filters(all_of(made, not_(made))) == []


def test_objects():
    children = [user("city").is_("Pune"), user("pin").in_the_last(days=3)]
    made = user("Home").object_where(*children, match="any_of")
    head = {"filter_type": "user_attributes", "name": "Home"}
    assert made == {**head, "data_type": "object", "filter_operator": "or", "filters": children}
    entry = user("Homes").any_object_where(made)
    assert entry["data_type"] == "array_object"
    assert entry["filter_operator"] == "and"
    assert check_filters(all_of(made, entry)) == []


def test_what_stands_beside():
    made = user("City", category="Tracked Custom Attribute", project="moe_portfolio").is_("Pune")
    assert made["category"] == "Tracked Custom Attribute"
    assert made["project_name"] == "moe_portfolio"
    assert event("Buy", project="moe_portfolio").today()["project_name"] == "moe_portfolio"
    assert in_segment("abc") == {"filter_type": "custom_segments", "id": "abc"}
    assert in_segment("abc", "VIP") == {"filter_type": "custom_segments", "id": "abc", "name": "VIP"}


def happened(**changed):
    return {
        "filter_type": "actions",
        "action_name": "Buy",
        "executed": True,
        "execution": {"type": "atleast", "count": 1},
        "primary_time_range": {"type": "inTheLast", "value": 3, "value_type": "relative_past", "period_unit": "days"},
        "attributes": {"filter_operator": "and", "filters": []},
        **changed,
    }


def spanned(kind, value, unit="days", value_type="relative_past", **fields):
    span = {"type": kind, "value": value, "value_type": value_type, "period_unit": unit, **fields}
    return happened(primary_time_range=span)


BUY = event("Buy")
EVENTS = [
    (BUY.in_the_last(days=3), happened()),
    (BUY.at_least(2).in_the_last(days=3), happened(execution={"type": "atleast", "count": 2})),
    (BUY.exactly(2).in_the_last(days=3), happened(execution={"type": "exactly", "count": 2})),
    (BUY.at_most(2).in_the_last(days=3), happened(execution={"type": "atmost", "count": 2})),
    (BUY.first_time().in_the_last(days=3), happened(execution={"type": "firstTime"})),
    (BUY.last_time().in_the_last(days=3), happened(execution={"type": "lastTime"})),
    (not_(BUY.in_the_last(days=3)), happened(executed=False, execution={"type": "exactly", "count": 0})),
    *((BUY.in_the_last(**{unit: 2}), spanned("inTheLast", 2, unit)) for unit in ("hours", "days", "weeks", "months")),
    (BUY.today(), spanned("on", 0)),
    (BUY.yesterday(), spanned("on", 1)),
    (BUY.this_week(), spanned("on", 0, "weeks")),
    (BUY.last_week(), spanned("on", 1, "weeks")),
    (BUY.this_month(), spanned("on", 0, "months")),
    (BUY.last_month(), spanned("on", 1, "months")),
    (BUY.on(days_ago(5)), spanned("on", 5)),
    (BUY.on(date(2026, 1, 2)), spanned("on", "2026-01-02T00:00:00.000Z", value_type="absolute")),
    (BUY.before(days_ago(5)), spanned("before", 5)),
    (BUY.before(IST), spanned("before", NOON, value_type="absolute")),
    (BUY.after(IST), spanned("after", NOON, value_type="absolute")),
    (BUY.between(days_ago(30), days_ago(7)), spanned("between", 7, value1=30)),
    (
        BUY.between("{{ data_interval_start }}", "{{ data_interval_end }}"),
        spanned("between", "{{ data_interval_start }}", value_type="absolute", value1="{{ data_interval_end }}"),
    ),
]


@pytest.mark.parametrize(("made", "row"), EVENTS, ids=range(len(EVENTS)))
def test_a_filter_on_events(made, row):
    assert made == row
    category = event_attribute("Category").is_in(["shoes"])
    assert category["filter_type"] == "action_attributes"
    assert category["category"] == "default"
    narrowed = made.where(category, not_(event_attribute("Price").less_than(10)))
    assert [each["negate"] for each in narrowed["attributes"]["filters"]] == [False, True]
    assert made.where(any_of(category, category))["attributes"]["filter_operator"] == "or"
    assert made == row, "a finished filter has not been changed"
    assert check_filters(all_of(made, narrowed)) == []


def test_aggregations():
    bought = BUY.in_the_last(days=3)
    started = {
        name: getattr(bought, f"{name}_of")("Price") for name in ("sum", "average", "minimum", "maximum", "median")
    }
    made = [
        *(each.greater_than(10) for each in started.values()),
        started["sum"].less_than(10),
        started["sum"].is_(10),
        started["sum"].is_not(10),
        started["sum"].between(10, 20),
        started["sum"].not_between(10, 20),
    ]
    conditions = [each["aggregation_attributes"]["filters"][0] for each in made]
    assert [(each["aggregation_type"], each["operator"], each["negate"]) for each in conditions] == [
        *((kind, "greaterThan", False) for kind in ("sum", "avg", "min", "max", "median")),
        ("sum", "lessThan", False),
        ("sum", "is", False),
        ("sum", "is", True),
        ("sum", "between", False),
        ("sum", "between", True),
    ]
    changed = [
        started["sum"].change().less_than(0),
        started["sum"].percentage_change(date(2026, 1, 1), date(2026, 1, 31)).greater_than(25),
    ]
    conditions = [each["aggregation_attributes"]["filters"][0] for each in changed]
    assert [(each["comparator"], each["base_time_range"]) for each in conditions] == [
        ("change", {"type": "previousPeriod"}),
        (
            "percentageChange",
            {"type": "between", "value": "2026-01-01T00:00:00.000Z", "value1": "2026-01-31T23:59:59.999Z"},
        ),
    ]
    assert check_filters(all_of(*made, *changed)) == []


def test_affinities():
    category = event_attribute("Category").is_("shoes")
    buy = affinity("Buy")
    made = [
        buy.predominantly(category).in_the_last(days=90),
        buy.at_least_percent_of_times(60, any_of(category, category)).between(days_ago(90), days_ago(30)),
        buy.top_percent_of_users(10, category).between(date(2026, 1, 1), date(2026, 1, 31)).where(category),
        buy.bottom_percent_of_users(10, category).in_the_last(days=1),
    ]
    about = {"name": "Category", "data_type": "string", "category": "Event Attributes", "operator": "in"}
    assert made[0]["psychographic_attributes"]["filters"] == [
        {**about, "value": ["shoes"], "negate": False, "case_sensitive": False}
    ]
    keys = ("operator_type", "percent_of_times", "percent_of_users")
    assert [tuple(each.get(key) for key in keys) for each in made] == [
        ("predominant", None, None),
        ("minimum", 60, None),
        ("top", None, 10),
        ("bottom", None, 10),
    ]
    assert [each["primary_time_range"] for each in made[:3]] == [
        {"type": "inTheLast", "value_type": "relative_past", "days": 90},
        {"type": "between", "value_type": "relative_past", "days": 30, "days1": 90},
        {
            "type": "between",
            "value_type": "absolute",
            "from": "2026-01-01T00:00:00.000Z",
            "to": "2026-01-31T23:59:59.999Z",
        },
    ]
    assert check_filters(all_of(*made)) == []
    assert category["filter_type"] == "action_attributes", "the filter itself has not been changed"


def test_groups():
    pasted = {"filter_type": "weather", "tuple": ({"a": 1},)}
    inner = any_of(X.is_("a"), X.is_("b"))
    made = all_of(inner, pasted, BUY.today())
    assert made["filter_operator"] == "and"
    assert made["filters"][0] == {"filter_type": "nested_filters", **inner}
    assert inner.keys() == {"filter_operator", "filters"}
    assert made["filters"][1] == {"filter_type": "weather", "tuple": [{"a": 1}]}

    def kinds(value):
        yield type(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from kinds(each)

    assert set(kinds(made)) <= {dict, list, str, int, bool}
    assert json.loads(json.dumps(made)) == made


def test_groups_of_any_depth():
    made = all_of(X.is_("a"))
    for _ in range(1_200):
        made = any_of(made)
    assert check_filters(made)[0][1].endswith("which cannot be sent.")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])  # noqa: S301
def test_a_finished_event_can_be_copied(copied):
    made = BUY.today()
    assert copied(made) == made
    assert copied(made).where(event_attribute("Category").is_("a"))
    assert json.loads(json.dumps(made)) == made


WRONG = [
    # What is not finished.
    (lambda: all_of(BUY), TypeError, "all_of takes finished filters. An event lacks a time"),
    (lambda: any_of(BUY.at_least(2)), TypeError, "any_of takes finished filters. An event lacks a time"),
    (lambda: all_of(X), TypeError, "An attribute lacks a comparison"),
    (lambda: all_of(X.text), TypeError, "An attribute lacks a comparison"),
    (lambda: all_of(X.date.hour), TypeError, "An attribute lacks a comparison"),
    (lambda: all_of(BUY.today().sum_of("Price")), TypeError, "An aggregation lacks a comparison"),
    (lambda: all_of(affinity("Buy")), TypeError, "An affinity lacks what users are drawn to"),
    (lambda: all_of(affinity("B").predominantly(event_attribute("C").is_("a"))), TypeError, "An affinity lacks a time"),
    (lambda: all_of([X.is_("a")]), TypeError, r"Write all_of\(\*filters\)"),
    (lambda: all_of("text"), TypeError, "This is a value of type str"),
    (all_of, ValueError, "all_of takes at least one filter"),
    (lambda: all_of(X.is_("a"), event_attribute("C").is_("a")), TypeError, r"belong into where\(...\)"),
    # Names.
    (lambda: user(""), ValueError, "user takes a name or an id that is not blank"),
    (lambda: event(" "), ValueError, "event takes a name or an id that is not blank"),
    (lambda: BUY.today().sum_of(" "), ValueError, "not blank"),
    (lambda: user(3), TypeError, "user takes text, not a value of type int"),
    (lambda: in_segment(None), TypeError, "in_segment takes text, not nothing"),
    (lambda: value_of("it's"), ValueError, "value_of"),
    # Values.
    (lambda: X.is_in([]), ValueError, "takes at least one value"),
    (lambda: X.is_in("Pune"), TypeError, "takes a list"),
    (lambda: X.is_in(["a", 1]), TypeError, "takes text, not a value of type int"),
    (lambda: X.is_in([1, "a"]), TypeError, "takes a number, not a value of type str"),
    (lambda: X.is_in([1, True]), TypeError, "takes a number, not a value of type bool"),
    (lambda: X.is_(None), TypeError, "takes text, not nothing"),
    (lambda: X.is_(date(2026, 1, 1)), TypeError, "takes text, not a value of type date"),
    (lambda: X.is_(Y), TypeError, "say .text, .number or .flag"),
    (lambda: X.less_than(number=True), TypeError, "takes a number, not a value of type bool"),
    (lambda: X.less_than("3"), TypeError, "takes a number, not a value of type str"),
    (lambda: X.less_than(float("nan")), ValueError, "takes a finite number"),
    (lambda: X.less_than(Decimal("Infinity")), ValueError, "takes a finite number"),
    (lambda: X.flag.is_(1), TypeError, "takes True or False"),
    (lambda: X.between(99, 10), ValueError, "takes the smaller number first"),
    (lambda: X.between("{{ a }}", "{{ b }}"), TypeError, "say .number or .date before"),
    (lambda: X.between(1, date(2026, 1, 1)), TypeError, "takes a date or a datetime, not a value of type int"),
    (lambda: X.before(datetime(2026, 1, 1)), ValueError, "takes a datetime with a zone, since MoEngage reads UTC"),  # noqa: DTZ001
    (lambda: X.before(pendulum.naive(2026, 1, 1)), ValueError, "takes a datetime with a zone"),
    (lambda: X.before(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))), ValueError, "between the years"),
    (lambda: X.before("2026-01-01"), TypeError, r"date.fromisoformat\(...\)"),
    (lambda: X.before(days_from_now(3)), ValueError, r"for after\(...\) alone"),
    (lambda: X.between(days_ago(7), days_ago(30)), ValueError, "takes the earlier of two times first"),
    (lambda: X.between(days_ago(7), date(2026, 1, 1)), TypeError, r"or days_ago\(...\) twice"),
    (lambda: X.in_the_last(days=0), ValueError, "takes a whole number of at least 1"),
    (lambda: X.in_the_last(days=1.5), TypeError, "takes a whole number, not"),
    (lambda: days_ago(-1), ValueError, "takes a whole number of at least 0"),
    (lambda: X.date.hour.is_(24), ValueError, "takes a whole number from 0 to 23"),
    (lambda: X.date.day_of_week.is_in([7]), ValueError, "from 0 to 6"),
    (lambda: X.date.day_of_month.between(0, 3), ValueError, "from 1 to 31"),
    (lambda: X.date.day_of_month.between(3, 2), ValueError, "smaller number first"),
    (lambda: X.date.month.is_(13), ValueError, "from 1 to 12"),
    (lambda: X.date.is_each_year_on(2, 30), ValueError, "from 1 to 29"),
    (lambda: X.within(0, latitude=1, longitude=1), ValueError, "more than 0 metres"),
    (lambda: X.within(1, latitude=91, longitude=1), ValueError, "a latitude is from -90 to 90"),
    (lambda: X.within(1, latitude=1, longitude=181), ValueError, "a longitude is from -180"),
    (lambda: X.texts.is_in(["a"], match="both"), ValueError, 'match is "any_of" or "all_of"'),
    (lambda: X.object_where(X.is_("a"), match="both"), ValueError, 'match is "all_of" or "any_of"'),
    (lambda: X.object_where(BUY.today()), TypeError, r"is asked by user\(...\) filters"),
    (lambda: X.object_where(event_attribute("C").is_("a")), TypeError, r"is asked by user\(...\) filters"),
    # Events.
    (lambda: BUY.at_least(0), ValueError, "at least 1"),
    (BUY.in_the_last, TypeError, "takes exactly one of hours"),
    (lambda: BUY.in_the_last(days=1, weeks=1), TypeError, "takes exactly one of hours"),
    (lambda: BUY.after(days_ago(3)), TypeError, "in_the_last"),
    (lambda: BUY.on(days_from_now(3)), ValueError, "events are in the past"),
    (lambda: BUY.between(NOON_IN_INDIA, NOON_IN_INDIA), ValueError, "the earlier of two times first"),
    (lambda: BUY.today().where(X.is_("a")), TypeError, "others stand beside the event"),
    (lambda: BUY.today().where(event_attribute("C")), TypeError, "where takes filters such as"),
    (lambda: BUY.today().where(any_of(X.is_("a"))), TypeError, "others stand beside the event"),
    (
        lambda: BUY.today().where(event_attribute("C").is_("a")).where(event_attribute("C").is_("a")),
        ValueError,
        "is there already",
    ),
    (lambda: BUY.today().sum_of("P").between(2, 1), ValueError, "smaller number first"),
    (lambda: BUY.today().sum_of("P").change(date(2026, 1, 1)), TypeError, "both ends"),
    (lambda: BUY.today().sum_of("P").change(days_ago(2), days_ago(1)), TypeError, "takes two dates"),
    (lambda: BUY.before(IST).sum_of("P"), AttributeError, "sum_of"),
    (lambda: BUY.first_time().today().sum_of("P"), AttributeError, "sum_of"),
    (lambda: affinity("B").top_percent_of_users(0, event_attribute("C").is_("a")), ValueError, "from 1 to 100"),
    (lambda: affinity("B").predominantly(event_attribute("C").is_(value=True)), ValueError, "takes text and numbers"),
    (lambda: affinity("B").predominantly(X.is_("a")), TypeError, "others stand beside the event"),
    # Opposites.
    (lambda: not_(BUY.at_least(2).today()), ValueError, "never executed"),
    (lambda: not_(BUY.first_time().today()), ValueError, "never executed"),
    (lambda: not_(not_(BUY.today())), ValueError, "never executed"),
    (lambda: not_(BUY.today().sum_of("P").is_(3)), ValueError, "adds up nothing"),
    (lambda: not_(BUY.today()).sum_of("P"), ValueError, "adds up nothing"),
    (lambda: not_(in_segment("abc")), ValueError, "excluded_filters"),
    (lambda: not_(X.object_where(X.is_("a"))), ValueError, "MoEngage negates no object"),
    (lambda: not_(any_of(X.is_("a"))), TypeError, "negate each of a group"),
    (lambda: not_(BUY), TypeError, "not_ takes a filter"),
    # What other languages have.
    (lambda: X == "a", TypeError, r"== makes no filter here: use \.is_\(\.\.\.\), \.is_in"),
    (lambda: X != "a", TypeError, r"!= makes no filter here: .* not_\(\.\.\.\) around it"),
    (lambda: X.equals("a"), TypeError, r"\.equals makes no filter here: use \.is_"),
    (lambda: X.is_not("a"), TypeError, r"\.is_not makes no filter here"),
    (lambda: X.text.not_equals("a"), TypeError, r"\.not_equals makes no filter here"),
    (lambda: X.not_in(["a"]), TypeError, r"\.not_in makes no filter here"),
    (lambda: X.number >= 3, TypeError, ">= makes no filter here"),
    (lambda: X.date < date(2026, 1, 1), TypeError, "< makes no filter here"),
    (lambda: event_attribute("C").flag == True, TypeError, "== makes no filter here"),  # noqa: E712
    (lambda: X.date.hour == 3, TypeError, "== makes no filter here"),
    (lambda: BUY == 2, TypeError, r"use \.exactly\(\.\.\.\)"),
    (lambda: BUY.at_least(2) <= 3, TypeError, "<= makes no filter here"),
    (lambda: BUY.equals(2), TypeError, r"\.equals makes no filter here"),
    (lambda: BUY.today().sum_of("P") > 3, TypeError, "> makes no filter here"),
    (lambda: affinity("B") == "a", TypeError, r"use \.predominantly"),
    (lambda: affinity("B").predominantly(event_attribute("C").is_("a")) == 3, TypeError, "use in_the_last"),
    (lambda: X.is_lower("a"), AttributeError, "is_lower"),
]


@pytest.mark.parametrize(("make", "kind", "sentence"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_fails_at_its_line(make, kind, sentence):
    with pytest.raises(kind, match=sentence):
        make()


def test_what_is_unfinished_can_be_copied_and_kept():
    """Python asks each object for methods that it has or has not."""
    for unfinished in (X, BUY, BUY.today().sum_of("P"), affinity("B")):
        assert type(copy.deepcopy(unfinished)) is type(unfinished)
        assert {unfinished} == {unfinished}
        assert not hasattr(unfinished, "iter_references")


SECRET = "jane@example.com"


@pytest.mark.parametrize(
    "make",
    [
        lambda: X.is_in(SECRET),
        lambda: X.less_than(SECRET),
        lambda: X.before(SECRET),
        lambda: X.is_in([1, SECRET]),
        lambda: X.flag.is_(SECRET),
        lambda: all_of(SECRET),
    ],
)
def test_no_mistake_shows_a_value(make):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert SECRET not in str(caught.value)


ADDED_MODULES = """
import sys
import airflow.sdk
before = set(sys.modules)
import airflow_provider_moengage.segments.filters
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="counted on Airflow 3.3")
def test_an_import_adds_at_most_5_modules():
    added = subprocess.run(
        [sys.executable, "-c", ADDED_MODULES], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "airflow_provider_moengage.segments.filters" in added
    assert len(added) <= 5, added


@many(1)
@given(GROUPS)
def test_what_builders_make_passes_the_check(group):
    assert check_filters(group) == []
    assert json.loads(json.dumps(group, allow_nan=False)) == group
