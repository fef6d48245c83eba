"""Whatever a connection says: a client with a safe address, or an InvalidInputError that does not tell the key."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from airflow.providers.common.compat.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.hooks.moengage import MoEngageHook, client_of
from tests.any_values import ANY_CHARACTERS, ANYTHING, JSON_VALUES, TEXTS, Case, cases, many, nested, outcome_of

SECRET = "hunter2"


def check(outcome: Any) -> None:
    """Check that there is a client whose address is safe to send a key to, or an error that does not show the key."""
    if isinstance(outcome, MoEngageClient):
        parts = urlsplit(outcome.base_url)
        assert parts.scheme == "https" or (
            parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        )
        assert parts.hostname
        assert "@" not in parts.netloc
        assert not set("?#") & set(outcome.base_url)
    else:
        assert isinstance(outcome, InvalidInputError)
        assert str(outcome).isprintable()
        assert len(str(outcome)) <= 1_003
        assert outcome.__context__ is None or outcome.__suppress_context__
    assert SECRET not in f"{outcome} {outcome!r}"


GOOD_KEYS = st.sampled_from([f"{SECRET}-{SECRET}", f"{SECRET}/+%:@?#[", f"{SECRET}ü"])
KEYS = GOOD_KEYS | GOOD_KEYS | ANY_CHARACTERS.map(f"{SECRET}{{}}".format) | ANY_CHARACTERS.map(f"{{}}{SECRET} ".format)
LOGINS = st.just("W") | st.just("W") | TEXTS
GOOD_HOSTS = ["", "api-01.moengage.com", "127.0.0.1", "localhost", "[::1]", "http://127.0.0.1", "https://a.example/b/"]
BAD_HOSTS = [
    "http://a.example",
    "https://u:p@a.example",
    "https://a.example?b",
    "https://[",
    "//a",
    "a@b",
    "https:a",
    "a b",
]
ODD_HOSTS = ["::1", "0", "a:b", "127.0.0.1:80", "https://a.example:80", "https://a\tb", "a#b", "ftp://a", "٠.example"]
HOSTS = st.sampled_from([*GOOD_HOSTS, *BAD_HOSTS, *ODD_HOSTS])
PORTS = st.none() | st.sampled_from([0, 80, -1, 65_536, 10**400, "80", "80/evil", "1@evil.example", "x", 1.5, True, ""])
SCHEMAS = st.none() | st.sampled_from(
    ["", "http", "https", "ftp", "https://evil.example/", "http://127.0.0.1@", "//", "\n"]
)
EXTRA_VALUES = (
    st.sampled_from(["01", 1, "101", "DC-06", "cs_id", "5", 5, 1e300, 10**400, -1, "nan", True, False, [], {}])
    | JSON_VALUES
)
EXTRA_NAMES = ["data_center", "app_key", "database_name", "connect_timeout", "read_timeout"]
ONE_EXTRA = st.one_of(st.fixed_dictionaries({"data_center": st.just("01"), name: EXTRA_VALUES}) for name in EXTRA_NAMES)
EXTRAS = ONE_EXTRA | st.fixed_dictionaries({}, optional=dict.fromkeys([*EXTRA_NAMES, "verify", "proxy"], EXTRA_VALUES))
DEPTHS = (100, 900, 960, 975, 5_000, 100_000)
DEEP_LISTS = ["[" * depth + "]" * depth for depth in DEPTHS]
DEEP_OBJECTS = ['{"a":' * depth + "1" + "}" * depth for depth in DEPTHS]
DEEP_EXTRAS = st.sampled_from([*DEEP_LISTS, *DEEP_OBJECTS, *(f'{{"data_center": {deep}}}' for deep in DEEP_LISTS)])
EXTRA_TEXTS = (
    EXTRAS.map(json.dumps) | DEEP_EXTRAS | TEXTS | st.sampled_from(["", "[1]", "null", "NaN", "{", "9" * 5_000])
)


needs_airflow_3 = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3"), reason="Airflow 2 stumbles over some of these before we see them"
)


class Plain:
    """A connection that has not been through Airflow: any attribute can be anything."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update({"conn_id": "mine", "schema": None, "port": None, "extra": None, "host": None}, **attributes)


ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "login": LOGINS | st.none(),
    "password": KEYS | st.none(),
    "host": HOSTS | st.none() | TEXTS,
    "port": st.none() | st.integers(),
    "schema": SCHEMAS | TEXTS,
    "extra": EXTRA_TEXTS | st.none(),
}


@many(4)
@given(case=cases(**ATTRIBUTES))
def test_any_attributes(case: Case) -> None:
    """A connection of Airflow's own types: texts, and a number for a port."""
    check(outcome_of(lambda: client_of(Plain(**vars(case)))))


@needs_airflow_3
@many(2)
@given(case=cases(password=KEYS, extra=EXTRA_TEXTS, host=st.none() | st.just("127.0.0.1")))
def test_any_extra(case: Case) -> None:
    check(outcome_of(lambda: client_of(Connection(conn_id="mine", conn_type="moengage", login="W", **vars(case)))))


@pytest.fixture
def from_the_environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client of a connection that is given as the text of a variable."""
    # What is masked in logs only grows, and with it the time that masking takes.
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda *_: None)

    def client(text: str) -> Any:
        monkeypatch.setenv("AIRFLOW_CONN_ANY", text)
        return outcome_of(lambda: MoEngageHook("any").client)

    return client


LOGIN_AND_PASSWORD = {
    "login": LOGINS | JSON_VALUES,
    "password": KEYS | GOOD_KEYS.map(lambda key: [key]),
}
JSON_FIELDS = {
    "conn_type": st.just("moengage") | JSON_VALUES,
    "host": HOSTS | JSON_VALUES,
    "port": PORTS | JSON_VALUES,
    "schema": SCHEMAS | JSON_VALUES,
    "extra": EXTRAS | EXTRA_TEXTS | JSON_VALUES | st.builds(nested, st.sampled_from([50, 300]), st.just("object")),
    "uri": JSON_VALUES,
    "unknown": JSON_VALUES,
}


@needs_airflow_3
@many(2)
@given(case=cases(connection=st.fixed_dictionaries(LOGIN_AND_PASSWORD, optional=JSON_FIELDS)))
def test_any_json_in_the_environment(from_the_environment: Any, case: Case) -> None:
    check(from_the_environment(json.dumps(case.connection)))


# What a variable can hold: UTF-8 without NUL.
VARIABLES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
URIS = st.builds(
    "{}://{}:{}@{}{}{}".format,
    st.sampled_from(["moengage", "moengage", "moengage://https", "", "MoEngage"]),
    st.sampled_from(["W", "", "W%00", "W:"]),
    GOOD_KEYS.map(lambda key: quote(key, safe="")) | GOOD_KEYS,
    st.sampled_from(["", "127.0.0.1", "a.example", "[::1]", "[", "a.example%2Fb", "%ff", "http%3A%2F%2Fa"]),
    st.sampled_from(["", ":80", ":x", ":99999", "/", "/http", "/https", "/%2F"]),
    st.sampled_from(
        ["", "?data_center=01", "?__extra__=%5B", "?__extra__=" + "%5B" * 3_000, "?data_center=01&verify=no"]
    )
    | VARIABLES.map("?{}".format),
)


@needs_airflow_3
@many(2)
@given(case=cases(text=URIS | VARIABLES | VARIABLES.map("moengage://{}".format) | DEEP_EXTRAS))
def test_any_text_in_the_environment(from_the_environment: Any, case: Case) -> None:
    check(from_the_environment(case.text))


@many()
@given(case=cases(conn_id=ANYTHING))
def test_any_connection_id(case: Case) -> None:
    assert isinstance(outcome_of(lambda: MoEngageHook(case.conn_id).client), InvalidInputError)
