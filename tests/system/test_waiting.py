"""Deferrable sensors in a real triggerer, beside every other process of Airflow."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.support import UNKNOWN_ID
from tests.system import left_behind
from tests.system.dags.known_to_tests import WAITING_CONN_ID
from tests.system.real_airflow import RealAirflow
from tests.system.settings import PLANTED_KEY, needs_shared_streams

pytestmark = needs_shared_streams

WAITING = {*(f"by_name_{number}" for number in range(5)), "by_id"}


def is_list(request):
    return (request.method, request.path, request.query) == ("GET", "/v3/custom-segments", "")


def test_sensors_wait_in_the_triggerer(airflow: RealAirflow):
    with Sandbox(api_key=PLANTED_KEY) as sandbox, airflow.connection(WAITING_CONN_ID, sandbox.connection):
        run_id = airflow.trigger("waiting")

        def states():
            return airflow.states("waiting", run_id)

        def polled_together():
            return sum(map(is_list, sandbox.requests)) >= 2

        airflow.wait_until_deferred("waiting", run_id, *WAITING)
        airflow.wait_until(polled_together, "the triggerer has polled twice for all names", SECONDS_TO_RUN)
        for number in range(5):
            # What MessagePack and a database cannot hold: it must stop neither this task nor the whole triggerer.
            sandbox.add_segment(name=f"camp {number}", more={"size": 2**70, "note": "\ud800"})
        sandbox.add_segment(name="by id", id=UNKNOWN_ID)
        airflow.wait_until(
            lambda: None not in states().values() and not _unfinished(states()), "the run ends", SECONDS_TO_RUN
        )

        ended = states()
        tries = airflow.tries("waiting", run_id)
        assert ended == {
            **dict.fromkeys((*WAITING, "rescheduled", "archive"), "success"),
            "too_late": "skipped",
            "malformed": "failed",
        }
        found = {task: airflow.xcom("waiting", run_id, task)["name"] for task in (*WAITING, "rescheduled")}

    assert tries["malformed"] == 1
    assert found == {**{f"by_name_{n}": f"camp {n}" for n in range(5)}, "by_id": "by id", "rescheduled": "camp 0"}
    assert [segment["name"] for segment in sandbox.segments if segment["archived"]] == ["camp 0"]
    # Each deferrable sensor has asked for its name once, before it deferred; since then one list serves them all.
    asked = Counter(request.query for request in sandbox.requests)
    assert [asked[query] for query in ("name=never", *(f"name=camp%20{n}" for n in range(1, 5)))] == [1] * 5
    listed = [request.time for request in sandbox.requests if is_list(request)]
    assert all(later - earlier >= timedelta(seconds=2.9) for earlier, later in pairwise(listed))
    workspace_id = sandbox.connection["login"]
    assert left_behind.leaks(left_behind.everything(airflow, "waiting", run_id), workspace_id, PLANTED_KEY) == set()


def _unfinished(states):
    return set(states.values()) - {"success", "failed", "skipped", "upstream_failed"}
