"""Which segments are new, without any Airflow or server."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.segments.watermark import Watermark
from tests.any_values import ANYTHING, many
from tests.figures import FIGURES

BEGUN = pendulum.datetime(2026, 5, 31, 12)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def segment(number, after=HOUR, name="camp", **fields):
    """Make a segment that is created so long after the watch has begun."""
    created_time = (BEGUN + after).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return {"name": name, "id": f"{number:024x}", "created_time": created_time, "type": "ELASTIC_SEARCH", **fields}


class Watch:
    """Polls again and again, with the watermark written down and read in between."""

    def __init__(self, pattern="*"):
        self.watermark = Watermark.at_start(BEGUN.timestamp())
        self.pattern = pattern

    def poll(self, segments, after=HOUR):
        found = self.watermark.new_among(segments, self.pattern, (BEGUN + after).timestamp())
        self.watermark = Watermark.from_json(json.loads(json.dumps(found.watermark.as_json())))
        assert self.watermark == found.watermark
        return [int(created.segment_id, 16) for created in found.created]


def test_each_once():
    watch = Watch()
    first, second = segment(1), segment(2)
    assert watch.poll([]) == []
    assert watch.poll([second, first]) == [1, 2]
    assert watch.poll([first, second]) == []


def test_what_was_there_before_is_not_new():
    watch = Watch()
    old = [segment(number, after=-timedelta(minutes=2) - number * HOUR) for number in range(300)]
    assert watch.poll([]) == []  # a first poll that misses them all, say
    assert watch.poll(old) == []
    assert watch.poll([*old, segment(300)]) == [300]


def test_clocks_that_differ_and_times_that_are_cut():
    watch = Watch()
    assert watch.poll([segment(1, after=-timedelta(seconds=59))], after=timedelta()) == [1]
    assert watch.poll([segment(2, after=12 * HOUR), segment(3, after=-timedelta(seconds=59))]) == [3, 2]
    assert watch.poll([segment(1, after=-timedelta(seconds=59)), segment(2, after=12 * HOUR)]) == []


def test_what_is_missing_for_a_while_is_not_new_again():
    watch = Watch()
    assert watch.poll([segment(1)]) == [1]
    assert watch.poll([]) == []
    assert watch.poll([segment(2, after=3 * DAY)], after=3 * DAY) == [2]
    assert watch.poll([segment(1), segment(2, after=3 * DAY)], after=3 * DAY) == []


def test_one_that_is_listed_late():
    watch = Watch()
    assert watch.poll([segment(2, after=2 * DAY)], after=2 * DAY) == [2]
    assert watch.poll([segment(1, after=2 * DAY - 23 * HOUR)], after=2 * DAY + HOUR) == [1]


def test_what_came_while_nobody_polled():
    """However long that was: the last poll decides, not the clock."""
    watch = Watch()
    assert watch.poll([segment(1)]) == [1]
    meanwhile = [segment(number, after=number * DAY) for number in range(2, 60)]
    assert watch.poll([segment(1), *meanwhile], after=60 * DAY) == list(range(2, 60))
    assert watch.poll([segment(1), *meanwhile], after=60 * DAY) == []


def test_only_the_names_that_are_wanted_and_only_those_they_have_at_first():
    watch = Watch("camp_*")
    assert watch.poll([segment(1, name="camp_a"), segment(2, name="draft"), segment(3, name="Camp_b")]) == [1]
    assert watch.poll([segment(1, name="camp_a"), segment(2, name="camp_c")]) == []


def test_one_id_is_one_segment():
    assert Watch().poll([segment(1), segment(1, name="again")]) == [1]


def test_the_watermark_moves_with_each_event():
    """Each by itself, so that a trigger that is cut off between two of them fires none twice."""
    before = Watermark.at_start(BEGUN.timestamp())
    found = before.new_among([segment(1), segment(2)], "*", (BEGUN + HOUR).timestamp())
    first, second = found.created
    once = before.including(first)
    assert once.ids == {f"{1:024x}": BEGUN + HOUR}
    assert once.including(second) == found.watermark
    assert before.ids == {}


def test_nothing_changes_while_nothing_comes():
    watermark = Watermark.at_start(BEGUN.timestamp())
    assert watermark.new_among([segment(1, after=-DAY)], "*", (BEGUN + 5 * DAY).timestamp()).watermark is watermark


@pytest.mark.parametrize("created_time", [None, "yesterday", "2026-06-01", 7, ""])
def test_one_that_cannot_be_read_is_named_and_starts_nothing(created_time):
    watermark = Watermark.at_start(BEGUN.timestamp())
    unreadable = [segment(1, created_time=created_time), segment(2, name="other", created_time=created_time)]
    found = watermark.new_among([*unreadable, segment(3)], "camp", BEGUN.timestamp())
    assert [created.segment_id for created in found.created] == [f"{3:024x}"]
    (warning,) = found.warnings
    assert f"{1:024x}" in warning
    assert not [created for created in found.watermark.ids if created != f"{3:024x}"]


def test_the_watermark_does_not_grow():
    watch = Watch()
    segments = []
    for number in range(100):
        segments.append(segment(number, after=number * HOUR))
        assert watch.poll(segments, after=number * HOUR) == [number]
        assert len(watch.watermark.ids) <= 26


MOMENTS = st.integers(0, 20 * 24)


@many()
@given(
    created=st.lists(MOMENTS, max_size=12),
    polled=st.lists(MOMENTS, max_size=12),
    skew=st.integers(-23, 23),
    missing=st.data(),
)
def test_however_the_list_varies_each_fires_once(created, polled, skew, missing):
    """Created in any order, listed in any order, missing now and then, by a server whose clock is hours away."""
    FIGURES.add("histories of created segments")
    # A server that is behind says of the first hours that they were before the watch.
    begin = max(0, -skew)
    at = {number: begin + hour for number, hour in enumerate(created)}
    watch = Watch()
    fired, seen_by = Counter(), {}
    for hour in sorted(begin + hour for hour in polled):
        there = [number for number in at if at[number] <= hour]
        listed = missing.draw(st.permutations(there))[: missing.draw(st.integers(0, len(there)))]
        for number in listed:
            seen_by.setdefault(number, hour)
        fired.update(
            watch.poll([segment(number, after=(at[number] + skew) * HOUR) for number in listed], after=hour * HOUR)
        )
    assert set(fired.values()) <= {1}
    assert set(fired) <= set(seen_by)
    in_time = {number for number, hour in seen_by.items() if hour <= at[number] + skew + 24}
    assert in_time <= set(fired)


@many()
@given(ANYTHING)
def test_whatever_was_saved(saved):
    watermark = Watermark.from_json(saved)
    assert watermark is None or Watermark.from_json(watermark.as_json()) == watermark


@pytest.mark.parametrize(
    "saved",
    [
        None,
        {"since": "2026-05-31T12:00:00+00:00"},
        {"since": "yesterday", "ids": {}},
        {"since": "2026-05-31T12:00:00", "ids": {}},
        {"since": "2026-05-31T12:00:00+00:00", "ids": {"x": 7}},
        {"since": "2026-05-31T12:00:00+00:00", "ids": ["x"]},
    ],
)
def test_what_cannot_be_read_is_not_believed(saved):
    assert Watermark.from_json(saved) is None
