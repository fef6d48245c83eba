"""A triggerer that is killed while a thousand sensors wait in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.figures import Figures
from tests.system.dags.known_to_tests import IDS, NAMES_INTERVAL, NAMES_PER_RUN
from tests.system.real_airflow import RealAirflow, running_airflow
from tests.system.settings import DAGS, PARSED_ONCE, needs_shared_streams

pytestmark = needs_shared_streams

RUNS = [f"part_{number}" for number in range(33)]
SENSORS = len(RUNS) * NAMES_PER_RUN + len(IDS)

SETTINGS = {
    **PARSED_ONCE,
    # So that a thousand tasks wait soon. The triggerer's capacity is Airflow's own, which is a thousand.
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "100",
    "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(SENSORS),
    # How soon a triggerer that says nothing counts as dead.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A workspace with the documented rate limits: a thousand sensors live within them."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def own_airflow(tmp_path, sandbox) -> Iterator[RealAirflow]:
    """An Airflow of the test's own, since it is no whole one afterwards."""
    connection = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection)}
    with running_airflow(tmp_path, DAGS, {**SETTINGS, **connection}) as airflow:
        yield airflow


def test_a_killed_triggerer_loses_none_of_a_thousand_sensors(own_airflow: RealAirflow, sandbox, figures: Figures):
    airflow = own_airflow
    by_id = airflow.trigger("few_ids")
    for run in RUNS:
        airflow.trigger("many_names", run)
    airflow.wait_until(
        lambda: tasks_by_state(airflow) == {"deferred": SENSORS}, "all tasks are deferred", SECONDS_TO_RUN
    )
    first = wait_until_one_triggerer_runs_all(airflow, after=0)
    wait_for_polls(airflow, sandbox, 2)

    airflow.kill_triggerer()

    assert tasks_by_state(airflow) == {"deferred": SENSORS}
    with airflow.another_triggerer():
        second = wait_until_one_triggerer_runs_all(airflow, after=first)
        figures.most("triggers held by one triggerer", SENSORS)
        wait_for_polls(airflow, sandbox, 2)
        assert tasks_by_state(airflow) == {"deferred": SENSORS}

        awaited = {
            ("many_names", "part_0", "wait_0"): sandbox.add_segment(name="part_0 camp 0"),
            ("many_names", "part_17", "wait_5"): sandbox.add_segment(name="part_17 camp 5"),
            ("many_names", "part_32", "wait_29"): sandbox.add_segment(name="part_32 camp 29"),
            ("few_ids", by_id, "wait_0"): sandbox.add_segment(name="first id", id=IDS[0]),
            ("few_ids", by_id, "wait_9"): sandbox.add_segment(name="last id", id=IDS[9]),
        }
        others = SENSORS - len(awaited)
        ended = {"deferred": others, "success": len(awaited)}
        airflow.wait_until(
            lambda: tasks_by_state(airflow) == ended, "those that were waited for succeed", SECONDS_TO_RUN
        )
        assert succeeded(airflow) == set(awaited)
        for task, segment in awaited.items():
            shown = airflow.xcom(*task)
            assert shown == {key: segment[key] for key in shown}
            assert {"name", "id", "created_time", "type", "source"} <= shown.keys()
        wait_for_polls(airflow, sandbox, 1)
        airflow.wait_until(lambda: triggers_of(airflow) == {second: others}, "the others wait on", SECONDS_TO_RUN)
        assert tasks_by_state(airflow) == ended

    listed = [request for request in sandbox.requests if is_list(request)]
    assert all(
        later.time - earlier.time >= timedelta(seconds=NAMES_INTERVAL - 0.1) for earlier, later in pairwise(listed)
    ), "one list serves all that wait for names"
    assert {request.status for request in listed} == {200}
    assert not [request for request in sandbox.requests if request.query], "no sensor has polled on its own"


def tasks_by_state(airflow):
    return dict(airflow.rows("SELECT state, count(*) FROM task_instance GROUP BY state"))


def succeeded(airflow):
    return set(airflow.rows("SELECT dag_id, run_id, task_id FROM task_instance WHERE state = 'success'"))


def triggers_of(airflow):
    return dict(airflow.rows("SELECT triggerer_id, count(*) FROM trigger GROUP BY triggerer_id"))


def wait_until_one_triggerer_runs_all(airflow, after):
    """Tell which it is. The database says what it is given, and the log files say what it has started."""

    def runs_all():
        return [
            triggerer
            for triggerer, triggers in triggers_of(airflow).items()
            if triggerer and triggerer > after and triggers == SENSORS == started_by(airflow, triggerer)
        ]

    airflow.wait_until(runs_all, f"a triggerer later than {after} runs all triggers", SECONDS_TO_RUN)
    return runs_all()[0]


def started_by(airflow, triggerer):
    return sum(1 for _ in airflow.home.glob(f"logs/**/*.trigger.{triggerer}.log"))


def is_list(request):
    return (request.method, request.path, request.query) == ("GET", "/v3/custom-segments", "")


def wait_for_polls(airflow, sandbox, polls):
    """Wait until a triggerer has asked for the list so many times, and for each id that is not there yet."""
    before = len(sandbox.requests)
    wanted = {f"/v3/custom-segments/{segment_id}" for segment_id in IDS} - {
        f"/v3/custom-segments/{segment['id']}" for segment in sandbox.segments
    }

    def polled():
        since = sandbox.requests[before:]
        return sum(map(is_list, since)) >= polls and wanted <= {request.path for request in since}

    airflow.wait_until(polled, f"the triggerer polls {polls} times for all names, and for each id", SECONDS_TO_RUN)
