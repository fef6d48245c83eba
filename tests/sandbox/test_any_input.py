"""Whatever is sent: never a 500, always a well-formed answer."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.api import Credentials, SegmentsApi
from airflow_provider_moengage.sandbox.clock import AdvancingClock
from airflow_provider_moengage.sandbox.console import Console
from airflow_provider_moengage.sandbox.dialects import DIALECTS
from airflow_provider_moengage.sandbox.faults import FaultQueue
from airflow_provider_moengage.sandbox.file_segments import FileSegments
from airflow_provider_moengage.sandbox.http_messages import Answer, Request
from airflow_provider_moengage.sandbox.journal import Journal
from airflow_provider_moengage.sandbox.limits import RateLimits
from airflow_provider_moengage.sandbox.workspace import Workspace
from tests.sandbox.calling import connect, read_all

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)

# The tests below share at least 10,000 examples a run in CI.
SHARE = 1_600 if os.environ.get("CI") else 200


def many(share: float = 1.0) -> settings:
    return settings(
        max_examples=int(SHARE * share),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


KNOWN_PATHS = [
    b"/v2/custom-segments/archive",
    b"/v2/custom-segments/unarchive",
    b"/v3/custom-segments",
    b"/v3/custom-segments/63d8cec0c085939e6c1ab727",
    b"/_sandbox/faults",
    b"/_sandbox/segments",
    b"/_sandbox/clock",
    b"/",
]
GOOD_HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"MOE-APPKEY", b"SANDBOXWORKSPACE"),
    (b"Authorization", b"Basic " + base64.b64encode(b"SANDBOXWORKSPACE:sandbox-data-api-key")),
]
ONE_LINE = st.binary(max_size=30).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b""))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)
FILTER_KEYS = st.sampled_from(
    ["filter_type", "filter_operator", "filters", "name", "id", "data_type", "operator", "action_name", "executed"]
)
FILTER_VALUES = (
    st.sampled_from(["and", "or", "user_attributes", "actions", "custom_segments", "nested_filters", "string", "x"])
    | st.booleans()
    | JSON
)
FILTERS = st.recursive(
    st.dictionaries(FILTER_KEYS, FILTER_VALUES, max_size=6),
    lambda children: st.fixed_dictionaries(
        {"filter_operator": st.sampled_from(["and", "or", "not"]), "filters": st.lists(children, max_size=3)},
        optional={"filter_type": st.sampled_from(["nested_filters", "custom_segments", 1])},
    ),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=8) | JSON,
        "segment_id": st.text(max_size=24) | JSON,
        "included_filters": FILTERS | JSON,
        "excluded_filters": FILTERS | JSON,
        "updated_by": JSON,
    },
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(rate_limits=False) as sandbox:
        sandbox.add_segment(name="x", id="63d8cec0c085939e6c1ab727")
        yield sandbox


def exchange(sandbox: Sandbox, sent: bytes) -> bytes:
    with connect(sandbox) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def check_answers(received: bytes, *, at_least: int = 1) -> None:
    """Check that the bytes are whole answers of JSON, none of them a server's failure."""
    count = 0
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        assert separator
        lines = head.split(b"\r\n")
        version, status, _ = lines[0].split(b" ", 2)
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines[1:])}
        assert version == b"HTTP/1.1"
        assert status in {b"100", b"505"} or 200 <= int(status) < 500, received
        length = int(headers.get(b"content-length", b"0"))
        body, received = rest[:length], rest[length:]
        assert len(body) == length
        if status != b"100":
            count += 1
            assert body.startswith(b"<!DOCTYPE html>") or isinstance(json.loads(body), dict | list)
    assert count >= at_least


@many()
@given(sent=st.binary(max_size=200))
def test_any_bytes(shared: Sandbox, sent: bytes) -> None:
    check_answers(exchange(shared, sent), at_least=0 if not sent else 1)


@many(1.5)
@given(
    request_line=st.tuples(
        st.sampled_from([b"GET", b"PATCH", b"POST", b"PUT", b"DELETE", b"OPTIONS"]) | ONE_LINE,
        st.sampled_from(KNOWN_PATHS) | ONE_LINE | ONE_LINE.map(lambda end: b"/v3/custom-segments/" + end),
        st.just(b"") | ONE_LINE.map(lambda query: b"?name=" + query),
    ),
    headers=st.lists(
        st.sampled_from(GOOD_HEADERS)
        | st.tuples(
            st.sampled_from(
                [
                    b"Content-Type",
                    b"Authorization",
                    b"MOE-APPKEY",
                    b"MOE-DBNAME",
                    b"Content-Length",
                    b"Expect",
                    b"Host",
                    b"Origin",
                    b"Transfer-Encoding",
                ]
            )
            | ONE_LINE,
            ONE_LINE,
        ),
        max_size=6,
    ),
    body=st.binary(max_size=50),
)
def test_any_request(
    shared: Sandbox, request_line: tuple[bytes, bytes, bytes], headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = [b"%b %b%b HTTP/1.1" % request_line, *(b"%b: %b" % header for header in headers)]
    check_answers(exchange(shared, b"\r\n".join([*lines, b"", body])))


WRITES = [(b"PATCH", KNOWN_PATHS[0]), (b"PATCH", KNOWN_PATHS[1]), (b"POST", KNOWN_PATHS[2]), (b"PATCH", KNOWN_PATHS[3])]


@many(0.5)
@given(method_and_path=st.sampled_from(WRITES), body=BODIES | JSON)
def test_any_json(shared: Sandbox, method_and_path: tuple[bytes, bytes], body: object) -> None:
    content = json.dumps(body).encode()
    lines = [
        b"%b %b HTTP/1.1" % method_and_path,
        *(b"%b: %b" % header for header in GOOD_HEADERS),
        b"Content-Length: %d" % len(content),
    ]
    check_answers(exchange(shared, b"\r\n".join([*lines, b"", content])))


# The rest goes past the sockets, with what no HTTP server would let through too.


@pytest.fixture(scope="module", params=["seeds", "today"])
def api(request: pytest.FixtureRequest) -> SegmentsApi:
    workspace = Workspace()
    workspace.add("x", id="63d8cec0c085939e6c1ab727")
    workspace.add("file", kind="file")
    credentials = Credentials("SANDBOXWORKSPACE", "sandbox-data-api-key", "SANDBOXWORKSPACE", "SandboxDB")
    files = FileSegments(workspace, lambda: NOW, "SandboxDB")
    limits = RateLimits(lambda: NOW, {})
    return SegmentsApi(workspace, credentials, DIALECTS[request.param], files=files, limits=limits)


def check_in_process(answer: Answer) -> None:
    assert 200 <= answer.status < 500, answer
    assert isinstance(json.loads(answer.body), dict | list)
    for name, value in answer.headers.items():
        assert f"{name}: {value}".isprintable()


TEXT_HEADERS = {name.decode().lower(): value.decode() for name, value in GOOD_HEADERS}


@many(0.75)
@given(method_and_path=st.sampled_from(WRITES), body=BODIES | JSON)
def test_any_json_past_the_sockets(api: SegmentsApi, method_and_path: tuple[bytes, bytes], body: object) -> None:
    method, path = (part.decode() for part in method_and_path)
    check_in_process(api.answer(Request(method, path, "", TEXT_HEADERS, json.dumps(body).encode())))


REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["GET", "PATCH", "POST"]) | st.text(max_size=5),
    path=st.sampled_from([path.decode() for path in KNOWN_PATHS])
    | st.text(max_size=30).map("/v3/{}".format)
    | st.text(),
    query=st.text(max_size=20).map("name={}".format) | st.text(max_size=20),
    headers=st.just(TEXT_HEADERS)
    | st.dictionaries(st.sampled_from(["authorization", "moe-appkey", "moe-dbname", "content-type"]), st.text()),
    body=st.binary(max_size=30),
)


@many(0.75)
@given(request=REQUESTS)
def test_any_request_past_the_sockets(api: SegmentsApi, request: Request) -> None:
    check_in_process(api.answer(request))


CONTROL_KEYS = st.sampled_from(
    ["name", "age", "id", "created_time", "updated_time", "kind", "type", "archived", "included_filters"]
) | st.sampled_from(["times", "status", "headers", "body", "delay", "fault", "method", "path", "days", "user_count"])
CONTROL_VALUES = (
    JSON
    | st.sampled_from(["filter", "file", "silence", "html", "2026-01-01T00:00:00", "a" * 24, "/v3/*", {"days": 1}])
    | st.integers(min_value=0, max_value=700)
    | FILTERS
)


@many(0.5)
@given(
    method=st.sampled_from(["GET", "POST", "POST", "POST", "DELETE"]),
    name=st.sampled_from(["segments", "faults", "clock", "requests"]),
    body=st.dictionaries(CONTROL_KEYS, CONTROL_VALUES, max_size=4) | JSON,
)
def test_any_control(method: str, name: str, body: Any) -> None:
    clock, faults = AdvancingClock(), FaultQueue()
    workspace = Workspace(clock)
    console = Console(
        "seeds",
        workspace=workspace,
        files=FileSegments(workspace, clock, "SandboxDB"),
        limits=RateLimits(clock),
        faults=faults,
        journal=Journal(),
        clock=clock,
    )
    headers = {"host": "localhost", "content-type": "application/json"}
    for path in (f"/_sandbox/{name}", "/_sandbox/segments", "/_sandbox/faults"):
        request = Request(method, path, "", headers, json.dumps(body).encode(), peer="127.0.0.1")
        check_in_process(console.answer(request))
        check_in_process(console.answer(Request("GET", path, "", headers, peer="127.0.0.1")))
    for fault in faults.pending()[:1]:
        fault.strikes(request)
        answer = fault.answer(request, console.answer)
        assert all(f"{header}: {value}".encode("iso-8859-1") for header, value in answer.headers.items())
