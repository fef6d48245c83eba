"""The headers are believed before the 429 comes: pure decisions first, then on a socket."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

import pytest

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    AuthenticationError,
    MoEngageError,
    RateLimitError,
)
from airflow_provider_moengage.client.limits import LIMITS, UPDATE, least_seconds
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER, RateLimiter
from airflow_provider_moengage.client.retry import NO_RETRIES, RetryPolicy
from airflow_provider_moengage.client.wait_headers import RateLimit
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import NOTHING, UNKNOWN_ID, Clock, client_of, filters

NOW = 1_800_000_000.0
# The address and the workspace do not matter where there is no socket.
GETS, LISTS = ("", "", "GET", "/v3/custom-segments/{id}"), ("", "", "GET", "/v3/custom-segments")


def used_up(seconds, now=NOW):
    return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now) + seconds)}


def seconds_ahead(seconds):
    return str(int(time.time()) + seconds)


def limiter_after(status, headers):
    limiter = RateLimiter()
    limiter.record_answer(GETS, status, headers, now=NOW, ticks=100.0)
    return limiter


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, used_up(30), 30),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        (404, used_up(30), 30),
        (429, used_up(30), 30),
        (429, {"x-ratelimit-reset": "1800"}, 1_800),
        (429, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": "7", "x-ratelimit-remaining": "3"}, 7),
        # A window may be a day.
        (429, {"Retry-After": "80000"}, 80_000),
        (200, used_up(80_000), 80_000),
        (429, {}, 0),
        (200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(int(NOW) + 30)}, 0),
        (200, used_up(-30), 0),
        # When to repeat one request says nothing of the others.
        (408, {"Retry-After": "7"}, 0),
        (499, used_up(30), 30),
        (500, used_up(30), 0),
        (503, {"Retry-After": "7"}, 0),
    ],
)
def test_how_long_nothing_is_sent(status, headers, seconds):
    assert limiter_after(status, headers).wait(GETS, ticks=100.0) == seconds


def test_there_is_room_again_by_itself():
    limiter = limiter_after(200, used_up(30))
    assert limiter.wait(GETS, ticks=129.0) == 1
    assert limiter.wait(GETS, ticks=130.0) == 0


def test_there_is_room_where_nobody_has_called_from_the_first_tick_of_a_machine():
    assert RateLimiter().wait(GETS, ticks=0.0) == 0
    assert RateLimiter().window_of(GETS, ticks=0.0) is None


def test_it_can_be_reset():
    limiter = limiter_after(200, used_up(30))
    limiter.reset()
    assert limiter.wait(GETS, ticks=100.0) == 0
    limiter.release(GETS)
    assert reserved(limiter) == 0


def test_others_are_not_kept():
    assert limiter_after(200, used_up(30)).wait(LISTS, ticks=100.0) == 0


def reserved(limiter, ticks=100.0, longest_wait=0.001):
    """Reserve a call, without waiting for the answers to those under way for longer than a moment."""
    return limiter.reserve(GETS, lambda: ticks, longest_wait=longest_wait)


def left(remaining, seconds=30):
    return {
        "x-ratelimit-limit": "50",
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(NOW) + seconds),
    }


class TestReservations:
    def test_no_more_than_are_left_are_under_way(self):
        limiter = limiter_after(200, left(2))
        assert [reserved(limiter) for _ in range(3)] == [0, 0, 30]
        assert limiter.window_of(GETS, ticks=100.0) == RateLimit(50, 0, 30)

    def test_an_answer_counts_its_own_call_no_more(self):
        limiter = limiter_after(200, left(2))
        assert [reserved(limiter), reserved(limiter)] == [0, 0]
        limiter.record_answer(GETS, 200, left(1), now=NOW, ticks=100.0)
        limiter.release(GETS)
        assert reserved(limiter) == 30
        limiter.record_answer(GETS, 200, left(0), now=NOW, ticks=100.0)
        limiter.release(GETS)
        assert reserved(limiter) == 30

    def test_answers_that_overtake_each_other(self):
        limiter = limiter_after(200, left(2))
        limiter.record_answer(GETS, 200, left(9), now=NOW, ticks=100.0)
        limiter.record_answer(GETS, 200, {}, now=NOW, ticks=100.0)
        assert limiter.window_of(GETS, ticks=100.0) == RateLimit(50, 2, 30)

    def test_of_two_windows_that_are_used_up_the_one_that_resets_last_counts(self):
        limiter = limiter_after(200, left(0))
        limiter.record_answer(GETS, 200, left(0, 1_800), now=NOW, ticks=100.0)
        limiter.record_answer(GETS, 200, left(0), now=NOW, ticks=100.0)
        assert reserved(limiter) == 1_800

    def test_of_an_endpoint_of_which_nothing_is_known_one_call_goes_ahead(self):
        limiter = RateLimiter()
        assert reserved(limiter) == 0
        self.assert_waits_for_an_answer(limiter, {**left(5), "x-ratelimit-remaining": "5"})

    def test_after_the_end_of_a_window_one_call_goes_ahead(self):
        limiter = limiter_after(429, used_up(30))
        assert reserved(limiter, ticks=131.0) == 0
        self.assert_waits_for_an_answer(limiter, left(49, 90))

    def test_after_a_refusal_that_does_not_say_for_how_long(self):
        limiter = limiter_after(429, {})
        assert reserved(limiter) == 0
        self.assert_waits_for_an_answer(limiter, left(5))

    def assert_waits_for_an_answer(self, limiter, headers):
        """Of the next three none goes before the answer has come, and all do then."""
        with ThreadPoolExecutor(3) as threads:
            waiting = [threads.submit(reserved, limiter, 131.0, 60) for _ in range(3)]
            assert not wait(waiting, timeout=0.05).done
            limiter.record_answer(GETS, 200, headers, now=NOW, ticks=131.0)
            limiter.release(GETS)
            assert [future.result(timeout=30) for future in waiting] == [0, 0, 0]

    def test_where_the_answers_do_not_say_how_many_are_left_all_go(self):
        limiter = limiter_after(200, {})
        assert [reserved(limiter) for _ in range(20)] == [0] * 20
        assert limiter.window_of(GETS, ticks=100.0) is None

    def test_an_answer_that_does_not_come_keeps_nobody_for_ever(self):
        limiter = RateLimiter()
        assert [reserved(limiter) for _ in range(3)] == [0] * 3

    def test_who_cannot_wait_goes_unless_nothing_is_left_for_certain(self):
        limiter = limiter_after(200, left(1))
        assert [reserved(limiter, longest_wait=0) for _ in range(3)] == [0] * 3
        limiter.record_answer(GETS, 200, left(0), now=NOW, ticks=100.0)
        assert reserved(limiter, longest_wait=0) == 30


class TestOnASocket:
    def test_a_minute_that_is_used_up_costs_no_refusal(self, sandbox, client, clock):
        """120 gets where 100 a minute are allowed: the 101st waits for its window."""
        for _ in range(120):
            client.get_segment(UNKNOWN_ID)

        assert len(sandbox.requests) == 120
        assert {request.status for request in sandbox.requests} <= {200, 404}
        assert 0 < sum(clock.slept) < 75
        assert client.list_segments() == []

    def test_another_client_of_this_process_knows_it_too(self, sandbox, client, clock):
        sandbox.fail_next(status=200, body=NOTHING, headers=used_up(20, time.time()))
        client.list_segments()
        with client_of(sandbox) as another:
            another.list_segments()
        assert sum(clock.slept) >= 18
        assert [request.status for request in sandbox.requests] == [200, 200]

    def test_other_endpoints_and_workspaces_do_not_wait(self, sandbox, client, clock):
        sandbox.fail_next(status=200, body=NOTHING, headers=used_up(20, time.time()))
        client.list_segments()
        client.get_segment(UNKNOWN_ID)
        with Sandbox() as elsewhere, client_of(elsewhere) as another:
            another.list_segments()
        assert clock.slept == []

    @pytest.mark.parametrize("policy", [NO_RETRIES, RetryPolicy(budget=10)])
    def test_what_does_not_fit_into_the_budget_is_not_sent(self, sandbox, client, clock, policy):
        sandbox.fail_next(status=200, body=NOTHING, headers=used_up(3_600, time.time()))
        client.list_segments()
        with client_of(sandbox, retry=policy) as another, pytest.raises(RateLimitError, match="was not sent") as caught:
            another.list_segments()
        assert 3_500 < caught.value.retry_after <= 3_600
        assert caught.value.status is None
        assert clock.slept == []
        assert len(sandbox.requests) == 1

    def test_another_workspace_at_the_same_address_does_not_wait(self, sandbox, client, clock):
        sandbox.fail_next(status=200, body=NOTHING, headers=used_up(20, time.time()))
        client.list_segments()
        with client_of(sandbox, workspace_id="OTHER") as another, pytest.raises(AuthenticationError):
            another.list_segments()
        assert clock.slept == []

    def test_a_refusal_that_is_retried_is_known_too(self, sandbox, client, clock):
        """While one client waits as it was told, the others do not ask to be told the same."""
        sandbox.fail_next(status=429, headers={"Retry-After": "20"})
        asked_meanwhile = []

        def ask_meanwhile(_):
            if not asked_meanwhile:
                asked_meanwhile.append(None)
                with client_of(sandbox, retry=NO_RETRIES) as another, pytest.raises(RateLimitError, match="not sent"):
                    another.list_segments()

        # Before the time of the first one's wait has passed.
        clock.sleep = lambda seconds: (ask_meanwhile(seconds), Clock.sleep(clock, seconds))
        client.list_segments()
        assert asked_meanwhile
        assert [request.status for request in sandbox.requests] == [429, 200]

    @pytest.mark.parametrize("prefix", ["", "/prefix"])
    def test_a_base_url_with_a_path(self, sandbox, clock, prefix):
        sandbox.fail_next(status=429, headers={"Retry-After": "20"})
        known = []
        with client_of(sandbox, base_url=sandbox.url + prefix) as client, suppress(MoEngageError):
            endpoint = (client.base_url, client.workspace_id, *GETS[2:])
            clock.sleep = lambda _: known.append(RATE_LIMITER.wait(endpoint, clock.monotonic()))
            client.get_segment(UNKNOWN_ID)
        assert [pytest.approx(20, abs=2)] == known

    def test_a_hundred_updates(self, sandbox, client, clock):
        segment_id = sandbox.add_segment(name="camp")["id"]
        for number in range(100):
            client.update_segment(segment_id, filters(str(number)))
        assert [request.status for request in sandbox.requests] == [200] * 100

    @pytest.mark.parametrize("spelling", [seconds_ahead, str], ids=["epoch", "seconds"])
    def test_an_hour_that_is_used_up_by_others(self, sandbox, client, clock, spelling):
        sandbox.fail_next(status=429, headers={"x-ratelimit-reset": spelling(1_800)})
        segment = sandbox.add_segment(name="camp")
        for _ in range(2):
            with pytest.raises(RateLimitError) as caught:
                client.archive_segment("camp", segment["id"])
            assert 1_790 < caught.value.retry_after <= 1_800
        assert len(sandbox.requests) == 1
        assert clock.slept == []

    def test_a_full_workspace_keeps_no_other_call(self, sandbox, client, clock):
        """Its headers say nothing of when there is room."""
        full = {"error": {"code": "Limit", "message": "too many", "actual_count": 1_000, "limit": 1_000}}
        sandbox.add_segment(name="camp", archived=True)
        sandbox.fail_next(status=429, headers={"Retry-After": "60", **used_up(60, time.time())}, body=full)
        with pytest.raises(ActiveSegmentLimitError) as caught:
            client.unarchive_segment("camp")
        assert (caught.value.retry_after, caught.value.tries) == (None, 1)
        assert client.unarchive_segment("camp")["success"] is True
        assert clock.slept == []


class TestManyAtOnce:
    """Sixteen threads, windows that slide, and not one refusal more than cannot be foreseen."""

    @pytest.fixture
    def segment_id(self, sandbox):
        return sandbox.add_segment(name="camp")["id"]

    def update(self, client, segment_id, numbers):
        def once(number):
            try:
                client.update_segment(segment_id, filters(str(number)))
            except RateLimitError as error:
                return error
            return None

        with ThreadPoolExecutor(16) as threads:
            return list(threads.map(once, numbers))

    def test_every_window_is_filled_and_none_is_overrun(self, sandbox, segment_id, clock):
        """400 updates by one who waits elsewhere, as a task that defers: twice 200 an hour, 50 a minute."""
        to_do, waits = list(range(400)), []
        with client_of(sandbox, retry=RetryPolicy(budget=1)) as client:
            while to_do:
                outcomes = self.update(client, segment_id, to_do)
                to_do = [number for number, error in zip(to_do, outcomes, strict=True) if error]
                if to_do:
                    waits.append(max(error.retry_after for error in outcomes if error))
                    clock.sleep(waits[-1])
        assert Counter(request.status for request in sandbox.requests) == {200: 400}
        least = least_seconds(400, LIMITS[UPDATE])
        assert least <= sum(clock.slept) <= 1.02 * least
        assert len(waits) < 20

    def test_a_window_in_which_others_have_called(self, sandbox, segment_id):
        """What a fresh process does not know, its first call finds out."""
        with client_of(sandbox) as other:
            self.update(other, segment_id, range(45))
        RATE_LIMITER.reset()
        with client_of(sandbox, retry=RetryPolicy(budget=1)) as client:
            outcomes = self.update(client, segment_id, range(45, 75))
        assert Counter(request.status for request in sandbox.requests) == {200: 50}
        assert sum(1 for error in outcomes if error) == 25

    def test_a_window_that_others_have_used_up(self, sandbox, segment_id):
        with client_of(sandbox) as other:
            self.update(other, segment_id, range(50))
        RATE_LIMITER.reset()
        with client_of(sandbox, retry=RetryPolicy(budget=1)) as client:
            self.update(client, segment_id, range(50, 80))
        assert Counter(request.status for request in sandbox.requests) == {200: 50, 429: 1}


# A process of its own: to fork the one of the tests would copy all of its threads' locks.
FORKS = """
import os, signal, sys, time
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER

used_up, under_way = ("", "", "GET", "/used-up"), ("", "", "GET", "/under-way")
reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}
RATE_LIMITER.record_answer(used_up, 200, reset, now=time.time(), ticks=time.monotonic())
RATE_LIMITER.reserve(under_way, time.monotonic, longest_wait=0)
with RATE_LIMITER._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        assert RATE_LIMITER.wait(used_up, time.monotonic()) > 0
        assert RATE_LIMITER.reserve(under_way, time.monotonic, longest_wait=60) == 0
        os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_knows_as_much_and_waits_for_no_thread_that_it_does_not_have():
    assert subprocess.run([sys.executable, "-c", FORKS], check=False).returncode == 0


def test_endpoints_without_number_are_forgotten_once_they_tell_nothing():
    limiter = limiter_after(200, used_up(30))
    under_way = ("", "", "GET", "/under-way")
    limiter.reserve(under_way, lambda: 100.0, longest_wait=0)
    for number in range(3_000):
        endpoint = ("", "", "GET", f"/{number}")
        limiter.reserve(endpoint, lambda: 100.0, longest_wait=0)
        limiter.record_answer(endpoint, 200, left(2, seconds=0), now=NOW, ticks=100.0)
        limiter.release(endpoint)
    assert len(limiter._windows) <= 1_000
    assert limiter.wait(GETS, ticks=100.0) == 30
    assert limiter._windows[under_way].under_way == 1
