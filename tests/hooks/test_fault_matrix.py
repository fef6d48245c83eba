"""What MoEngageHook does about each fault that a server or a network can have, over a real socket in both dialects."""

from __future__ import annotations

import email.utils
import itertools
import json
import logging
import re
import time

import pytest

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    AuthenticationError,
    BadRequestError,
    DuplicateFiltersError,
    DuplicateNameError,
    EndpointNotFoundError,
    ForbiddenOperationError,
    MoEngageError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnexpectedResponseError,
)
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.support import NOTHING, UNKNOWN_ID, filters


@pytest.fixture
def hook(sandbox, monkeypatch, figures):
    """The hook of the sandbox's connection; the faults that are tried with it are counted."""
    queue = sandbox.fail_next
    queued = []

    def counted(times=1, **fault):
        queued.append(times)
        queue(times, **fault)

    monkeypatch.setattr(sandbox, "fail_next", counted)
    hook = MoEngageHook()
    yield hook
    hook.client.close()
    figures.add("faults tried", sum(queued) - len(sandbox.pending_faults))


def archive(client, segment):
    return client.archive_segment(segment["name"])


def unarchive(client, segment):
    return client.unarchive_segment(segment["name"], segment["id"])


def get(client, segment):
    return client.get_segment(segment["id"])


def update(client, segment):
    return client.update_segment(segment["id"], filters("Agra"), name="camp, renamed")


def list_all(client, segment):
    return client.list_segments()


def of_file(segment):
    url = "https://files.example.com/ids.csv?X-Amz-Signature=5f1a7c3e9b2d4f60"
    return segment["name"], "ID", "string", url


def add_users(client, segment):
    return client.add_users(*of_file(segment))


def remove_users(client, segment):
    return client.remove_users(*of_file(segment), segment_id=segment["id"])


def replace_users(client, segment):
    return client.replace_users(*of_file(segment))


ON_FILES = (add_users, remove_users, replace_users)


def create_file(client):
    name, *file = of_file({"name": "new"})
    return client.create_file_segment(name, *file, 30)


def create(client):
    return client.request("POST", "/v3/custom-segments", body={"name": "new", "included_filters": filters("Agra")})


@pytest.fixture(params=[archive, unarchive, get, update, list_all, *ON_FILES])
def call(request, sandbox, hook):
    """One of the calls, on a segment that is there."""
    kind = "file" if request.param in ON_FILES else "filter"
    segment = sandbox.add_segment(name="camp", archived=request.param is unarchive, kind=kind)
    return lambda: request.param(hook.client, segment)


def connections(sandbox):
    return {request.connection for request in sandbox.requests}


def statuses(sandbox):
    return [request.status for request in sandbox.requests]


def seconds_ahead(seconds):
    return str(int(time.time()) + seconds)


# Each as a function of the seconds to wait.
SPELLINGS = [
    ("Retry-After", str),
    ("Retry-After", lambda seconds: f"{seconds - 1}.2"),
    ("Retry-After", lambda seconds: f"{seconds}.0"),
    ("Retry-After", lambda seconds: f"{seconds}, {seconds}"),
    ("Retry-After", lambda seconds: f"1, {seconds}"),
    ("Retry-After", lambda seconds: email.utils.formatdate(time.time() + seconds, usegmt=True)),
    ("Retry-After", seconds_ahead),
    ("x-ratelimit-reset", str),
    ("x-ratelimit-reset", lambda seconds: f"{seconds - 1}.2"),
    ("x-ratelimit-reset", lambda seconds: f"{seconds}, 1"),
    ("x-ratelimit-reset", seconds_ahead),
    ("x-ratelimit-reset", lambda seconds: f"{seconds_ahead(seconds - 1)}.5"),
    ("x-ratelimit-reset", lambda seconds: f"{seconds_ahead(seconds)}000"),
    ("x-ratelimit-reset", lambda seconds: email.utils.formatdate(time.time() + seconds, usegmt=True)),
]
SPELLINGS = [
    pytest.param(header, spelled, id=f"{header}-{number}") for number, (header, spelled) in enumerate(SPELLINGS)
]


class TestWaitingMendsIt:
    def test_429_with_retry_after(self, sandbox, call, clock):
        sandbox.fail_next(status=429, headers={"Retry-After": "2"})
        assert call()
        assert statuses(sandbox)[0] == 429
        assert len(sandbox.requests) == 2
        assert connections(sandbox) == {1}
        assert 2 <= sum(clock.slept) < 4

    def test_429_with_a_date(self, sandbox, call, clock):
        now = sandbox.now
        sandbox.fail_next(status=429, headers={"Retry-After": f"{now:%a}, 01 {now:%b} {now.year + 1} 00:00:00 GMT"})
        with pytest.raises(RateLimitError) as caught:
            call()
        assert caught.value.retry_after == 86_400
        assert clock.slept == []

    def test_429_with_only_a_reset(self, sandbox, call, clock):
        reset = seconds_ahead(3)
        sandbox.fail_next(status=429, headers={"x-ratelimit-reset": reset})
        before = time.time()
        assert call()
        assert len(sandbox.requests) == 2
        assert before + sum(clock.slept) >= int(reset) - 1
        assert connections(sandbox) == {1}

    @pytest.mark.parametrize(("header", "spelled"), SPELLINGS)
    def test_429_with_any_spelling_of_a_short_wait(self, sandbox, call, clock, header, spelled):
        """The epochs and dates in it are by the sandbox's clock, which says in each answer what time it is."""
        seconds = 5
        sandbox.fail_next(status=429, headers={header: spelled(seconds)})
        assert call()
        assert len(sandbox.requests) == 2
        assert connections(sandbox) == {1}
        # Epochs in whole seconds, and the server's Date, may each be a second off.
        assert seconds - 1 <= sum(clock.slept) < seconds + 4

    @pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
    @pytest.mark.parametrize("asked", ["soon", "-1", "", "٢".encode().decode("latin-1")])
    def test_429_with_what_cannot_be_read(self, sandbox, call, clock, header, asked):
        sandbox.fail_next(status=429, headers={header: asked})
        assert call()
        assert len(sandbox.requests) == 2
        assert sum(clock.slept) <= 1

    @pytest.mark.parametrize("status", [408, 425, 499, 500, 502, 503, 504, 520])
    def test_a_failing_server(self, sandbox, call, status):
        sandbox.fail_next(status=status)
        assert call()
        assert len(sandbox.requests) == 2
        assert connections(sandbox) == {1}

    def test_a_connection_to_the_wrong_server(self, sandbox, call):
        """A new one may lead to the right one."""
        sandbox.fail_next(status=421)
        assert call()
        assert [request.status == 421 for request in sandbox.requests] == [True, False]
        assert connections(sandbox) == {1, 2}

    @pytest.mark.parametrize("fault", ["reset", "lost-answer", "silence"])
    def test_a_network_that_breaks(self, sandbox, hook, call, fault):
        hook.client.timeout = (5, 0.5)
        sandbox.fail_next(fault=fault)
        assert call()
        assert len(sandbox.requests) == 2

    def test_a_bad_day(self, sandbox, hook, call):
        """As many faults as there are retries, each of another kind."""
        hook.client.timeout = (5, 0.5)
        sandbox.fail_next(status=503)
        sandbox.fail_next(fault="reset")
        sandbox.fail_next(status=429, headers={"Retry-After": "1"})
        sandbox.fail_next(fault="silence")
        sandbox.fail_next(status=502, fault="html")
        assert call()
        assert len(sandbox.requests) == 6

    def test_a_page_of_a_proxy_that_does_not_end(self, sandbox, call, monkeypatch):
        """What comes with a refusal is read only so that the connection can be used again, as far as it is worth it."""
        monkeypatch.setattr("airflow_provider_moengage.client.retry._DRAINED_BYTES", 1_000)
        sandbox.fail_next(status=503, body="x" * 1_000_000)
        assert call()
        assert len(sandbox.requests) == 2
        assert len(connections(sandbox)) == 2

    def test_every_wait_is_logged_with_its_reason(self, sandbox, hook, caplog):
        sandbox.fail_next(status=503)
        sandbox.fail_next(status=429, headers={"Retry-After": "2"})
        with caplog.at_level(logging.WARNING, logger="airflow_provider_moengage"):
            hook.client.list_segments()
        first, second = (
            record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_moengage.")
        )
        again = r"It is sent again in \d\.\d s"
        assert re.fullmatch(rf"GET /v3/custom-segments: the server failed \(503\)\. {again} \(try 2 of 6\)\.", first)
        assert re.fullmatch(
            rf"GET /v3/custom-segments: the rate limit is used up \(429\)\. {again} \(try 3 of 6\)\.", second
        )

    @pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
    def test_the_pauses_are_random_and_double(self, sandbox, hook, clock, monkeypatch, jitter):
        monkeypatch.setattr("airflow_provider_moengage.client.retry.random.random", lambda: jitter)
        sandbox.fail_next(5, status=503)
        hook.client.list_segments()
        wanted = [most * jitter for most in (1, 2, 4, 8, 16) if jitter]
        assert [pytest.approx(wait, abs=0.3) for wait in wanted] == clock.slept

    def test_on_a_real_clock(self, sandbox, hook, monkeypatch):
        monkeypatch.setattr("airflow_provider_moengage.client.retry.time", time)
        sandbox.fail_next(status=429, headers={"Retry-After": "1"})
        started = time.monotonic()
        assert hook.client.list_segments() == []
        assert time.monotonic() - started >= 1

    def test_three_calls_take_one_connection(self, sandbox, call):
        call(), call(), call()
        assert connections(sandbox) == {1}


class TestItEnds:
    @pytest.mark.parametrize(("header", "spelled"), SPELLINGS)
    def test_429_with_any_spelling_of_an_hour(self, sandbox, call, clock, header, spelled):
        """For a deferrable operator, which defers until then."""
        sandbox.fail_next(status=429, headers={header: spelled(3_600)})
        with pytest.raises(RateLimitError) as caught:
            call()
        assert 3_500 < caught.value.retry_after <= 3_601
        assert clock.slept == []
        assert len(sandbox.requests) == 1

    def test_silence(self, sandbox, hook, call, clock):
        hook.client.timeout = (5, 0.3)
        sandbox.fail_next(50, fault="silence")
        with pytest.raises(RequestTimeoutError, match=r"no answer .* read timeout 0\.3 s.*6 tries") as caught:
            call()
        assert caught.value.tries == len(sandbox.requests) == 6
        assert sum(clock.slept) <= 75

    def test_the_budget_ends_what_the_tries_do_not(self, sandbox, hook, call, clock):
        """Each silence lasts half a minute."""
        hook.client.timeout = (5, 0.1)
        sandbox.fail_next(50, fault="silence")
        clock.when_slept.append(lambda _: clock.move(30))
        with pytest.raises(RequestTimeoutError) as caught:
            call()
        assert caught.value.tries == 4

    @pytest.mark.parametrize("status", [500, 503])
    def test_a_server_that_stays_ill(self, sandbox, call, clock, status):
        sandbox.fail_next(50, status=status)
        with pytest.raises(ServerError, match=rf"\[{status} .*6 tries") as caught:
            call()
        assert caught.value.tries == len(sandbox.requests) == 6
        assert connections(sandbox) == {1}
        assert sum(clock.slept) <= 31


FULL_HEADERS = [
    {},
    {"Retry-After": "1"},
    {"Retry-After": "3600"},
    {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"},
]
_FULL = {"message": "The limit of active segments is reached", "actual_count": 1_000, "limit": 1_000}
FULL_BODIES = [
    {"response_id": "abCDefGH", "type": "custom_segment", "error": {"code": "Limit reached", **_FULL}},
    {"title": "Limit reached", "description": _FULL["message"], "actual_count": 1_000, "limit": 1_000},
    {"status": "fail", "error": {"type": "Limit reached", "request_id": "abCDefGH", **_FULL}},
]


class TestWaitingMendsNothing:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, BadRequestError),
            (401, AuthenticationError),
            (403, ForbiddenOperationError),
            (418, MoEngageError),
            # Where gateways send it, wrong keys have locked the account, and more tries keep it locked.
            (423, MoEngageError),
        ],
    )
    def test_one_request(self, sandbox, call, clock, status, kind):
        sandbox.fail_next(status=status)
        with pytest.raises(kind) as caught:
            call()
        assert not caught.value.retryable
        assert len(sandbox.requests) == 1
        assert clock.slept == []

    @pytest.mark.parametrize("headers", FULL_HEADERS)
    @pytest.mark.parametrize("body", FULL_BODIES)
    def test_a_full_workspace(self, sandbox, call, clock, headers, body):
        """The body of the 429 decides, whatever its headers say."""
        sandbox.fail_next(status=429, headers=headers, body=body)
        with pytest.raises(ActiveSegmentLimitError) as caught:
            call()
        assert (caught.value.actual_count, caught.value.limit) == (1_000, 1_000)
        assert (caught.value.tries, caught.value.retry_after, caught.value.retryable) == (1, None, False)
        assert json.loads(caught.value.body) == body
        assert len(sandbox.requests) == 1
        # It says nothing of the limit of calls: the next one goes at once.
        assert call()
        assert clock.slept == []

    @pytest.mark.parametrize("headers", FULL_HEADERS)
    @pytest.mark.parametrize("body", FULL_BODIES)
    def test_a_create_in_a_full_workspace(self, sandbox, hook, clock, headers, body):
        sandbox.fail_next(status=429, headers=headers, body=body)
        with pytest.raises(ActiveSegmentLimitError):
            create(hook.client)
        assert len(sandbox.requests) == 1
        assert clock.slept == []

    @pytest.mark.parametrize("status", [408, 499, 500, 503])
    def test_a_create_that_may_have_been_carried_out(self, sandbox, hook, clock, status):
        sandbox.fail_next(status=status)
        with pytest.raises(ServerError) as caught:
            create(hook.client)
        assert caught.value.retryable
        assert len(sandbox.requests) == 1
        assert clock.slept == []

    @pytest.mark.parametrize("status", [408, 499, 500, 503])
    def test_a_file_segment_that_may_have_been_created(self, sandbox, hook, clock, status):
        sandbox.fail_next(status=status, method="POST")
        with pytest.raises(ServerError, match="No segment of this name was there afterwards") as caught:
            create_file(hook.client)
        assert caught.value.retryable
        assert [request.method for request in sandbox.requests] == ["GET", "POST", "GET"]
        assert clock.slept == []

    @pytest.mark.parametrize("status", [421, 425, 429])
    def test_a_file_segment_that_was_refused_for_now(self, sandbox, hook, status):
        sandbox.fail_next(status=status, method="POST")
        assert create_file(hook.client)["cs_name"] == "new"
        assert [request.method for request in sandbox.requests] == ["GET", "POST", "POST"]

    @pytest.mark.parametrize("status", [421, 425, 429])
    def test_a_create_that_was_refused_for_now(self, sandbox, hook, status):
        sandbox.fail_next(status=status)
        assert create(hook.client)
        assert len(sandbox.requests) == 2

    def test_404_shows_the_servers_own_message(self, sandbox, hook):
        with pytest.raises(MoEngageError, match="Custom segment not found for the given name or cs_id: nobody"):
            hook.client.archive_segment("nobody")
        assert len(sandbox.requests) == 1

    def test_another_404(self, sandbox, call):
        sandbox.fail_next(status=404, body={"message": "no such route on this gateway"})
        with pytest.raises(EndpointNotFoundError, match="no such route on this gateway"):
            call()
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize(
        ("fault", "shown"), [("html", "'<!DOCTYPE html>"), ("half-body", "bytes: '{"), ("empty", "an empty body")]
    )
    def test_an_answer_that_is_none(self, sandbox, call, fault, shown):
        sandbox.fail_next(fault=fault)
        with pytest.raises(UnexpectedResponseError) as caught:
            call()
        assert shown in str(caught.value)
        assert f"[{caught.value.status}; " in str(caught.value)
        assert caught.value.status in (200, 202)
        assert len(sandbox.requests) == 1


TAKEN = {"error": {"code": "Resource not created", "message": "Custom segment with this name already exists"}}


class TestALostAnswer:
    """The update was carried out, but its answer never came: the retry ends in the true state, and in a success."""

    @pytest.fixture
    def segment_id(self, sandbox):
        return sandbox.add_segment(name="camp")["id"]

    @pytest.mark.parametrize("name", [None, "camp, renamed"])
    @pytest.mark.parametrize("lost", [1, 3])
    def test_an_update(self, sandbox, hook, segment_id, name, lost):
        sandbox.fail_next(lost, fault="lost-answer", method="PATCH")
        segment = hook.client.update_segment(segment_id, filters("Agra"), name=name, updated_by="a@b.c")
        self.check(sandbox, segment, name or "camp")
        assert len(sandbox.requests) == lost + 1

    def test_a_rename_that_meets_its_own_new_name(self, sandbox, hook, segment_id):
        sandbox.fail_next(fault="lost-answer", method="PATCH")
        sandbox.fail_next(status=409, body=TAKEN, method="PATCH")
        segment = hook.client.update_segment(segment_id, filters("Agra"), name="camp, renamed", updated_by="a@b.c")
        self.check(sandbox, segment, "camp, renamed")
        assert [request.method for request in sandbox.requests] == ["PATCH", "PATCH", "GET", "PATCH"]

    def test_the_second_update_brings_everything_else(self, sandbox, hook, segment_id):
        """The name was there before, and the filters were not: what the first update asked for is not left out."""
        sandbox.fail_next(status=409, body=TAKEN, method="PATCH")
        hook.client.update_segment(
            segment_id, filters("Agra"), name="camp", updated_by="a@b.c", excluded_filters=filters("Pune")
        )
        assert sandbox.requests[-1].json == {
            "included_filters": filters("Agra"),
            "excluded_filters": filters("Pune"),
            "updated_by": "a@b.c",
        }

    def test_the_name_of_another_segment_is_still_taken(self, sandbox, hook, segment_id):
        sandbox.add_segment(name="other")
        with pytest.raises(DuplicateNameError):
            hook.client.update_segment(segment_id, filters("Agra"), name="other")
        assert [request.method for request in sandbox.requests] == ["PATCH", "GET"]

    @pytest.mark.parametrize("name", [None, "camp, renamed"])
    def test_the_filters_of_another_segment_are_still_taken(self, sandbox, hook, segment_id, name):
        other = sandbox.add_segment(name="other", included_filters=filters("Agra"))
        with pytest.raises(DuplicateFiltersError) as caught:
            hook.client.update_segment(segment_id, filters("Agra"), name=name)
        assert caught.value.existing_segment_id == other["id"]

    @pytest.mark.parametrize("verb", ["archive", "unarchive"])
    def test_archive_and_unarchive(self, sandbox, hook, segment_id, verb):
        sandbox.fail_next(fault="lost-answer")
        assert getattr(hook.client, f"{verb}_segment")("camp")["success"] is True
        assert [segment["archived"] for segment in sandbox.segments] == [verb == "archive"]

    @pytest.mark.parametrize("call", ON_FILES)
    @pytest.mark.parametrize("lost", [1, 3])
    def test_a_change_of_users(self, sandbox, hook, call, lost):
        segment = sandbox.add_segment(name="camp", kind="file")
        sandbox.fail_next(lost, fault="lost-answer")
        assert call(hook.client, segment)["success"] is True
        assert len(sandbox.requests) == lost + 1

    def test_a_new_file_segment(self, sandbox, hook):
        """It is never sent twice; that it is there, and was not before, says that it was carried out."""
        sandbox.fail_next(fault="lost-answer", method="POST")
        answer = create_file(hook.client)
        (segment,) = sandbox.segments
        assert (answer["success"], answer["cs_name"], answer["cs_id"]) == (True, "new", segment["id"])
        assert [request.method for request in sandbox.requests] == ["GET", "POST", "GET"]

    def check(self, sandbox, answer, name):
        (segment,) = sandbox.segments
        assert (segment["name"], segment["included_filters"]) == (name, filters("Agra"))
        assert segment["updated_by"] == "a@b.c"
        assert (answer["name"], answer["id"]) == (name, segment["id"])
        assert answer["included_filters"] == filters("Agra")


FAULTS = [
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 429},
    {"status": 429, "headers": {"x-ratelimit-reset": "2"}},
    {"status": 408},
    {"status": 421},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"fault": "reset"},
    {"fault": "lost-answer"},
    {"status": 502, "fault": "html"},
    {"status": 502, "fault": "empty"},
    {"status": 503, "fault": "half-body"},
]


def test_any_two_faults_after_each_other(sandbox, hook, clock):
    segment = sandbox.add_segment(name="camp")
    for first, second in itertools.product(FAULTS, repeat=2):
        sandbox.fail_next(**first)
        sandbox.fail_next(**second)
        before = len(sandbox.requests)
        assert get(hook.client, segment)["name"] == "camp"
        assert len(sandbox.requests) == before + 3


def test_a_used_up_minute_is_waited_for_before_the_429(sandbox, hook, clock):
    sandbox.fail_next(
        status=200, body=NOTHING, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": seconds_ahead(20)}
    )
    hook.client.list_segments()
    MoEngageHook().client.list_segments()
    assert statuses(sandbox) == [200, 200]
    assert 0 < sum(clock.slept) <= 21


def test_the_connection_test_does_not_wait(sandbox, hook, clock):
    sandbox.fail_next(2, status=503)
    accepted, message = hook.test_connection()
    assert not accepted
    assert "failed to answer" in message
    assert clock.slept == []
    assert len(sandbox.requests) == 1
    assert UNKNOWN_ID not in message
