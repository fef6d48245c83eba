"""Many segments in one task: what is sent, what becomes of each, and where a retry or a deferral carries on."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred, task
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.client.errors import RateLimitError
from airflow_provider_moengage.operators.bulk import (
    ArchiveSegmentsOperator,
    ListSegmentsOperator,
    UnarchiveSegmentsOperator,
)
from airflow_provider_moengage.operators.segments import UnarchiveSegmentOperator
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments import bulk_run
from airflow_provider_moengage.segments.bulk_report import SegmentsFailedError
from tests.any_values import ANYTHING, Case, cases, executed, many
from tests.support import UNKNOWN_ID, client_of, dates, new_dag

HAS_STORE = Version(version("apache-airflow")) >= Version("3.3")
RETRYING = {"retries": 1, "retry_delay": timedelta(0)}


def add_segments(sandbox, number, **fields):
    """Put segments into the workspace, and give them as the operator that lists them does."""
    added = [sandbox.add_segment(name=f"camp_{index}", **fields) for index in range(number)]
    return [
        {"name": one["name"], "segment_id": one["id"], **{key: one[key] for key in ("created_time", "type", "source")}}
        for one in added
    ]


def bulk_dag(dag_id, segments, operator=ArchiveSegmentsOperator, **arguments):
    # A run of a DAG and date must not exist yet, not even from the other dialect.
    with new_dag(f"{dag_id}_{time.time_ns()}") as dag:
        operator(task_id="it", segments=segments, **arguments)
    return dag


def archived(sandbox):
    return {segment["name"] for segment in sandbox.segments if segment["archived"]}


def names(entries):
    return [entry["name"] for entry in entries]


@pytest.fixture
def no_limits(monkeypatch):
    """A server that tells of no rate limits, and has none."""
    with Sandbox(rate_limits=False) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        yield sandbox


class TestManySegments:
    def test_one_request_a_segment(self, no_limits, run_dag):
        sandbox = no_limits
        segments = add_segments(sandbox, 300)

        now = pendulum.now("UTC")
        run = run_dag(bulk_dag("many", segments, max_segments=300))

        assert run.states == {"it": "success"}
        sent = Counter(request.json["name"] for request in sandbox.requests)
        assert sent == dict.fromkeys(names(segments), 1)
        assert len({request.connection for request in sandbox.requests}) <= 4
        assert archived(sandbox) == set(names(segments))
        assert run.xcoms["it"] == {
            "succeeded": segments,
            "skipped": [],
            "failed": [],
        }
        assert "archive: 300 segments, 4 at a time." in run.log
        assert "300 succeeded, 0 skipped, 0 failed." in run.log
        assert re.search(r"archived: 'camp_0', 'camp_1', .*'camp_19', and 280 more", run.log, re.DOTALL)
        # Some versions of Airflow show each line twice.
        assert len(set(re.findall(r"'camp_\d+'", run.log))) == 20, "a name each is too many"
        assert any(f"can be unarchived until {date}" in run.log for date in dates(now, 180))

    def test_and_back(self, sandbox, run_dag):
        segments = add_segments(sandbox, 20, archived=True)
        run = run_dag(bulk_dag("back", segments, UnarchiveSegmentsOperator, concurrency=2))
        assert run.states == {"it": "success"}
        assert names(run.xcoms["it"]["succeeded"]) == names(segments)
        assert archived(sandbox) == set()
        assert len({request.connection for request in sandbox.requests}) <= 2

    def test_undone_from_its_xcom(self, sandbox, run_dag):
        """A name of which Airflow would make something else, in what the task hands on, too."""
        name = "camp_{{ conn.moengage_default.password }}"
        added = sandbox.add_segment(name=name)
        listed = {"name": name, "segment_id": added["id"], "created_time": added["created_time"]}
        with new_dag(f"undone_{time.time_ns()}") as dag:

            @task
            def undo(outcome):
                return outcome["succeeded"]

            archive = ArchiveSegmentsOperator(task_id="it", segments=[listed])
            UnarchiveSegmentOperator.partial(task_id="undo_it").expand_kwargs(undo(archive.output))

        assert run_dag(dag).state == "success"
        assert [request.json["name"] for request in sandbox.requests] == [name, name]

    def test_from_another_task(self, sandbox, run_dag):
        segments = add_segments(sandbox, 3)
        with new_dag(f"from_{time.time_ns()}") as dag:

            @task
            def find():
                return [{**one, "name": one["name"], "unknown": {"a": [1]}} for one in segments]

            ArchiveSegmentsOperator(task_id="it", segments=find())

        assert run_dag(dag).states == {"find": "success", "it": "success"}
        assert archived(sandbox) == set(names(segments))

    def test_by_name(self, sandbox, run_dag):
        add_segments(sandbox, 2)
        run = run_dag(bulk_dag("by_name", [{"name": "camp_{{ 1 }}"}, {"name": "camp_1", "segment_id": None}]))
        assert run.xcoms["it"]["succeeded"] == [{"name": "camp_1", "segment_id": None}]
        assert archived(sandbox) == {"camp_1"}
        assert "1 of the entries names a segment again" in run.log

    def test_an_empty_list(self, sandbox, run_dag):
        run = run_dag(bulk_dag("empty", []))
        assert run.states == {"it": "success"}
        assert run.xcoms["it"] == {"succeeded": [], "skipped": [], "failed": []}
        assert "There are no segments to archive: nothing was sent." in run.log
        assert sandbox.requests == []

    def test_progress(self, sandbox, run_dag, monkeypatch):
        monkeypatch.setattr(bulk_run, "PROGRESS_SECONDS", 0.2)
        segments = add_segments(sandbox, 40)
        sandbox.fail_next(40, delay=0.1)
        run = run_dag(bulk_dag("progress", segments))
        lines = re.findall(r"archive: (\d+) of 40 segments, [\d.]+ a second, about [\d.]+ s left\.", run.log)
        # Some versions of Airflow show each line twice, and a busy machine takes longer.
        (seconds,) = set(re.findall(r"40 segments in ([\d.]+) s:", run.log))
        assert 1 <= len(set(lines)) <= float(seconds) / 0.2
        assert sorted(lines, key=int) == lines


class TestFailures:
    @pytest.fixture
    def segments(self, sandbox):
        """Twenty, of which two fail for good."""
        segments = add_segments(sandbox, 20)
        managed = sandbox.add_segment(name="managed", source="CAMPAIGN")
        segments.insert(5, {"name": "managed", "segment_id": managed["id"]})
        segments.insert(9, {"name": "nobody", "segment_id": UNKNOWN_ID})
        return segments

    def test_the_others_are_done(self, sandbox, run_dag, segments):
        sandbox.fail_next(2, status=500)

        run = run_dag(bulk_dag("failures", segments, **RETRYING))

        assert run.states == {"it": "failed"}
        assert run.tries == {"it": 1}, "no retry can mend these"
        calls = Counter(request.method for request in sandbox.requests)
        assert calls == {"PATCH": 21 + 2, "GET": 2}, "an id that was given by hand costs a get, and none else"
        assert len(archived(sandbox)) == 20
        xcom = run.xcoms["it"]
        assert len(xcom["succeeded"]) == 20
        assert names(xcom["failed"]) == ["managed", "nobody"]
        assert xcom["failed"][1]["segment_id"] == UNKNOWN_ID
        assert "externally managed custom segments: managed" in xcom["failed"][0]["error"]
        assert "MoEngage did not find the segment" in xcom["failed"][1]["error"]
        assert "20 succeeded, 0 skipped, 2 failed." in run.log
        assert re.search(r"'managed' .*externally managed", run.log, re.DOTALL)
        assert "Not every segment is done: 2 of 22 have failed" in run.log

    def test_that_only_warn(self, sandbox, run_dag, segments):
        run = run_dag(bulk_dag("warn", segments, on_error="warn"))
        assert run.states == {"it": "success"}
        assert names(run.xcoms["it"]["failed"]) == ["managed", "nobody"]
        assert re.search(r"'managed' .*externally managed", run.log, re.DOTALL)

    def test_a_server_that_answers_nobody_is_no_warning(self, sandbox, run_dag):
        segments = add_segments(sandbox, 3)
        sandbox.fail_next(100, status=503)
        run = run_dag(bulk_dag("warn_of_nobody", segments, on_error="warn"))
        assert run.states == {"it": "failed"}
        assert names(run.xcoms["it"]["failed"]) == names(segments)

    def test_no_xcom_where_none_is_wanted(self, sandbox, run_dag, segments):
        run = run_dag(bulk_dag("no_xcom", segments, do_xcom_push=False))
        assert run.states == {"it": "failed"}
        assert run.xcoms["it"] is None

    @pytest.mark.parametrize("on_error", ["fail", "warn"])
    def test_a_wrong_key_stops_at_once(self, sandbox, run_dag, monkeypatch, on_error):
        segments = add_segments(sandbox, 100)
        connection = {**sandbox.connection, "password": "another-key"}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))

        run = run_dag(bulk_dag("wrong_key", segments, on_error=on_error, **RETRYING))

        assert run.states == {"it": "failed"}
        assert run.tries == {"it": 1}
        assert len(sandbox.requests) <= 4
        assert "MoEngage refused the credentials" in run.log
        assert len(run.xcoms["it"]["failed"]) <= 4

    def test_a_server_that_takes_one_for_another_stops_at_once(self, run_dag, monkeypatch):
        """A newer server goes by the name: what it says of its own id tells that another one was meant."""
        with Sandbox(dialect="today", archive_shows_id=True) as sandbox:
            connection = {**sandbox.connection, "extra": {"segment_id_key": "segment_id"}}
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
            segments = add_segments(sandbox, 50)
            mixed_up = [{**one, "segment_id": other["segment_id"]} for one, other in itertools.pairwise(segments)]

            run = run_dag(bulk_dag("mixed_up", mixed_up))

            assert run.states == {"it": "failed"}
            assert len(sandbox.requests) <= 4
            assert "MoEngage acted on another segment" in run.log


class TestRetries:
    def test_one_carries_on(self, sandbox, run_dag):
        """On Airflow 3.3 what is done is not repeated; before, to repeat it changes nothing."""
        segments = add_segments(sandbox, 20)
        sandbox.fail_next(6, status=503)

        run = run_dag(bulk_dag("retried", segments, concurrency=1, **RETRYING))

        assert run.states == {"it": "success"}
        assert run.tries == {"it": 2}
        assert archived(sandbox) == set(names(segments))
        assert len(sandbox.requests) == 6 + 19 + (1 if HAS_STORE else 20)
        xcom = run.xcoms["it"]
        if HAS_STORE:
            assert names(xcom["succeeded"]) == ["camp_0"]
            assert names(xcom["skipped"]) == names(segments[1:])
            assert {entry["reason"] for entry in xcom["skipped"]} == {"an earlier try of this task has done it"}
        else:
            assert names(xcom["succeeded"]) == names(segments)
            assert xcom["skipped"] == []

    @pytest.mark.parametrize(
        ("operator", "try_number", "result"),
        [
            (ArchiveSegmentsOperator, 1, "failed"),
            (ArchiveSegmentsOperator, 2, "skipped"),
            (UnarchiveSegmentsOperator, 2, "failed"),
        ],
    )
    def test_gone_before_a_retry_where_nothing_is_kept(self, sandbox, operator, try_number, result):
        pushed = {}
        ti = types.SimpleNamespace(try_number=try_number, xcom_push=lambda key, value: pushed.update({key: value}))
        one = operator(task_id="it", segments=[{"name": "nobody"}], on_error="warn")
        assert names(one.execute({"ti": ti})[result]) == ["nobody"]
        assert pushed == {}

    def test_what_is_kept_and_forgotten(self, sandbox):
        segments = add_segments(sandbox, 3)
        store = Store()
        sandbox.fail_next(6, path="*/archive", segment="camp_1", status=503)
        ti = types.SimpleNamespace(try_number=1, max_tries=2, xcom_push=store.xcom_push)
        context = {"task_state_store": store, "ti": ti}

        with pytest.raises(SegmentsFailedError) as caught:
            ArchiveSegmentsOperator(task_id="it", segments=segments, concurrency=1).execute(context)

        assert caught.value.retryable
        assert store["moengage_done"]["done"] == f"{0b101:x}"
        assert names(store.pushed["return_value"]["failed"]) == ["camp_1"]
        assert len(sandbox.requests) == 6 + 2
        assert len(ArchiveSegmentsOperator(task_id="it", segments=segments).execute(context)["skipped"]) == 2
        assert "moengage_done" not in store
        assert len(sandbox.requests) == 6 + 2 + 1

    def test_a_cleared_task_does_all_of_it(self, sandbox):
        """Somebody may have unarchived what was archived before."""
        segments = add_segments(sandbox, 3)
        store = Store()
        ti = types.SimpleNamespace(try_number=1, max_tries=0, xcom_push=store.xcom_push)
        context = {"task_state_store": store, "ti": ti}
        arguments = {"task_id": "it", "segments": [*segments, {"name": "nobody"}]}
        with pytest.raises(AirflowFailException, match="1 of 4 has failed"):
            ArchiveSegmentsOperator(**arguments).execute(context)
        with client_of(sandbox) as client:
            client.unarchive_segment("camp_0")
        ti.try_number, ti.max_tries = 2, 1  # as Airflow counts after a clear

        with pytest.raises(AirflowFailException, match="1 of 4 has failed"):
            ArchiveSegmentsOperator(**arguments).execute(context)

        assert names(store.pushed["return_value"]["succeeded"]) == names(segments)
        assert archived(sandbox) == set(names(segments))

    @pytest.mark.parametrize("broken", ["get", "set", "delete", "xcom_push"])
    def test_a_store_that_fails_costs_nothing(self, sandbox, monkeypatch, broken):
        monkeypatch.setattr(bulk_run, "CHECKPOINT_SECONDS", 0.0)
        segments = add_segments(sandbox, 3)
        store = Store(moengage_done={"of": "another list"})

        def fail(*_):
            raise RuntimeError("the api-server is away")

        setattr(store, broken, fail)
        context = {"task_state_store": store, "ti": types.SimpleNamespace(try_number=1, xcom_push=store.xcom_push)}
        operator = ArchiveSegmentsOperator(task_id="it", segments=[*segments, {"name": "nobody"}])
        with pytest.raises(AirflowFailException, match="1 of 4 has failed"):
            operator.execute(context)
        assert archived(sandbox) == set(names(segments))
        done = ArchiveSegmentsOperator(task_id="it", segments=segments).execute(context)
        assert len(done["succeeded"] + done["skipped"]) == 3


class Store(dict):
    pushed: dict

    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))

    def delete(self, key):
        del self[key]

    def xcom_push(self, key, value):
        self.pushed = {key: value}


class TestRateLimits:
    """The tenth answer is a refusal for an hour."""

    @pytest.fixture
    def segments(self, sandbox):
        segments = add_segments(sandbox, 30)
        sandbox.fail_next(9, headers={"X-Nothing": "wrong"})
        sandbox.fail_next(status=429, headers={"Retry-After": "3600"})
        return segments

    @pytest.mark.usefixtures("triggers_follow_the_sandbox")
    def test_a_deferrable_task_carries_on_in_an_hour(self, sandbox, run_dag, segments):
        run = run_dag(bulk_dag("deferred", segments, concurrency=1, deferrable=True))

        assert run.states == {"it": "success"}
        assert run.tries == {"it": 1}
        assert archived(sandbox) == set(names(segments))
        # Airflow's dag.test() drops what a deferral takes along: there only the store knows what is done.
        assert len(sandbox.requests) == (31 if HAS_STORE else 10 + 30)
        assert "The task is deferred until" in run.log
        assert "9 succeeded, 0 skipped, 0 failed, 21 still to come." in run.log

    @pytest.mark.parametrize("resumed_with", ["what was taken along", "the store"])
    def test_what_a_deferral_takes_along(self, sandbox, clock, segments, resumed_with):
        operator = ArchiveSegmentsOperator(task_id="it", segments=segments, concurrency=1, deferrable=True)
        context = {"task_state_store": Store()} if resumed_with == "the store" else {}
        with pytest.raises(TaskDeferred) as caught:
            operator.execute(context)
        kwargs = json.loads(json.dumps(caught.value.kwargs))
        assert kwargs["progress"]["done"] == f"{2**9 - 1:x}"
        assert sum(count for _, count in kwargs["progress"]["sent"]) == 9
        assert caught.value.method_name == "execute_complete"
        clock.move(3_600)
        if context:
            del kwargs["progress"]

        again = ArchiveSegmentsOperator(task_id="it", segments=segments, concurrency=1, deferrable=True)
        xcom = again.execute_complete(context, None, **kwargs)

        assert len(sandbox.requests) == 31
        assert len(xcom["succeeded"]) == (21 if context else 30)
        assert len(xcom["skipped"]) == (9 if context else 0)

    def test_one_that_does_not_defer_fails_with_the_moment(self, sandbox, clock, segments):
        half_an_hour = {"execution_timeout": timedelta(minutes=30)}
        operator = ArchiveSegmentsOperator(task_id="it", segments=segments, on_error="warn", **half_an_hour)
        store = Store()
        with pytest.raises(RateLimitError) as caught:
            operator.execute({"task_state_store": store, "ti": store})
        assert 3_500 < caught.value.retry_after <= 3_600
        # The others go on until the refusal is there.
        assert len(sandbox.requests) < 30
        kept = f"{int(store['moengage_done']['done'], 16):b}".count("1")
        assert len(archived(sandbox)) == len(sandbox.requests) - 1 == kept
        assert store.pushed["return_value"]["failed"] == []

    def test_a_short_one_is_waited_for(self, no_limits, clock, run_dag):
        sandbox = no_limits
        segments = add_segments(sandbox, 30)
        sandbox.fail_next(5, headers={"x-ratelimit-remaining": "9", "x-ratelimit-reset": "1"})
        reset = int(sandbox.now.timestamp()) + 60
        sandbox.fail_next(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)})
        run = run_dag(bulk_dag("short", segments))
        assert run.states == {"it": "success"}
        assert {request.status for request in sandbox.requests} <= {200, 202}
        assert len(sandbox.requests) == 30
        assert sum(clock.slept) > 9, "most of a minute, of which a busy machine takes some itself"


class TestGuards:
    def test_too_many(self, sandbox, run_dag):
        run = run_dag(bulk_dag("too_many", add_segments(sandbox, 101), **RETRYING))
        assert run.states == {"it": "failed"}
        assert run.tries == {"it": 1}
        assert sandbox.requests == []
        assert "There are 101 segments to change, and max_segments allows 100. Nothing was sent." in run.log
        assert "set max_segments=101 or more" in run.log

    def test_file_segments(self, sandbox, run_dag):
        segments = [*add_segments(sandbox, 2), as_given(sandbox.add_segment(name="vip", kind="file"))]
        run = run_dag(bulk_dag("files", segments, **RETRYING))
        assert run.states == {"it": "failed"}
        assert run.tries == {"it": 1}
        assert sandbox.requests == []
        assert "'vip' ('FILE'): not a filter segment" in run.log
        assert "include_file_segments=True" in run.log

    def test_file_segments_that_are_wanted(self, sandbox, run_dag):
        segments = [as_given(sandbox.add_segment(name="vip", kind="file"))]
        now = pendulum.now("UTC")
        run = run_dag(bulk_dag("wanted_files", segments, include_file_segments=True))
        assert run.states == {"it": "success"}
        assert archived(sandbox) == {"vip"}
        assert "deletes the users of a file segment for good" in run.log
        assert any(date in run.log for date in dates(now, 30))

    def test_what_may_be_a_file_segment_is_warned_of(self, sandbox, run_dag):
        sandbox.add_segment(name="vip", kind="file")
        run = run_dag(bulk_dag("unknown_files", [{"name": "vip"}, {"name": "vip", "type": None}]))
        assert run.states == {"it": "success"}
        assert "1 of the segments has no type, and may be a file segment." in run.log

    def test_file_segments_come_back_without_a_word(self, sandbox, run_dag):
        segments = [as_given(sandbox.add_segment(name="vip", kind="file", archived=True))]
        run = run_dag(bulk_dag("files_back", segments, UnarchiveSegmentsOperator))
        assert run.states == {"it": "success"}
        assert archived(sandbox) == set()


def as_given(segment):
    return {"name": segment["name"], "segment_id": segment["id"], "type": segment["type"]}


class TestBadInput:
    @pytest.mark.parametrize("operator", [ArchiveSegmentsOperator, UnarchiveSegmentsOperator])
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"segments": None}, "segments must be a list of objects with a name, not nothing"),
            ({"segments": {"name": "a"}}, "segments must be a list of objects with a name, not dict"),
            ({"segments": ["camp"]}, "segments[0] must be an object such as"),
            ({"segments": [[{"name": "camp"}]]}, "Outputs of mapped tasks are lists of lists: flatten them."),
            ({"segments": [{"name": "a"}, {"segment_id": UNKNOWN_ID}]}, "segments[1] has no name"),
            ({"segments": [{"name": " "}]}, "the name of segments[0] is blank"),
            ({"segments": [{"name": 7}]}, "the name of segments[0] must be a string, not int"),
            ({"segments": [{"name": "a", "segment_id": ""}]}, "the segment_id of segments[0] is blank"),
            ({"segments": [{"name": "a", "segment_id": 7}]}, "the segment_id of segments[0] must be a string"),
            ({"concurrency": 0}, "concurrency must be a whole number of calls at once, from 1 to 16, not int (0)"),
            ({"concurrency": 17}, "from 1 to 16, not int (17)"),
            ({"on_error": "wran"}, 'on_error must be "fail" or "warn", not str (\'wran\')'),
            ({"max_segments": 0}, "max_segments must be a whole number of segments, 1 or more, not int (0)"),
        ],
    )
    def test_is_one_sentence(self, operator, arguments, sentence, monkeypatch):
        # No connection is needed to say so.
        monkeypatch.delenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", raising=False)
        parsed = operator(**{"task_id": "it", "segments": [], **arguments})
        with pytest.raises(AirflowFailException, match=re.escape(sentence)):
            parsed.execute({})

    @pytest.mark.parametrize("operator", [ArchiveSegmentsOperator, UnarchiveSegmentsOperator])
    def test_is_not_tried_again(self, operator, run_dag):
        run = run_dag(bulk_dag("bad_input", "{{ [] }}", operator=operator, **RETRYING))
        assert run.states == {"it": "failed"}
        assert run.tries == {"it": 1}
        assert "unless the DAG has render_template_as_native_obj" in run.log

    def test_a_guard_is_not_switched_off_by_a_text(self):
        operator = ArchiveSegmentsOperator(task_id="it", segments=[], include_file_segments="False")
        with pytest.raises(AirflowFailException, match="include_file_segments must be True or False"):
            operator.execute({})


def test_executed_twice_it_does_everything_twice(sandbox):
    """A suite of tests imports a DAG once: the second one must not find what the first has left."""
    segments = add_segments(sandbox, 2)
    operator = ArchiveSegmentsOperator(task_id="it", segments=segments)
    operator.execute({})
    operator.on_kill()
    with client_of(sandbox) as client:
        client.unarchive_segment("camp_0")
    assert len(operator.execute({})["succeeded"]) == 2
    assert archived(sandbox) == set(names(segments))


@pytest.mark.parametrize(
    ("operator", "action"), [(ArchiveSegmentsOperator, "archive"), (UnarchiveSegmentsOperator, "unarchive")]
)
def test_a_dry_run(sandbox, capsys, operator, action):
    segments = add_segments(sandbox, 30, archived=action == "unarchive")
    before = sandbox.segments
    xcom = operator(task_id="it", segments=segments, dry_run=True).execute({})
    assert xcom == {
        "dry_run": True,
        "action": action,
        "segments": segments,
        "succeeded": [],
        "skipped": [],
        "failed": [],
    }
    assert sandbox.requests == []
    assert sandbox.segments == before
    said = capsys.readouterr().out
    assert f"Dry run: would {action} 30 segments of the workspace SANDBOXWORKSPACE: 'camp_0', 'camp_1'," in said
    assert "and 10 more" in said
    with pytest.raises(AirflowFailException, match="There are 30 segments to change"):
        operator(task_id="it", segments=segments, dry_run=True, max_segments=29).execute({})


class TestWhatAnEarlierRunHasDone:
    def test_is_told_apart(self, sandbox, run_dag):
        """A list of MoEngage may show archived segments, so that a weekly job selects the same ones again."""
        segments = add_segments(sandbox, 3)
        dag = bulk_dag("weekly", segments[:2])
        first, second, third = (pendulum.now("UTC").subtract(days=days) for days in (21, 14, 7))
        assert "done_before" not in run_dag(dag, first).xcoms["it"]
        assert names(run_dag(dag, second).xcoms["it"]["done_before"]) == names(segments[:2])
        dag.get_task("it").segments = segments

        run = run_dag(dag, third)

        assert names(run.xcoms["it"]["succeeded"]) == names(segments)
        assert names(run.xcoms["it"]["done_before"]) == names(segments[:2])
        assert "2 of these were archived by an earlier run of this DAG already." in run.log
        assert "give the selection a newer_than" in run.log

    @pytest.mark.parametrize(
        "last", [None, "text", [], {"succeeded": "camp_0"}, {"succeeded": [{"name": 7}, "camp_0"]}]
    )
    def test_whatever_is_found(self, sandbox, last):
        segments = add_segments(sandbox, 1)
        ti = types.SimpleNamespace(try_number=1, xcom_pull=lambda **_: last)
        assert "done_before" not in ArchiveSegmentsOperator(task_id="it", segments=segments).execute({"ti": ti})

    def test_an_airflow_that_does_not_answer(self, sandbox):
        def fail(**_):
            raise RuntimeError("the api-server is away")

        segments = add_segments(sandbox, 1)
        ti = types.SimpleNamespace(try_number=1, xcom_pull=fail)
        assert len(ArchiveSegmentsOperator(task_id="it", segments=segments).execute({"ti": ti})["succeeded"]) == 1


def test_a_segments_asset_is_refused(sandbox):
    """Airflow would tell of a change of it even where it has failed."""
    asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=UNKNOWN_ID)
    operator = ArchiveSegmentsOperator(task_id="it", segments=[{"name": "camp"}], outlets=[asset])
    with pytest.raises(AirflowFailException, match=f"The outlet names the segment {UNKNOWN_ID}, and this task changes"):
        operator.execute({})
    assert sandbox.requests == []


def test_no_name_is_rendered(sandbox, run_dag):
    """Airflow renders what it maps over: whoever names a segment must not read the key by it."""
    name = "{{ conn.moengage_default.password }}"
    sandbox.add_segment(name=name)
    with new_dag(f"mapped_chunks_{time.time_ns()}") as dag:
        find = ListSegmentsOperator(task_id="find")
        chunks = find.output.map(lambda segment: {"segments": [segment]})
        ArchiveSegmentsOperator.partial(task_id="it").expand_kwargs(chunks)

    assert run_dag(dag).state == "success"
    assert sandbox.requests[-1].json["name"] == name
    assert archived(sandbox) == {name}


@pytest.fixture(scope="module")
def server():
    with Sandbox(rate_limits=False) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        sandbox.add_segment(name="camp", id=UNKNOWN_ID)
        yield sandbox


ANY_ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "segment_id", "type"), st.none() | ANYTHING))


@many(0.5)
@given(case=cases(segments=ANYTHING | st.lists(ANY_ENTRY, max_size=2)))
def test_any_list(server: Sandbox, case: Case) -> None:
    operator = ArchiveSegmentsOperator(task_id="it", segments=[])
    vars(operator).update(segments=case.segments)
    outcome = executed(operator)
    assert isinstance(outcome, AirflowFailException) or outcome["failed"] == []


KILLED = """
import json, pathlib, signal, sys, threading
from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator

archive = MoEngageClient.archive_segment

def archive_and_print(self, *arguments):
    answer = archive(self, *arguments)
    sys.stdout.write("archived\\n")
    sys.stdout.flush()
    return answer

MoEngageClient.archive_segment = archive_and_print
how, kept = sys.argv[1], pathlib.Path(sys.argv[2])

class Store:
    def get(self, key):
        return None
    def set(self, key, value):
        kept.write_text(json.dumps(value))
    def delete(self, key):
        raise AssertionError("it was killed")

operator = ArchiveSegmentsOperator(task_id="it", segments=[{"name": f"camp_{n}"} for n in range(100)])

def on_signal(signum, frame):
    if how == "timeout":
        raise AirflowTaskTimeout("Timeout")
    operator.on_kill()  # all that Airflow 3 does
    if how == "airflow 2":
        raise RuntimeError("Task received SIGTERM signal")

if how != "keyboard":
    signal.signal(signal.SIGTERM, on_signal)
try:
    operator.execute({"task_state_store": Store()})
except BaseException as error:
    print(type(error).__name__, flush=True)
"""


class TestKilling:
    @pytest.mark.parametrize("sandbox", ["seeds"], indirect=True)
    @pytest.mark.parametrize(
        ("how", "raised"),
        [
            ("airflow 3", "KilledError"),
            ("airflow 2", "RuntimeError"),
            ("timeout", "AirflowTaskTimeout"),
            ("keyboard", "KeyboardInterrupt"),
        ],
    )
    def test_a_task_ends_soon(self, sandbox, tmp_path, how, raised):
        add_segments(sandbox, 100)
        sandbox.fail_next(12, delay=0.1)
        sandbox.fail_next(100, status=503, headers={"Retry-After": "60"})
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, how, str(tmp_path / "done")],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        # Among the lines of its log.
        said = (line for line in process.stdout if line == "archived\n")
        assert len(list(itertools.islice(said, 12))) == 12
        until = time.monotonic() + 120
        while len(sandbox.requests) < 12 + 4:
            assert time.monotonic() < until
            time.sleep(0.01)

        process.send_signal(signal.SIGINT if how == "keyboard" else signal.SIGTERM)
        output, _ = process.communicate(timeout=120)

        assert process.returncode == 0
        assert output.splitlines()[-1] == raised
        # Four threads are asleep for a minute, and would send their requests again if they were waited for.
        assert len(sandbox.requests) == 12 + 4
        # Which of them were answered depends on the order in which the calls arrive.
        assert f"{int(json.loads((tmp_path / 'done').read_text())['done'], 16):b}".count("1") == 12
        assert len(archived(sandbox)) == 12
