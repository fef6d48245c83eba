"""The example DAGs on CeleryExecutor, Redis and PostgreSQL, with two workers that share nothing."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from airflow_provider_moengage.sandbox import Sandbox
from tests.support import filters

SECONDS_TO_RUN = 600

CONN_ID = "moengage_default"
LIFECYCLE = "segment_lifecycle"
BULK = "archive_expired_segments"
CONCURRENCY = 4
SEGMENTS, DONE = 300, 100


def test_a_segment_is_waited_for_and_changed(airflow, two_workers):
    with Sandbox() as sandbox, airflow.connection(CONN_ID, sandbox.connection):
        run = airflow.trigger(LIFECYCLE, logical_date="2026-11-09T00:00:00Z")
        airflow.wait_until_deferred(LIFECYCLE, run, "wait_for_segment")
        segment = sandbox.add_segment(name="camp_diwali_2026")
        airflow.wait_for_the_end(LIFECYCLE, run, SECONDS_TO_RUN)

        tasks = ("wait_for_segment", "update_filters", "archive", "unarchive")
        assert airflow.states(LIFECYCLE, run) == dict.fromkeys(tasks, "success")
        assert airflow.xcom(LIFECYCLE, run, "wait_for_segment")["id"] == segment["id"]
    assert [(request.path.rpartition("/")[2], request.status) for request in patches(sandbox)] == [
        (segment["id"], 200),
        ("archive", 202),
        ("unarchive", 202),
    ]


def test_a_worker_meets_a_rate_limit_that_another_has_used_up(airflow, two_workers):
    """50 updates a minute: the one worker makes them all, of which the other, with 10 to make, cannot know."""
    gates = "63d8cec0c085939e6c1ab701", "63d8cec0c085939e6c1ab702"
    with Sandbox() as sandbox, airflow.connection(CONN_ID, sandbox.connection):
        segments = [sandbox.add_segment(name=name)["id"] for name in two_workers]
        updates = [[filters(f"{name} {n}") for n in range(count)] for name, count in zip("ab", (50, 10), strict=True)]
        conf = {
            worker: {"gate": gate, "segment": segment, "updates": updates}
            for worker, gate, segment, updates in zip(two_workers, gates, segments, updates, strict=True)
        }
        run = airflow.trigger("two_updaters", conf=conf)
        airflow.wait_until(lambda: asked_for(sandbox) == set(gates), "both are at their gates", SECONDS_TO_RUN)
        sandbox.add_segment(name="gate 1", id=gates[0])
        airflow.wait_until(lambda: len(patches(sandbox)) == 50, "the one has used up the limit", SECONDS_TO_RUN)
        # Waited for is what is left of the minute: time for a slow machine to be refused, and no more.
        sandbox.move_clock(timedelta(seconds=20))
        sandbox.add_segment(name="gate 2", id=gates[1])
        airflow.wait_for_the_end("two_updaters", run, SECONDS_TO_RUN)

        assert airflow.states("two_updaters", run) == dict.fromkeys(two_workers, "success")
        assert [task["try_number"] for task in airflow.tasks("two_updaters", run).values()] == [1, 1]
    first, second = ([one for one in patches(sandbox) if one.path.endswith(segment)] for segment in segments)
    assert [request.status for request in first] == [200] * 50
    # Refused once, it waits as long as it is told, and then carries on.
    opens = first[0].time + timedelta(minutes=1)
    assert [request.status for request in second if request.time < opens] == [429]
    assert [request.json["included_filters"] for request in second if request.status == 200] == updates[1]


def test_a_worker_is_killed_in_the_middle_of_a_bulk_archive(airflow, two_workers):
    with bulk_archive_that_hangs(airflow) as (sandbox, run):
        killed = airflow.tasks(BULK, run)["archive"]["hostname"]

        airflow.kill_worker(killed)

        airflow.wait_for_the_end(BULK, run, SECONDS_TO_RUN)
        assert_the_other_has_carried_on(airflow, run, sandbox, killed)
    missed = airflow.rows("SELECT task_id FROM log WHERE event = 'heartbeat timeout' AND run_id = %s", run)
    assert missed == [("archive",)], "nobody has reported the death"


def test_a_worker_is_told_to_stop_in_the_middle_of_a_bulk_archive(airflow, two_workers):
    """First it is asked, and lets its tasks end. Then it is told, and ends them, which a bulk task takes well."""
    with bulk_archive_that_hangs(airflow) as (sandbox, run):
        before = airflow.tasks(BULK, run)["archive"]
        stopped = before["hostname"]

        airflow.signal_worker(stopped, signal.SIGTERM)
        airflow.wait_until(lambda: "Warm shutdown" in airflow.said(stopped), "the worker was asked", SECONDS_TO_RUN)
        assert airflow.tasks(BULK, run)["archive"] == before

        airflow.signal_worker(stopped, signal.SIGQUIT)
        airflow.wait_for_the_end(BULK, run, SECONDS_TO_RUN)
        airflow.wait_until(lambda: airflow.has_ended(stopped), "the worker has ended", SECONDS_TO_RUN)
        assert_the_other_has_carried_on(airflow, run, sandbox, stopped)


@contextmanager
def bulk_archive_that_hangs(airflow) -> Iterator[tuple[Sandbox, str]]:
    """Let the example archive segments until so many are done; then MoEngage keeps silent on the next calls."""
    with Sandbox(rate_limits=False) as sandbox:
        for number in range(SEGMENTS):
            sandbox.add_segment(name=f"camp_{number}", age=timedelta(days=92))
        sandbox.fail_next(DONE, path="*/archive", delay=0.02)
        sandbox.fail_next(CONCURRENCY, path="*/archive", fault="silence")
        with airflow.connection(CONN_ID, {**sandbox.connection, "extra": {"read_timeout": SECONDS_TO_RUN}}):
            run = airflow.trigger(BULK, conf={"newer_than": "P1Y"})
            airflow.question(BULK, run, "approve")
            airflow.answer(BULK, run, "approve", "Approve")
            sent = DONE + CONCURRENCY
            airflow.wait_until(lambda: len(archivals(sandbox)) == sent, f"{sent} are sent", SECONDS_TO_RUN)
            # A task writes down what it has done every few seconds.
            airflow.wait_until(lambda: kept(airflow) == [DONE], f"{DONE} are written down", SECONDS_TO_RUN)
            yield sandbox, run


def assert_the_other_has_carried_on(airflow, run, sandbox, gone):
    archive = airflow.tasks(BULK, run)["archive"]
    assert (archive["state"], archive["try_number"]) == ("success", 2)
    assert archive["hostname"] != gone
    outcome = airflow.xcom(BULK, run, "archive")
    assert {result: len(segments) for result, segments in outcome.items()} == {
        "succeeded": SEGMENTS - DONE,
        "skipped": DONE,
        "failed": 0,
    }
    assert all(segment["archived"] for segment in sandbox.segments)
    assert kept(airflow) == []
    # None was sent twice but those that were under way when it happened.
    times = Counter(request.json["segment_id"] for request in archivals(sandbox))
    under_way = {request.json["segment_id"] for request in archivals(sandbox) if request.status is None}
    assert len(under_way) == CONCURRENCY
    assert times == Counter(segment["id"] for segment in sandbox.segments) + Counter(under_way)


def archivals(sandbox):
    return [request for request in sandbox.requests if request.path.endswith("/archive")]


def patches(sandbox):
    return [request for request in sandbox.requests if request.method == "PATCH"]


def asked_for(sandbox):
    return {request.path.rpartition("/")[2] for request in sandbox.requests if request.method == "GET"}


def kept(airflow):
    """How many segments are written down as done, for the retry of each task."""
    values = [json.loads(value) for (value,) in airflow.rows("SELECT value FROM task_state_store")]
    return [f"{int(value['done'], 16):b}".count("1") for value in values]
