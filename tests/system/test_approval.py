"""The weekly expiry as its schedule starts it, with a person who approves or rejects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pendulum

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.system.settings import needs_shared_streams

pytestmark = needs_shared_streams

DAG_ID = "archive_expired_segments"


def test_a_person_approves_or_rejects(airflow):
    now = pendulum.now("UTC")
    # @weekly is Sunday, midnight.
    last_run = now.start_of("day").subtract(days=now.isoweekday() % 7)
    with Sandbox() as sandbox, airflow.connection("moengage_default", sandbox.connection), unpaused(airflow):
        for name, before in [("camp_expired", 91), ("camp_last_week", 99), ("camp_next_week", 89)]:
            sandbox.add_segment(name=name, created_time=last_run - timedelta(days=before))

        rejected = airflow.trigger(DAG_ID, conf={"newer_than": "P1Y"})
        assert "| `camp_expired` |" in airflow.question(DAG_ID, rejected, "approve")["body"]
        airflow.answer(DAG_ID, rejected, "approve", "Reject")
        airflow.wait_for_the_end(DAG_ID, rejected)
        assert archived(sandbox) == []
        assert airflow.states(DAG_ID, rejected) == {
            **dict.fromkeys(("find_expired", "show_plan", "approve", "report_room"), "success"),
            "archive": "skipped",
        }

        airflow.wait_until(lambda: scheduled_runs(airflow), "the schedule starts the DAG", SECONDS_TO_RUN)
        (weekly,) = scheduled_runs(airflow)
        question = airflow.question(DAG_ID, weekly, "approve")
        assert question["subject"] == "Archive 1 expired MoEngage segments?"
        assert re.findall("`(.+)`", question["body"]) == ["camp_expired"]
        airflow.answer(DAG_ID, weekly, "approve", "Approve")
        airflow.wait_for_the_end(DAG_ID, weekly)
        assert archived(sandbox) == ["camp_expired"]
        assert set(airflow.states(DAG_ID, weekly).values()) == {"success"}


@contextmanager
def unpaused(airflow) -> Iterator[None]:
    airflow.unpause(DAG_ID)
    try:
        yield
    finally:
        airflow.call("PATCH", f"dags/{DAG_ID}", json={"is_paused": True})


def scheduled_runs(airflow):
    runs = airflow.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"]
    return [run["dag_run_id"] for run in runs if run["run_type"] == "scheduled"]


def archived(sandbox):
    return [segment["name"] for segment in sandbox.segments if segment["archived"]]
