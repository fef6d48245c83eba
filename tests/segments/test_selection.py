"""Which segments are selected, without any Airflow or server."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from importlib.metadata import version

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError
from airflow_provider_moengage.segments.pendulum_copies import _copies_keep_weeks
from airflow_provider_moengage.segments.selection import MOST_ROWS, select
from airflow_provider_moengage.segments.selection_criteria import check_pattern, criteria_of
from tests.any_values import ANY_CHARACTERS, ANYTHING, JSON_VALUES, TREACHEROUS_TEXTS, Case, cases, many, outcome_of

NOW = pendulum.datetime(2026, 5, 31, 12)
DAY = timedelta(days=1)
needs_whole_durations = pytest.mark.skipif(
    copy.deepcopy(pendulum.duration(weeks=1)) != timedelta(weeks=1),
    reason="before pendulum 3.2 a copied Duration loses its weeks, and every Duration is refused",
)


def segment(name="camp", created_time="2026-01-01T00:00:00", **fields):
    """Make a segment as the API shows it."""
    return {
        "name": name,
        "id": "63d8cec0c085939e6c1ab727",
        "created_time": created_time,
        "type": "ELASTIC_SEARCH",
        "source": "API",
        **fields,
    }


def aged(age, name="camp", **fields):
    """Make a segment of an age."""
    return segment(name, (NOW - age).strftime("%Y-%m-%dT%H:%M:%S.%f"), **fields)


def selection_of(segments, **criteria):
    return select(segments, criteria_of(**{"now": NOW, **criteria}))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_accent_is_the_same_however_it_is_written(form):
    cafe = aged(DAY, unicodedata.normalize("NFC", "camp_café"))
    pattern = unicodedata.normalize(form, "*é")
    assert names([cafe], name_pattern=pattern) == [cafe["name"]]
    assert names([cafe], exclude_pattern=pattern) == []


def test_what_lies_between_two_moments_is_as_long_as_its_days():
    """Airflow's data_interval_end - data_interval_start is such an age."""
    month = pendulum.datetime(2026, 11, 1) - pendulum.datetime(2026, 10, 1)
    assert criteria_of(now=NOW, newer_than=month) == criteria_of(now=NOW, newer_than=timedelta(days=31))


@pytest.mark.parametrize(("pattern", "left_out"), [("*_keep", 1), ("*_keep,*_old", 0)])
def test_how_many_a_pattern_protects(pattern, left_out):
    segments = [aged(DAY, "camp_keep"), aged(DAY, "camp"), aged(9 * DAY, "long_keep")]
    summary, *_ = selection_of(segments, exclude_pattern=pattern, newer_than="P2D").lines()
    assert summary.endswith(f"; exclude_pattern has left out {left_out}.")


def names(segments, **criteria):
    return [segment.name for segment in selection_of(segments, **criteria).segments]


@pytest.mark.parametrize(
    ("criteria", "selected"),
    [
        ({}, ["camp_a", "Camp_b", "camp_keep", "other"]),
        ({"name": "camp_a"}, ["camp_a"]),
        ({"name": "camp_*"}, []),
        ({"name_pattern": "camp_*"}, ["camp_a", "camp_keep"]),
        ({"name_pattern": "camp"}, []),
        ({"name_pattern": "[cC]amp_?"}, ["camp_a", "Camp_b"]),
        ({"name_pattern": "[!c]*"}, ["Camp_b", "other"]),
        ({"name_pattern": "[z-a]*"}, []),
        ({"name_pattern": "camp_*", "exclude_pattern": "*keep*"}, ["camp_a"]),
        ({"exclude_pattern": "*KEEP*"}, ["camp_a", "Camp_b", "camp_keep", "other"]),
        ({"name": "camp_a", "exclude_pattern": "camp_a"}, []),
        ({"types": ["FILE"]}, ["camp_keep"]),
        ({"types": ["FILE", "ELASTIC_SEARCH"]}, ["camp_a", "Camp_b", "camp_keep", "other"]),
        ({"types": ("file",)}, []),
        ({"sources": ["DASHBOARD"]}, ["other"]),
        ({"sources": ["DASHBOARD"], "types": ["FILE"]}, []),
        ({"limit": 2}, ["camp_a", "Camp_b"]),
        ({"limit": "2"}, ["camp_a", "Camp_b"]),
        ({"limit": 100}, ["camp_a", "Camp_b", "camp_keep", "other"]),
        ({"name_pattern": "camp_*", "limit": 1}, ["camp_a"]),
    ],
)
def test_criteria(criteria, selected):
    segments = [
        aged(DAY, "other", source="DASHBOARD"),
        aged(2 * DAY, "camp_keep", type="FILE"),
        aged(4 * DAY, "camp_a"),
        aged(3 * DAY, "Camp_b"),
    ]
    assert names(segments, **criteria) == selected


def test_those_of_the_same_moment_are_in_the_order_of_their_names():
    assert names([aged(DAY, name) for name in "bca"]) == ["a", "b", "c"]
    assert names([aged(DAY, name) for name in "bca"], limit=2) == ["a", "b"]


def test_one_that_is_listed_twice_stays_in_the_order_of_the_list():
    selected = selection_of([segment(type="FILE"), segment(type=None), segment(type={})]).segments
    assert [one.type for one in selected] == ["FILE", None, {}]


MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("criteria", "age", "is_selected"),
    [
        ({"older_than": "P90D"}, 90 * DAY + MICROSECOND, True),
        ({"older_than": "P90D"}, 90 * DAY, False),
        ({"older_than": "P90D"}, 90 * DAY - MICROSECOND, False),
        ({"newer_than": "P90D"}, 90 * DAY + MICROSECOND, False),
        ({"newer_than": "P90D"}, 90 * DAY, True),
        ({"newer_than": "P90D"}, 90 * DAY - MICROSECOND, True),
        # Without an as_of, a server's clock may be ahead.
        ({"newer_than": "P90D"}, -DAY, True),
        ({}, -DAY, True),
        ({"older_than": "P0D"}, -DAY, False),
        ({"older_than": "P0D"}, timedelta(), False),
        ({"older_than": "P0D"}, MICROSECOND, True),
        # As of yesterday, what came later was not there.
        ({"as_of": NOW - DAY}, DAY + MICROSECOND, True),
        ({"as_of": NOW - DAY}, DAY, False),
        ({"as_of": NOW - DAY}, timedelta(), False),
        ({"as_of": NOW - DAY, "newer_than": "P1D"}, 2 * DAY, True),
        ({"as_of": NOW - DAY, "newer_than": "P1D"}, DAY, False),
        ({"as_of": NOW - DAY, "older_than": "P89D"}, 90 * DAY + MICROSECOND, True),
        ({"as_of": NOW - DAY, "older_than": "P89D"}, 90 * DAY, False),
    ],
)
def test_the_bounds_of_ages(criteria, age, is_selected):
    assert bool(names([aged(age)], **criteria)) is is_selected


def test_runs_that_follow_each_other_select_each_segment_once():
    weeks = [NOW - timedelta(weeks=number) for number in (2, 1, 0)]
    for hours in range(1, 24 * 21, 7):
        found = [names([aged(timedelta(hours=hours))], as_of=week, newer_than="P7D") for week in weeks]
        assert sum(map(len, found)) == 1


@pytest.mark.parametrize(
    ("older_than", "before"),
    [
        (timedelta(days=90), "2026-03-02T12:00:00Z"),
        pytest.param(pendulum.duration(weeks=1), "2026-05-24T12:00:00Z", marks=needs_whole_durations),
        pytest.param(pendulum.duration(months=3), "2026-02-28T12:00:00Z", marks=needs_whole_durations),
        (pendulum.interval(NOW.subtract(days=2), NOW), "2026-05-29T12:00:00Z"),
        ("P90D", "2026-03-02T12:00:00Z"),
        ("P3M", "2026-02-28T12:00:00Z"),  # the calendar's, and February has no 31st
        ("P1Y", "2025-05-31T12:00:00Z"),
        ("P2W", "2026-05-17T12:00:00Z"),
        ("PT36H", "2026-05-30T00:00:00Z"),
        ("P1Y2M3DT4H5M6S", "2025-03-28T07:54:54Z"),
    ],
)
def test_durations(older_than, before):
    assert criteria_of(now=NOW, older_than=older_than).before == pendulum.parse(before)


@pytest.mark.parametrize(
    ("as_of", "moment"),
    [
        (None, "2026-05-31T12:00:00Z"),
        (pendulum.naive(2026, 5, 1, 1), "2026-05-01T01:00:00Z"),
        (datetime(2026, 5, 1, 1, tzinfo=timezone(5 * timedelta(hours=1))), "2026-04-30T20:00:00Z"),
        (pendulum.datetime(2026, 5, 1, tz="Asia/Kolkata"), "2026-04-30T18:30:00Z"),
        ("2026-05-01", "2026-05-01T00:00:00Z"),
        ("2026-05-01T01:00:00", "2026-05-01T01:00:00Z"),
        ("2026-05-01 01:00:00+00:00", "2026-05-01T01:00:00Z"),  # what {{ data_interval_end }} renders to
        ("2026-05-01T01:00:00.123456+00:00", "2026-05-01T01:00:00.123456Z"),
        ("20260501T010000Z", "2026-05-01T01:00:00Z"),
        (NOW + timedelta(minutes=1), "2026-05-31T12:01:00Z"),  # the scheduler's clock is ahead
    ],
)
def test_as_of(as_of, moment):
    criteria = criteria_of(now=NOW, as_of=as_of)
    assert criteria.as_of == pendulum.parse(moment)
    assert criteria.as_of.timezone_name == "UTC"


@pytest.mark.parametrize("parameter", ["older_than", "newer_than"])
def test_a_duration_that_may_have_lost_its_weeks_is_refused(monkeypatch, parameter):
    """Before pendulum 3.2 Airflow's copy of default_args has 6 days of 90."""
    month = pendulum.datetime(2026, 11, 1) - pendulum.datetime(2026, 10, 1)
    monkeypatch.setattr("airflow_provider_moengage.segments.pendulum_copies._copies_keep_weeks", lambda: False)
    with pytest.raises(InvalidInputError, match=f"{parameter} is a pendulum Duration.*timedelta.*pendulum>=3.2"):
        criteria_of(now=NOW, **{parameter: pendulum.duration(days=90)})
    for age in (timedelta(days=90), "P90D", month):
        criteria_of(now=NOW, **{parameter: age})


def test_the_installed_pendulum_is_told_by_what_it_does():
    """On older Airflows the matrix has a pendulum that loses weeks."""
    assert _copies_keep_weeks() is (Version(version("pendulum")) >= Version("3.2"))


@needs_whole_durations
def test_a_duration_is_taken_where_a_copy_keeps_its_weeks():
    assert criteria_of(now=NOW, older_than=copy.deepcopy(pendulum.duration(days=90))).before == NOW - 90 * DAY


@needs_whole_durations
def test_months_are_counted_in_utc():
    """July has begun in India, and in London it is still June: a month before June 30 is May 30."""
    criteria = criteria_of(
        now=pendulum.datetime(2026, 7, 1), as_of="2026-07-01T01:00:00+05:30", older_than=pendulum.duration(months=1)
    )
    assert criteria.before == pendulum.datetime(2026, 5, 30, 19, 30)


@pytest.mark.parametrize(
    ("created_time", "created"),
    [
        ("2022-12-01T13:17:46.409000", "2022-12-01T13:17:46.409Z"),
        ("2022-12-01T13:17:46", "2022-12-01T13:17:46Z"),
        ("2022-12-01 13:17:46", "2022-12-01T13:17:46Z"),
        ("2022-12-01T13:17:46Z", "2022-12-01T13:17:46Z"),
        ("2022-12-01T13:17:46+05:30", "2022-12-01T07:47:46Z"),
    ],
)
def test_times_that_can_be_read(created_time, created):
    (selected,) = selection_of([segment(created_time=created_time)]).segments
    assert selected.created == pendulum.parse(created)
    assert selected.as_arguments() == {
        "name": "camp",
        "segment_id": "63d8cec0c085939e6c1ab727",
        "created_time": created_time,
        "type": "ELASTIC_SEARCH",
        "source": "API",
    }


UNREADABLE_TIMES = [
    None, "", " ", 0, 1669900666, 1.5, True, [], {}, "soon", "now", "13:00", "13:00:00", "2022", "2022-12",
    "2022-12-01", "20221201", "2022-W05", "2022-335", "P90D", "2022-01-01/2022-02-01", "2022-01-01T00:00:00/P1D",
    "P1D/2022-01-01T00:00:00", "2022-13-01T00:00:00", "2022-12-01T25:00:00", "2022-12-01T13:17:46 UTC",
    "0000-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1669900666",
    "Thu, 01 Dec 2022 13:17:46 GMT", "2022/12/01 13:17:46", "２０２２-12-01T13:17:46", "2022-12-01T13:17:46\n",
]  # fmt: skip


@pytest.mark.parametrize("created_time", UNREADABLE_TIMES)
def test_times_that_cannot_be_read(created_time):
    unreadable = segment("lost", created_time)
    selection = selection_of([unreadable, aged(DAY)])
    assert [selected.name for selected in selection.segments] == ["camp"]
    assert selection.unreadable == [unreadable]
    (warning,) = selection.warnings()
    assert warning.startswith("The segment lost (id 63d8cec0c085939e6c1ab727) is not selected")
    assert warning.isprintable()


@pytest.mark.parametrize(
    "unreadable",
    [segment(None), segment(1), segment(""), segment(id=None), segment(id=7), segment(id=" "), {}],
    ids=repr,
)
def test_a_segment_without_a_name_or_an_id_is_never_selected(unreadable):
    selection = selection_of([unreadable])
    assert selection.segments == []
    assert selection.unreadable == [unreadable]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("camp_a-1.2", "camp_a-1.2"),
        ("a" * 60, "a" * 60),
        ("a" * 61, f"'{'a' * 60}'..."),
        ("my camp", "'my camp'"),
        ("caf\u00e9", "'caf\u00e9'"),
        ("", "''"),
        (None, "nothing"),
        (7, "'int (7)'"),
    ],
)
def test_how_a_warning_shows_what_a_server_has_sent(value, shown):
    (named,) = selection_of([segment(value, "soon")]).warnings()
    assert named == (
        f"The segment {shown} (id 63d8cec0c085939e6c1ab727) is not selected, since its name, its id or its "
        "created_time cannot be read: soon."
    )
    (dated,) = selection_of([segment(id=None, created_time=value)]).warnings()
    assert dated.startswith("The segment camp (id nothing) is not selected")
    assert dated.endswith(f"cannot be read: {shown}.")


def test_who_is_not_meant_is_not_reported_either():
    lost = segment("lost", "soon")
    for criteria in ({"name_pattern": "camp_*"}, {"exclude_pattern": "l*"}, {"types": ["FILE"]}, {"sources": ["X"]}):
        assert selection_of([lost], **criteria).unreadable == []
    assert selection_of([lost], older_than="P1D", name_pattern="l*", limit=1).unreadable == [lost]


BAD_INPUT = [
    *(
        ({key: value}, f"{key} must be a timedelta, a pendulum Duration or an ISO 8601 duration")
        for key in ("older_than", "newer_than")
        for value in (
            90, 90.0, True, [], "90", "90d", "90 days", "90 days, 0:00:00", "p90d", "P", "PT", "P1DT", "P90", "-P90D",
            "P-90D", "P0.5D", "P1D1M", "PT1D", "P90D ", "None", "", "P4294967297D", "P99999999999D", "P９０D", NOW,
            "P99999999Y", "2026-01-01/2026-02-01",
        )
    ),
    ({"older_than": timedelta(days=-1)}, "older_than must not be negative, unlike timedelta"),
    ({"older_than": timedelta.min}, "older_than must not be negative"),
    pytest.param(
        {"newer_than": pendulum.duration(months=-1)},
        "newer_than must not be negative, unlike Duration",
        marks=needs_whole_durations,
    ),
    ({"older_than": timedelta.max}, "older_than reaches back to before the year 1"),
    ({"newer_than": "P9999Y"}, "newer_than reaches back to before the year 1"),
    *(
        ({"as_of": value}, "as_of must be a datetime or an ISO 8601 string")
        for value in ("now", "yesterday", "", "None", 0, 1790000000, [], "P1D", "13:00", NOW.date(), "2026-02-30")
    ),
    ({"as_of": datetime.max.replace(tzinfo=timezone(-DAY / 2))}, "as_of must be a datetime"),
    ({"as_of": NOW + timedelta(minutes=1, seconds=1)}, "as_of (2026-05-31T12:01:01Z) is in the future"),
    ({"as_of": "2027-01-01"}, "as_of (2027-01-01T00:00:00Z) is in the future; it is 2026-05-31T12:00:00Z now"),
    ({"older_than": "P90D", "newer_than": "P90D"}, "newer_than must be longer than older_than"),
    ({"older_than": "P90D", "newer_than": "P30D"}, "newer_than must be longer than older_than"),
    # The three months up to May 31 are 92 days.
    ({"older_than": "P3M", "newer_than": "P92D"}, "since 2026-02-28T12:00:00Z, but older_than or as_of"),
    ({"newer_than": "P0D"}, "newer_than must be longer than older_than"),
    *(
        ({"limit": value}, "limit must be a whole number from 1 on")
        for value in (0, -1, "0", "-1", "many", "", "1.5", 1.5, True, [], "９", "9" * 5_000)
    ),
    *(
        ({key: value}, f"{key} must be a list of strings, not")
        for key in ("types", "sources")
        for value in ("API", "['API']", 1, {"API": 1}, {"API"})
    ),
    ({"types": []}, "types is an empty list"),
    ({"sources": ["API", None]}, "each of sources must be a string, not nothing"),
    ({"types": [" "]}, "each of types is blank"),
    ({"name": ""}, "name is blank"),
    ({"name": 1}, "name must be a string"),
    ({"name_pattern": " "}, "name_pattern is blank"),
    ({"name_pattern": ["camp_*"]}, "name_pattern must be a string"),
    ({"exclude_pattern": ""}, "exclude_pattern is blank"),
    ({"exclude_pattern": "[" * 1_001}, "exclude_pattern has 1,001 characters; 1,000 are the most"),
]  # fmt: skip


@pytest.mark.parametrize(("criteria", "sentence"), BAD_INPUT)
def test_bad_input_is_one_sentence(criteria, sentence):
    with pytest.raises(InvalidInputError) as caught:
        criteria_of(now=NOW, **criteria)
    assert sentence in str(caught.value)
    assert str(caught.value).isprintable()
    assert not caught.value.retryable


SOME = [
    aged(DAY, "promo_1"),
    aged(2 * DAY, "promo_2"),
    aged(3 * DAY, "camp", type="FILE", source="CSV Upload"),
    aged(40 * DAY, "promo_old"),
]


@pytest.mark.parametrize(
    ("criteria", "left_out", "hint"),
    [
        ({"name_pattern": "promo_*", "older_than": "P90D"}, "name_pattern 1, older_than or as_of 3", None),
        ({"name_pattern": "x*", "older_than": "P1D"}, "name_pattern 4, older_than or as_of 0", None),
        ({"name_pattern": "promo_*", "newer_than": "PT1H"}, "name_pattern 1, newer_than 3", None),
        ({"exclude_pattern": "*", "types": ["FILE"]}, "types 3, exclude_pattern 1", None),
        ({"name": "promo_*"}, "name 4", "name is an exact name, and 'promo_*' reads like a glob"),
        ({"name": "camp "}, "name 4", "name has a blank at its beginning or end: 'camp '."),
        ({"name_pattern": "^promo_.*$"}, "name_pattern 4", "is a glob, and '^promo_.*$' reads like a regular"),
        ({"name_pattern": r"promo_\d+"}, "name_pattern 4", "is a glob, and 'promo_"),
        ({"name_pattern": "(promo|camp)*"}, "name_pattern 4", "is a glob, and '(promo|camp)*' reads like"),
        ({"types": ["FILTER"]}, "types 4", "No segment meets types: those that are listed have ELASTIC_SEARCH, FILE."),
        ({"sources": ["api"]}, "sources 4", "No segment meets sources: those that are listed have 'CSV Upload', API."),
        ({"types": ["FILTER"], "name_pattern": "promo*"}, "name_pattern 1, types 3", "No segment meets types"),
    ],
)
def test_what_has_left_out_how_many(criteria, left_out, hint):
    selection = selection_of(SOME, **criteria)
    _, counted = selection.lines()
    assert counted == f"Left out, by one criterion after the other: {left_out}."
    warnings = list(selection.warnings())
    assert len(warnings) == (hint is not None)
    assert hint is None or hint in warnings[0]


def test_an_exact_name_that_the_server_does_not_have():
    """It lists none then."""
    selection = selection_of([], name="promo_*")
    assert list(selection.lines()) == ["Selected 0 of 0 segments, created at any time."]
    (hint,) = selection.warnings()
    assert "reads like a glob" in hint


def test_a_pattern_that_was_to_protect_and_is_no_glob():
    (hint,) = selection_of(SOME, exclude_pattern="^promo_.*").warnings()
    assert hint.startswith("exclude_pattern is a glob, and '^promo_.*' reads like a regular expression")
    assert list(selection_of(SOME, exclude_pattern="promo_*").warnings()) == []


@pytest.mark.parametrize(
    ("criteria", "is_said"),
    [
        ({"older_than": "P2D"}, True),
        ({"older_than": "P2D", "newer_than": "P100D"}, False),
        ({"newer_than": "P100D"}, False),
        ({"as_of": NOW}, False),
        ({}, False),
        ({"older_than": "P100D"}, False),  # of nothing there is nothing to say
    ],
)
def test_a_selection_that_comes_again_every_week(criteria, is_said):
    warnings = list(selection_of(SOME, **criteria).warnings())
    assert [("no newer_than" in warning, "180 days" in warning) for warning in warnings] == [(True, True)] * is_said


TEMPLATE = "If it comes from a template, look at what the template renders to."


@pytest.mark.parametrize(
    ("criteria", "sentence"),
    [
        (
            {"older_than": "90 days"},
            (
                "older_than must be a timedelta, a pendulum Duration or an ISO 8601 duration of whole numbers such as "
                f'"P90D", "P3M" or "PT12H", not str (\'90 days\'). {TEMPLATE}'
            ),
        ),
        (
            {"older_than": timedelta(days=-1)},
            "older_than must not be negative, unlike timedelta (datetime.timedelta(days=-1)).",
        ),
        (
            {"newer_than": timedelta.max},
            (
                "newer_than reaches back to before the year 1: give a shorter one than timedelta "
                "(datetime.timedelta(days=999999999, seconds=86399, microsecon)."
            ),
        ),
        (
            {"older_than": "P90D", "newer_than": "P30D"},
            (
                "newer_than asks for segments created since 2026-05-01T12:00:00Z, but older_than or as_of for segments "
                "created before 2026-03-02T12:00:00Z: newer_than must be longer than older_than."
            ),
        ),
        (
            {"as_of": "now"},
            f"as_of must be a datetime or an ISO 8601 string such as 2026-11-02T00:00:00Z, not str ('now'). {TEMPLATE}",
        ),
        (
            {"as_of": "2027-01-01"},
            (
                "as_of (2027-01-01T00:00:00Z) is in the future; it is 2026-05-31T12:00:00Z now. Give a moment that has "
                "passed, or leave as_of out."
            ),
        ),
        (
            {"types": "API"},
            (
                "types must be a list of strings, not str ('API'). If it comes from a template, set "
                "render_template_as_native_obj=True on the DAG."
            ),
        ),
        (
            {"sources": []},
            "sources is an empty list, so that no segment could be selected: leave it out to select them all.",
        ),
        ({"sources": ["API", None]}, "each of sources must be a string, not nothing."),
        ({"limit": 0}, "limit must be a whole number from 1 on, not int (0)."),
        ({"name": 1}, "name must be a string, not int."),
        ({"name_pattern": None, "exclude_pattern": 1}, "exclude_pattern must be a string, not int."),
        ({"name_pattern": "x" * 1_001}, "name_pattern has 1,001 characters; 1,000 are the most."),
    ],
)
def test_the_whole_sentence(criteria, sentence):
    with pytest.raises(InvalidInputError) as caught:
        criteria_of(now=NOW, **criteria)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("pattern", [None, "", " ", 7, ["camp_*"], "\ud800", "x" * 1_001])
def test_a_pattern_that_cannot_work(pattern):
    with pytest.raises(InvalidInputError, match="^name_pattern"):
        check_pattern("name_pattern", pattern)


@pytest.mark.parametrize("pattern", ["*", "camp_*", "[z-a]", "é" * 1_000])
def test_a_pattern_that_works(pattern):
    assert check_pattern("name_pattern", pattern) == pattern


class TestTable:
    def test_rows(self):
        segments = [
            aged(90 * DAY, "camp_diwali"),
            aged(DAY / 2, "my camp", type="FILE", source="DASHBOARD"),
            aged(-DAY / 2, "ahead"),
            segment("a" * 100, type=None, source=None),
        ]
        lines = list(selection_of(segments, newer_than="P1Y").lines())

        assert lines[0] == "Selected 4 of 4 segments, created since 2025-05-31T12:00:00Z."
        segment_id = "63d8cec0c085939e6c1ab727"
        assert [re.split("  +", line) for line in lines[1:]] == [
            ["name", "id", "created (UTC)", "age in days", "type", "source"],
            [f"'{'a' * 60}'...", segment_id, "2026-01-01T00:00:00Z", "150", "nothing", "nothing"],
            ["camp_diwali", segment_id, "2026-03-02T12:00:00Z", "90", "ELASTIC_SEARCH", "API"],
            ["'my camp'", segment_id, "2026-05-31T00:00:00Z", "0", "FILE", "DASHBOARD"],
            ["ahead", segment_id, "2026-06-01T00:00:00Z", "0", "ELASTIC_SEARCH", "API"],
        ]
        assert {line.index(segment_id) for line in lines[2:]} == {lines[1].index("id")}

    @pytest.mark.parametrize(
        ("criteria", "summary"),
        [
            ({}, "Selected 3 of 3 segments, created at any time."),
            ({"name": "nobody"}, "Selected 0 of 3 segments, created at any time."),
            ({"limit": 3}, "Selected 3 of 3 segments, created at any time."),
            ({"limit": 1}, "Selected 1 of 3 segments, created at any time; 3 match, the limit is 1."),
            ({"as_of": NOW}, "Selected 3 of 3 segments, created before 2026-05-31T12:00:00Z."),
            (
                {"older_than": "P1D", "newer_than": "P3D"},
                "Selected 1 of 3 segments, created since 2026-05-28T12:00:00Z and before 2026-05-30T12:00:00Z.",
            ),
        ],
    )
    def test_the_summary(self, criteria, summary):
        segments = [aged(age * DAY, str(age)) for age in (1, 2, 4)]
        lines = list(selection_of(segments, **criteria).lines())
        assert lines[0] == summary
        assert len(lines) == (2 if " 0 of " in summary else 2 + int(summary.split()[1]))

    def test_it_is_bounded(self):
        lines = list(selection_of([aged(DAY, f"{number:04}") for number in range(1_000)]).lines())
        assert len(lines) == 1 + 1 + MOST_ROWS + 1
        assert lines[-2].startswith("0099 ")
        assert lines[-1] == "... and 900 more."

    def test_as_many_as_there_is_room_for(self):
        lines = list(selection_of([aged(DAY, f"{number:04}") for number in range(MOST_ROWS)]).lines())
        assert len(lines) == 1 + 1 + MOST_ROWS

    @pytest.mark.parametrize("field", ["name", "id", "type", "source", "created_time"])
    @many(0.3)
    @given(case=cases(value=TREACHEROUS_TEXTS | ANY_CHARACTERS | JSON_VALUES))
    def test_any_answer_stays_in_its_line_and_column(self, field, case: Case):
        selection = selection_of([{**aged(DAY), field: case.value}])
        lines = [*selection.lines(), *selection.warnings()]
        assert len(lines) == 3 if selection.segments else 2
        assert all(line.isprintable() for line in lines)
        assert all(len(line) <= 500 for line in lines)


CREATED = st.datetimes(pendulum.naive(2020, 1, 1), pendulum.naive(2027, 1, 1)).map(datetime.isoformat)
ODD_TIMES = (
    JSON_VALUES | ANY_CHARACTERS | st.sampled_from(UNREADABLE_TIMES) | st.text("0123456789-:.TZPDW+/ ", max_size=30)
)
SEGMENTS = st.lists(
    st.builds(
        segment,
        st.text("abc_", min_size=1, max_size=4),
        CREATED | CREATED | ODD_TIMES,
        type=st.sampled_from(["FILE", "ELASTIC_SEARCH", None, {}, []]),
        source=st.sampled_from(["API", "DASHBOARD", None, 1]),
    ),
    max_size=12,
)
LEAST_AGES = {"P1M": timedelta(days=28), "P1Y": timedelta(days=365), "P90D": timedelta(days=90)}
OPTIONAL = {
    "name_pattern": st.sampled_from(["*", "a*", "*b*", "[!c]*"]),
    "exclude_pattern": st.sampled_from(["a*", "*_", "?"]),
    "older_than": st.timedeltas(timedelta(), timedelta(days=1_000)) | st.sampled_from(list(LEAST_AGES)),
    "as_of": st.datetimes(pendulum.naive(2024, 1, 1), pendulum.naive(2026, 5, 1)),
    "types": st.just(["FILE"]),
    "sources": st.just(["API", "DASHBOARD"]),
    "limit": st.integers(1, 5),
}


@many(3)
@given(case=cases(segments=SEGMENTS, criteria=st.fixed_dictionaries({}, optional=OPTIONAL)))
def test_any_selection(case: Case):
    given, asked = case.segments, case.criteria
    selection = selection_of(given, **asked)
    criteria = selection.criteria
    created = [selected.created for selected in selection.segments]

    # Sorted, and as many as the limit and the matching ones allow.
    order = [(selected.created, selected.name) for selected in selection.segments]
    assert order == sorted(order)
    assert len(created) == min(selection.matching, asked.get("limit", selection.matching))
    # Never too young, whatever the time is; each time read again, by Python and not by pendulum.
    for selected in selection.segments:
        text = selected.created_time.replace("Z", "+00:00")
        again = datetime.fromisoformat(text) if text[4] == "-" and len(text) in (19, 26) else selected.created
        assert again.replace(tzinfo=again.tzinfo or timezone.utc) == selected.created
        if "older_than" in asked:
            least = LEAST_AGES.get(asked["older_than"], asked["older_than"])
            assert criteria.as_of - selected.created > least
        if "as_of" in asked:
            assert selected.created < pendulum.instance(asked["as_of"])
        assert fnmatchcase(selected.name, asked.get("name_pattern", "*"))
        assert not fnmatchcase(selected.name, asked.get("exclude_pattern", "[]"))
        assert selected.type in asked.get("types", [selected.type])
        assert selected.source in asked.get("sources", [selected.source])
    # With a limit, the oldest; and nothing is in both lists.
    unlimited = selection_of(given, **{**asked, "limit": None})
    assert selection.segments == unlimited.segments[: asked.get("limit")]
    assert selection.unreadable == unlimited.unreadable
    assert selection.matching + len(selection.unreadable) <= selection.listed == len(given)
    # What goes to XCom is JSON.
    listed = [selected.as_arguments() for selected in selection.segments]
    assert json.loads(json.dumps(listed)) == listed


PARAMETERS = (
    "name", "name_pattern", "exclude_pattern", "older_than", "newer_than", "as_of", "types", "sources", "limit"
)  # fmt: skip


@many(3)
@given(case=cases(criteria=st.dictionaries(st.sampled_from(PARAMETERS), ANYTHING | st.timedeltas(), max_size=3)))
def test_any_criteria(case: Case):
    outcome = outcome_of(lambda: selection_of([segment()], **case.criteria))
    if isinstance(outcome, MoEngageError):
        assert isinstance(outcome, InvalidInputError)
        assert str(outcome).isprintable()
