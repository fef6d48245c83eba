"""Each fault, as a client meets it."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Fault, Sandbox
from tests.sandbox.calling import Caller, attribute, connect, group, read_all, wait_until

REQUEST = (
    b"GET /v3/custom-segments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"MOE-APPKEY: SANDBOXWORKSPACE\r\nAuthorization: Basic U0FOREJPWFdPUktTUEFDRTpzYW5kYm94LWRhdGEtYXBpLWtleQ==\r\n\r\n"
)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Invalid request"),
        (401, "Authentication required"),
        (403, "Forbidden operation"),
        (404, "Entity Not Found"),
        (409, "Resource not created"),
        (412, "Cyclic Entity"),
        (413, "Query length limit exceeded"),
        (418, "Request Error"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (503, "Internal Server Error"),
    ],
)
def test_a_status_comes_in_the_envelope_of_the_version(api: Caller, status: int, code: str) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(2, status=status, headers={"Retry-After": "2", "x-ratelimit-remaining": "0"})

    in_v2, in_v3 = api.archive("Spring"), api.list()

    assert in_v2.status_code == in_v3.status_code == status
    assert in_v2.json()["title"] == in_v3.json()["error"]["code"] == code
    description = in_v3.json()["error"]["message"]
    if status == 429:
        description = "File segment operations limit breached. Please retry after some time."
    assert in_v2.json()["description"] == description
    assert in_v3.headers["Retry-After"] == "2"
    assert not api.sandbox.segments[0]["archived"]
    assert api.list().ok
    assert [request.status for request in api.sandbox.requests] == [status, status, 200]


@pytest.mark.parametrize(
    ("body", "received"), [(b"\xff", b"\xff"), ("née", "née".encode()), ({"a": 1}, b'{"a": 1}'), ([], b"[]"), ("", b"")]
)
def test_a_status_may_have_any_body(api: Caller, body: Any, received: bytes) -> None:
    api.sandbox.fail_next(status=200, body=body, headers={"content-type": "text/plain"})
    answer = api.list()
    assert (answer.content, answer.headers["Content-Type"]) == (received, "text/plain")


@pytest.mark.parametrize("status", [204, 304, 302])
def test_a_status_below_400_has_an_empty_body(api: Caller, status: int) -> None:
    api.sandbox.fail_next(status=status)
    answer = api("GET", "/v3/custom-segments", allow_redirects=False)
    assert (answer.status_code, answer.content) == (status, b"")
    assert api.list().ok


def test_headers_alone_come_with_the_true_answer(api: Caller) -> None:
    api.sandbox.fail_next(headers={"x-ratelimit-remaining": "0"})
    answer = api.list()
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (200, "0")


def test_a_connection_can_be_closed_after_an_answer(api: Caller) -> None:
    api.sandbox.fail_next(headers={"Connection": "close"})
    api.list()
    api.list()
    assert [request.connection for request in api.sandbox.requests] == [1, 2]


def test_faults_queue_up(api: Caller) -> None:
    api.sandbox.fail_next(2, status=503)
    api.sandbox.fail_next(status=429)
    assert [api.list().status_code for _ in range(4)] == [503, 503, 429, 200]


def test_faults_strike_only_what_they_are_meant_for(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(status=500, method="patch", path="/v3/*")
    api.sandbox.fail_next(status=501, path="*/archive")
    api.sandbox.fail_next(status=502, path=f"/v3/custom-segments/{segment['id']}")

    assert api.list("?name=archive").status_code == 200
    assert api.archive("Spring").status_code == 501
    assert api.get(segment["id"]).status_code == 502
    assert api.sandbox.pending_faults == [Fault(status=500, method="patch", path="/v3/*")]
    assert api.update(segment["id"], group(attribute())).status_code == 500
    assert api.sandbox.pending_faults == []


def test_a_fault_strikes_the_segment_it_is_meant_for(api: Caller) -> None:
    spring, autumn = (api.sandbox.add_segment(name=name) for name in ("Spring", "Autumn sale"))
    api.sandbox.fail_next(2, status=500, segment="Autumn sale")
    api.sandbox.fail_next(2, status=501, segment=autumn["id"])

    assert api.archive("Spring", spring["id"]).status_code == 202
    assert api.get(spring["id"]).status_code == 200
    assert api.list("?name=Spring").status_code == 200
    assert api.archive("Autumn sale").status_code == 500
    assert api.list("?name=Autumn%20sale").status_code == 500
    assert api.archive("renamed", autumn["id"]).status_code == 501
    assert api.get(autumn["id"]).status_code == 501
    assert api.sandbox.pending_faults == []


def test_a_fault_for_a_segment_is_not_overtaken(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(status=500, segment="Spring")
    api.sandbox.fail_next(status=503)
    api.sandbox.fail_next(fault="reset")
    assert [api.archive("Spring").status_code for _ in range(2)] == [500, 503]
    with pytest.raises(requests.ConnectionError):
        api.archive("Spring")


def test_a_reset_for_a_segment_changes_nothing_either(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(fault="reset", segment="Spring")
    with pytest.raises(requests.ConnectionError):
        api.archive("Spring")
    assert api.sandbox.requests[0].status is None
    assert not api.sandbox.segments[0]["archived"]


def test_delay_waits_first(api: Caller) -> None:
    api.sandbox.fail_next(delay=0.05)
    api.sandbox.fail_next(delay=0.05, status=503)
    for status in (200, 503):
        began = time.monotonic()
        assert api.list().status_code == status
        assert time.monotonic() - began >= 0.05


def test_delay_outlasts_an_impatient_client(api: Caller) -> None:
    api.sandbox.fail_next(delay=60)
    with pytest.raises(requests.ReadTimeout):
        api("GET", "/v3/custom-segments", timeout=0.05)


def test_silence_reads_and_never_answers(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(fault="silence")
    with pytest.raises(requests.ReadTimeout):
        api("PATCH", "/v2/custom-segments/archive", {"name": "Spring"}, timeout=0.05)
    wait_until(lambda: api.sandbox.requests)
    request = api.sandbox.requests[0]
    assert (request.status, request.json) == (None, {"name": "Spring"})
    assert not api.sandbox.segments[0]["archived"]


def test_silence_ends_when_the_client_gives_up(sandbox: Sandbox) -> None:
    sandbox.fail_next(fault="silence")
    with connect(sandbox) as connection:
        connection.sendall(REQUEST)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def test_reset_comes_before_the_body_is_read(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(fault="reset")
    with pytest.raises(requests.ConnectionError):
        api.archive("Spring")
    assert (api.sandbox.requests[0].status, api.sandbox.requests[0].body) == (None, b"")
    assert not api.sandbox.segments[0]["archived"]


def test_reset_is_a_reset_and_no_polite_end(sandbox: Sandbox) -> None:
    sandbox.fail_next(fault="reset")
    with connect(sandbox) as connection:
        connection.sendall(REQUEST)
        with pytest.raises(ConnectionResetError):
            read_all(connection)


def test_a_lost_answer_has_been_carried_out(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(fault="lost-answer")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.archive("Spring")
    assert api.sandbox.requests[0].status is None
    assert api.sandbox.segments[0]["archived"]


def test_half_a_body_is_half_of_the_true_answer(sandbox: Sandbox) -> None:
    sandbox.add_segment(name="Spring")
    sandbox.fail_next(fault="half-body")
    with connect(sandbox) as connection:
        connection.sendall(REQUEST)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body.startswith(b'{"data": [{"name": "Spring"')
    assert len(body) == length // 2


def test_half_a_body_is_an_error_for_a_client(api: Caller) -> None:
    api.sandbox.fail_next(fault="half-body", status=503)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api.list()
    assert api.sandbox.requests[0].status == 503


@pytest.mark.parametrize(("status", "answered"), [(None, 200), (502, 502)])
def test_html_comes_as_from_a_proxy(api: Caller, status: int | None, answered: int) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(fault="html", status=status)
    answer = api.archive("Spring")
    assert answer.status_code == answered
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert not api.sandbox.segments[0]["archived"]


@pytest.mark.parametrize(("status", "answered"), [(None, 200), (503, 503)])
def test_empty_has_no_body(api: Caller, status: int | None, answered: int) -> None:
    api.sandbox.fail_next(fault="empty", status=status)
    answer = api.list()
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (answered, b"", "0")


@pytest.mark.parametrize("fault", [{"fault": "silence"}, {"delay": 60.0}, {"delay": 60.0, "status": 503}])
def test_stopping_ends_what_waits(fault: dict[str, Any]) -> None:
    with Sandbox() as sandbox:
        sandbox.fail_next(**fault)
        connection = connect(sandbox)
        connection.sendall(REQUEST)
        wait_until(lambda: not sandbox.pending_faults)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    assert sandbox.requests[0].status is None
    with connection:
        assert read_all(connection) == b""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "say what is to go wrong"),
        ({"times": 0, "status": 503}, "at least 1"),
        ({"times": True, "status": 503}, "at least 1"),
        ({"times": 1.5, "status": 503}, "at least 1"),
        ({"status": 99}, "from 200 to 599"),
        ({"status": 600}, "from 200 to 599"),
        ({"status": "503"}, "from 200 to 599"),
        ({"status": True}, "from 200 to 599"),
        ({"delay": -1}, "zero or more"),
        ({"delay": float("nan")}, "zero or more"),
        ({"delay": float("inf")}, "zero or more"),
        ({"delay": "2"}, "zero or more"),
        ({"fault": "explosion"}, "fault must be one of silence, reset"),
        ({"fault": "silence", "status": 503}, "sends no answer"),
        ({"fault": "reset", "headers": {"a": "b"}}, "sends no answer"),
        ({"fault": "lost-answer", "body": b""}, "sends no answer"),
        ({"fault": "html", "body": "x"}, "has its own body"),
        ({"body": b"x"}, "needs a status"),
        ({"fault": "half-body", "body": b"x"}, "needs a status"),
        ({"headers": {"Retry-After": 2}}, "text of one line"),
        ({"headers": {"Retry-After": "2\r\nSet-Cookie: x"}}, "text of one line"),
        ({"headers": {"Retry After": "2"}}, "must be a token"),
    ],
)
def test_arguments_without_sense_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    sandbox = Sandbox()
    with pytest.raises(ValueError, match=sentence):
        sandbox.fail_next(**arguments)
    assert sandbox.pending_faults == []


def test_a_key_may_be_out_of_scope(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    api.sandbox.fail_next(2, fault="out-of-scope")
    api.sandbox.fail_next(fault="out-of-scope", headers={"MOENGAGE-AUTH-ERROR-CODE": "ER022"}, body="")

    in_v2, in_v3, bare = api.archive("Spring"), api.list(), api.list()

    assert [answer.status_code for answer in (in_v2, in_v3, bare)] == [403, 403, 403]
    assert in_v2.headers["MOENGAGE-AUTH-ERROR-CODE"] == in_v3.headers["MOENGAGE-AUTH-ERROR-CODE"] == "ER007"
    assert in_v2.json()["title"] == in_v3.json()["error"]["code"] == "Forbidden"
    assert (bare.headers["MOENGAGE-AUTH-ERROR-CODE"], bare.content) == ("ER022", b"")
    assert not api.sandbox.segments[0]["archived"]


def test_an_address_may_not_be_allowed(api: Caller) -> None:
    api.sandbox.fail_next(fault="empty", status=403)
    answer = api.list()
    assert (answer.status_code, answer.content) == (403, b"")
    assert "MOENGAGE-AUTH-ERROR-CODE" not in answer.headers


def test_the_workspace_may_be_full(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring", archived=True)
    api.sandbox.fail_next(3, fault="active-limit", headers={"x-ratelimit-reset": "30"})

    in_v2 = api.unarchive("Spring")
    in_v3 = [api.create("Autumn", group(attribute())), api.update(segment["id"], group(attribute()))]

    assert {answer.status_code for answer in (in_v2, *in_v3)} == {429}
    assert (in_v2.json()["title"], in_v2.json()["actual_count"], in_v2.json()["limit"]) == (
        "Too Many Requests",
        1_001,
        1_000,
    )
    for answer in in_v3:
        assert (answer.json()["error"]["actual_count"], answer.json()["error"]["limit"]) == (1_001, 1_000)
        assert answer.headers["x-ratelimit-reset"] == "30"
    assert [segment["archived"] for segment in api.sandbox.segments] == [True]


@pytest.mark.parametrize(("given", "status"), [({}, 400), ({"status": 503}, 503)])
def test_a_refusal_may_come_in_the_third_envelope(api: Caller, given: dict[str, int], status: int) -> None:
    api.sandbox.fail_next(fault="fail-envelope", **given)  # type: ignore[arg-type]
    answer = api.list()
    assert (answer.status_code, answer.json()["status"]) == (status, "fail")
    assert set(answer.json()["error"]) == {"message", "type", "request_id"}
