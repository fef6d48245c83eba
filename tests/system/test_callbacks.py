"""MoEngage's callbacks come to a real API server: to tasks that wait, to sensors, and to a DAG that an asset starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments.callback_token import SECONDS_VALID, Ticket, ticket_of, token_of
from airflow_provider_moengage.segments.callbacks import FileRequest
from demo.standalone import SECONDS_TO_RUN
from tests.file_server import FileServer, file_server
from tests.system import left_behind
from tests.system.dags.known_to_tests import CALLBACK_CONN_ID, CALLBACK_WORKSPACE, FILLED_ID
from tests.system.real_airflow import RealAirflow
from tests.system.settings import needs_shared_streams

pytestmark = needs_shared_streams

KEY = "callback-key-51b07e/+"
DATABASE = "callback_database"
# What the test of the relay says.
RELAYED_REQUEST = "r"
COUNTS = {"values_found": 3, "values_processed": 3, "user_count": 3}
WAITED = ("deferred", "polling")
SENSORS = ("sensor_deferred", "sensor_poking", "sensor_rescheduled")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workspace_id=CALLBACK_WORKSPACE, api_key=KEY, database_name=DATABASE) as sandbox:
        sandbox.add_segment(name="filled", kind="file", id=FILLED_ID)
        for name in ("polled", "failing"):
            sandbox.add_segment(name=name, kind="file")
        yield sandbox


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server() as files:
        yield files


def test_callbacks(airflow: RealAirflow, sandbox: Sandbox, files: FileServer) -> None:
    file_url = files.put("ids", "1\n2\n3", query="")
    with airflow.connection(CALLBACK_CONN_ID, sandbox.connection):
        airflow.unpause("audience_is_ready")
        run = airflow.trigger("callbacks", conf={"file_url": file_url.rstrip("?")})
        airflow.wait_for_the_end("callbacks", run)
        airflow.wait_until(lambda: runs_of(airflow), "the DAG of the asset runs", SECONDS_TO_RUN)
        ((started,),) = runs_of(airflow)
        airflow.wait_for_the_end("audience_is_ready", started)

        succeeded = dict.fromkeys((*WAITED, "fill", *SENSORS), "success")
        assert airflow.states("callbacks", run) == {**succeeded, "failing": "failed"}
        assert airflow.tries("callbacks", run)["failing"] == 1
        for waited in (*WAITED, *SENSORS):
            assert COUNTS.items() <= airflow.xcom("callbacks", run, waited).items()
        assert "user_count" not in airflow.xcom("callbacks", run, "fill")
        reported = airflow.xcom("audience_is_ready", started, "report")
        (extra,) = [extra for extra in reported if extra["request_id"] != RELAYED_REQUEST]
        assert {"action": "ready", "segment_id": FILLED_ID, "name": "filled", **COUNTS}.items() <= extra.items()

        before = recorded(airflow)
        assert len(before[0]) == 4
        addresses = [request.json["callback_url"] for request in sandbox.requests if request.method in ("POST", "PUT")]
        for address in addresses:
            assert post(address, values_found=9) == 200
        assert refused(addresses[0]) == [403, 403, 403, 403, 413, 400, 405]
        assert recorded(airflow) == before
        log = airflow.text("GET", f"dags/callbacks/dagRuns/{run}/taskInstances/failing/logs/1?full_content=true")
        assert "File download failed." in log
        content = list(left_behind.everything(airflow, "callbacks", run))

    signatures = [token_in(address).partition(".")[2] for address in addresses]
    assert left_behind.places_of(FILLED_ID.encode(), content)
    for secret in (*signatures, DATABASE):
        assert left_behind.places_of(secret.encode(), content) == set()
    assert left_behind.leaks(content, CALLBACK_WORKSPACE, KEY) == set()


def runs_of(airflow):
    """Find what an event of this DAG has started: those of the relay's test are about the same asset."""
    return airflow.rows(
        "SELECT DISTINCT dag_run.run_id FROM dag_run "
        "JOIN dagrun_asset_event ON dagrun_asset_event.dag_run_id = dag_run.id "
        "JOIN asset_event ON asset_event.id = dagrun_asset_event.event_id "
        "WHERE asset_event.source_dag_id = 'callbacks'"
    )


def recorded(airflow):
    xcoms = airflow.rows(
        "SELECT key, value, timestamp FROM xcom WHERE dag_id = 'callbacks' AND key LIKE 'moengage_callback_%'"
    )
    events = airflow.rows("SELECT id FROM asset_event WHERE source_dag_id = 'callbacks'")
    return sorted(xcoms), events


def token_in(address):
    return parse_qs(urlsplit(address).query)["token"][0]


def post(address, *, headers=None, body=None, **changed):
    said = {"db_name": DATABASE, "segment_name": "filled", "request_id": "r", "status": 201, **COUNTS, **changed}
    headers = headers or {"Content-Type": "application/json"}
    return requests.post(address, data=body or json.dumps(said), headers=headers, timeout=60).status_code


def refused(address):
    """Give the answers to what is no callback."""
    ticket = ticket_of(token_in(address), 0)

    def signed(key=KEY, conn_id=CALLBACK_CONN_ID, expires=ticket.expires):
        forged = Ticket(ticket.request, conn_id, ticket.segment_id, expires)
        return f"{address.partition('?')[0]}?token={token_of(forged, key)}"

    return [
        post(address.partition("?")[0]),
        post(signed(key="another")),
        post(signed(conn_id="nobody_knows_it")),
        post(signed(expires=ticket.expires - SECONDS_VALID)),
        post(address, error_message="x" * 20_000),
        post(address, user_count="many"),
        requests.get(address, timeout=60).status_code,
    ]


def test_a_request_that_nobody_expects(airflow: RealAirflow, sandbox: Sandbox) -> None:
    """Such as that of a task that has started again since."""
    request = FileRequest.new("callbacks", "no run", "fill", -1)
    token = token_of(Ticket(request, CALLBACK_CONN_ID, FILLED_ID, 4_000_000_000), KEY)
    before = recorded(airflow)
    with airflow.connection(CALLBACK_CONN_ID, sandbox.connection):
        assert post(f"{airflow.url}/moengage/callback?token={token}") == 200
    assert recorded(airflow) == before
