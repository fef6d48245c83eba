"""Whatever is sent: never a 500, always a well-formed answer."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import connect, read_all

MANY = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

KNOWN_PATHS = [
    b"/v2/custom-segments/archive",
    b"/v2/custom-segments/unarchive",
    b"/v3/custom-segments",
    b"/v3/custom-segments/63d8cec0c085939e6c1ab727",
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
    with Sandbox() as sandbox:
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
            assert isinstance(json.loads(body), dict)
    assert count >= at_least


@MANY
@given(sent=st.binary(max_size=200))
def test_any_bytes(shared: Sandbox, sent: bytes) -> None:
    check_answers(exchange(shared, sent), at_least=0 if not sent else 1)


@MANY
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
                [b"Content-Type", b"Authorization", b"MOE-APPKEY", b"MOE-DBNAME", b"Content-Length", b"Expect"]
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


@MANY
@given(
    method_and_path=st.sampled_from(
        [(b"PATCH", KNOWN_PATHS[0]), (b"PATCH", KNOWN_PATHS[1]), (b"POST", KNOWN_PATHS[2]), (b"PATCH", KNOWN_PATHS[3])]
    ),
    body=BODIES | JSON,
)
def test_any_json(shared: Sandbox, method_and_path: tuple[bytes, bytes], body: object) -> None:
    content = json.dumps(body).encode()
    lines = [
        b"%b %b HTTP/1.1" % method_and_path,
        *(b"%b: %b" % header for header in GOOD_HEADERS),
        b"Content-Length: %d" % len(content),
    ]
    check_answers(exchange(shared, b"\r\n".join([*lines, b"", content])))
