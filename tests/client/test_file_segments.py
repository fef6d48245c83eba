"""File segments: what is sent and refused, what a lost answer means, and that no signature is ever shown."""

from __future__ import annotations

import json
import logging
import pickle
from datetime import timedelta
from urllib.parse import quote

import pytest

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    BadRequestError,
    CreateUnclearError,
    DuplicateNameError,
    InvalidInputError,
    MoEngageError,
    OtherSegmentError,
    RateLimitError,
    SegmentNotFoundError,
    ServerError,
    UnexpectedResponseError,
)
from airflow_provider_moengage.client.file_inputs import masked_url, secrets_in
from airflow_provider_moengage.client.limits import FILE_SEGMENTS, LIMITS, endpoint_of
from tests.support import NOTHING, UNKNOWN_ID

PATH = "/v2/custom-segments/file-segment"
SIGNATURE = "5f1a7c3e9b2d4f6081a3c5e7092b4d6f"
TOKEN = "do-not-show-this-token"
URL = f"https://bucket.s3.amazonaws.com/ids.csv?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
CALLBACK = f"https://airflow.example.com/called?token={TOKEN}"
FILE = ("ID", "string", URL)
CHANGES = {"add_users": "add-users", "remove_users": "remove-users", "replace_users": "replace"}


def methods(sandbox):
    return [request.method for request in sandbox.requests]


class TestSent:
    def test_a_create(self, sandbox, client):
        answer = client.create_file_segment("vip", *FILE, 30, callback_url=CALLBACK, emails=["a@b.c"])
        (segment,) = sandbox.segments
        assert answer == {
            "message": "File-segment creation request accepted",
            "success": True,
            "cs_name": "vip",
            "cs_id": segment["id"],
        }
        assert methods(sandbox) == ["GET", "POST"]
        assert sandbox.requests[-1].path == PATH
        assert sandbox.requests[-1].json == {
            "name": "vip",
            "attribute_name": "ID",
            "attribute_type": "string",
            "file_url": URL,
            "callback_url": CALLBACK,
            "emails": ["a@b.c"],
            "expiry_time": 30,
        }

    @pytest.mark.parametrize("method", CHANGES)
    def test_a_change(self, sandbox, client, method):
        segment = sandbox.add_segment(name="vip", kind="file")
        answer = getattr(client, method)("another", *FILE, segment_id=segment["id"])
        assert (answer["cs_name"], answer["cs_id"]) == ("vip", segment["id"])
        (request,) = sandbox.requests
        assert (request.method, request.path) == ("PUT", f"{PATH}/{CHANGES[method]}")
        assert request.json == {
            "name": "another",
            "attribute_name": "ID",
            "attribute_type": "string",
            "file_url": URL,
            "cs_id": segment["id"],
        }

    def test_the_database_name_goes_with_them(self, sandbox, client):
        client.database_name = "SandboxDB"
        client.create_file_segment("vip", *FILE, 30)
        assert sandbox.requests[-1].headers["moe-dbname"] == "SandboxDB"

    def test_they_share_one_limit(self):
        paths = [("POST", PATH), *(("PUT", f"{PATH}/{action}") for action in CHANGES.values())]
        assert {endpoint_of(*call) for call in paths} == {FILE_SEGMENTS}
        assert [(limit.calls, limit.seconds) for limit in LIMITS[FILE_SEGMENTS]] == [(10, 3_600), (100, 86_400)]


BAD = [
    ({"name": "a:b"}, "name has the character : at position 2"),
    ({"attribute_name": " "}, "attribute_name is blank"),
    ({"attribute_type": "bool"}, 'attribute_type must be "string" or "double", not str \\(\'bool\'\\)'),
    ({"attribute_type": None}, "attribute_type must be"),
    ({"attribute_type": []}, "attribute_type must be"),
    ({"file_url": f"ftp://host/x?sig={SIGNATURE}"}, "file_url has the scheme ftp"),
    ({"file_url": f"bucket/ids.csv?sig={SIGNATURE}"}, "file_url has no scheme"),
    ({"file_url": f"https:///x?sig={SIGNATURE}"}, "file_url is no http\\(s\\) address"),
    ({"file_url": f"https://host/a b?sig={SIGNATURE}"}, "file_url is no http\\(s\\) address"),
    ({"file_url": f"https://[host/?sig={SIGNATURE}"}, "file_url is no address"),
    ({"file_url": None}, "file_url must be a string"),
    ({"expiry_days": 0}, "expiry_days must be a whole number of days, 1 or more, not int \\(0\\)"),
    ({"expiry_days": 1.5}, "expiry_days must be"),
    ({"expiry_days": True}, "expiry_days must be"),
    ({"expiry_days": "soon"}, "expiry_days must be"),
    ({"expiry_days": 2**31}, "expiry_days must be"),
    ({"callback_url": f"nowhere?sig={SIGNATURE}"}, "callback_url has no scheme"),
    ({"emails": "a@b.c"}, "emails must be a list of email addresses, not str of length 5"),
    ({"emails": ["a@b.c", SIGNATURE]}, "emails must be a list of email addresses: entry 2 is none"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD)
def test_what_cannot_work_is_not_sent(sandbox, client, arguments, sentence):
    usual = {"name": "vip", "attribute_name": "ID", "attribute_type": "string", "file_url": URL, "expiry_days": 30}
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        client.create_file_segment(**{**usual, **arguments})
    assert SIGNATURE not in str(caught.value)
    assert sandbox.requests == []


def test_days_as_a_template_renders_them(sandbox, client):
    client.create_file_segment("vip", *FILE, "30")
    assert sandbox.requests[-1].json["expiry_time"] == 30


class TestRefused:
    def test_a_name_that_is_listed_costs_no_call(self, sandbox, client):
        other = sandbox.add_segment(name="vip", archived=True)
        with pytest.raises(DuplicateNameError) as caught:
            client.create_file_segment("vip", *FILE, 30)
        assert (caught.value.existing_segment_name, caught.value.existing_segment_id) == ("vip", other["id"])
        assert methods(sandbox) == ["GET"]

    @pytest.mark.parametrize("description", ["Name already exists: vip", "Name already exists : vip"])
    def test_a_name_that_is_taken_all_the_same(self, sandbox, client, description):
        body = {"title": "Resource not created", "description": description}
        sandbox.fail_next(method="POST", status=409, body=body)
        with pytest.raises(DuplicateNameError, match="Name already exists") as caught:
            client.create_file_segment("vip", *FILE, 30)
        assert caught.value.existing_segment_name == "vip"

    def test_archived_so_long_ago_that_nobody_lists_it(self, sandbox, client):
        sandbox.add_segment(name="vip", archived=True)
        sandbox.move_clock(timedelta(days=181))
        with pytest.raises(DuplicateNameError):
            client.create_file_segment("vip", *FILE, 30)
        assert methods(sandbox) == ["GET", "POST"]

    def test_a_full_workspace(self, sandbox, client):
        sandbox.fail_next(method="POST", fault="active-limit")
        with pytest.raises(ActiveSegmentLimitError):
            client.create_file_segment("vip", *FILE, 30)

    @pytest.mark.parametrize("method", CHANGES)
    def test_a_segment_that_is_not_there(self, sandbox, client, method):
        with pytest.raises(SegmentNotFoundError, match="Segment not found with the given name: vip"):
            getattr(client, method)("vip", *FILE)

    @pytest.mark.parametrize("method", CHANGES)
    def test_a_filter_segment(self, sandbox, client, method):
        sandbox.add_segment(name="vip")
        with pytest.raises(BadRequestError):
            getattr(client, method)("vip", *FILE)

    @pytest.mark.parametrize("method", CHANGES)
    def test_an_answer_about_another_segment(self, sandbox, client, method):
        body = {"message": "accepted", "success": True, "cs_name": "other", "cs_id": UNKNOWN_ID}
        sandbox.fail_next(status=202, body=body)
        with pytest.raises(OtherSegmentError, match="it has answered for 'other'"):
            getattr(client, method)("vip", *FILE)

    def test_an_hour_is_used_up(self, sandbox, client, clock):
        sandbox.add_segment(name="vip", kind="file")
        for _ in range(10):
            client.add_users("vip", *FILE)
        with pytest.raises(RateLimitError) as caught:
            client.remove_users("vip", *FILE)
        assert 3_500 < caught.value.retry_after <= 3_601
        assert len(sandbox.requests) == 10
        assert clock.slept == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 503}, ServerError),
        ({"status": 408}, ServerError),
        ({"fault": "html", "status": 202}, UnexpectedResponseError),
        ({"status": 202, "body": {"message": "well"}}, UnexpectedResponseError),
    ],
)
class TestALostAnswer:
    @pytest.fixture(autouse=True)
    def _lose(self, sandbox, fault):
        sandbox.fail_next(method="POST", **fault)

    def show(self, sandbox, *segments):
        sandbox.fail_next(method="GET", status=200, body=NOTHING)
        sandbox.fail_next(method="GET", status=200, body={**NOTHING, "data": list(segments)})

    def test_nothing_was_created(self, sandbox, client, kind):
        with pytest.raises(kind, match="No segment of this name was there afterwards") as caught:
            client.create_file_segment("vip", *FILE, 30)
        assert caught.value.retryable
        assert caught.value.__context__ is None
        assert methods(sandbox) == ["GET", "POST", "GET"]

    def test_it_is_there_and_was_not_before(self, sandbox, client, kind):
        self.show(sandbox, {"id": UNKNOWN_ID, "name": "vip", "type": "FILE"})
        answer = client.create_file_segment("vip", *FILE, 30)
        assert (answer["success"], answer["cs_name"], answer["cs_id"]) == (True, "vip", UNKNOWN_ID)
        assert methods(sandbox) == ["GET", "POST", "GET"]

    def test_a_filter_segment_is_there(self, sandbox, client, kind):
        self.show(sandbox, {"id": UNKNOWN_ID, "name": "vip", "type": "ELASTIC_SEARCH"})
        with pytest.raises(CreateUnclearError, match="is a filter segment") as caught:
            client.create_file_segment("vip", *FILE, 30)
        assert (caught.value.existing_segment_name, caught.value.existing_segment_id) == ("vip", UNKNOWN_ID)
        assert not caught.value.retryable

    def test_to_look_for_it_fails_too(self, sandbox, client, kind):
        sandbox.fail_next(method="GET", status=200, body=NOTHING)
        sandbox.fail_next(method="GET", status=429, headers={"Retry-After": "3600"})
        with pytest.raises(kind, match="It may be there: to look for it failed too") as caught:
            client.create_file_segment("vip", *FILE, 30)
        assert caught.value.retry_after == 3_600


ECHOES = [
    lambda text: text,
    lambda text: text.replace("&", "&amp;"),
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text).replace("/", "\\/"),
    lambda text: text.partition("?")[2],
    lambda text: text[-len(SIGNATURE) :],
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [400, 404, 429, 500, 202])
def test_a_signature_that_is_echoed_is_never_shown(sandbox, client, caplog, echo, status):
    sandbox.add_segment(name="vip", kind="file")
    said = f"cannot fetch {echo(URL)} or tell {echo(CALLBACK)}"
    body = {"title": "Invalid Request", "description": said, "message": said, "success": False}
    sandbox.fail_next(10, status=status, body=body)
    with caplog.at_level(logging.DEBUG), pytest.raises(MoEngageError) as caught:
        client.replace_users("vip", *FILE, callback_url=CALLBACK)
    shown = [str(caught.value), repr(caught.value), str(vars(caught.value)), str(pickle.dumps(caught.value))]
    for text in [*shown, *(record.getMessage() for record in caplog.records)]:
        assert SIGNATURE not in text
        assert status == 202 or len(echo(URL)) == len(SIGNATURE) or TOKEN not in text
    assert caught.value.__context__ is None


def test_a_successful_answer_shows_none_either(sandbox, client):
    body = {"message": f"accepted {URL}", "success": True, "cs_name": "vip"}
    sandbox.fail_next(status=202, body=body)
    assert SIGNATURE not in str(client.add_users("vip", *FILE))


@pytest.mark.parametrize("echo", ["html", "empty"])
def test_the_page_of_a_proxy(sandbox, client, echo):
    sandbox.fail_next(10, status=502, body=f"<html>PUT {URL}</html>")
    with pytest.raises(ServerError) as caught:
        client.add_users("vip", *FILE)
    assert SIGNATURE not in caught.value.body
    assert SIGNATURE not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown", "secrets"),
    [
        ("https://h/a.csv", "https://h/a.csv", []),
        ("https://h/a?sig=abc%2Fd&se=1", "https://h/a?***", ["sig=abc%2Fd&se=1", "abc/d"]),
        ("https://u:p%40w@h:1/a?x", "https://***@h:1/a?***", ["x", "u:p%40w", "p@w"]),
        ("//u:p@h/a", "//***@h/a", ["u:p", "p"]),
        ("{{ url }}", "{{ url }}", []),
    ],
)
def test_what_is_shown_of_an_address(url, shown, secrets):
    assert masked_url(url) == shown
    assert secrets_in([url, None]) == secrets
