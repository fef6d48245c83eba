"""The control endpoints: the sandbox driven over HTTP, by programs on this machine and by nobody else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import Caller, attribute, connect, group, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[Any]:
    """Call a control endpoint as any program would, without credentials."""
    with requests.Session() as session:
        session.trust_env = False

        def call(method: str, name: str, body: Any = None, **options: Any) -> requests.Response:
            return session.request(method, f"{sandbox.url}/_sandbox/{name}", json=body, timeout=5, **options)

        yield call


def test_a_fault_is_one_line(control: Any, api: Caller) -> None:
    posted = control("POST", "faults", {"times": 2, "status": 503, "headers": {"Retry-After": "2"}, "method": "GET"})
    expected = {"status": 503, "headers": {"Retry-After": "2"}, "method": "GET"}
    assert (posted.status_code, posted.json()) == (200, [expected, expected])
    assert api.list().headers["Retry-After"] == "2"
    assert control("GET", "faults").json() == [expected]
    assert control("DELETE", "faults").json() == []
    assert api.list().ok


@pytest.mark.parametrize("body", ["text", {"a": 1}, [], ""])
def test_a_fault_may_have_a_body(control: Any, api: Caller, body: Any) -> None:
    assert control("POST", "faults", {"status": 200, "body": body}).json() == [{"status": 200, "body": body}]
    assert api.list().text == (body if isinstance(body, str) else {"[]": "[]"}.get(str(body), '{"a": 1}'))


def test_a_fault_of_bytes_can_be_listed(control: Any, sandbox: Sandbox) -> None:
    sandbox.fail_next(status=500, body=b"\xff")
    assert control("GET", "faults").json() == [{"status": 500, "body": "\ufffd"}]


def test_a_segment_is_one_line(control: Any, sandbox: Sandbox) -> None:
    posted = control("POST", "segments", {"name": "Spring", "age": {"days": 90}, "source": "DASHBOARD"})
    assert posted.status_code == 201
    assert posted.json() == sandbox.segments[0]
    assert posted.json()["created_time"] == "2025-12-01T12:00:00.409000"
    assert control("GET", "segments").json() == sandbox.segments


def test_a_segment_may_have_every_field(control: Any, sandbox: Sandbox) -> None:
    fields = {
        "name": "Spring",
        "id": "a" * 24,
        "created_time": "2025-01-01T00:00:00.000000",
        "updated_time": "2025-01-02T00:00:00.000000",
        "type": "ELASTIC_SEARCH",
        "source": "API",
        "description": "Those who bloom",
        "included_filters": group(attribute()),
        "excluded_filters": group(),
        "team": None,
        "updated_by": "admin@example.com",
        "archived": True,
        "archived_time": "2026-01-01T00:00:00.000000",
    }
    given = {**fields, "created_time": "2025-01-01T05:30:00+05:30", "age": None, "more": {"team": fields["team"]}}
    shown = control("POST", "segments", {key: value for key, value in given.items() if key != "team"}).json()
    assert shown == fields
    file = control("POST", "segments", {"name": "file", "user_count": 7, "archived_time": "2026-02-28T00:00:00Z"})
    assert (file.json()["type"], file.json()["user_count"]) == ("FILE", 7)
    assert sandbox.segments[1]["archived_time"] == "2026-02-28T00:00:00.000000"


def test_the_clock_is_one_line(control: Any, sandbox: Sandbox) -> None:
    moved = control("POST", "clock", {"days": 31, "hours": 1})
    assert moved.json() == {"now": "2026-04-01T13:00:00.409000"}
    assert control("GET", "clock").json() == moved.json()
    assert sandbox.now.isoformat() == "2026-04-01T13:00:00.409000+00:00"


def test_the_journal_is_one_line_and_the_control_no_part_of_it(control: Any, api: Caller) -> None:
    api.sandbox.fail_next(status=418, path="/v2/*")
    api.list()
    api("PATCH", "/v3/nowhere", data=b"\xff")

    journal = control("GET", "requests").json()

    assert [(call["method"], call["path"], call["status"], call["known"]) for call in journal] == [
        ("GET", "/v3/custom-segments", 200, True),
        ("PATCH", "/v3/nowhere", 404, False),
    ]
    assert journal[0]["headers"]["authorization"] == "***"
    assert journal[0]["time"] == "2026-03-01T12:00:00.409000"
    assert journal[0]["answer"].startswith('{"data": []')
    assert journal[1]["body"] == "\ufffd"
    assert len(api.sandbox.pending_faults) == 1


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("faults", {}, "say what is to go wrong"),
        ("faults", {"status": 9}, "from 200 to 599"),
        ("faults", {"status": 500, "often": True}, "a fault has no often; it has body, delay"),
        ("faults", {"status": 500, "times": 10_001}, "at most 10000"),
        ("faults", {"status": 500, "method": 7}, "method must be a text"),
        ("faults", {"status": 500, "path": ["*"]}, "path must be a text"),
        ("faults", {"status": 500, "headers": ["a"]}, "headers must be a mapping"),
        ("faults", {"status": 500, "headers": 7}, "headers must be a mapping"),
        ("faults", {"status": 500, "headers": {"a": "b\r\nc: d"}}, "text of one line"),
        ("faults", {"status": 500, "body": "\ud800"}, "body must be"),
        ("faults", {"status": 500, "body": 7}, None),
        ("faults", {"delay": 1e300}, "at most 86400"),
        ("faults", {"fault": ["silence"]}, "fault must be one of"),
        ("segments", {}, "name is required"),
        ("segments", {"name": 7}, "name must be a text"),
        ("segments", {"name": " "}, "name must not be blank"),
        ("segments", {"name": {"a": {}}}, "name must be a text"),
        ("segments", {"name": "x", "id": 7}, "24 hexadecimal digits"),
        ("segments", {"name": "x", "age": "90"}, "age must be a timedelta"),
        ("segments", {"name": "x", "self": 1, "age_days": 70}, "a segment has no age_days, self; it takes age"),
        ("segments", {"name": "x", "age": {"years": 1}}, "a duration is an object"),
        ("segments", {"name": "x", "age": {"days": "1"}}, "values are numbers"),
        ("segments", {"name": "x", "age": {"days": 1e300}}, "values are numbers"),
        ("segments", {"name": "x", "age": {"days": 999_999_999}}, "no calendar"),
        ("segments", {"name": "x", "created_time": 7}, "created_time must be a time"),
        ("segments", {"name": "x", "created_time": "0001-01-01T00:00:00+23:00"}, "no year"),
        ("segments", {"name": "x", "archived": "no"}, "archived must be true or false"),
        ("segments", {"name": "x", "source": 7}, "source must be a text"),
        ("segments", {"name": "x", "type": []}, "type must be a text"),
        ("segments", {"name": "x", "description": 7}, "description must be a text"),
        ("segments", {"name": "x", "updated_by": 7}, "updated_by must be a text"),
        ("segments", {"name": "x", "kind": []}, "kind must be"),
        ("segments", {"name": "x", "user_count": -1}, "user_count must be"),
        ("segments", {"name": "x", "kind": "filter", "user_count": 1}, "no users to filter"),
        ("segments", {"name": "x", "included_filters": [7]}, "the filters are not valid"),
        ("clock", {}, "a duration is an object"),
        ("clock", {"days": -1}, "ahead only"),
        ("clock", {"days": 99_999}, "ahead only"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    control: Any, sandbox: Sandbox, name: str, body: Any, sentence: str | None
) -> None:
    answer = control("POST", name, body)
    if sentence is None:  # every value of JSON is a body
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]
    assert sandbox.segments == sandbox.pending_faults == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"a":' * 5_000])
def test_a_body_that_is_no_object_is_one_sentence(control: Any, data: bytes) -> None:
    answer = control("POST", "faults", data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not ")


def test_other_endpoints_and_methods_are_refused(control: Any) -> None:
    unknown, wrong = control("GET", "nothing"), control("DELETE", "segments")
    assert (unknown.status_code, wrong.status_code, wrong.headers["Allow"]) == (404, 405, "GET, POST")
    assert "/_sandbox/faults" in unknown.json()["error"]
    assert control("OPTIONS", "faults").status_code == 405


def test_too_large_a_body_is_refused_and_not_recorded(sandbox: Sandbox) -> None:
    with connect(sandbox) as connection:
        connection.sendall(b"POST /_sandbox/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")
    assert sandbox.requests == []


FAULT = {"status": 503}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8900"},
        {"Host": "evil.example:80@127.0.0.1.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Host": "192.168.0.7"},
    ],
)
def test_a_web_page_can_neither_drive_nor_read_it(control: Any, sandbox: Sandbox, headers: dict[str, str]) -> None:
    for answer in (control("POST", "faults", FAULT, headers=headers), control("GET", "requests", headers=headers)):
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert sandbox.pending_faults == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_a_form_cannot_drive_it(control: Any, sandbox: Sandbox, content_type: str | None) -> None:
    answer = control("POST", "faults", data=b'{"status": 503}', headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert sandbox.pending_faults == []


def test_its_own_page_may_drive_it(control: Any, sandbox: Sandbox) -> None:
    headers = {"Origin": sandbox.url, "Sec-Fetch-Site": "same-origin"}
    assert control("POST", "faults", FAULT, headers=headers).ok


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.2:80", "[::1]:80"])
def test_every_name_of_this_machine_will_do(control: Any, host: str) -> None:
    assert control("GET", "clock", headers={"Host": host}).ok


@pytest.mark.parametrize("host", ["evil.example", "192.168.0.7:8900"])
def test_the_page_is_not_shown_under_another_name(api: Caller, host: str) -> None:
    answer = api("GET", "/", headers={"Host": host})
    assert answer.status_code == 403
    assert "html" not in answer.headers["Content-Type"]


def test_another_machine_gets_the_api_alone() -> None:
    with Sandbox(host="0.0.0.0") as sandbox:  # noqa: S104 - that is what this is about
        own_address = address_of_this_machine()
        port = sandbox.url.rpartition(":")[2]
        with requests.Session() as session:
            session.trust_env = False
            for path, status in (("/", 403), ("/_sandbox/clock", 403), ("/v3/custom-segments", 400)):
                headers = {"Host": "localhost"}
                answer = session.get(f"http://{own_address}:{port}{path}", headers=headers, timeout=5)
                assert answer.status_code == status


def address_of_this_machine() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only asks which address would be used
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        return str(probe.getsockname()[0])
