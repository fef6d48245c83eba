"""The documented limits, spent by many: no period has more calls than it may, whenever it begins."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.client.limits import (
    ARCHIVE,
    COHORT_SYNC,
    CREATE,
    FILE_SEGMENTS,
    GET_BY_ID,
    LIMITS,
    LIST,
    UNARCHIVE,
    UPDATE,
    Limit,
    TokenBuckets,
    earliest_moments,
    endpoint_of,
    least_seconds,
)
from airflow_provider_moengage.client.wait_headers import RateLimit
from tests.support import UNKNOWN_ID

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def spent(buckets, moments):
    """Let calls come at these moments, and wait as long as they have to; each waits for those before it."""
    now, sent = 0.0, []
    for moment in moments:
        now = max(now, moment)
        while wait := buckets.wait(now):
            now += wait
        buckets.spend(now)
        sent.append(now)
    return sent


def most_within(sent, period):
    return max(bisect_right(sent, moment + period - 0.001) - index for index, moment in enumerate(sent))


@pytest.mark.parametrize("call", [GET_BY_ID, LIST])
class TestEveryPeriod:
    def test_with_as_many_as_can_be(self, call):
        sent = spent(TokenBuckets(LIMITS[call]), [0.0] * 2 * LIMITS[call][-1].calls)
        for limit, period in LIMITS[call]:
            assert 0.74 * limit < most_within(sent, period) <= limit

    @settings(deadline=None)
    @given(pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 61.0, 1_800.0]), min_size=1, max_size=30))
    def test_with_pauses(self, call, pauses):
        """Many come at once, again and again."""
        moments = [sum(pauses[: number + 1]) for number in range(len(pauses)) for _ in range(50)]
        sent = spent(TokenBuckets(LIMITS[call]), moments)
        for limit, period in LIMITS[call]:
            assert most_within(sent, period) <= limit


def test_a_few_need_not_wait():
    assert spent(TokenBuckets(LIMITS[GET_BY_ID]), [0.0] * 25) == pytest.approx([0.0] * 25)


def test_ten_that_look_every_five_minutes_never_wait():
    moments = [300.0 * poll for poll in range(3 * DAY // 300) for _ in range(10)]
    assert spent(TokenBuckets(LIMITS[GET_BY_ID]), moments) == moments


def test_no_hole_follows_a_burst():
    """A day's calls last for the day."""
    sent = spent(TokenBuckets(LIMITS[GET_BY_ID]), [0.0] * 6_000)
    assert max(later - earlier for earlier, later in pairwise(sent)) < 30


@pytest.mark.parametrize(
    ("call", "limits"),
    [
        (GET_BY_ID, [(100, MINUTE), (1_000, HOUR), (4_000, DAY)]),
        *((call, [(50, MINUTE), (200, HOUR), (1_000, DAY)]) for call in (LIST, CREATE, UPDATE, ARCHIVE, UNARCHIVE)),
        (FILE_SEGMENTS, [(10, HOUR), (100, DAY)]),
        (COHORT_SYNC, [(300, MINUTE)]),
    ],
)
def test_the_published_limits(call, limits):
    assert list(LIMITS[call]) == limits


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v3/custom-segments", LIST),
        ("POST", "/v3/custom-segments", CREATE),
        ("GET", f"/v3/custom-segments/{UNKNOWN_ID}", GET_BY_ID),
        ("PATCH", f"/v3/custom-segments/{UNKNOWN_ID}", UPDATE),
        ("PATCH", "/v2/custom-segments/archive", ARCHIVE),
        ("PATCH", "/v2/custom-segments/unarchive", UNARCHIVE),
        ("POST", "/v2/custom-segments/file-segment", FILE_SEGMENTS),
        ("PUT", "/v2/custom-segments/file-segment/add-users", FILE_SEGMENTS),
        ("PUT", "/v2/custom-segments/file-segment/replace", FILE_SEGMENTS),
        ("POST", "/v1/integrations/cohortsync", COHORT_SYNC),
        ("GET", "/v2/custom-segments/file-segments", ("GET", "/v2/custom-segments/file-segments")),
    ],
)
def test_whose_limit_a_call_counts_toward(method, path, endpoint):
    assert endpoint_of(method, path) == endpoint


class TestTheLeast:
    """How long many archives take at least."""

    @pytest.mark.parametrize(
        ("calls", "seconds"),
        [
            (0, 0),
            (1, 0),
            (50, 0),
            (51, MINUTE),
            (100, MINUTE),
            (200, 3 * MINUTE),
            (201, HOUR),
            (400, HOUR + 3 * MINUTE),
            (1_000, 4 * HOUR + 3 * MINUTE),
            (1_001, DAY),
            (3_000, 2 * DAY + 4 * HOUR + 3 * MINUTE),
        ],
    )
    def test_of_a_workspace_that_nobody_has_called(self, calls, seconds):
        assert least_seconds(calls, LIMITS[ARCHIVE]) == seconds

    @pytest.mark.parametrize(
        ("window", "calls", "seconds"),
        [
            # The minute
            (RateLimit(50, 0, 30.0), 1, 30),
            (RateLimit(50, 10, 30.0), 10, 0),
            (RateLimit(50, 10, 30.0), 11, 30),
            (RateLimit(50, 10, 30.0), 60, 60),
            # The hour
            (RateLimit(200, 0, 1_800.0), 1, 1_800),
            (RateLimit(200, 20, 1_800.0), 21, 1_800),
            (RateLimit(200, 20, 1_800.0), 220, HOUR),
            (RateLimit(200, 20, 1_800.0), 221, HOUR + 1_800),
            # The day
            (RateLimit(1_000, 0, 18_000.0), 200, 5 * HOUR + 3 * MINUTE),
            # What says nothing
            (RateLimit(50, None, 30.0), 50, 0),
            (RateLimit(50, 0, None), 50, 0),
            (RateLimit(60, 0, 30.0), 50, 0),
            (None, 50, 0),
            # What cannot be: a minute that lasts an hour, more left than there are
            (RateLimit(50, 0, 3_600.0), 1, 60),
            (RateLimit(50, 70, 30.0), 50, 0),
        ],
    )
    def test_after_an_answer(self, window, calls, seconds):
        assert least_seconds(calls, LIMITS[ARCHIVE], window=window) == seconds

    @pytest.mark.parametrize(
        ("sent", "calls", "seconds"),
        [
            ([-10.0] * 50, 1, 50),
            ([-70.0] * 50 + [-10.0] * 50, 100, 110),
            ([-1_000.0] * 200, 1, 2_600),
            ([-3_600.0] * 200, 50, 0),
        ],
    )
    def test_after_calls_of_ones_own(self, sent, calls, seconds):
        assert least_seconds(calls, LIMITS[ARCHIVE], sent=sent) == seconds

    def test_ones_own_calls_are_among_those_that_an_answer_counts(self):
        sent = [-50.0] * 30
        assert least_seconds(30, LIMITS[ARCHIVE], sent=sent, window=RateLimit(50, 20, 10.0)) == 10
        assert least_seconds(30, LIMITS[ARCHIVE], sent=sent, window=RateLimit(50, 10, 10.0)) == 10
        assert least_seconds(60, LIMITS[ARCHIVE], sent=sent, window=RateLimit(50, 10, 10.0)) == 60

    @settings(deadline=None)
    @given(
        calls=st.integers(1, 300),
        limits=st.lists(st.builds(Limit, st.integers(1, 20), st.sampled_from([1.0, 10.0, 100.0])), max_size=3),
    )
    def test_it_is_the_least_under_sliding_windows(self, calls, limits):
        """No period has more than it may; and no call could come sooner, with a full one right before it."""
        moments = earliest_moments(calls, limits)
        assert moments == sorted(moments)
        for limit, period in limits:
            assert most_within(moments, period) <= limit
        for number, moment in enumerate(moments):
            full = [
                number >= limit.calls and moment == moments[number - limit.calls] + limit.seconds for limit in limits
            ]
            assert moment == 0 or any(full)

    @settings(deadline=None)
    @given(
        calls=st.integers(1, 300),
        limits=st.lists(st.builds(Limit, st.integers(1, 20), st.sampled_from([1.0, 10.0, 100.0])), max_size=3),
        began=st.floats(0, 100),
    )
    def test_fixed_windows_take_it_too_wherever_they_begin(self, calls, limits, began):
        moments = earliest_moments(calls, limits)
        for limit in limits:
            windows = [int((moment + began) / limit.seconds + 1e-9) for moment in moments]
            assert max(windows.count(window) for window in set(windows)) <= limit.calls
