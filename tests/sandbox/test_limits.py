"""How often a workspace may be called, and what passes with time: the tests move the clock and never sleep."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import UNKNOWN_ID, Caller, MovableClock, attribute, group

if TYPE_CHECKING:
    import requests

EPOCH = 1_772_366_400  # 2026-03-01T12:00:00Z; the clock stands 0.409 s later

Call = Callable[[], "requests.Response"]


@pytest.fixture(params=["get", "list", "create", "update", "archive", "unarchive"])
def endpoint(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def call(api: Caller, endpoint: str) -> Call:
    """Call an endpoint with good credentials; what comes of it otherwise does not matter here."""
    calls: dict[str, Call] = {
        "get": lambda: api.get(UNKNOWN_ID),
        "list": api.list,
        "create": lambda: api.create("<b>", group()),
        "update": lambda: api.update(UNKNOWN_ID, group(attribute())),
        "archive": lambda: api.archive("gone"),
        "unarchive": lambda: api.unarchive("gone"),
    }
    return calls[endpoint]


def limits_of(endpoint: str) -> list[tuple[int, timedelta, str]]:
    """What the documents say: so many requests, within which time, and what a refusal calls it."""
    minute, hour, day = {"get": (100, 1_000, 4_000)}.get(endpoint, (50, 200, 1_000))
    return [
        (minute, timedelta(minutes=1), f"{minute}/1 mins"),
        (hour, timedelta(hours=1), f"{hour}/60 mins"),
        (day, timedelta(days=1), f"{day}/1440 mins"),
    ]


def limit_headers(answer: requests.Response) -> list[int]:
    return [int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")]


def expected_refusal(endpoint: str, figures: str) -> dict[str, Any]:
    if endpoint in ("archive", "unarchive"):
        sentence = "File segment operations limit breached. Please retry after some time."
        return {"title": "Too Many Requests", "description": sentence}
    return {"code": "Too Many Requests", "message": f"API rate limit breached. Current limit: {figures}"}


@pytest.mark.parametrize("window", [0, 1, 2], ids=["minute", "hour", "day"])
def test_one_more_than_the_limit_is_refused(call: Call, clock: MovableClock, endpoint: str, window: int) -> None:
    allowed, period, figures = limits_of(endpoint)[window]
    # As fast as the smaller windows allow, so that only this one is ever full.
    pause = max((p / (n - 1) for n, p, _ in limits_of(endpoint)[:window]), default=timedelta())
    began = clock.now
    for number in range(allowed):
        clock.now = began + number * pause
        assert call().status_code != 429

    answer = call()

    assert answer.status_code == 429
    assert answer.json().get("error", answer.json()) == expected_refusal(endpoint, figures)
    assert limit_headers(answer) == [allowed, 0, EPOCH + 1 + period.total_seconds()]
    clock.now = began + period - timedelta(microseconds=1)
    assert call().status_code == 429
    clock.now = began + period
    assert call().status_code != 429


def test_every_answer_says_how_many_remain(call: Call, clock: MovableClock, endpoint: str) -> None:
    allowed = limits_of(endpoint)[0][0]
    assert limit_headers(call()) == [allowed, allowed - 1, EPOCH + 61]
    clock.move(seconds=20)
    assert limit_headers(call()) == [allowed, allowed - 2, EPOCH + 61]
    clock.move(seconds=50)
    assert limit_headers(call()) == [allowed, allowed - 2, EPOCH + 81]


def test_the_tightest_window_is_shown(api: Caller, clock: MovableClock) -> None:
    for _ in range(3):
        for _ in range(50):
            api.list()
        clock.move(minutes=1)
    # 50 remain in the minute as in the hour: the one that opens last counts.
    assert limit_headers(api.list()) == [200, 49, EPOCH + 3_601]


def test_a_refused_request_does_not_count(api: Caller, clock: MovableClock) -> None:
    for _ in range(80):
        api.list()
    clock.move(minutes=1)
    assert limit_headers(api.list())[:2] == [50, 49]
    clock.move(minutes=1)
    for _ in range(50):
        api.list()
    clock.move(minutes=1)
    assert limit_headers(api.list())[:2] == [50, 49]
    assert api.sandbox.requests[80].status == 200


def test_each_endpoint_has_its_own_limit(api: Caller) -> None:
    for _ in range(51):
        api.list()
    segment = api.create("Spring", group(attribute())).json()["data"]
    assert api.get(segment["id"]).ok
    assert api.update(segment["id"], group(attribute("silver"))).ok
    assert api.list().status_code == 429


def test_archive_and_unarchive_have_a_limit_each(spoken: Caller) -> None:
    spoken.sandbox.add_segment(name="Spring")
    archived = [spoken.archive("Spring") for _ in range(51)]
    unarchived = [spoken.unarchive("Spring") for _ in range(51)]
    for answers in (archived, unarchived):
        assert all(answer.ok for answer in answers[:50])
        assert [limit_headers(answer)[:2] for answer in answers[49:]] == [[50, 0], [50, 0]]
        assert answers[50].status_code == 429


@pytest.mark.parametrize("lifecycle", [False, True])
def test_the_reset_may_be_the_seconds_that_are_left(clock: MovableClock, lifecycle: bool) -> None:
    with Sandbox(clock=clock, reset="seconds") as sandbox:
        caller = Caller(sandbox, "segment_id")
        call = partial(caller.archive, "gone") if lifecycle else caller.list
        with caller.session:
            assert limit_headers(call()) == [50, 49, 60]
            clock.move(seconds=29.5)
            for _ in range(49):
                call()
            refused = call()
            assert (refused.status_code, limit_headers(refused)) == (429, [50, 0, 31])
            clock.move(seconds=31)
            assert call().status_code != 429
            for _ in range(3):
                for _ in range(50):
                    call()
                clock.move(minutes=1)
            assert limit_headers(call()) == [200, 48, 3_360]


def test_wrong_credentials_belong_to_no_workspace(api: Caller) -> None:
    for _ in range(60):
        answer = api("GET", "/v3/custom-segments", auth=("SANDBOXWORKSPACE", "wrong"))
    assert answer.status_code == 401
    assert limit_headers(answer)[:2] == [50, 50]
    assert limit_headers(api.list())[:2] == [50, 49]


def test_a_fault_in_place_of_the_answer_does_not_count(api: Caller) -> None:
    api.sandbox.fail_next(status=503)
    assert "x-ratelimit-limit" not in api.list().headers
    assert limit_headers(api.list())[:2] == [50, 49]


def test_limits_can_be_switched_off() -> None:
    with Sandbox(rate_limits=False) as sandbox:
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            answers = [caller.list() for _ in range(60)]
    assert {answer.status_code for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[-1].headers


def test_a_clock_that_goes_back_opens_no_limit(api: Caller, clock: MovableClock) -> None:
    for _ in range(50):
        api.list()
    clock.move(seconds=-30)
    assert limit_headers(api.list()) == [50, 0, EPOCH + 61]


def test_no_request_is_counted_twice_or_not_at_all(sandbox: Sandbox) -> None:
    def one(_: int) -> int:
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            return sum(caller.get(UNKNOWN_ID).ok for _ in range(10))

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(20))) == 100


@pytest.fixture
def upload(api: Caller) -> Caller:
    api.sandbox.add_segment(name="upload", kind="file", user_count=1_200)
    return api


def users(caller: Caller) -> int:
    return int(caller.sandbox.segments[0]["user_count"])


def test_an_archived_file_segment_loses_its_users_after_30_days(upload: Caller, clock: MovableClock) -> None:
    upload.archive("upload")
    clock.move(days=30)
    assert users(upload) == 1_200
    clock.move(microseconds=1)
    assert users(upload) == 0

    upload.unarchive("upload")

    assert users(upload) == 0
    assert upload.list("?name=upload").json()["data"]


def test_a_file_segment_that_is_unarchived_in_time_keeps_its_users(upload: Caller, clock: MovableClock) -> None:
    upload.archive("upload")
    clock.move(days=30)
    upload.unarchive("upload")
    clock.move(days=30)
    upload.archive("upload")
    clock.move(days=30)
    assert users(upload) == 1_200


def test_a_filter_segment_has_no_users_to_lose(sandbox: Sandbox) -> None:
    assert "user_count" not in sandbox.add_segment(name="Spring", archived=True)


def test_the_clock_moves_ahead_of_its_base(api: Caller, clock: MovableClock) -> None:
    api.sandbox.add_segment(name="Spring", archived=True)
    before = api.sandbox.now

    api.sandbox.move_clock(timedelta(days=100))
    api.sandbox.move_clock(timedelta(days=80, seconds=1))

    assert api.sandbox.now - before == timedelta(days=180, seconds=1)
    assert api.list().json()["data"] == []
    assert api.list().headers["Date"] == "Fri, 28 Aug 2026 12:00:01 GMT"
    assert api.sandbox.requests[-1].time == api.sandbox.now
    assert clock.now == before


def test_the_clock_opens_a_limit(api: Caller) -> None:
    for _ in range(51):
        api.list()
    api.sandbox.move_clock(timedelta(minutes=1))
    assert api.list().ok


@pytest.mark.parametrize("days", [-1, 36_501, 999_999_999])
def test_the_clock_moves_ahead_only_and_not_for_ever(sandbox: Sandbox, days: int) -> None:
    before = sandbox.now
    with pytest.raises(ValueError, match="ahead only"):
        sandbox.move_clock(timedelta(days=days))
    assert sandbox.now == before


def test_a_body_that_is_not_read_is_answered_with_the_limits_too(api: Caller) -> None:
    refused = api("POST", "/v3/custom-segments", {"name": "x" * 5_000_000})
    assert refused.status_code == 413
    assert refused.headers["x-ratelimit-limit"] == refused.headers["x-ratelimit-remaining"] == "50"
    assert "x-ratelimit-limit" not in api("POST", "/v9", {"name": "x" * 5_000_000}).headers
