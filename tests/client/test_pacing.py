"""The headers are believed before the 429 comes: pure decisions first, then on a socket."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from airflow_provider_moengage.client.errors import AuthenticationError, MoEngageError, RateLimitError
from airflow_provider_moengage.client.pacing import WINDOWS, Windows, endpoint_of
from airflow_provider_moengage.client.retry import NO_RETRIES, RetryPolicy
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import NOTHING, UNKNOWN_ID, Clock, client_of, filters

NOW = 1_800_000_000.0
GETS, LISTS = ("GET", "/v3/custom-segments/{id}"), ("GET", "/v3/custom-segments")


def used_up(seconds, now=NOW):
    return {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(now) + seconds)}


def windows_after(status, headers):
    windows = Windows()
    windows.learn(GETS, status, headers, now=NOW, ticks=100.0)
    return windows


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, used_up(30), 30),
        (404, used_up(30), 30),
        (429, used_up(30), 30),
        (429, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": "80000"}, 3_600),
        (429, {}, 0),
        (200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(int(NOW) + 30)}, 0),
        (200, used_up(-30), 0),
        (499, {"Retry-After": "7"}, 7),
        (500, {"Retry-After": "7"}, 0),
        (503, {"Retry-After": "7"}, 0),
    ],
)
def test_what_closes_an_endpoint(status, headers, seconds):
    assert windows_after(status, headers).wait(GETS, ticks=100.0) == seconds


def test_it_opens_again_by_itself():
    windows = windows_after(200, used_up(30))
    assert windows.wait(GETS, ticks=129.0) == 1
    assert windows.wait(GETS, ticks=130.0) == 0


def test_one_that_nobody_has_called_is_open_from_the_first_tick_of_a_machine():
    assert Windows().wait(GETS, ticks=0.0) == 0


def test_it_can_be_told_to_forget():
    windows = windows_after(200, used_up(30))
    windows.forget()
    assert windows.wait(GETS, ticks=100.0) == 0


def test_others_stay_open():
    assert windows_after(200, used_up(30)).wait(LISTS, ticks=100.0) == 0


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v3/custom-segments", LISTS),
        ("GET", f"/v3/custom-segments/{UNKNOWN_ID}", GETS),
        ("PATCH", f"/v3/custom-segments/{UNKNOWN_ID}", ("PATCH", "/v3/custom-segments/{id}")),
        ("PATCH", "/v2/custom-segments/archive", ("PATCH", "/v2/custom-segments/archive")),
    ],
)
def test_whose_limit_a_call_counts_toward(method, path, endpoint):
    assert endpoint_of(method, path) == endpoint


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
            endpoint = (client.base_url, client.workspace_id, *GETS)
            clock.sleep = lambda _: known.append(WINDOWS.wait(endpoint, clock.monotonic()))
            client.get_segment(UNKNOWN_ID)
        assert [pytest.approx(20, abs=2)] == known

    def test_a_hundred_updates(self, sandbox, client, clock):
        segment_id = sandbox.add_segment(name="camp")["id"]
        for number in range(100):
            client.update_segment(segment_id, filters(str(number)))
        assert [request.status for request in sandbox.requests] == [200] * 100
