"""What is sent again, and when: the decisions, without a socket and without a clock."""

from __future__ import annotations

import gzip
import io
import json
import logging
import ssl
from http.client import BadStatusLine, RemoteDisconnected, UnknownProtocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPConnectionPool, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from airflow_provider_moengage.client.bodies import read_body
from airflow_provider_moengage.client.network_errors import in_plain_words, is_proxy_refusal, is_tls_refusal
from airflow_provider_moengage.client.refusals import AUTH_CODE_HEADER, error_from_answer
from airflow_provider_moengage.client.retry import (
    NO_RETRIES,
    Failure,
    GiveUp,
    NoAnswerError,
    PolicyRetry,
    Retry,
    RetryPolicy,
)
from airflow_provider_moengage.client.wait_headers import asked_wait

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
        (answered(408), Retry(1.0, "the server did not get the whole request in time (408)")),
        (answered(421), Retry(1.0, "the connection has led to another server (421)")),
        (answered(425, Retry_After=2), Retry(3.0, "the server found it too early (425)")),
        (answered(499, "PATCH"), Retry(1.0, "a proxy hung up (499)")),
        *((answered(status), GiveUp(HOPELESS)) for status in (400, 401, 403, 404, 409, 412, 413, 418, 423)),
        (Failure("PATCH", 429, {"Retry-After": "1"}, is_workspace_full=True), GiveUp(HOPELESS)),
        (Failure("GET"), GiveUp(HOPELESS)),
        # A create
        *((answered(status, "POST"), GiveUp(UNSAFE)) for status in (408, 499, 500, 503)),
        (answered(421, "POST"), Retry(1.0, "the connection has led to another server (421)")),
        (answered(425, "POST"), Retry(1.0, "the server found it too early (425)")),
        (answered(429, "POST"), Retry(1.0, RATE_LIMIT)),
        (answered(429, "POST", x_ratelimit_remaining=3, Retry_After=1), Retry(2.0, RATE_LIMIT)),
        (Failure("POST", 429, {"Retry-After": "1"}, is_workspace_full=True), GiveUp(HOPELESS)),
    ],
)
def test_an_answer(failure, decision):
    assert decide(failure) == decision


@pytest.mark.parametrize("body", ["{}", "", '{"title": "Request Error", "description": "of a proxy"}'])
@pytest.mark.parametrize("code", ["", "ER007"])
@pytest.mark.parametrize("status", range(400, 600))
def test_what_is_sent_again_is_a_retryable_error(status, code, body):
    """What Airflow's retries, the sensors and the bulk operators go by must not say otherwise."""
    if status == 429 and "Request Error" in body:
        return  # the connection test tells a workspace that is not known by it
    error = error_from_answer(status, body, call="GET /", hide=str, headers={AUTH_CODE_HEADER: code})
    assert isinstance(decide(answered(status)), Retry) == error.retryable


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


CONNECTION = HTTPConnection("host", 80)
POOL = HTTPConnectionPool("host", 80)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NewConnectionError(CONNECTION, "refused"), "refused"),
        (ReadTimeoutError(POOL, "/", "silence: read timeout=30"), "silence: read timeout=30"),
        (ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")), "[Errno 104] reset"),
        (ProtocolError("Connection aborted.", RemoteDisconnected("closed")), "closed"),
        (ProtocolError("Connection aborted.", BadStatusLine("bob@example.com")), "what came is no answer in HTTP/1"),
        (ProtocolError("Connection aborted.", UnknownProtocol("HTTP/bob")), "what came is no answer in HTTP/1"),
        (ProxyError("no connection", OSError("Tunnel connection failed: 503 bob@example.com")), "it answered 503"),
        (ProxyError("no connection", OSError(104, "reset")), "reset"),
        (ProtocolError("Response ended prematurely"), "Response ended prematurely"),
        (ProtocolError(), ""),
        (OSError(104, "reset"), "[Errno 104] reset"),
        (SSLError("HTTPConnection: of whom nothing follows"), "HTTPConnection: of whom nothing follows"),
        (None, "None"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_happened_to_a_connection(error, words):
    assert in_plain_words(error) == words


@pytest.mark.parametrize("error", [None, OSError("Tunnel connection failed: 407"), *NEVER_SENT], ids=repr)
def test_no_refusal(error):
    assert is_proxy_refusal(error) is False
    assert is_tls_refusal(error) is False


class TestPolicyRetry:
    """Where urllib3 asks, with its own answers and errors, on a clock that stands still."""

    LIST = "/v3/custom-segments?name=camp"

    @pytest.fixture(autouse=True)
    def _a_clock_that_stands_still(self, clock, monkeypatch):
        monkeypatch.setattr(clock, "monotonic", lambda: 1_000.0 + sum(clock.slept))
        monkeypatch.setattr(clock, "time", lambda: NOW + sum(clock.slept))
        monkeypatch.setattr("airflow_provider_moengage.client.retry.random.random", lambda: 0.5)

    @pytest.fixture
    def recorded(self):
        return []

    @pytest.fixture
    def repeated(self):
        return []

    @pytest.fixture
    def first(self, recorded, repeated):
        return PolicyRetry(POLICY, lambda *answer: recorded.append(answer), repeated.append)

    @staticmethod
    def response(status, body=b"", **headers):
        return HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)

    def test_urllib3_itself_decides_nothing(self, first):
        assert (first.total, first.redirect, first.raise_on_status) == (None, 0, False)

    @pytest.mark.parametrize("status", [200, 302, 400, 409, 423, 428, 430, 498])
    def test_an_answer_that_is_no_failure(self, first, status):
        assert first.is_retry("GET", status, has_retry_after=True) is False

    @pytest.mark.parametrize("status", [408, 421, 425, 429, 499, 500, 503, 599])
    def test_an_answer_that_is_one(self, first, status):
        assert first.is_retry("POST", status) is True

    def test_the_next_try(self, first, recorded, caplog):
        with caplog.at_level(logging.DEBUG, logger="airflow_provider_moengage"):
            second = first.increment("GET", self.LIST, self.response(429, **{"Retry-After": "7"}))
        assert (first.attempt, first.first_failure, first.not_before) == (1, None, 0.0)
        assert (second.attempt, second.first_failure, second.not_before) == (2, 1_000.0, 1_008.0)
        assert (second.policy, second.record) == (first.policy, first.record)
        assert str(second) == "try 2 of 4"
        ((*call, headers),) = recorded
        assert call == ["GET", self.LIST, 429]
        assert headers["retry-after"] == "7"
        assert caplog.messages == [
            f"GET {self.LIST}: {RATE_LIMIT}. It is sent again in 8.0 s (try 2 of 4).",
        ]

    def test_it_waits_once(self, first, clock):
        first.sleep()
        second = first.increment("GET", self.LIST, self.response(503))
        second.sleep(self.response(503))
        second.sleep()
        assert clock.slept == [1.0]

    def test_the_time_counts_from_the_first_failure(self, first, clock):
        second = first.increment("GET", self.LIST, error=ReadTimeoutError(POOL, self.LIST, "silence"))
        clock.sleep(50)
        third = second.increment("GET", self.LIST, self.response(429, **{"Retry-After": "10"}))
        assert (third.attempt, third.first_failure, third.not_before) == (3, 1_000.0, 1_060.0)
        with pytest.raises(NoAnswerError):
            second.increment("GET", self.LIST, self.response(429, **{"Retry-After": "11"}))

    def test_a_date_is_read_by_the_clock(self, first):
        headers = {"x-ratelimit-reset": epoch(30)}
        assert first.increment("GET", self.LIST, self.response(429, **headers)).not_before == 1_031.0

    def test_an_error_is_told_in_plain_words(self, first, recorded, caplog):
        with caplog.at_level(logging.DEBUG, logger="airflow_provider_moengage"):
            second = first.increment("PATCH", self.LIST, error=NewConnectionError(CONNECTION, "refused"))
        assert second.attempt == 2
        assert recorded == []
        assert caplog.messages == [
            f"PATCH {self.LIST}: no connection could be made (refused). It is sent again in 1.0 s (try 2 of 4).",
        ]

    def test_the_last_error_is_the_reason(self, first, recorded, caplog):
        error = SSLError("no CA bundle")
        with caplog.at_level(logging.DEBUG, logger="airflow_provider_moengage"), pytest.raises(NoAnswerError) as caught:
            first.increment("GET", self.LIST, error=error, _pool=POOL)
        assert (caught.value.pool, caught.value.url, caught.value.reason) == (POOL, self.LIST, error)
        assert caught.value.tries == 1
        assert recorded == []
        assert caplog.messages == [f"GET {self.LIST} is not sent again: {HOPELESS}."]

    @pytest.mark.parametrize(("status", "may_be_twice"), [(429, False), (421, False), (500, True), (408, True)])
    def test_a_second_one_of_what_was_carried_out_is_recorded(self, first, repeated, clock, status, may_be_twice):
        first.increment("PUT", self.LIST, self.response(status)).increment("PUT", self.LIST, self.response(status))
        assert repeated == ["PUT", "PUT"] * may_be_twice

    def test_a_last_answer_is_a_reason_too(self, recorded):
        third = PolicyRetry(RetryPolicy(tries=3), lambda *answer: recorded.append(answer), [].append, attempt=3)
        response = self.response(503, b"ill")
        with pytest.raises(NoAnswerError) as caught:
            third.increment("GET", self.LIST, response)
        assert isinstance(caught.value.reason, ResponseError)
        assert str(caught.value.reason) == "it is an error"
        assert caught.value.tries == 3
        # The client learns from it, and shows what it says.
        assert recorded == []
        assert response.read() == b"ill"

    @pytest.mark.parametrize(
        "body",
        [
            {"response_id": "x", "type": "e", "error": {"code": "Limit", "actual_count": 1_000, "limit": 1_000}},
            {"title": "Limit", "description": "too many", "actual_count": 1_000, "limit": 1_000},
            {"status": "fail", "error": {"type": "Limit", "actual_count": 1_000, "limit": 1_000}},
        ],
    )
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    @pytest.mark.parametrize("method", ["PATCH", "POST"])
    def test_a_full_workspace_is_not_asked_again(self, first, recorded, body, encoding, method):
        """Whatever its headers say; and whoever shows the error reads the body as if nobody had."""
        sent = json.dumps(body).encode()
        headers = {"Retry-After": "1", "x-ratelimit-remaining": "0", "Content-Encoding": encoding}
        response = self.response(429, gzip.compress(sent) if encoding == "gzip" else sent, **headers)
        with pytest.raises(NoAnswerError):
            first.increment(method, self.LIST, response)
        assert recorded == []
        assert read_body(response, 1_000_000) == (sent, "")

    def test_the_body_of_a_last_refusal_is_whole(self, first):
        """However long it is: only its beginning is read to decide."""
        sent = b" " * 1_000_000
        response = self.response(429, sent, **{"Retry-After": "3600"})
        with pytest.raises(NoAnswerError):
            first.increment("GET", self.LIST, response)
        assert read_body(response, 2_000_000) == (sent, "")

    def test_without_a_method_nothing_is_known_to_do_no_harm(self, first, recorded):
        with pytest.raises(NoAnswerError) as caught:
            first.increment(response=self.response(503))
        assert caught.value.url == ""
        assert first.increment(response=self.response(429, **{"Retry-After": "1"})).attempt == 2
        assert [answer[:3] for answer in recorded] == [("", "", 429)]

    @pytest.mark.parametrize("size", [0, 64 * 1024, 1_000_000])
    def test_what_is_not_wanted_holds_no_connection(self, first, size):
        """It is read to its end, so that its connection can be used again, or closed with it."""
        response = self.response(503, b" " * size)
        first.increment("GET", self.LIST, response)
        assert response.closed

    def test_urllib3_does_not_say_it_again(self, first, caplog):
        logger = logging.getLogger("urllib3.connectionpool")
        with caplog.at_level(logging.DEBUG, logger=logger.name):
            logger.warning("Retrying (%r) after connection broken by '%r': %s", first, OSError(), "/")
            logger.warning("Connection pool is full, discarding connection: %s", "host")
            logger.warning("without anything to put in")
        assert caplog.messages == [
            "Connection pool is full, discarding connection: host",
            "without anything to put in",
        ]


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
    st.tuples(METHODS, st.integers(100, 999), HEADERS, st.none(), st.booleans()),
    st.tuples(
        *(METHODS, st.none(), st.just({})),
        *(st.sampled_from(NEVER_SENT + PERHAPS_CARRIED_OUT + HOPELESS_ERRORS), st.sampled_from([False])),
    ),
).map(Failure._make)


@settings(max_examples=1_000, deadline=None)
@given(
    failure=FAILURES,
    attempt=st.integers(1, 12),
    left=st.floats(-100, 200),
    jitter=st.floats(0, 1, exclude_max=True),
    tries=st.integers(1, 12),
    budget=st.floats(0, 200),
)
def test_the_promises(figures, failure, attempt, left, jitter, tries, budget):
    """Never past the budget, never what no waiting mends, never earlier than the server asks."""
    policy = RetryPolicy(tries=tries, budget=budget)
    decision = decide(failure, attempt=attempt, left=left, jitter=jitter, policy=policy)
    figures.add("retry decisions tried")
    if isinstance(decision, GiveUp):
        assert decision.reason
        return
    assert attempt < policy.tries
    assert 0 <= decision.wait <= left
    assert decision.wait >= (asked_wait(failure.status, failure.headers, NOW) or 0)
    assert failure.error not in HOPELESS_ERRORS
    assert failure.status is None or failure.status in (408, 421, 425, 429, 499) or failure.status >= 500
    assert not failure.is_workspace_full
    if failure.method in ("POST", "LOCK"):
        assert failure.status in (421, 425, 429) or failure.error in NEVER_SENT
