"""An API key that is planted in Airflow's database, and looked for in everything that a run leaves behind."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.system import left_behind
from tests.system.dags.known_to_tests import AWAITED_ID, NAME, PLANTED_CONN_ID, REFUSED_ID, REFUSED_UPDATE_ID
from tests.system.real_airflow import RealAirflow
from tests.system.settings import PLANTED_KEY, needs_shared_streams

pytestmark = needs_shared_streams

WORKSPACE_ID = "PLANTEDWORKSPACE"
HEADER = "Basic " + base64.b64encode(f"{WORKSPACE_ID}:{PLANTED_KEY}".encode()).decode()

# By these words the echoes are found where they were written down, without the key.
MARK = "echo of a proxy"
IN_WORDS = f"{MARK}: you sent {PLANTED_KEY}, in an address {quote(PLANTED_KEY, safe='')}, and {HEADER}"
IN_JSON = {"error": {"code": "Authentication required", "message": IN_WORDS}, "response_id": PLANTED_KEY}

LIST = "/v3/custom-segments"
NO_SEGMENT = f"{LIST}/{'0' * 24}"  # what the test of a connection asks for
WAITING = ("by_name", "by_id", "refused_while_waiting", "rescheduled")

PLACES_OF_ECHOES = (
    *(
        f"task_id={task}/attempt=1.log"
        for task in ("update", "archive", "refused", "refused_while_waiting", "rescheduled", "show_everything")
    ),
    *(f"task_id={task}/attempt=1.log.trigger" for task in ("by_name", "by_id", "refused_while_waiting")),
    *(f"/{task}/logs/1" for task in ("update", "archive", "refused", "by_name", "by_id", "rescheduled")),
    "/show_everything/xcomEntries/return_value",
    "table xcom",
    "the button Test",
)


@pytest.fixture
def sandbox():
    with Sandbox(workspace_id=WORKSPACE_ID, api_key=PLANTED_KEY) as sandbox:
        yield sandbox


def test_a_planted_key_is_found_nowhere(airflow: RealAirflow, sandbox):
    with airflow.connection(PLANTED_CONN_ID, sandbox.connection):
        accepted = press_test(airflow)
        echo_the_key(sandbox, "PATCH", "/v2/custom-segments/unarchive", 401)
        echo_the_key(sandbox, "GET", f"{LIST}/{REFUSED_UPDATE_ID}", 401)
        echo_the_key(sandbox, "GET", NO_SEGMENT, 401)
        run = airflow.trigger("planted_key")
        ended = {"refused": "failed", "show_everything": "success"}
        wait_for_states(
            airflow, run, {**ended, **dict.fromkeys(WAITING, "deferred"), "rescheduled": "up_for_reschedule"}
        )

        airflow.wait_until_deferred("planted_key", run, *(task for task in WAITING if task != "rescheduled"))
        echo_the_key(sandbox, "GET", LIST, 502, times=100)
        echo_the_key(sandbox, "GET", f"{LIST}/{AWAITED_ID}", 502)
        echo_the_key(sandbox, "GET", f"{LIST}/{REFUSED_ID}", 401)
        airflow.wait_until(lambda: all_sensors_have_met_an_echo(sandbox), "all sensors meet an echo", SECONDS_TO_RUN)
        wait_for_states(airflow, run, {"refused_while_waiting": "failed", "by_name": "deferred", "by_id": "deferred"})
        content = list(left_behind.everything(airflow, "planted_key", run))

        sandbox.clear_faults()
        # In answers that pass for successes, which the client does not ask for again.
        echo_the_key(sandbox, "PATCH", f"{LIST}/{AWAITED_ID}", 200)
        echo_the_key(sandbox, "PATCH", "/v2/custom-segments/archive", 200)
        sandbox.add_segment(name=NAME, id=AWAITED_ID)
        wait_for_states(airflow, run, {"archive": "success"})
        echo_the_key(sandbox, "GET", NO_SEGMENT, 401)
        refused = press_test(airflow)

        content += left_behind.everything(airflow, "planted_key", run)
        content.append(("the button Test", (accepted + refused).encode()))
        passwords = airflow.rows("SELECT password FROM connection WHERE conn_id = ?", PLANTED_CONN_ID)
        stored = [left_behind.decrypted(airflow, password) for (password,) in passwords]

    assert left_behind.leaks(content, WORKSPACE_ID, PLANTED_KEY) == set()
    # There was something to find: the key was in the database, and the echoes were written down.
    assert stored == [PLANTED_KEY.encode()]
    assert sandbox.pending_faults == []
    assert ('"status":true' in accepted, '"status":false' in refused) == (True, True)
    assert "table trigger" in left_behind.places_of(PLANTED_CONN_ID.encode(), content)
    echoes = left_behind.places_of(MARK.encode(), content)
    assert [place for place in PLACES_OF_ECHOES if not any(place in echo for echo in echoes)] == []


def echo_the_key(sandbox, method, path, status, times=1):
    body = IN_JSON if status == 401 else IN_WORDS
    sandbox.fail_next(times, method=method, path=path, status=status, body=body)


def all_sensors_have_met_an_echo(sandbox):
    """Those that wait by name ask for the list: the triggerer for all of it, the rescheduled one for its name."""
    met = {(request.path, bool(request.query)) for request in sandbox.requests if MARK.encode() in request.answer}
    return {
        (LIST, False),
        (LIST, True),
        (f"{LIST}/{AWAITED_ID}", False),
        (f"{LIST}/{REFUSED_ID}", False),
    } <= met


def wait_for_states(airflow, run, wanted):
    airflow.wait_until(
        lambda: wanted.items() <= airflow.states("planted_key", run).items(), f"the tasks are {wanted}", SECONDS_TO_RUN
    )


def press_test(airflow):
    return airflow.text("POST", "connections/test", json={"connection_id": PLANTED_CONN_ID, "conn_type": "moengage"})
