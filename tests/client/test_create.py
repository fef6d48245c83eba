"""Creating a segment: once, whatever becomes of the answer."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    ConnectionFailedError,
    CreateUnclearError,
    DuplicateFiltersError,
    DuplicateNameError,
    InvalidInputError,
    MoEngageError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnexpectedResponseError,
)
from tests.support import NOTHING, UNKNOWN_ID, client_of, filters

POST, LIST, GET = "POST", "LIST", "GET"


def calls(sandbox):
    kinds = {"/v3/custom-segments": LIST}
    return [request.method if request.method != "GET" else kinds.get(request.path, GET) for request in sandbox.requests]


def show(sandbox, definition):
    """Answer the next list and the next get as if the segment were there, whatever the sandbox shows of it."""
    segment = {"id": UNKNOWN_ID, "name": "camp"}
    sandbox.fail_next(method="GET", path="/v3/custom-segments", status=200, body={**NOTHING, "data": [segment]})
    shown = {**segment, **definition}
    sandbox.fail_next(method="GET", path="/v3/custom-segments/*", status=200, body={**NOTHING, "data": shown})


def test_it_is_sent_as_given(sandbox, client):
    segment = client.create_segment("camp", filters("Agra"), excluded_filters=filters("Pune"))
    assert segment["name"] == "camp"
    assert [stored["id"] for stored in sandbox.segments] == [segment["id"]]
    assert calls(sandbox) == [POST]
    assert sandbox.requests[-1].json == {
        "name": "camp",
        "included_filters": filters("Agra"),
        "excluded_filters": filters("Pune"),
    }


def test_only_what_is_given_is_sent(sandbox, client):
    client.create_segment("camp", filters())
    assert sandbox.requests[-1].json == {"name": "camp", "included_filters": filters()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"included_filters": None}, "included_filters must be"),
        ({"excluded_filters": []}, "excluded_filters must be"),
        ({"name": "a:b"}, "name has the character : at position 2"),
    ],
)
def test_what_cannot_work_is_not_sent(sandbox, client, arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        client.create_segment(**{"name": "camp", "included_filters": filters(), **arguments})
    assert sandbox.requests == []


class TestRefused:
    def test_a_name_that_is_taken(self, sandbox, client):
        other = sandbox.add_segment(name="camp", archived=True)
        with pytest.raises(DuplicateNameError) as caught:
            client.create_segment("camp", filters("Agra"))
        assert caught.value.existing_segment_name == "camp"
        assert caught.value.existing_segment_id == other["id"]
        assert calls(sandbox) == [POST, LIST]

    def test_a_name_that_is_taken_by_what_nobody_can_see(self, sandbox, client):
        sandbox.add_segment(name="camp")
        sandbox.fail_next(method="GET", status=401)
        with pytest.raises(DuplicateNameError) as caught:
            client.create_segment("camp", filters("Agra"))
        assert (caught.value.existing_segment_name, caught.value.existing_segment_id) == ("camp", None)

    def test_filters_that_another_has(self, sandbox, client):
        other = sandbox.add_segment(name="other", included_filters=filters())
        with pytest.raises(DuplicateFiltersError) as caught:
            client.create_segment("camp", filters())
        assert caught.value.existing_segment_name == "other"
        assert caught.value.existing_segment_id == other["id"]
        assert calls(sandbox) == [POST]

    def test_a_workspace_that_is_full(self, sandbox, client, clock):
        error = {"code": "Too Many Requests", "message": "Total active segments limit", "actual_count": 9, "limit": 8}
        sandbox.fail_next(status=429, body={"error": error})
        with pytest.raises(ActiveSegmentLimitError) as caught:
            client.create_segment("camp", filters())
        assert (caught.value.actual_count, caught.value.limit) == (9, 8)
        assert not caught.value.retryable
        assert calls(sandbox) == [POST]
        assert clock.slept == []


class TestNotReceived:
    def test_a_rate_limit(self, sandbox, client, clock):
        sandbox.fail_next(status=429, headers={"Retry-After": "2", "x-ratelimit-remaining": "0"})
        assert client.create_segment("camp", filters())["name"] == "camp"
        assert calls(sandbox) == [POST, POST]
        assert 2 <= sum(clock.slept) < 4

    def test_a_long_rate_limit(self, sandbox, client, clock):
        sandbox.fail_next(status=429, headers={"Retry-After": "3600", "x-ratelimit-remaining": "0"})
        with pytest.raises(RateLimitError) as caught:
            client.create_segment("camp", filters())
        assert not caught.value.is_outcome_unknown
        assert calls(sandbox) == [POST]

    def test_nobody_listens(self, sandbox):
        with (
            client_of(sandbox, base_url="http://127.0.0.1:9") as client,
            pytest.raises(ConnectionFailedError) as caught,
        ):
            client.create_segment("camp", filters())
        assert not caught.value.is_outcome_unknown
        assert caught.value.tries == 6


LOST = [
    ({"fault": "reset"}, ConnectionFailedError),
    ({"fault": "silence"}, RequestTimeoutError),
    ({"status": 503}, ServerError),
    ({"status": 408}, ServerError),
    ({"fault": "html", "status": 200}, UnexpectedResponseError),
    ({"fault": "empty", "status": 201}, UnexpectedResponseError),
    ({"status": 201, "body": {"data": []}}, UnexpectedResponseError),
]


@pytest.mark.parametrize(("fault", "kind"), LOST)
class TestTheAnswerIsLost:
    @pytest.fixture(autouse=True)
    def _lose(self, sandbox, client, fault):
        client.timeout = (5, 0.3)
        sandbox.fail_next(method="POST", **fault)

    def test_nothing_was_created(self, sandbox, client, kind):
        with pytest.raises(kind, match="No segment of this name was there afterwards") as caught:
            client.create_segment("camp", filters())
        assert caught.value.retryable
        assert calls(sandbox) == [POST, LIST]
        assert caught.value.__context__ is None

    def test_it_is_there(self, sandbox, client, kind):
        show(sandbox, {"included_filters": filters(), "excluded_filters": filters("Agra")})
        segment = client.create_segment("camp", filters(), excluded_filters=filters("Agra"))
        assert segment["id"] == UNKNOWN_ID
        assert calls(sandbox) == [POST, LIST, GET]

    @pytest.mark.parametrize(
        ("shown", "said"),
        [
            ({"included_filters": filters("Agra")}, "has another definition"),
            ({"included_filters": filters(), "excluded_filters": filters("Agra")}, "has another definition"),
            ({}, "does not show its definition"),
        ],
    )
    def test_what_is_there_is_not_certainly_it(self, sandbox, client, kind, shown, said):
        show(sandbox, shown)
        with pytest.raises(CreateUnclearError, match=said) as caught:
            client.create_segment("camp", filters())
        assert (caught.value.existing_segment_name, caught.value.existing_segment_id) == ("camp", UNKNOWN_ID)
        assert not caught.value.retryable
        assert caught.value.__context__ is None
        assert "Agra" not in str(caught.value)
        assert calls(sandbox) == [POST, LIST, GET]

    def test_what_is_listed_without_an_id(self, sandbox, client, kind):
        listed = {**NOTHING, "data": [{"name": "camp"}]}
        sandbox.fail_next(method="GET", path="/v3/custom-segments", status=200, body=listed)
        with pytest.raises(CreateUnclearError, match="the segment of this name does not show") as caught:
            client.create_segment("camp", filters())
        assert caught.value.existing_segment_id is None
        assert calls(sandbox) == [POST, LIST]


@pytest.mark.parametrize("fault", ["lost-answer", "half-body"])
class TestItWasCarriedOut:
    def test_one_segment_is_there_whatever_the_server_shows_of_it(self, sandbox, client, fault):
        sandbox.fail_next(method="POST", fault=fault)
        try:
            found = client.create_segment("camp", filters())["id"]
        except CreateUnclearError as error:  # an older server does not show a definition
            found = error.existing_segment_id
        (stored,) = sandbox.segments
        assert stored["id"] == found
        assert calls(sandbox) == [POST, LIST, GET]

    def test_to_look_for_it_fails_too(self, sandbox, client, fault):
        sandbox.fail_next(method="POST", fault=fault)
        sandbox.fail_next(method="GET", status=429, headers={"Retry-After": "3600"})
        with pytest.raises(MoEngageError, match="It may be there: to look for it failed too") as caught:
            client.create_segment("camp", filters())
        assert caught.value.retry_after == 3_600
        assert caught.value.retryable
        assert calls(sandbox) == [POST, LIST]


@pytest.mark.parametrize("error", [MoEngageError, RateLimitError, InvalidInputError])
def test_what_was_certainly_refused(error):
    assert not error.is_outcome_unknown
