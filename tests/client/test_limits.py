"""The documented limits, spent by many: no period has more calls than it may, whenever it begins."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.client.limits import GET_BY_ID, LIMITS, LIST, PERIODS, Pace

DAY = 86_400


def spent(pace, moments):
    """Let calls come at these moments, and wait as long as they have to; each waits for those before it."""
    now, sent = 0.0, []
    for moment in moments:
        now = max(now, moment)
        while wait := pace.wait(now):
            now += wait
        pace.spend(now)
        sent.append(now)
    return sent


def most_within(sent, period):
    return max(bisect_right(sent, moment + period - 0.001) - index for index, moment in enumerate(sent))


@pytest.mark.parametrize("call", [GET_BY_ID, LIST])
class TestEveryPeriod:
    def test_with_as_many_as_can_be(self, call):
        sent = spent(Pace(LIMITS[call]), [0.0] * 2 * LIMITS[call][-1])
        for limit, period in zip(LIMITS[call], PERIODS, strict=True):
            assert 0.74 * limit < most_within(sent, period) <= limit

    @given(pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 61.0, 1_800.0]), min_size=1, max_size=30))
    def test_with_pauses(self, call, pauses):
        """Many come at once, again and again."""
        moments = [sum(pauses[: number + 1]) for number in range(len(pauses)) for _ in range(50)]
        sent = spent(Pace(LIMITS[call]), moments)
        for limit, period in zip(LIMITS[call], PERIODS, strict=True):
            assert most_within(sent, period) <= limit


def test_a_few_need_not_wait():
    assert spent(Pace(LIMITS[GET_BY_ID]), [0.0] * 25) == pytest.approx([0.0] * 25)


def test_ten_that_look_every_five_minutes_never_wait():
    moments = [300.0 * turn for turn in range(3 * DAY // 300) for _ in range(10)]
    assert spent(Pace(LIMITS[GET_BY_ID]), moments) == moments


def test_no_hole_follows_a_burst():
    """A day's calls last for the day."""
    sent = spent(Pace(LIMITS[GET_BY_ID]), [0.0] * 6_000)
    assert max(later - earlier for earlier, later in pairwise(sent)) < 30
