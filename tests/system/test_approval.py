"""The weekly expiry and the segments in git as their schedules start them, with a person who approves or rejects."""

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
    with Sandbox() as sandbox, airflow.connection("moengage_default", sandbox.connection), unpaused(airflow, DAG_ID):
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

        weekly = scheduled_run(airflow, DAG_ID)
        question = airflow.question(DAG_ID, weekly, "approve")
        assert question["subject"] == "Archive 1 expired MoEngage segments?"
        assert re.findall("`(.+)`", question["body"]) == ["camp_expired"]
        airflow.answer(DAG_ID, weekly, "approve", "Approve")
        airflow.wait_for_the_end(DAG_ID, weekly)
        assert archived(sandbox) == ["camp_expired"]
        assert set(airflow.states(DAG_ID, weekly).values()) == {"success"}


def test_segments_in_git(airflow):
    dag_id = "keep_segments_in_git"
    with Sandbox(dialect="today") as sandbox, airflow.connection("moengage_default", sandbox.connection):
        sandbox.add_segment(name="git_old")
        with unpaused(airflow, dag_id):
            rejected = scheduled_run(airflow, dag_id)
            assert "- create ` 'git_buyers_in_pune' `" in airflow.question(dag_id, rejected, "approve")["body"]
            airflow.answer(dag_id, rejected, "approve", "Reject")
            airflow.wait_for_the_end(dag_id, rejected)
            assert [request.method for request in sandbox.requests] == ["GET"]
            assert airflow.states(dag_id, rejected)["choose"] == "skipped"

            approved = airflow.trigger(dag_id)
            airflow.question(dag_id, approved, "approve")
            airflow.answer(dag_id, approved, "approve", "Approve")
            airflow.wait_for_the_end(dag_id, approved)
            names = {segment["name"] for segment in sandbox.segments}
            assert names == {"git_old", "git_above_their_average", "git_buyers_in_pune"}
            assert archived(sandbox) == []


@contextmanager
def unpaused(airflow, dag_id) -> Iterator[None]:
    airflow.unpause(dag_id)
    try:
        yield
    finally:
        airflow.call("PATCH", f"dags/{dag_id}", json={"is_paused": True})


def scheduled_run(airflow, dag_id):
    def runs():
        found = airflow.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        return [run["dag_run_id"] for run in found if run["run_type"] == "scheduled"]

    airflow.wait_until(runs, "the schedule starts the DAG", SECONDS_TO_RUN)
    (run,) = runs()
    return run


def archived(sandbox):
    return [segment["name"] for segment in sandbox.segments if segment["archived"]]
