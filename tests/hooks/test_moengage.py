from __future__ import annotations

import asyncio
import json
from importlib.metadata import version

import pytest

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.hooks.moengage import MoEngageHook, NoConnectionError
from airflow_provider_moengage.sandbox import Sandbox

BASE = {"conn_type": "moengage", "login": "W", "password": "hunter2-hunter2"}


@pytest.fixture
def client_from(monkeypatch):
    """The client of a connection that is given as a dict (JSON) or a string (URI)."""

    def client_from(connection):
        value = connection if isinstance(connection, str) else json.dumps(connection)
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", value)
        return MoEngageHook().client

    return client_from


def test_one_client(sandbox):
    hook = MoEngageHook()
    assert isinstance(hook.client, MoEngageClient)
    assert hook.get_conn() is hook.client
    assert hook.client.list_segments() == []


def test_on_the_event_loop(sandbox):
    client = asyncio.run(MoEngageHook().aget_client())
    assert client.list_segments() == []


@pytest.mark.parametrize(
    ("connection", "base_url"),
    [
        ({**BASE, "extra": {"data_center": "02"}}, "https://api-02.moengage.com"),
        ({**BASE, "extra": {"data_center": 1}}, "https://api-01.moengage.com"),
        (
            {**BASE, "extra": {"data_center": "DC-101", "app_key": "", "database_name": None}},
            "https://api-101.moengage.com",
        ),
        ({**BASE, "host": "https://proxy.example/moengage/"}, "https://proxy.example/moengage"),
        ({**BASE, "host": "proxy.example", "port": 8443}, "https://proxy.example:8443"),
        ({**BASE, "host": "http://127.0.0.1", "port": 8900}, "http://127.0.0.1:8900"),
        ({**BASE, "host": "127.0.0.1", "port": 8900, "schema": "http"}, "http://127.0.0.1:8900"),
        ("moengage://W:k@/?data_center=03", "https://api-03.moengage.com"),
        ("moengage://W:k@127.0.0.1:8900/", "http://127.0.0.1:8900"),
        ("moengage://W:k@127.0.0.1:8900/http", "http://127.0.0.1:8900"),
        ("moengage://http://W:k@127.0.0.1%3A8900/", "http://127.0.0.1:8900"),
        ("moengage://https://W:k@proxy.example%2Fmoengage", "https://proxy.example/moengage"),
        ({**BASE, "host": "127.0.0.1:8900"}, "http://127.0.0.1:8900"),
        ({**BASE, "host": "localhost:8900/prefix"}, "http://localhost:8900/prefix"),
        ({**BASE, "host": "::1", "port": 8900}, "http://[::1]:8900"),
        ({**BASE, "host": "[::1]", "port": 8900}, "http://[::1]:8900"),
        ({**BASE, "host": "[::1]:8900"}, "http://[::1]:8900"),
        ({**BASE, "host": "2001:db8::1"}, "https://[2001:db8::1]"),
        ("moengage://W:k@[::1]:8900/", "http://[::1]:8900"),
    ],
)
def test_a_connection_leads_to_an_address(client_from, connection, base_url):
    assert client_from(connection).base_url == base_url


def test_everything_in_the_extra_counts(client_from):
    client = client_from(
        {
            **BASE,
            "extra": {
                "data_center": "01",
                "database_name": "DB",
                "connect_timeout": "1.5",
                "read_timeout": 60,
            },
        }
    )
    assert (client.database_name, client.timeout) == ("DB", (1.5, 60))


def test_a_key_that_an_older_version_knew_is_no_error(client_from):
    assert client_from({**BASE, "extra": {"data_center": "01", "segment_id_key": "cs_id"}}).base_url


def test_an_app_key_of_its_own(monkeypatch):
    with Sandbox(app_key="OLDAPP") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        assert sandbox.connection["extra"]["app_key"] == "OLDAPP"
        assert MoEngageHook().client.list_segments() == []


before_airflow_3_2 = pytest.mark.skipif(
    version("apache-airflow").startswith(("3.0.", "3.1.")), reason="Airflow itself cannot read such a connection"
)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"login": None}, "its login (Workspace ID) is missing: the MoEngage dashboard shows"),
        ({"password": "  "}, "its password (Data API key) is missing"),
        ({"login": "hunter2 "}, "its login (Workspace ID) must be text in printable ASCII, without blanks"),
        ({"password": "hunter2 "}, "its password (Data API key) has blanks at its ends"),
        ({"extra": {"data_center": "hunter2-hunter2"}}, "its extra has the Data API key"),
        ({"extra": {"data_center": "hunter2-another"}}, "There is no MoEngage data center that is called what was"),
        (
            {"extra": {"data_center": "https://dashboard-03.moengage.com"}},
            "takes the number alone, not the address that it stands in: set it to 03.",
        ),
        ({"extra": {"data_center": "dashboard-101.moengage.com/v4/#/home"}}, "set it to 101."),
        ({"extra": {"data_center": "https://dashboard-03.moengage.com.evil.example"}}, "no MoEngage data center that"),
        ({"extra": {"data_center": "01", "app_key": "hunter2 "}}, "app_key must be text in printable ASCII"),
        (
            {"password": "", "extra": {"data_center": "01", "api_key": "hunter2-hunter2"}},
            "its password (Data API key) is missing, and its extra has api_key: move the key from there into the",
        ),
        *(
            (
                {"password": None, "extra": {"app_key": "W", named: "hunter2-hunter2"}},
                f"its password (Data API key) is missing, and its extra has {named}: move the key",
            )
            for named in ("API Key", "apiKey", "dataApiKey", "data-api-key", "APP_SECRET", "moengage_api_key", "token")
        ),
        ({"password": None, "extra": {"app_key": "W"}}, "its password (Data API key) is missing: the MoEngage"),
        (
            {"extra": {"data_center": "01", "app_key": "hunter2-hunter2"}},
            "its extra has the Data API key, which nobody masks there",
        ),
        ({"extra": {"hunter2-another": "x", "Data Center": "01"}}, "names no data center (the extra has Data Center)"),
        (
            {"host": "https://dashboard-01.moengage.com"},
            "is MoEngage's dashboard, not its API: give https://api-01.moengage.com, or leave it out and set",
        ),
        ({"host": "dashboard-101.moengage.com"}, "give https://api-101.moengage.com"),
        ({}, "it names no data center. Set data_center in its extra"),
        ({"extra": {"datacenter": "01"}}, "it names no data center (the extra has datacenter). Set data_center"),
        ({"extra": {"data_center": "7"}}, "There is no MoEngage data center '7'"),
        pytest.param({"extra": "[1]"}, "its extra is not a JSON object", marks=before_airflow_3_2),
        (
            {"extra": {"data_center": "01", "read_timeout": "soon"}},
            "read_timeout in its extra must be a positive number",
        ),
        ({"extra": {"data_center": "01", "connect_timeout": 0}}, "connect_timeout in its extra must be a positive"),
        ({"host": "http://api-01.moengage.com"}, "plain http to api-01.moengage.com"),
        ({"host": "https://u:p@api-01.moengage.com"}, "must not carry credentials"),
        ({"host": "https://api-01.moengage.com:x"}, "no address"),
        ({"host": "https://[::1", "port": 8900}, "no address"),
    ],
)
def test_a_connection_that_cannot_work(client_from, changed, sentence):
    with pytest.raises(InvalidInputError) as caught:
        client_from({**BASE, **changed})
    assert str(caught.value).startswith("The connection 'moengage_default' cannot be used: ")
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_in_an_extra_that_is_no_json(client_from):
    """Airflow 3.0 does not read such a connection at all."""
    with pytest.raises(InvalidInputError) as caught:
        client_from({**BASE, "password": None, "extra": '{"Data_API_key" : "hunter2", }'})
    sentence = "its password (Data API key) is missing, and its extra has Data_API_key"
    assert sentence in str(caught.value) or isinstance(caught.value, NoConnectionError)
    assert "hunter2" not in str(caught.value)


def test_a_missing_connection():
    sentence = "There is no Airflow connection 'nowhere' .* Create one of type moengage .* AIRFLOW_CONN_NOWHERE"
    with pytest.raises(InvalidInputError, match=sentence):
        MoEngageHook("nowhere").get_conn()
    with pytest.raises(InvalidInputError, match=sentence):
        asyncio.run(MoEngageHook("nowhere").aget_client())


class TestTheTestButton:
    def test_it_works(self, sandbox):
        assert MoEngageHook().test_connection() == (
            True,
            f"MoEngage accepts the credentials of workspace {sandbox.connection['login']} at {sandbox.url}.",
        )
        assert [request.method for request in sandbox.requests] == ["GET"]

    def test_a_wrong_key(self, sandbox, monkeypatch):
        connection = {**sandbox.connection, "password": "hunter2-hunter2"}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
        worked, message = MoEngageHook().test_connection()
        assert not worked
        assert "APP_SECRET key mismatch" in message
        assert "hunter2" not in message

    def test_an_address_that_is_not_moengages(self, sandbox, monkeypatch):
        """A gateway that knows no such path must not pass for a workspace without such a segment."""
        connection = {**sandbox.connection, "host": f"{sandbox.url}/elsewhere", "password": "wrong"}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
        worked, message = MoEngageHook().test_connection()
        assert not worked
        assert "There is no MoEngage API at this address" in message

    def test_no_connection(self):
        assert MoEngageHook("nowhere").test_connection()[0] is False
