"""The relay of docs/callbacks.md, which tells a real API server over the public REST API."""

from __future__ import annotations

import json
import runpy

import pytest
import requests

from airflow_provider_moengage.segments.callback_token import Ticket, token_of
from airflow_provider_moengage.segments.callbacks import FileRequest
from demo.standalone import REPOSITORY, SECONDS_TO_RUN
from tests.system.dags.known_to_tests import CALLBACK_WORKSPACE, FILLED_ID, RELAYED_FILES, RELAYED_NONCE
from tests.system.real_airflow import RealAirflow
from tests.system.settings import needs_shared_streams

pytestmark = needs_shared_streams

KEY = "relay-key-7d10c2"
SAID = {"segment_name": "filled", "request_id": "r", "status": 201}
COUNTS = {"values_found": 7, "values_processed": 6, "user_count": 5}


@pytest.fixture
def relay(airflow: RealAirflow, monkeypatch: pytest.MonkeyPatch):
    token = requests.get(f"{airflow.url}/auth/token", timeout=60).json()["access_token"]
    monkeypatch.setenv("AIRFLOW_URL", airflow.url)
    monkeypatch.setenv("AIRFLOW_TOKEN", token)
    monkeypatch.setenv("MOENGAGE_DATA_API_KEY", KEY)
    monkeypatch.setenv("MOENGAGE_WORKSPACE_ID", CALLBACK_WORKSPACE)
    handler = runpy.run_path(str(REPOSITORY / "docs" / "relay" / "callback_relay.py"))["handler"]

    def post(request: FileRequest, key: str = KEY, **changed) -> int:
        token = token_of(Ticket(request, "any", FILLED_ID, 4_000_000_000), key)
        body = json.dumps({"db_name": "not kept", **SAID, **COUNTS, **changed})
        return handler({"queryStringParameters": {"token": token}, "body": body})["statusCode"]

    return post


def events(airflow):
    rows = airflow.rows("SELECT extra FROM asset_event")
    return [extra for extra in (json.loads(row) for (row,) in rows) if extra.get("request_id") == "r"]


def test_a_callback_through_the_relay(airflow: RealAirflow, relay) -> None:
    run = airflow.trigger("relayed")
    airflow.wait_until(
        lambda: airflow.states("relayed", run)["wait"] == "deferred", "the sensor is deferred", SECONDS_TO_RUN
    )
    request = FileRequest("relayed", run, "fill", -1, RELAYED_NONCE)
    before = events(airflow)
    assert relay(request, key="another") == 403
    assert relay(request, user_count="many") == 403
    assert relay(FileRequest("relayed", run, "fill", -1, "0" * 32)) == 200  # nobody expects it
    assert [relay(request), relay(request, values_found=0)] == [200, 200]

    airflow.wait_for_the_end("relayed", run)
    assert airflow.states("relayed", run) == {"fill": "success", "wait": "success"}
    assert airflow.xcom("relayed", run, "wait") == {**SAID, **COUNTS}
    (extra,) = [extra for extra in events(airflow) if extra not in before]
    assert extra.items() >= {"action": "ready", "segment_id": FILLED_ID, "name": "filled", **COUNTS}.items()
    keys = airflow.rows("SELECT key FROM xcom WHERE dag_id = 'relayed' AND key LIKE 'moengage_callback_%'")
    assert keys == [(request.outcome_key,)]

    # An audience of two files.
    before = events(airflow)
    files = [FileRequest("relayed", run, "fill", -1, nonce) for nonce in RELAYED_FILES]
    assert relay(files[1], user_count=4) == 200
    assert events(airflow) == before
    assert relay(files[0]) == 200
    (extra,) = [extra for extra in events(airflow) if extra not in before]
    assert extra.items() >= {"action": "ready", "files": 2, "values_found": 14, "user_count": 4}.items()
