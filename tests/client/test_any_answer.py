"""Whatever a server answers: a value of the documented shape that every store takes, or a MoEngageError."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.client import MoEngageClient, MoEngageError
from airflow_provider_moengage.client.retry import RetryPolicy
from tests.any_values import (
    ANY_CHARACTERS,
    JSON_VALUES,
    LONG_TEXTS,
    TREACHEROUS_TEXTS,
    Case,
    cases,
    many,
    new_client,
    outcome_of,
)
from tests.support import UNKNOWN_ID, filters

KEY = "sandbox-data-api-key"


class CannedServer:
    """Answers every request, how often it may come, with the same bytes, HTTP or not, and closes the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(65_536)
            connection.sendall(self.answer)
            connection.shutdown(socket.SHUT_WR)
            # Closing a socket that holds unread bytes would reset it, and the client would lose the answer.
            while connection.recv(65_536):
                pass


@pytest.fixture(scope="module")
def server() -> Iterator[CannedServer]:
    server = CannedServer()
    yield server
    server.stop()


def is_archived(value: Any) -> bool:
    return isinstance(value, dict) and value.get("success") is True


def is_segment_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and str(value["id"]).casefold() == UNKNOWN_ID)


def is_object_or_none(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


Call = Callable[[MoEngageClient], Any]
CALLS: dict[str, tuple[Call, Callable[[Any], bool]]] = {
    "archive": (lambda client: client.archive_segment("camp"), is_archived),
    "archive by id": (lambda client: client.archive_segment("camp", UNKNOWN_ID), is_archived),
    "unarchive by id": (lambda client: client.unarchive_segment("camp", UNKNOWN_ID), is_archived),
    "get": (lambda client: client.get_segment(UNKNOWN_ID), is_segment_or_none),
    "update": (lambda client: client.update_segment(UNKNOWN_ID, filters()), lambda value: isinstance(value, dict)),
    "list": (lambda client: client.list_segments(), is_list_of_objects),
    "list by name": (lambda client: client.list_segments("camp"), is_list_of_objects),
    "find by name": (lambda client: client.find_segment(name="camp"), is_object_or_none),
}
CALL_NAMES = st.sampled_from(list(CALLS))


def from_further_down(frames: int, call: Callable[[], Any]) -> Any:
    """Call something as Airflow may: with more on the stack than when the answer was read."""
    return from_further_down(frames - 1, call) if frames else call()


def check_stores(value: Any) -> None:
    """Check that a value can travel: to the supervisor (msgpack), into XCom (JSON), into PostgreSQL (no NUL)."""
    from_further_down(200, lambda: msgspec.msgpack.encode(value))
    text = from_further_down(200, lambda: json.dumps(value, allow_nan=False))
    assert "\\u0000" not in text.replace("\\\\", "")


def check_error(error: MoEngageError) -> None:
    text = str(error)
    assert text.isprintable()
    assert len(text) <= 2_500
    assert error.args[0].isprintable()
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this very line
    assert (type(again), str(again)) == (type(error), text)
    assert error.__context__ is None
    assert KEY[:8] not in text + repr(error)


def check(server: CannedServer, name: str, answer: bytes) -> None:
    """Check what a call makes of an answer."""
    call, is_of_its_shape = CALLS[name]
    server.answer = answer
    with new_client(base_url=server.url, timeout=(5, 5)) as client:
        outcome = outcome_of(lambda: call(client))
    if isinstance(outcome, MoEngageError):
        check_error(outcome)
    else:
        assert is_of_its_shape(outcome)
        check_stores(outcome)


def answer_of(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Write an answer with a true Content-Length."""
    lines = [b"HTTP/1.1 %d OK" % status, b"Content-Length: %d" % len(body), *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join([*lines, b"", body])


# Any JSON, in any of the places where the two envelopes have something. Written as text, since not all of it can be a
# value of Python's.

NUMERALS = [
    *map(str, (2**63, -(2**63), 2**64)),
    "NaN",
    "-Infinity",
    "1e999",
    "-0.0",
    "1E-400",
    "9" * 25,
    "-" + "9" * 25,
    "9" * 5_000,
    "0." + "9" * 5_000,
]
# Valid JSON, and no text that UTF-8, PostgreSQL or a log can hold.
ESCAPES = [r'"\ud800"', r'"\udfff\ud800"', r'"\u0000"', r'{"\ud800": 1}', r'{"\u0000": 1}', r'"\u001b[31m\r\n\u2028"']
DEEP_LISTS = ["[" * depth + "]" * depth for depth in (90, 450, 900, 100_000)]
DEEP_OBJECTS = ['{"a":' * depth + "1" + "}" * depth for depth in (90, 450, 900, 100_000)]
NO_JSON = ["", "[", "{", "[1,]", "01", "'a'", "nul", '"\n"', "/**/1"]
LITERALS = st.sampled_from([*NUMERALS, *ESCAPES, *DEEP_LISTS, *DEEP_OBJECTS, *NO_JSON, '{"a":1,"a":2}'])
TEXTS = (ANY_CHARACTERS | TREACHEROUS_TEXTS | LONG_TEXTS).map(json.dumps)
VALUES = JSON_VALUES.map(json.dumps) | LITERALS | TEXTS
IDS = st.sampled_from([UNKNOWN_ID, UNKNOWN_ID.upper(), 7, None]).map(json.dumps)


def objects(**known: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw JSON objects that have some of the known keys."""
    pairs = st.fixed_dictionaries({}, optional={**known, "unknown": VALUES})
    return pairs.map(lambda values: "{" + ", ".join(f'"{key}": {value}' for key, value in values.items()) + "}")


SEGMENTS = objects(id=IDS | VALUES, name=st.just('"camp"') | VALUES, source=VALUES, included_filters=VALUES)
GOOD_SEGMENTS = st.builds('{{"id": "{}", "name": "camp", "description": {}}}'.format, st.just(UNKNOWN_ID), VALUES)
LISTS = st.lists(GOOD_SEGMENTS | SEGMENTS | VALUES, max_size=3).map(lambda entries: f"[{', '.join(entries)}]")
DATA = GOOD_SEGMENTS | SEGMENTS | LISTS | VALUES
CODES = st.sampled_from(["Entity Not Found", "Resource not created", "Request Error", "Cyclic Entity"]).map(json.dumps)
ERRORS = objects(
    code=CODES | VALUES,
    message=VALUES,
    existing_cs_id=VALUES,
    existing_cs_name=VALUES,
    actual_count=VALUES,
    limit=VALUES,
)
FLAT = objects(
    success=st.just("true") | VALUES, message=VALUES, cs_name=VALUES, cs_id=IDS | VALUES, title=CODES | VALUES
)
BODIES = (
    objects(data=DATA, response_id=VALUES, type=VALUES, error=ERRORS | VALUES)
    | st.builds('{{"data": {}}}'.format, GOOD_SEGMENTS | LISTS)
    | st.builds('{{"success": true, "cs_name": {}}}'.format, VALUES)
    | FLAT
    | VALUES
)
STATUSES = st.just(200) | st.sampled_from([200, 202, 204, 302, 400, 401, 403, 404, 409, 412, 413, 429, 500, 503])
ANY_STATUS = STATUSES | st.integers(200, 599)


@many(3)
@given(case=cases(call=CALL_NAMES, status=STATUSES, body=BODIES))
def test_any_json(server: CannedServer, case: Case) -> None:
    check(server, case.call, answer_of(case.status, [], case.body.encode(errors="replace")))


@many(2)
@given(case=cases(call=CALL_NAMES, value=VALUES, key=st.sampled_from(["name", "x", "cs_name"])))
def test_any_value_that_is_returned(server: CannedServer, case: Case) -> None:
    """An answer that is as it should be, but for one value."""
    segment = f'{{"id": "{UNKNOWN_ID}", "name": "camp", "{case.key}": {case.value}}}'
    data = f"[{segment}]" if case.call.startswith(("list", "find")) else segment
    body = f'{{"success": true, "cs_id": "{UNKNOWN_ID}", "{case.key}": {case.value}, "data": {data}}}'
    check(server, case.call, answer_of(200, [], body.encode(errors="replace")))


@many(2)
@given(case=cases(call=CALL_NAMES, status=st.integers(400, 503), error=ERRORS, id=VALUES))
def test_any_error(server: CannedServer, case: Case) -> None:
    body = f'{{"error": {case.error}, "response_id": {case.id}}}'
    check(server, case.call, answer_of(case.status, [], body.encode(errors="replace")))


@pytest.mark.parametrize("container", ["[]", "{}"])
@many(0.3)
@given(case=cases(call=CALL_NAMES, depth=st.integers(800, 1_000), status=st.sampled_from([200, 409, 429])))
def test_any_depth(server: CannedServer, container: str, case: Case) -> None:
    """Close below the depth at which Python gives up reading is what it may not be able to write."""
    opening, end = ("[", "]") if container == "[]" else ('{"a":', "}")
    deep = opening * case.depth + "1" + end * case.depth
    error = f'{{"code": {deep}, "message": {deep}, "actual_count": {deep}}}'
    segment = f'{{"id": "{UNKNOWN_ID}", "name": "camp", "x": {deep}}}'
    data = f"[{segment}]" if case.call.startswith(("list", "find")) else segment
    body = f'{{"success": true, "cs_name": {deep}, "data": {data}, "error": {error}}}'
    check(server, case.call, answer_of(case.status, [], body.encode()))


WORDS = ["Wed,", "21", "Oct", "2015", "07:28:00", "GMT", "+9999", "-0000", "0001", "9999", "99999999999", "-Oct-2015"]
DATES = st.builds(
    lambda words, between: between.join(words), st.lists(st.sampled_from(WORDS), max_size=6), st.sampled_from(" -,")
)
NUMBERS = st.sampled_from(["0", "7", "-7", "1.5", "1e9", "9" * 400, "٣", "²", "+7", "0x7", " 7 ", "7, 8", "NaN", "inf"])
TIMES = (DATES | NUMBERS | st.integers().map(str) | st.datetimes().map(str)).map(
    lambda text: text.encode()
) | st.sampled_from([b"\xb2", b"\xff", b""])
ONE_LINE = st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b""))
TIME_HEADERS = st.sampled_from([b"Retry-After", b"x-ratelimit-reset", b"Date", b"Expires"])
OTHER_HEADERS = st.sampled_from([b"Location", b"Set-Cookie", b"WWW-Authenticate", b"Connection", b"Content-Type"])
COOKIES = st.sampled_from(
    [b"a=b; max-age=" + b"9" * 5_000, b"a=b; expires=" + b"9" * 400, b"=;;==", b"a=b; path=\xff; port=x"]
)
LOCATIONS = st.sampled_from([b"//[", b"http://[::1", b"//elsewhere", b"\xff\xfe", b"/" * 60_000])
HEADERS = st.lists(
    st.tuples(TIME_HEADERS, TIMES)
    | st.tuples(OTHER_HEADERS | ONE_LINE, ONE_LINE)
    | st.tuples(st.just(b"Set-Cookie"), COOKIES)
    | st.tuples(st.just(b"Location"), LOCATIONS),
    max_size=4,
)


@many()
@given(case=cases(status=st.sampled_from([429, 503]), header=TIME_HEADERS, value=TIMES))
def test_any_time(server: CannedServer, case: Case) -> None:
    check(server, "list", answer_of(case.status, [(case.header, case.value)], b""))


@many(2)
@given(case=cases(call=CALL_NAMES, status=ANY_STATUS, headers=HEADERS, body=ONE_LINE | st.just(b'{"data": []}')))
def test_any_headers(server: CannedServer, case: Case) -> None:
    check(server, case.call, answer_of(case.status, case.headers, case.body))


@many()
@given(case=cases(call=CALL_NAMES, status=ANY_STATUS, body=st.binary(max_size=2_000)))
def test_any_body(server: CannedServer, case: Case) -> None:
    check(server, case.call, answer_of(case.status, [], case.body))


# What is no HTTP, or almost.

GOOD_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"]
ODD_STATUSES = [b"20x", b"99", b"101", b"199", b"600", b"999", b"1000", b"-1", b"2" * 5_000, b"200 " + b"x" * 70_000]
NO_STATUS_LINES = [b"HTTP/2 200", b"HTTP/9.9 200 OK", b"ICY 200 OK", b"", b"\x16\x03\x01\x02\x00", b"SSH-2.0-x"]
STATUS_LINES = st.sampled_from([*GOOD_LINES, *NO_STATUS_LINES, *(b"HTTP/1.1 %b x" % status for status in ODD_STATUSES)])

GOOD = b'{"data": [], "success": true}'
LENGTHS = [b"29", b"1", b"99", b"-1", b"x", b"29, 29", b"29\r\nContent-Length: 30", b"9" * 5_000]
TRANSFERS = [b"Transfer-Encoding: " + value for value in (b"chunked", b"gzip, chunked", b"x")]
FLOODS = [b"\r\n".join(b"X-%d: y" % number for number in range(150)), b"X: " + b"y" * 70_000]
NO_HEADERS = [b"no colon", b": x", b" x", b"\xff\xfe: \x00", b"X: y\r\n  z"]
FRAMINGS = st.sampled_from(
    [*(b"Content-Length: " + length for length in LENGTHS), *TRANSFERS, *FLOODS, *NO_HEADERS, b"X: y"]
)
ENCODINGS = st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"gzip," * 20, b"x", b"\xff"])
ZIPPED = gzip.compress(GOOD)
BROKEN_ZIPS = [ZIPPED[:-9], ZIPPED[:12], ZIPPED + b"more", ZIPPED * 2, b"\x1f\x8b" + b"\xff" * 50]
ZIPS = [ZIPPED, zlib.compress(GOOD), gzip.compress(ZIPPED), gzip.compress(b" " * 3_000_000)]
CONTENTS = st.sampled_from([GOOD, *ZIPS, *BROKEN_ZIPS, b"", b"\x28\xb5\x2f\xfd\x00"]) | st.binary(max_size=60)
CHUNKS = st.lists(
    st.builds(
        lambda size, data: size + b"\r\n" + data + b"\r\n",
        st.sampled_from([b"1d", b"1D;x=y", b"0x1d", b"-5", b"5_0"]),
        CONTENTS,
    )
    | CONTENTS.map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))
    | st.sampled_from([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"f" * 70_000, b"5;" + b"x" * 70_000, b"\r\n", b"zz\r\n"]),
    max_size=4,
).map(b"".join)


def headers_of(framing: bytes, encoding: bytes | None) -> bytes:
    return framing if encoding is None else framing + b"\r\nContent-Encoding: " + encoding


HEADS = st.builds(
    lambda line, framing, encoding: b"%b\r\n%b\r\n\r\n" % (line, headers_of(framing, encoding)),
    st.just(b"HTTP/1.1 200 OK") | STATUS_LINES,
    st.just(b"Transfer-Encoding: chunked") | FRAMINGS,
    st.none() | ENCODINGS,
)


@many(3)
@given(case=cases(call=CALL_NAMES, head=HEADS, body=CONTENTS | CHUNKS))
def test_any_framing(server: CannedServer, case: Case) -> None:
    check(server, case.call, case.head + case.body)


@many()
@given(case=cases(call=CALL_NAMES, sent=st.binary(max_size=200)))
def test_any_bytes(server: CannedServer, case: Case) -> None:
    check(server, case.call, case.sent)


@many(2)
@given(
    case=cases(
        call=CALL_NAMES,
        status=STATUSES,
        before=st.integers(0, 1_100) | st.integers(150, 210) | st.integers(960, 1_000) | st.integers(9_970, 10_000),
        form=st.sampled_from(
            [
                "{}",
                '{{"title": "{}"}}',
                '{{"description": "{}"}}',
                '{{"data": "{}"}}',
                '{{"error": {{"message": "{}"}}}}',
            ]
        ),
    )
)
def test_a_key_that_is_echoed_anywhere(server: CannedServer, case: Case) -> None:
    """Wherever a text is cut, a half of the key is not left over."""
    server.answer = answer_of(case.status, [], case.form.format("x" * case.before + KEY).encode())
    with new_client(base_url=server.url) as client:
        outcome = outcome_of(lambda: CALLS[case.call][0](client))
    assert isinstance(outcome, MoEngageError)
    assert KEY[:8] not in f"{outcome} {outcome.args} {vars(outcome)}"


@pytest.mark.parametrize("is_proxy", [False, True])
@pytest.mark.parametrize("answer", [b"{}", b"HTTP/%s", b"HTTP/1.1 503 %s", b"%s"])
def test_what_begins_as_no_answer_is_repeated_nowhere(server, monkeypatch, caplog, answer, is_proxy):
    """It may be the rest of another answer, with the values of an audience, or an echo of the request."""
    server.answer = answer.replace(b"%s", KEY.encode()) + b"\r\n\r\n"
    base_url = server.url
    if is_proxy:
        base_url = "https://moengage.invalid"
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("https_proxy", server.url)
    with (
        MoEngageClient("W", "K", base_url=base_url, retry=RetryPolicy(tries=2)) as client,
        pytest.raises(MoEngageError) as caught,
    ):
        client.get_segment(UNKNOWN_ID)
    assert caught.value.tries == 2
    assert KEY not in f"{caught.value} {caught.value.args}"
    assert "It is sent again" in caplog.text
    assert KEY not in caplog.text
