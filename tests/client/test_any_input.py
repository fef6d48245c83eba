"""Whatever a method or the constructor is given: an InvalidInputError and nothing sent, or exactly that request."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.server import MAX_BODY_LENGTH
from tests.any_values import (
    ANY_CHARACTERS,
    ANYTHING,
    DEEP,
    HUGE_NUMBERS,
    JSON_VALUES,
    NO_JSON,
    NO_NUMBERS,
    TEXTS,
    TREACHEROUS_TEXTS,
    Case,
    cases,
    many,
    new_client,
    outcome_of,
)
from tests.support import UNKNOWN_ID, filters


@dataclass(frozen=True)
class Sent:
    """The one request that a call may lead to."""

    method: str
    prefix: str
    segment_id: Any = None
    name: Any = None
    body: Any = None

    def check(self, recorded: Any) -> None:
        """Check that a request of the journal is this one."""
        assert recorded.method == self.method
        assert recorded.known
        assert recorded.path.startswith(self.prefix)
        rest = recorded.path.removeprefix(self.prefix)
        assert "/" not in rest
        assert (unquote(rest, errors="strict") or None) == self.segment_id
        assert recorded.query.startswith("name=" if self.name is not None else "")
        assert (unquote(recorded.query.removeprefix("name="), errors="strict") or None) == self.name
        assert "+" not in recorded.query
        assert "&" not in recorded.query
        if int(recorded.headers.get("content-length", 0)) <= MAX_BODY_LENGTH:
            assert (json.loads(recorded.body) if recorded.body else None) == self.body


@pytest.fixture(scope="module")
def server():
    with Sandbox(rate_limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(server):
    with new_client(base_url=server.url) as client:
        yield client


def check(server: Sandbox, call: Callable[[], Any], expected: Sent) -> None:
    """Check that a call is refused and sends nothing, or sends what it should and nothing else."""
    count = len(server.requests)
    outcome = outcome_of(call)
    sent = server.requests[count:]
    if isinstance(outcome, InvalidInputError):
        assert sent == []
        assert str(outcome).isprintable()
        assert len(str(outcome)) <= 1_003
        return
    assert sent
    for recorded in sent:
        expected.check(recorded)


OPTIONAL = st.none() | ANYTHING


@pytest.mark.parametrize("verb", ["archive", "unarchive"])
@many(0.7)
@given(case=cases(name=ANYTHING, segment_id=OPTIONAL))
def test_any_archival(server: Sandbox, client: MoEngageClient, verb: str, case: Case) -> None:
    name, segment_id = case.name, case.segment_id
    body = {"name": name} if segment_id is None else {"name": name, "segment_id": segment_id}
    call = getattr(client, f"{verb}_segment")
    check(server, lambda: call(name, segment_id), Sent("PATCH", f"/v2/custom-segments/{verb}", body=body))


@many(1.5)
@given(case=cases(segment_id=ANYTHING | TEXTS))
def test_any_get(server: Sandbox, client: MoEngageClient, case: Case) -> None:
    expected = Sent("GET", "/v3/custom-segments/", segment_id=case.segment_id)
    check(server, lambda: client.get_segment(case.segment_id), expected)


@many(1.5)
@given(case=cases(name=OPTIONAL | TEXTS))
def test_any_list(server: Sandbox, client: MoEngageClient, case: Case) -> None:
    check(server, lambda: client.list_segments(case.name), Sent("GET", "/v3/custom-segments", name=case.name))


@many(0.7)
@given(case=cases(segment_id=OPTIONAL, name=OPTIONAL))
def test_any_find(server: Sandbox, client: MoEngageClient, case: Case) -> None:
    slash = "" if case.segment_id is None else "/"
    expected = Sent("GET", f"/v3/custom-segments{slash}", **vars(case))
    check(server, lambda: client.find_segment(**vars(case)), expected)


ODD_KEYS = st.dictionaries(
    st.integers() | st.none() | st.floats() | st.tuples(st.integers()) | ANY_CHARACTERS, st.integers(), max_size=3
)
FILTER_VALUES = JSON_VALUES | DEEP | HUGE_NUMBERS | NO_NUMBERS | NO_JSON | ODD_KEYS
FILTER_GROUPS = st.fixed_dictionaries(
    {"filter_operator": st.sampled_from(["and", "or"]), "filters": st.lists(FILTER_VALUES, max_size=3)},
    optional={"unknown": FILTER_VALUES},
)
BROKEN_GROUPS = st.fixed_dictionaries({}, optional={"filter_operator": ANYTHING, "filters": ANYTHING})


MOSTLY_GOOD_UPDATES = st.fixed_dictionaries(
    {"segment_id": st.just(UNKNOWN_ID) | TREACHEROUS_TEXTS, "included_filters": FILTER_GROUPS},
    optional={"excluded_filters": FILTER_GROUPS, "name": ANY_CHARACTERS, "updated_by": ANY_CHARACTERS},
)
UPDATES = st.fixed_dictionaries(
    {"segment_id": st.just(UNKNOWN_ID) | ANYTHING, "included_filters": st.just(filters()) | BROKEN_GROUPS | ANYTHING},
    optional={"excluded_filters": BROKEN_GROUPS | OPTIONAL, "name": OPTIONAL, "updated_by": OPTIONAL},
)


@many(3)
@given(case=cases(arguments=MOSTLY_GOOD_UPDATES | UPDATES))
def test_any_update(server: Sandbox, client: MoEngageClient, case: Case) -> None:
    arguments = case.arguments
    body = {key: value for key, value in arguments.items() if key != "segment_id" and value is not None}
    expected = Sent("PATCH", "/v3/custom-segments/", segment_id=arguments["segment_id"], body=body)
    check(server, lambda: client.update_segment(**arguments), expected)


METHODS = st.sampled_from(["GET", "PATCH", "get", "GET /", "GET\r\nX: y", "CONNECT", "PÖST"]) | ANYTHING
PATHS = st.sampled_from(["/", "/v3/custom-segments", "//", "/a b", "/ü", ":80/", "/a\r\nb"]) | ANYTHING


QUERIES = st.sampled_from(["", "a=b", "a b", "a#b", "ü", "\r\n"]) | ANYTHING


@many(1.5)
@given(case=cases(method=METHODS, path=PATHS, query=QUERIES, body=ANYTHING))
def test_any_request(client: MoEngageClient, case: Case) -> None:
    """The door takes any method and any path below the base URL, yet raises nothing unrelated either."""
    outcome_of(lambda: client.request(case.method, case.path, query=case.query, body=case.body))


@pytest.mark.parametrize("path", ["@{}/", ":x@{}/", "x@{}/", "\\@{}/", "//{}/", "/@{}/", "/../@{}/"])
def test_no_path_leads_to_another_host(server: Sandbox, client: MoEngageClient, path: str) -> None:
    with Sandbox() as another:
        outcome_of(lambda: client.request("GET", path.format(urlsplit(another.url).netloc) + "v3/custom-segments"))
        assert another.requests == []


GOOD_HOSTS = ["api-01.moengage.com", "127.0.0.1", "localhost", "LOCALHOST", "[::1]", "xn--a", "a_b", "-"]
ALMOST_LOOPBACK = [
    "127.1",
    "2130706433",
    "0x7f.1",
    "0.0.0.1",
    "localhost.",
    "127.0.0.1.evil.example",
    "[::ffff:127.0.0.1]",
]
BAD_HOSTS = [
    "evil.example\\@127.0.0.1",
    "[fe80::1%25lo]",
    "a" * 64,
    "a." * 130,
    "ü.example",
    "*.a",
    "a..b",
    "",
    "[",
    "[]",
]
HOSTS = st.sampled_from([*GOOD_HOSTS, *ALMOST_LOOPBACK, *BAD_HOSTS])
BETWEEN = st.sampled_from(["://", ":", ":/", ":///", "://user@", "://user:key@", "://@", ":\\\\", "://\t", "\n://"])
PORTS = ["", ":443", ":0", ":-1", ":99999", ":", ":٣", ":80:80"]
PATH_TAILS = ["/", "//", "/prefix/", "/..", "/%2e%2e/", "/;a", "/a@b", "/<>", "/%zz"]
BAD_TAILS = ["?", "?a=b", "#", "/#x", "\\", " ", "\r\n", "@evil.example", "\x00"]
TAILS = st.sampled_from([*PORTS, *PATH_TAILS, *BAD_TAILS])
SCHEMES = st.sampled_from(["https", "http", "HTTPS", "ftp", "file", "", " https", "https+unix", "javascript"])
ADDRESSES = st.builds("{}{}{}{}{}".format, SCHEMES, BETWEEN | st.just("://"), HOSTS, TAILS, TAILS) | TEXTS


def is_this_machine(host: str) -> bool:
    """Tell whether a host cannot be any other machine, without the client's own function for it."""
    return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback


def check_address(address: str) -> None:
    """Check that an address is safe to send a key to, and means the same host to whoever reads it."""
    parts, urllib3s = urlsplit(address), urllib3.util.parse_url(address)
    assert parts.hostname
    assert parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname))
    assert not set("@?#\\ ") & set(parts.netloc)
    assert not parts.query
    assert not parts.fragment
    assert address.isascii()
    assert address.isprintable()
    assert (urllib3s.scheme, (urllib3s.host or "").strip("[]")) == (parts.scheme, parts.hostname)
    assert (urllib3s.auth, urllib3s.port) == (None, parts.port)


@many(3)
@given(case=cases(address=ADDRESSES))
def test_any_address(case: Case) -> None:
    outcome = outcome_of(lambda: new_client(base_url=case.address))
    if isinstance(outcome, MoEngageClient):
        check_address(outcome.base_url)
    else:
        assert isinstance(outcome, InvalidInputError)
        assert "key@" not in str(outcome)


SECONDS = (
    ANYTHING
    | HUGE_NUMBERS
    | st.sampled_from(["1", "0", "-1", "1e9", "1e300", "nan", "inf", "1_0", " 5 ", "٣", 5e-324, 1e9, 1e10, 2**40, True])
)
ANY_ARGUMENTS = {
    "workspace_id": ANYTHING,
    "data_center": ANYTHING | st.sampled_from(["01", 1, 1.0, "DC-1", "dc 101", "٠١", True, "0" * 70_000 + "1"]),
    "app_key": OPTIONAL,
    "database_name": OPTIONAL,
    "timeout": st.tuples(SECONDS, SECONDS) | ANYTHING,
}
ONE_ARGUMENT = st.one_of(st.fixed_dictionaries({name: values}) for name, values in ANY_ARGUMENTS.items())
ARGUMENTS = ONE_ARGUMENT | st.fixed_dictionaries({}, optional=ANY_ARGUMENTS)
KEYS = (
    st.sampled_from(["hunter2-hunter2", "hunter2\n", "hunter2\ud800"])
    | ANY_CHARACTERS.map("hunter2{}".format)
    | ANYTHING
)


@many(3)
@given(case=cases(arguments=ARGUMENTS, key=KEYS))
def test_any_client(server: Sandbox, case: Case) -> None:
    """A client that can be made can be used."""
    outcome = outcome_of(lambda: new_client(base_url=server.url, api_key=case.key, **case.arguments))
    if isinstance(outcome, MoEngageClient):
        assert outcome.base_url == server.url
        with outcome:
            assert not isinstance(outcome_of(outcome.list_segments), InvalidInputError)
    else:
        assert isinstance(outcome, InvalidInputError)
        assert str(outcome).isprintable()
    assert "hunter2" not in f"{outcome} {outcome!r}"


@many(0.7)
@given(case=cases(base_url=ANYTHING))
def test_any_base_url(case: Case) -> None:
    outcome = outcome_of(lambda: new_client(base_url=case.base_url, data_center="01"))
    assert isinstance(outcome, (MoEngageClient, InvalidInputError))
