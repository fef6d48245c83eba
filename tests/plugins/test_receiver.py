"""The receiver behind a real server: what it takes and what it refuses, and that it holds up nobody."""

from __future__ import annotations

import json
import logging
import socket
import threading
from importlib.metadata import version
from urllib.parse import urlsplit

import pytest
import requests
from packaging.version import Version

from airflow_provider_moengage.segments.callback_token import Ticket, token_of
from airflow_provider_moengage.segments.callbacks import FileRequest
from tests.support import UNKNOWN_ID

if Version(version("apache-airflow")) < Version("3"):
    pytest.skip("callbacks need Airflow 3", allow_module_level=True)

from airflow_provider_moengage.plugins import airflow_internals, receiver

KEY = "receiver-data-api-key"
LATER = 4_000_000_000
REQUEST = FileRequest("a_dag", "a run", "fill", -1, "0f" * 16)
TICKET = Ticket(REQUEST, "receives", UNKNOWN_ID, LATER)
DATABASE = "do-not-show-this-database"
COUNTS = {"values_found": 3, "values_processed": 3, "user_count": 2}
FILLED = {"db_name": DATABASE, "segment_name": "vip", "request_id": "r", "status": 201, **COUNTS}
FAILED = {"db_name": DATABASE, "segment_name": "vip", "request_id": "r", "status": 400, "error_message": "no file"}


@pytest.fixture(autouse=True)
def _connection(monkeypatch):
    for conn_id, kind, password in (
        ("receives", "moengage", KEY),
        ("keyless", "moengage", ""),
        ("database", "postgres", KEY),
    ):
        connection = {"conn_type": kind, "login": "RECEIVERWORKSPACE", "password": password}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


@pytest.fixture
def recorded(monkeypatch):
    """What reaches the database, of which there is none here."""
    calls = []

    def record(*arguments):
        calls.append(arguments)
        return "recorded"

    monkeypatch.setattr(airflow_internals, "record_callback", record)
    return calls


def post(url, token=None, body=None, content_type="application/json", method="POST"):
    query = {} if token is None else {"token": token}
    data = body if isinstance(body, bytes) else json.dumps(FILLED if body is None else body)
    return requests.request(method, url, params=query, data=data, headers={"Content-Type": content_type}, timeout=30)


def test_what_is_recorded(receiver_url, recorded, caplog):
    caplog.set_level(logging.INFO)
    token = token_of(TICKET, KEY)
    assert [post(receiver_url, token, body).status_code for body in (FILLED, FAILED)] == [200, 200]

    uri = f"moengage://RECEIVERWORKSPACE/segments/{UNKNOWN_ID}"
    about = {"segment_id": UNKNOWN_ID, "name": "vip", "request_id": "r"}
    outcome = {"segment_name": "vip", "request_id": "r"}
    assert recorded == [
        (REQUEST, {**outcome, "status": 201, **COUNTS}, uri, {"action": "ready", **about, "status": 201, **COUNTS}),
        (
            *(REQUEST, {**outcome, "status": 400, "error_message": "no file"}, uri),
            {"action": "failed", **about, "status": 400, "error_message": "no file"},
        ),
    ]
    assert "MoEngage callback recorded: fill" in caplog.text
    for secret in (token, token.partition(".")[2], DATABASE, KEY):
        # The server's own access log is not this package's.
        assert secret not in "".join(
            r.getMessage() for r in caplog.records if not r.name.startswith(("uvicorn", "urllib3"))
        )


def test_the_key_was_changed(receiver_url, recorded, monkeypatch):
    connection = {"conn_type": "moengage", "login": "RECEIVERWORKSPACE", "password": "a new key"}
    monkeypatch.setenv("AIRFLOW_CONN_RECEIVES", json.dumps(connection))
    assert post(receiver_url, token_of(TICKET, KEY)).status_code == 403
    assert recorded == []


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (403, {"token": None}),
        (403, {"token": "no token"}),
        (403, {"token": token_of(Ticket(REQUEST, "receives", UNKNOWN_ID, 1_700_000_000), KEY)}),
        (400, {"body": b"no JSON"}),
        (400, {"body": {**FILLED, "user_count": "many"}}),
        (413, {"body": b" " * 20_000}),
        (405, {"method": "PUT"}),
        (405, {"method": "GET"}),
    ],
)
def test_what_is_refused(receiver_url, recorded, status, arguments):
    answer = post(receiver_url, **{"token": token_of(TICKET, KEY), **arguments})
    assert answer.status_code == status
    assert answer.json()["message"].endswith(".")
    assert recorded == []


@pytest.mark.parametrize(
    ("conn_id", "key", "logged"),
    [
        ("receives", "another key", "not signed with the password"),
        ("keyless", "", "not signed with the password"),
        ("database", KEY, "none of MoEngage"),
        ("unknown", KEY, "no connection of the id"),
    ],
)
def test_a_forger_hears_the_same_of_every_connection(receiver_url, recorded, caplog, conn_id, key, logged):
    answer = post(receiver_url, token_of(Ticket(REQUEST, conn_id, UNKNOWN_ID, LATER), key), b"no JSON")
    assert (answer.status_code, answer.json()) == (403, {"message": "The token is not genuine."})
    assert "MoEngage callback refused (403)" in caplog.text
    assert logged in caplog.text
    assert recorded == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=utf-8"])
def test_any_content_type_will_do(receiver_url, recorded, content_type):
    assert post(receiver_url, token_of(TICKET, KEY), content_type=content_type).status_code == 200
    assert len(recorded) == 1


def test_another_path(receiver_url, recorded):
    assert post(f"{receiver_url}s", token_of(TICKET, KEY)).status_code == 404
    assert recorded == []


def test_a_body_without_a_length(receiver_url, recorded):
    token = token_of(TICKET, KEY)
    pieces = iter([b" " * 10_000] * 3)
    answer = requests.post(
        receiver_url, params={"token": token}, data=pieces, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code == 413
    assert recorded == []


def test_a_body_that_does_not_come(receiver_url, recorded, monkeypatch):
    monkeypatch.setattr(receiver, "_SECONDS_FOR_A_BODY", 0.05)
    address = urlsplit(receiver_url)
    head = (
        f"POST {address.path}?token={token_of(TICKET, KEY)} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1_000).startswith(b"HTTP/1.1 408 ")
    assert recorded == []


def test_the_database_holds_up_nobody_else(receiver_url, monkeypatch):
    """More callbacks than may have the database work at once; others are answered meanwhile."""
    began, go_on = threading.Semaphore(0), threading.Event()

    def record(*_):
        began.release()
        assert go_on.wait(30)
        return "recorded"

    monkeypatch.setattr(airflow_internals, "record_callback", record)
    statuses = []
    threads = [
        threading.Thread(target=lambda: statuses.append(post(receiver_url, token_of(TICKET, KEY)).status_code))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    try:
        assert all(began.acquire(timeout=30) for _ in range(receiver._AT_ONCE))
        assert post(receiver_url, method="GET").status_code == 405
        assert not began.acquire(blocking=False)
        assert statuses == []
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 6


def test_a_database_that_fails(receiver_url, monkeypatch, caplog):
    def record(*_):
        raise OSError(f"a statement with {DATABASE} in it")

    monkeypatch.setattr(airflow_internals, "record_callback", record)
    assert post(receiver_url, token_of(TICKET, KEY)).status_code == 503
    assert "MoEngage callback not recorded: OSError" in caplog.text
    assert DATABASE not in caplog.text
