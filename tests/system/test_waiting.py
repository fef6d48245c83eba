"""Deferrable sensors in a real triggerer, beside every other process of Airflow."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version

from airflow_provider_moengage.sandbox import Sandbox
from tests.support import UNKNOWN_ID
from tests.system.real_airflow import running_airflow

pytestmark = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="shared streams came with Airflow 3.3"
)

WAITING = {*(f"by_name_{number}" for number in range(5)), "by_id"}


def is_list(request):
    return (request.method, request.path, request.query) == ("GET", "/v3/custom-segments", "")


def test_sensors_wait_in_the_triggerer(tmp_path):
    key = "planted-key-7c1d44"
    with Sandbox(api_key=key) as sandbox:
        environment = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection)}
        with running_airflow(tmp_path, Path(__file__).with_name("dags"), environment) as airflow:
            run_id = airflow.trigger("waiting")

            def states():
                return airflow.states("waiting", run_id)

            def looked_together():
                return sum(map(is_list, sandbox.requests)) >= 2

            airflow.wait_until(
                lambda: all(states().get(task) == "deferred" for task in WAITING), "all sensors are deferred", 120
            )
            airflow.wait_until(looked_together, "the triggerer has looked twice for all names", 60)
            for number in range(5):
                # What MessagePack and a database cannot hold: it must stop neither this task nor the whole triggerer.
                sandbox.add_segment(name=f"camp {number}", size=2**70, note="\ud800")
            sandbox.add_segment(name="by id", id=UNKNOWN_ID)
            airflow.wait_until(lambda: None not in states().values() and not _unfinished(states()), "the run ends", 180)

            ended = states()
            tries = airflow.tries("waiting", run_id)
            found = {task: airflow.xcom("waiting", run_id, task)["name"] for task in (*WAITING, "rescheduled")}

    assert ended == {
        **dict.fromkeys((*WAITING, "rescheduled", "archive"), "success"),
        "too_late": "skipped",
        "malformed": "failed",
    }
    assert tries["malformed"] == 1
    assert found == {**{f"by_name_{n}": f"camp {n}" for n in range(5)}, "by_id": "by id", "rescheduled": "camp 0"}
    assert [segment["name"] for segment in sandbox.segments if segment["archived"]] == ["camp 0"]
    # Each deferrable sensor has asked for its name once, before it deferred; since then one list serves them all.
    asked = Counter(request.query for request in sandbox.requests)
    assert [asked[query] for query in ("name=never", *(f"name=camp%20{n}" for n in range(1, 5)))] == [1] * 5
    listed = [request.time for request in sandbox.requests if is_list(request)]
    assert all(later - earlier >= timedelta(seconds=2.9) for earlier, later in pairwise(listed))
    leaks = [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert leaks == []


def _unfinished(states):
    return set(states.values()) - {"success", "failed", "skipped", "upstream_failed"}
