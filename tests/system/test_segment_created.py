"""A DAG that starts when somebody creates a segment, whatever happens to the triggerer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.system.real_airflow import RealAirflow, running_airflow
from tests.system.settings import needs_shared_streams

pytestmark = needs_shared_streams

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "update_new_segments.py"
DAG_ID = "update_new_segments"
INTERVAL = 2

# It waits for the last segment of the test, with the connection and the interval of the watcher.
SENSOR = f"""
import pendulum
from airflow.sdk import DAG

from airflow_provider_moengage.sensors.segments import SegmentExistsSensor

with DAG("waits", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SegmentExistsSensor(task_id="wait", name="camp_chennai", deferrable=True, poke_interval={INTERVAL})
"""

# How soon a triggerer that says nothing counts as dead.
SETTINGS = {
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A workspace with the documented rate limits, and 300 segments that exist already."""
    with Sandbox() as sandbox:
        for number in range(300):
            sandbox.add_segment(name=f"camp_pune_{number}", age=timedelta(hours=1))
        yield sandbox


@pytest.fixture
def own_airflow(tmp_path, sandbox) -> Iterator[RealAirflow]:
    """An Airflow of the test's own: a watcher polls as long as its DAG is there, and the triggerer is killed."""
    dags = tmp_path / "dags"
    dags.mkdir()
    example = EXAMPLE.read_text().replace('name_pattern="camp_*"', f'name_pattern="camp_*", poll_interval={INTERVAL}')
    (dags / "example.py").write_text(example)
    (dags / "sensor.py").write_text(SENSOR)
    connection = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection)}
    with running_airflow(tmp_path, dags, {**SETTINGS, **connection}) as airflow:
        yield airflow


def test_each_segment_starts_a_run_once_though_the_triggerer_is_killed(own_airflow: RealAirflow, sandbox):
    airflow = own_airflow
    waiting = airflow.trigger("waits")
    airflow.wait_until_deferred("waits", waiting, "wait")
    wait_for_polls(airflow, sandbox, 2)
    watchers = watchers_of(airflow)

    sandbox.add_segment(name="other_pune")
    before = {sandbox.add_segment(name=f"camp_{city}")["id"]: 1 for city in ("pune", "mumbai")}
    airflow.wait_until(
        lambda: updates(sandbox) == before, "two segments of the same second are updated", SECONDS_TO_RUN
    )
    airflow.wait_until(lambda: set(before) <= kept(airflow), "Airflow keeps that they are known", SECONDS_TO_RUN)

    airflow.kill_triggerer()

    chennai = sandbox.add_segment(name="camp_chennai")["id"]
    after = {**before, chennai: 1}
    with airflow.another_triggerer():
        # The oldest come first: those of before would have been fired again before this one.
        airflow.wait_until(lambda: updates(sandbox) == after, "the one of meanwhile is updated", SECONDS_TO_RUN)
        airflow.wait_until(
            lambda: airflow.states("waits", waiting) == {"wait": "success"}, "the sensor succeeds", SECONDS_TO_RUN
        )
        airflow.wait_until(lambda: states_of_runs(airflow) == ["success"] * 3, "all runs succeed", SECONDS_TO_RUN)

    fired = [json.loads(extra)["payload"] for (extra,) in airflow.rows("SELECT extra FROM asset_event")]
    assert Counter(payload["segment_id"] for payload in fired) == after
    assert all(payload.keys() == {"name", "segment_id", "created_time", "type", "source"} for payload in fired)
    consumed = airflow.rows(
        "SELECT count(DISTINCT event_id), count(DISTINCT dag_run_id), count(*) FROM dagrun_asset_event"
    )
    assert consumed == [(3, 3, 3)], "each event has one run of its own"

    assert watchers_of(airflow) == watchers, "to parse the file again makes no other watcher"

    listed = [request.time for request in sandbox.requests if is_list(request)]
    assert all(later - earlier >= timedelta(seconds=INTERVAL - 0.1) for earlier, later in pairwise(listed)), (
        "one list serves the watcher and the sensor"
    )


def watchers_of(airflow):
    return airflow.rows("SELECT id FROM trigger WHERE classpath LIKE '%.SegmentCreatedTrigger'")


def is_list(request):
    return (request.method, request.path, request.query) == ("GET", "/v3/custom-segments", "")


def updates(sandbox):
    """Count the updates of each segment."""
    return Counter(request.path.rsplit("/", 1)[1] for request in sandbox.requests if request.method == "PATCH")


def kept(airflow):
    """Give the ids that the asset's state store has."""
    rows = airflow.rows("SELECT value FROM asset_state_store")
    return {segment_id for (value,) in rows for segment_id in json.loads(value)["ids"]}


def states_of_runs(airflow):
    return [run["state"] for run in airflow.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"]]


def wait_for_polls(airflow, sandbox, polls):
    before = sum(map(is_list, sandbox.requests))
    airflow.wait_until(
        lambda: sum(map(is_list, sandbox.requests)) >= before + polls,
        f"the triggerer polls {polls} times",
        SECONDS_TO_RUN,
    )
