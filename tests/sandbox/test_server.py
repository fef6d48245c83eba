"""The HTTP server: connections, threads, the journal, and requests that nobody should send."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.journal import KEPT_REQUESTS, Journal
from airflow_provider_moengage.sandbox.server import MAX_BODY_LENGTH, STOP_SECONDS
from tests.sandbox.calling import Caller, MovableClock, attribute, connect, group, read_all

if TYPE_CHECKING:
    import requests

HEADERS = (
    b"Host: x\r\nContent-Type: application/json\r\nMOE-APPKEY: SANDBOXWORKSPACE\r\n"
    b"Authorization: Basic U0FOREJPWFdPUktTUEFDRTpzYW5kYm94LWRhdGEtYXBpLWtleQ==\r\n"
)


def sandbox_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("moengage-sandbox")]


def test_a_kept_alive_connection_is_one_connection(api: Caller) -> None:
    for _ in range(3):
        api.list()
    assert [request.connection for request in api.sandbox.requests] == [1, 1, 1]


def test_refusals_keep_the_connection(api: Caller) -> None:
    for call in (lambda: api.get("x"), lambda: api("GET", "/nowhere"), lambda: api("DELETE", "/v3/custom-segments")):
        assert call().status_code >= 400
    assert api("PATCH", "/v2/custom-segments/archive", data=b"{").status_code == 400
    assert {request.connection for request in api.sandbox.requests} == {1}


def test_answers_are_prompt(api: Caller) -> None:
    api.list()
    took = []
    for _ in range(50):
        began = time.monotonic()
        api.archive("nothing")
        took.append(time.monotonic() - began)
    assert median(took) < 0.02  # a head and a body sent apart can take 40 ms each


def test_a_stop_is_prompt_and_leaves_no_thread() -> None:
    before = sandbox_threads()
    with Sandbox() as sandbox:
        idle = connect(sandbox)
        half_sent = connect(sandbox)
        half_sent.sendall(b"PATCH /v2/custom-segments/archive HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
        began = time.monotonic()
    assert time.monotonic() - began < STOP_SECONDS
    assert set(sandbox_threads()) <= set(before)
    idle.close()
    half_sent.close()


def at_once(sandbox: Sandbox, call: Callable[[Caller, int], requests.Response], times: int) -> list[requests.Response]:
    """Make calls from eight threads, each call with its own connection and its number."""

    def one(number: int) -> requests.Response:
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            return call(caller, number)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(times)))


def test_no_update_is_lost(sandbox: Sandbox) -> None:
    ids = [sandbox.add_segment(name=f"segment {number}")["id"] for number in range(40)]

    answers = at_once(sandbox, lambda api, number: api.update(ids[number], group(attribute(number))), 40)

    assert [answer.json()["data"]["included_filters"] for answer in answers] == [
        group(attribute(number)) for number in range(40)
    ]
    kept = {segment["id"]: segment["included_filters"] for segment in sandbox.segments}
    assert [kept[segment_id] for segment_id in ids] == [group(attribute(number)) for number in range(40)]
    assert len(sandbox.requests) == 40


def test_only_one_of_many_gets_the_same_filters(sandbox: Sandbox) -> None:
    ids = [sandbox.add_segment(name=f"segment {number}")["id"] for number in range(24)]
    answers = at_once(sandbox, lambda api, number: api.update(ids[number], group(attribute())), 24)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 23


def test_only_one_of_many_creates_a_name(sandbox: Sandbox) -> None:
    answers = at_once(sandbox, lambda api, number: api.create("the one", group(attribute(number))), 24)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 23


def test_many_connections_at_once() -> None:
    with Sandbox(rate_limits=False) as sandbox:
        connections = [connect(sandbox) for _ in range(100)]
        for connection in connections:
            connection.sendall(b"GET /v3/custom-segments HTTP/1.1\r\nConnection: close\r\n" + HEADERS + b"\r\n")
        for connection in connections:
            with connection:
                assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    assert {request.connection for request in sandbox.requests} == set(range(1, 101))


def test_the_journal_shows_what_was_on_the_wire(api: Caller, clock: MovableClock) -> None:
    api("PATCH", "/v3/custom-segments/a%2Fb?x=%20&name=caf%C3%A9", {"é": 1}, headers={"X-Twice": "1"})

    request = api.sandbox.requests[0]

    assert (request.method, request.path, request.query) == (
        "PATCH",
        "/v3/custom-segments/a%2Fb",
        "x=%20&name=caf%C3%A9",
    )
    assert request.headers["moe-appkey"] == "SANDBOXWORKSPACE"
    assert request.headers["authorization"] == "***"
    assert request.json == {"é": 1}
    assert json.loads(request.body) == request.json
    assert (request.status, request.connection, request.time) == (400, 1, clock.now)
    assert "sandbox-data-api-key" not in repr(api.sandbox.requests)


def test_the_journal_keeps_the_last_requests(api: Caller) -> None:
    api.list()
    (request,) = api.sandbox.requests
    journal = Journal()
    for number in range(KEPT_REQUESTS + 1):
        journal.add(replace(request, connection=number))
    assert [kept.connection for kept in journal.requests()] == list(range(1, KEPT_REQUESTS + 1))
    assert [kept.connection for kept in journal.last(2)] == [KEPT_REQUESTS, KEPT_REQUESTS - 1]


def test_a_recorded_body_need_not_be_json(api: Caller) -> None:
    api("PATCH", "/v2/custom-segments/archive", data=b"\xff")
    with pytest.raises(ValueError, match="decode"):
        _ = api.sandbox.requests[0].json


def test_the_log_has_a_line_a_request_and_no_secret() -> None:
    lines: list[str] = []
    with Sandbox(log=lines.append) as sandbox:
        sandbox.fail_next(fault="reset", method="DELETE")
        for method in (b"GET", b"DELETE"):
            with connect(sandbox) as connection:
                connection.sendall(
                    method + b" /v3/a\x1b[31m\x7f?key=secret HTTP/1.1\r\nConnection: close\r\n" + HEADERS + b"\r\n"
                )
                if method == b"GET":
                    read_all(connection)
                else:
                    with pytest.raises(ConnectionResetError):
                        read_all(connection)
    assert lines == ["GET /v3/a\\x1b[31m\\x7f 404", "DELETE /v3/a\\x1b[31m\\x7f no answer"]


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/_sandbox",
        "/v3",
        "/v3/custom-segments//",
        "/v2/custom-segments/archive/x",
        "/v2/custom-segments",
        "/v3/custom-segments/x/y",
        "/v3/../v3/x",
        "/v1",
    ],
)
def test_a_wrong_path_is_not_found(spoken: Caller, path: str) -> None:
    assert spoken("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/custom-segments/archive", "PATCH"),
        ("POST", "/v2/custom-segments/unarchive", "PATCH"),
        ("DELETE", "/v3/custom-segments", "GET, POST"),
        ("PUT", "/v3/custom-segments/x", "GET, PATCH"),
        ("HEAD", "/v3/custom-segments", "GET, POST"),
        ("BREW", "/v3/custom-segments", "GET, POST"),
    ],
)
def test_a_wrong_method_hears_the_right_ones(spoken: Caller, method: str, path: str, allowed: str) -> None:
    answer = spoken(method, path, data=b"{}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert spoken.list().ok


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"name"',
        b"null",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"name": "Spring"}',
        '{"name": "Spring"}'.encode("utf-16"),
        b'{"name": "Spring", "x": NaN}',
        b'{"name": "Spring", "x": -Infinity}',
        b'{"name": "Spring", "x": 1e999}',
        b'{"name": "Spring", "x": ' + b"9" * 5000 + b"}",
        b'{"name": "Spring", "x": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"x":' * 900 + b"1" + b"}" * 900,
        b"[" * 1_000_000,
        b'{"x":' * 200_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(spoken: Caller, dialect: str, body: bytes) -> None:
    spoken.sandbox.add_segment(name="Spring")
    in_v2 = spoken("PATCH", "/v2/custom-segments/archive", data=body)
    in_v3 = spoken("POST", "/v3/custom-segments", data=body)
    title = {"seeds": "Invalid Request", "today": "Invalid request"}[dialect]
    assert (in_v2.status_code, in_v2.json()["title"]) == (400, title)
    assert (in_v3.status_code, in_v3.json()["error"]["code"]) == (400, "Invalid request")
    assert not spoken.sandbox.segments[0]["archived"]


def test_a_body_may_be_a_hundred_levels_deep(api: Caller) -> None:
    api.sandbox.add_segment(name="Spring")
    body = b'{"name": "Spring", "x": ' + b"[" * 99 + b"1" + b"]" * 99 + b"}"
    assert api("PATCH", "/v2/custom-segments/archive", data=body).status_code == 202


def test_strange_texts_come_back_as_they_were(api: Caller) -> None:
    filters = group(attribute("\ud800 \x00 \u2028 \U0001f600 " + "9" * 400), operator="or")
    name = "lone \udfff and \x00"
    body = json.dumps({"name": name, "included_filters": filters})
    data = api("POST", "/v3/custom-segments", data=body).json()["data"]
    assert (data["name"], data["included_filters"]) == (name, filters)
    assert api.archive(name).json()["cs_name"] == name


def test_a_body_needs_a_length(raw: Callable[[bytes], bytes]) -> None:
    received = raw(b"PATCH /v2/custom-segments/archive HTTP/1.1\r\n" + HEADERS + b'\r\n{"name": "Spring"}')
    assert received.startswith(b"HTTP/1.1 411 Length Required\r\n")
    assert b"Connection: close\r\n" in received


def test_a_body_in_chunks_is_refused(api: Caller) -> None:
    assert api("PATCH", "/v2/custom-segments/archive", data=iter([b"{}"])).status_code == 411


@pytest.mark.parametrize("length", [b"-1", b"+5", b"0x5", b"5, 5", b"\xb2", b"", b"1_0"])
def test_a_malformed_length_is_refused(raw: Callable[[bytes], bytes], length: bytes) -> None:
    received = raw(b"POST /v3/custom-segments HTTP/1.1\r\n" + HEADERS + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert received.startswith(b"HTTP/1.1 400 ")


def test_too_large_a_body_is_refused_and_the_client_hears_it(sandbox: Sandbox) -> None:
    body = b"x" * (5 * MAX_BODY_LENGTH)
    with connect(sandbox) as connection:
        # Everything is sent before anything is read, as simple clients do.
        connection.sendall(b"POST /v3/custom-segments HTTP/1.1\r\n" + HEADERS)
        connection.sendall(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head, _, content = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(content)["error"]["code"] == "Query length limit exceeded"


def test_the_largest_body_is_read(api: Caller) -> None:
    assert api("POST", "/v3/custom-segments", data=b"x" * MAX_BODY_LENGTH).status_code == 400


def test_half_a_body_is_refused(raw: Callable[[bytes], bytes]) -> None:
    received = raw(b"PATCH /v2/custom-segments/archive HTTP/1.1\r\n" + HEADERS + b"Content-Length: 99\r\n\r\n{")
    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n", 400),
        (b"GET /v3/custom-segments HTTP/9.9\r\n\r\n", 505),
        (b"GET /v3/custom-segments HTTP/x\r\n\r\n", 400),
        (b"GET / v3 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v3/custom-segments\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"\r\n", 431),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 404),
        (b"GET //v3/custom-segments HTTP/1.1\r\n" + HEADERS + b"\r\n", 404),
    ],
)
def test_nonsense_gets_a_well_formed_answer(raw: Callable[[bytes], bytes], sent: bytes, status: int) -> None:
    head, _, body = raw(sent).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert isinstance(json.loads(body), dict)


def test_an_old_client_gets_its_answer(raw: Callable[[bytes], bytes]) -> None:
    received = raw(b"GET /v3/custom-segments HTTP/1.0\r\n" + HEADERS + b"\r\n")
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in received


def test_a_client_may_wait_for_100_continue(sandbox: Sandbox) -> None:
    sandbox.add_segment(name="Spring")
    body = b'{"name": "Spring"}'
    with connect(sandbox) as connection:
        connection.sendall(
            b"PATCH /v2/custom-segments/archive HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\n"
            + HEADERS
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_all(connection).startswith(b"HTTP/1.1 202 ")


def test_requests_may_come_all_at_once(sandbox: Sandbox) -> None:
    with connect(sandbox) as connection:
        request = b"GET /v3/custom-segments HTTP/1.1\r\n" + HEADERS
        connection.sendall((request + b"\r\n") * 2 + request + b"Connection: close\r\n\r\n")
        assert read_all(connection).count(b"HTTP/1.1 200 OK\r\n") == 3


def test_no_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("DNS was asked")

    monkeypatch.setattr(socket, "getfqdn", fail)
    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    with Sandbox() as sandbox, connect(sandbox) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection)
