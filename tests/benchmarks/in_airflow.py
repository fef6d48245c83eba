"""Archive segments on a real Airflow, in one task and with a task for each, and measure from the first to the last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pendulum

from demo.standalone import Standalone, running_airflow
from tests.benchmarks.in_a_process import HOME
from tests.benchmarks.slow_moengage import slow_moengage

DAGS = Path(__file__).with_name("dags")
TASKS_AT_ONCE = 4
SECONDS_TO_RUN = 600
TASKS_PER_PAGE = 100


@contextmanager
def airflow_of_its_own() -> Iterator[Standalone]:
    """Run an Airflow without a past: what a run that was stopped has left would be carried on with."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    # No proxy of the environment is asked for MoEngage: it is on this machine.
    settings = {"AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE), "no_proxy": "*"}
    with running_airflow(HOME, DAGS, settings) as airflow:
        yield airflow


def archived_by(airflow: Standalone, dag_id: str, names: Sequence[str], latency: float) -> dict[str, Any]:
    """
    Let a DAG archive segments.

    :param dag_id: one of those in the file archive_many.py.
    :return: what it took, from the start of the first task that archives to the end of the last.
    """
    with (
        slow_moengage(names, latency) as moengage,
        airflow.connection("moengage_default", moengage.connection),
        airflow.connection("moengage_over_http", over_http(moengage.connection)),
    ):
        run_id = airflow.trigger(dag_id, conf={"names": list(names)})
        run = f"dags/{dag_id}/dagRuns/{run_id}"
        airflow.wait_for_the_end(dag_id, run_id, SECONDS_TO_RUN)
        traffic = moengage.traffic(names)
    tasks = _tasks(airflow, run)
    if not all(task["state"] == "success" for task in tasks):
        raise RuntimeError(f"Not every task of {dag_id} has succeeded; Airflow's logs are in {HOME}.")
    began = min(pendulum.parse(task["start_date"]) for task in tasks)
    ended = max(pendulum.parse(task["end_date"]) for task in tasks)
    return {"tasks": len(tasks), "seconds": round((ended - began).total_seconds(), 3), **traffic}


def over_http(connection: dict[str, Any]) -> dict[str, Any]:
    """Make the connection of the provider http to the same workspace."""
    headers = {"MOE-APPKEY": connection["login"], "Content-Type": "application/json"}
    return {**connection, "conn_type": "http", "extra": headers}


def _tasks(airflow: Standalone, run: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    while True:
        params = {"task_id": "archive", "limit": TASKS_PER_PAGE, "offset": len(tasks)}
        page = airflow.call("GET", f"{run}/taskInstances", params=params)
        tasks += page["task_instances"]
        if len(tasks) >= page["total_entries"]:
            return [task for task in tasks if task["task_id"] == "archive"]
