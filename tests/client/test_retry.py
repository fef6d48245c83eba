"""What is sent again, and when: the decisions, without a socket and without a clock."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from airflow_provider_moengage.client.retry import NO_RETRIES, Failure, GiveUp, Retry, RetryPolicy, asked_wait

NOW = 1_800_000_000.0
POLICY = RetryPolicy(tries=4, budget=60, first_backoff=2, longest_backoff=5)

RATE_LIMIT = "the rate limit is used up (429)"
HOPELESS = "no waiting mends it"
UNSAFE = "it may have been carried out"
TOO_LONG = "the wait does not fit into what is left of the budget"

NEVER_SENT = [
    NewConnectionError(None, "refused"),
    NameResolutionError("host", None, OSError("unknown")),
    ConnectTimeoutError(None, "slow"),
    ProxyError("no proxy", OSError("refused")),
    ProxyError("busy", OSError("Tunnel connection failed: 429 Too Many Requests")),
    ProxyError("ill", OSError("Tunnel connection failed: 503 Service Unavailable")),
]
PERHAPS_CARRIED_OUT = [
    ReadTimeoutError(None, "/", "silence"),
    ProtocolError("reset", ConnectionResetError()),
    SSLError(ssl.SSLEOFError("cut off")),
    SSLError(ssl.SSLZeroReturnError("closed")),
    SSLError(ssl.SSLSyscallError("reset")),
]
HOPELESS_ERRORS = [
    SSLError(ssl.SSLCertVerificationError("self-signed")),
    SSLError(ssl.SSLError("wrong version number")),
    SSLError("no CA bundle"),
    ProxyError("no", OSError("Tunnel connection failed: 407 Proxy Authentication Required")),
    ProxyError("no", OSError("Tunnel connection failed: 403 Forbidden")),
    ProxyError("the proxy's certificate", SSLError(ssl.SSLCertVerificationError("self-signed"))),
    LocationParseError("nowhere"),
    ValueError("a header"),
]


def decide(failure, *, attempt=1, left=60.0, jitter=0.5, policy=POLICY):
    return policy.decide(failure, attempt=attempt, left=left, now=NOW, jitter=jitter)


def answered(status, method="GET", **headers):
    return Failure(method, status, {name.replace("_", "-"): str(value) for name, value in headers.items()})


def epoch(seconds_from_now):
    return str(int(NOW) + seconds_from_now)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2),
        ({"retry-after": " 0 "}, 0),
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:30 -0000"}, 30),
        ({"Retry-After": "Fri, 15 Jan 2021 08:00:30 GMT"}, 0),
        ({"X-RateLimit-Reset": epoch(60)}, 60),
        ({"X-RateLimit-Reset": epoch(-60)}, 0),
        ({"Retry-After": "5", "X-RateLimit-Reset": epoch(60)}, 5),
        ({"Retry-After": "soon", "X-RateLimit-Reset": epoch(60)}, 60),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"X-RateLimit-Reset": "9" * 400}, None),
        ({"X-RateLimit-Reset": epoch(86_400)}, 86_400),
        ({"X-RateLimit-Reset": epoch(5) + "000"}, None),
        ({"Retry-After": "Fri, 15 Jan 9999 08:00:30 GMT"}, 86_400),
        ({"Retry-After": "2.5"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "٢"}, None),
        ({"X-RateLimit-Reset": "tomorrow"}, None),
        # The server's own clock counts, ten minutes behind ours: a reset is a minute away for both.
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "X-RateLimit-Reset": epoch(-540)}, 60),
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "Retry-After": "Fri, 15 Jan 2027 07:50:30 GMT"}, 30),
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "Retry-After": "7"}, 7),
        ({"Date": "today", "X-RateLimit-Reset": epoch(60)}, 60),
    ],
)
def test_what_a_refusal_asks(headers, seconds):
    assert asked_wait(429, CaseInsensitiveDict(headers), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        # The reset of a window that is not used up says nothing about when a failing server is well again.
        (503, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60)}, None),
        (503, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60), "Retry-After": "3"}, 3),
        (200, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60)}, None),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": epoch(60)}, 60),
        (200, {"x-ratelimit-remaining": "00", "x-ratelimit-reset": epoch(60)}, 60),
        (200, {"x-ratelimit-remaining": "none", "x-ratelimit-reset": epoch(60)}, None),
        (200, {"x-ratelimit-remaining": "0"}, None),
        (200, {"Retry-After": "60"}, None),
    ],
)
def test_what_other_answers_ask(status, headers, seconds):
    assert asked_wait(status, headers, NOW) == seconds


@pytest.mark.parametrize(
    ("failure", "decision"),
    [
        (answered(429), Retry(1.0, RATE_LIMIT)),
        (answered(429, "PATCH"), Retry(1.0, RATE_LIMIT)),
        (answered(429, Retry_After=10), Retry(11.0, RATE_LIMIT)),
        (answered(429, Retry_After=60), Retry(60.0, RATE_LIMIT)),
        (answered(429, Retry_After=61), GiveUp(TOO_LONG)),
        (answered(429, Retry_After="soon"), Retry(1.0, RATE_LIMIT)),
        (answered(500), Retry(1.0, "the server failed (500)")),
        (answered(599, "PATCH"), Retry(1.0, "the server failed (599)")),
        *((answered(status), GiveUp(HOPELESS)) for status in (400, 401, 403, 404, 409, 412, 413, 418)),
        # A create
        (answered(503, "POST"), GiveUp(UNSAFE)),
        (answered(429, "POST"), GiveUp(HOPELESS)),
        (answered(429, "POST", x_ratelimit_remaining=3), GiveUp(HOPELESS)),
        (answered(429, "POST", x_ratelimit_remaining=3, Retry_After=1), GiveUp(HOPELESS)),
        (answered(429, "POST", x_ratelimit_remaining=0), Retry(1.0, RATE_LIMIT)),
        (answered(429, "POST", Retry_After=1), Retry(2.0, RATE_LIMIT)),
    ],
)
def test_an_answer(failure, decision):
    assert decide(failure) == decision


@pytest.mark.parametrize("error", NEVER_SENT, ids=repr)
@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_what_never_reached_the_server_is_sent_again(method, error):
    assert isinstance(decide(Failure(method, error=error)), Retry)


@pytest.mark.parametrize("error", PERHAPS_CARRIED_OUT, ids=repr)
def test_what_may_have_been_carried_out_is_sent_again_where_that_does_no_harm(error):
    assert isinstance(decide(Failure("GET", error=error)), Retry)
    assert isinstance(decide(Failure("patch", error=error)), Retry)
    assert decide(Failure("POST", error=error)) == GiveUp(UNSAFE)


@pytest.mark.parametrize("error", HOPELESS_ERRORS, ids=repr)
def test_what_somebody_has_to_mend(error):
    assert decide(Failure("GET", error=error)) == GiveUp(HOPELESS)


def test_the_back_off_doubles_up_to_its_limit():
    waits = [
        decide(answered(503), attempt=attempt, policy=RetryPolicy(tries=9), jitter=1).wait for attempt in range(1, 9)
    ]
    assert waits == [1, 2, 4, 8, 16, 16, 16, 16]


def test_the_end():
    assert isinstance(decide(answered(503), attempt=3), Retry)
    assert decide(answered(503), attempt=4) == GiveUp("4 tries were made")
    assert decide(answered(503), left=0) == GiveUp(TOO_LONG)
    assert decide(answered(503), left=0.25).wait == 0.25
    assert decide(answered(503), policy=NO_RETRIES) == GiveUp("1 tries were made")


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": st.one_of(st.integers(-5, 10**6).map(str), st.text(), st.just("Fri, 15 Jan 2027 08:00:30 GMT")),
        "x-ratelimit-remaining": st.one_of(st.integers(0, 100).map(str), st.text()),
        "x-ratelimit-reset": st.one_of(st.integers(0, 2 * 10**9).map(str), st.integers(-60, 600).map(epoch), st.text()),
        "Date": st.one_of(st.just("Fri, 15 Jan 2027 08:00:00 GMT"), st.text()),
    },
)
METHODS = st.sampled_from(["GET", "PATCH", "PUT", "POST", "DELETE", "get", "LOCK"])
FAILURES = st.one_of(
    st.builds(Failure, METHODS, status=st.integers(100, 999), headers=HEADERS),
    st.builds(Failure, METHODS, error=st.sampled_from(NEVER_SENT + PERHAPS_CARRIED_OUT + HOPELESS_ERRORS)),
)


@settings(max_examples=1_000, deadline=None)
@given(
    failure=FAILURES,
    attempt=st.integers(1, 12),
    left=st.floats(-100, 200),
    jitter=st.floats(0, 1, exclude_max=True),
    policy=st.builds(RetryPolicy, tries=st.integers(1, 12), budget=st.floats(0, 200)),
)
def test_the_promises(figures, failure, attempt, left, jitter, policy):
    """Never past the budget, never what no waiting mends, never earlier than the server asks."""
    decision = decide(failure, attempt=attempt, left=left, jitter=jitter, policy=policy)
    figures.add("retry decisions tried")
    if isinstance(decision, GiveUp):
        assert decision.reason
        return
    assert attempt < policy.tries
    assert 0 <= decision.wait <= left
    assert decision.wait >= (asked_wait(failure.status, failure.headers, NOW) or 0)
    assert failure.error not in HOPELESS_ERRORS
    assert failure.status is None or failure.status == 429 or failure.status >= 500
    if failure.method in ("POST", "LOCK"):
        assert failure.status == 429 or failure.error in NEVER_SENT
