from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from importlib.metadata import version

import pendulum
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
    task,
)

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments.bulk_report import SegmentsFailedError
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests.support import NOTHING, UNKNOWN_ID, new_dag

# How Airflow 3 and Airflow 2 tell that a deferral has timed out.
TIMEOUT = "Trigger timeout" if version("apache-airflow") >= "3" else "Trigger/execution timeout"

MODES = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def all_subclasses(kind):
    return [*kind.__subclasses__(), *(below for one in kind.__subclasses__() for below in all_subclasses(one))]


async def payloads(trigger):
    return [event.payload async for event in trigger.run()]


@pytest.fixture(params=MODES)
def mode(request):
    return MODES[request.param]


@pytest.fixture(params=["by_id", "by_name"])
def wanted(request, sandbox):
    """A segment, and how a sensor asks for it."""
    segment = sandbox.add_segment(name="camp diwali")
    return {"by_id": {"segment_id": segment["id"]}, "by_name": {"name": "{{ 'camp' }} diwali"}}[request.param]


def sensor_dag(**arguments):
    with new_dag("wait", default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
        SegmentExistsSensor(task_id="wait", **{"poke_interval": 0, **arguments})
    return dag


class TestWaiting:
    def test_a_segment_that_is_there(self, sandbox, run_dag, mode, wanted):
        run = run_dag(sensor_dag(**wanted, **mode))

        assert run.states == {"wait": "success"}
        assert run.xcoms["wait"]["name"] == "camp diwali"
        assert run.xcoms["wait"]["id"] == sandbox.segments[0]["id"]
        assert len(sandbox.requests) == 1

    def test_a_segment_that_comes(self, sandbox, run_dag, mode, wanted):
        sandbox.fail_next(3, status=200, body=NOTHING)

        run = run_dag(sensor_dag(**wanted, **mode))

        assert run.states == {"wait": "success"}
        assert run.tries == {"wait": 1}
        assert run.xcoms["wait"]["name"] == "camp diwali"
        assert len(sandbox.requests) == 4
        assert ("from the triggerer" in run.log) == ("deferrable" in mode)

    def test_a_failure_is_not_yet(self, sandbox, run_dag, mode, wanted):
        for failure in ({"status": 429}, {"status": 500}, {"fault": "reset"}, {"fault": "html"}):
            sandbox.fail_next(**failure)

        run = run_dag(sensor_dag(**wanted, **mode))

        assert run.states == {"wait": "success"}
        assert run.tries == {"wait": 1}
        assert len(sandbox.requests) == 5
        assert "counts as not yet" in run.log
        for cause in ("rate limit is used up", "failed to answer", "could not be reached", "is not MoEngage's"):
            assert cause in run.log

    def test_every_mode_returns_the_same(self, sandbox, run_dag, wanted):
        returned = []
        for mode in MODES.values():
            sandbox.fail_next(status=200, body=NOTHING)
            run = run_dag(sensor_dag(**wanted, **mode))
            assert run.tries == {"wait": 1}
            returned.append(run.xcoms["wait"])
        assert returned[0] == returned[1] == returned[2]


class TestGivingUp:
    @pytest.mark.parametrize("polls_before", [0, 1])
    def test_a_wrong_key_fails_at_once_even_with_soft_fail(self, sandbox, run_dag, monkeypatch, mode, polls_before):
        """Skipped, it would pass for a segment that is not there."""
        key = "not-the-key-of-this-workspace"
        connection = {**sandbox.connection, "password": key}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
        sandbox.fail_next(
            polls_before or 1, status=200 if polls_before else 401, body=NOTHING if polls_before else None
        )

        run = run_dag(sensor_dag(name="camp", soft_fail=True, **mode))

        assert run.states == {"wait": "failed"}
        assert run.tries == {"wait": 1}
        assert len(sandbox.requests) == polls_before + 1
        assert "MoEngage refused the credentials: " in run.log
        assert key not in run.log

    @pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
    @pytest.mark.parametrize("mode", [MODES["poke"], MODES["reschedule"]])
    def test_a_timeout(self, sandbox, run_dag, mode, soft_fail, state):
        assert run_dag(sensor_dag(name="camp", timeout=0, soft_fail=soft_fail, **mode)).states == {"wait": state}

    @pytest.mark.parametrize("mode", [MODES["poke"], MODES["deferrable"]])
    @pytest.mark.parametrize("soft_fail", [False, True])
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({}, "exactly one of segment_id and name: none of them is given"),
            ({"segment_id": "a", "name": "b"}, "exactly one of segment_id and name: segment_id and name are given"),
            ({"name": ""}, "name is blank"),
            ({"segment_id": " "}, "segment_id is blank"),
        ],
    )
    def test_bad_input(self, sandbox, mode, arguments, sentence, soft_fail):
        sensor = SegmentExistsSensor(task_id="wait", timeout=0, **arguments, **mode, soft_fail=soft_fail)
        with pytest.raises(AirflowFailException, match=sentence):
            sensor.execute({})
        assert sandbox.requests == []

    def test_a_template_that_renders_to_nothing(self):
        sensor = SegmentExistsSensor(task_id="wait", segment_id=UNKNOWN_ID, name="{{ none }}")
        with pytest.raises(AirflowFailException, match="of name renders to the text None"):
            sensor.render_template_fields({})

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("{{ '' }}", "name is blank"),
            (
                "{{ ti.xcom_pull('nobody') }}",
                "of name renders to the text None: what it asks for is not there",
            ),
        ],
    )
    def test_bad_input_is_not_tried_again(self, sandbox, run_dag, mode, name, sentence):
        run = run_dag(sensor_dag(name=name, **mode, soft_fail=True))

        assert run.states == {"wait": "failed"}
        assert run.tries == {"wait": 1}
        assert sandbox.requests == []
        assert sentence in run.log

    def test_a_malformed_id(self, sandbox, run_dag, mode):
        run = run_dag(sensor_dag(segment_id="no id", **mode))
        assert run.states == {"wait": "failed"}
        assert run.tries == {"wait": 1}
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("event", [None, {}, {"status": "found"}, {"status": "found", "segment": None}, "found"])
def test_an_event_of_another_version(event):
    sensor = SegmentExistsSensor(task_id="wait", name="camp")
    with pytest.raises(Exception, match="an event that this version does not know"):
        sensor.execute_complete({}, event)


def test_the_default_interval_spares_the_daily_quota():
    assert SegmentExistsSensor(task_id="wait", name="camp").poke_interval == 300
    assert SegmentExistsSensor(task_id="other", name="camp", poke_interval=timedelta(minutes=10)).poke_interval == 600


def test_the_trigger_waits_for_the_same_with_the_same_connection(sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(sandbox.connection))
    sensor = SegmentExistsSensor(
        task_id="wait", name="camp", moengage_conn_id="mine", deferrable=True, poke_interval=60, timeout=3_600
    )

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})

    assert deferred.value.trigger.serialize()[1] == {
        "segment_id": None,
        "name": "camp",
        "moengage_conn_id": "mine",
        "poll_interval": 60,
    }
    assert timedelta(minutes=59) < deferred.value.timeout <= timedelta(hours=1)


@pytest.mark.parametrize(("timeout", "execution_timeout", "bound"), [(3_600, 30, 30), (30, 3_600, 30), (20, None, 20)])
def test_the_shorter_timeout_bounds_the_deferral(sandbox, clock, monkeypatch, timeout, execution_timeout, bound):
    """From the start of the task on: its first poll may have taken a while."""
    sensor = SegmentExistsSensor(
        task_id="wait",
        name="camp",
        deferrable=True,
        timeout=timeout,
        execution_timeout=execution_timeout and timedelta(seconds=execution_timeout),
    )
    find = type(sensor)._find

    def find_slowly(self, execution):
        clock.move(10)
        return find(self, execution)

    monkeypatch.setattr(type(sensor), "_find", find_slowly)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert timedelta(seconds=bound - 15) < deferred.value.timeout <= timedelta(seconds=bound - 10)


def test_a_deferral_that_has_no_time_left_is_no_negative_one(sandbox, clock):
    sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True, timeout=0)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.timeout == timedelta()


def test_the_deferral_says_what_a_triggerer_bears(sandbox, run_dag):
    sandbox.fail_next(status=200, body=NOTHING)
    sandbox.add_segment(name="camp")
    run = run_dag(sensor_dag(name="camp", deferrable=True))
    assert "A triggerer runs 1,000 triggers by default ([triggerer] capacity" in run.log


@pytest.mark.parametrize("mode", ["poke", "execute"])
def test_an_object_has_no_state_between_two_executions(sandbox, monkeypatch, mode):
    """As in a test suite, where two tests import one DAG module."""
    sandbox.add_segment(name="camp")
    sensor = SegmentExistsSensor(task_id="wait", name="camp")
    getattr(sensor, mode)({})
    page = sensor.segment_page
    with Sandbox() as another:
        segment = another.add_segment(name="camp", id=UNKNOWN_ID)
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(another.connection))
        found = getattr(sensor, mode)({})
        assert (found.xcom_value if mode == "poke" else found)["id"] == segment["id"]
        assert sensor.segment_page != page
    assert len(sandbox.requests) == 1


def test_what_one_execution_has_met_is_not_counted_in_the_next(sandbox, clock):
    sensor = SegmentExistsSensor(task_id="wait", name="camp")
    for _ in range(5):
        sandbox.fail_next(status=502, headers={"Retry-After": "500"})
        assert not sensor.poke({}).is_done
        clock.move(7_200)
    assert sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) == 300


def test_one_execution_keeps_its_connection_between_two_pokes(sandbox, run_dag):
    sandbox.fail_next(2, status=200, body=NOTHING)
    sandbox.add_segment(name="camp")
    assert run_dag(sensor_dag(name="camp")).states == {"wait": "success"}
    assert len(sandbox.requests) == 3
    assert len({request.connection for request in sandbox.requests}) == 1


# The error of a bulk task is made of its report, and comes from no poll.
FINAL = [kind for kind in all_subclasses(MoEngageError) if not kind.retryable and kind is not SegmentsFailedError]


@pytest.mark.parametrize("kind", FINAL, ids=lambda kind: kind.__name__)
def test_what_no_waiting_mends_is_final(sandbox, monkeypatch, kind):
    """Proxy settings that cannot work, say: nobody is to wait for days to hear of them."""

    def fail(*_, **__):
        raise kind("it is so")

    monkeypatch.setattr(MoEngageClient, "find_segment", fail)
    for deferrable in (False, True):
        with pytest.raises(AirflowFailException, match="it is so"):
            SegmentExistsSensor(task_id="wait", name="camp", deferrable=deferrable).execute({})
    events = asyncio.run(payloads(SegmentExistsTrigger(name="camp", poll_interval=0)))
    assert [event["status"] for event in events] == ["failed"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("promo_*", "name is an exact name, and 'promo_*' reads like a glob: name_pattern of ListSegmentsOperator is"),
        ("promo ", "name has a blank at its beginning or end: 'promo '."),
    ],
)
def test_a_name_that_is_hardly_meant(sandbox, run_dag, name, hint):
    run = run_dag(sensor_dag(name=name, timeout=0))
    assert hint in run.log
    assert f"Not there yet: the segment {name!r}." in run.log


@pytest.mark.parametrize("parameter", ["poke_interval", "timeout"])
def test_a_duration_that_lost_its_weeks_is_refused(monkeypatch, parameter):
    """Before pendulum 3.2; Airflow has copied it by then, if it stands in default_args."""
    week = pendulum.duration(weeks=1)
    monkeypatch.setattr("airflow_provider_moengage.segments.pendulum_copies._copies_keep_weeks", lambda: False)
    with pytest.raises(InvalidInputError, match=f"{parameter} is a pendulum Duration.*pendulum>=3.2"):
        SegmentExistsSensor(task_id="wait", name="camp", **{parameter: week})
    SegmentExistsSensor(task_id="wait", name="camp", **{parameter: timedelta(weeks=1)})


class TestResuming:
    """soft_fail skips a timeout and nothing else; what ends a deferral arrives as Airflow delivers it."""

    @pytest.mark.parametrize(
        ("method", "arguments", "outcome"),
        [
            ("execute_complete", {"event": {"status": "failed", "message": "wrong key"}}, AirflowFailException),
            ("execute_complete", {"event": {"status": "of another version"}}, AirflowException),
            ("__fail__", {"error": "Trigger failure"}, AirflowException),
            ("__fail__", {"error": TIMEOUT}, AirflowSkipException),
        ],
    )
    def test_soft_fail(self, method, arguments, outcome):
        sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True, soft_fail=True)
        with pytest.raises(outcome) as caught:
            sensor.resume_execution(method, arguments, {})
        assert isinstance(caught.value, AirflowSkipException) == (outcome is AirflowSkipException)

    def test_a_timeout_fails_otherwise(self):
        sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True)
        with pytest.raises(AirflowException) as caught:
            sensor.resume_execution("__fail__", {"error": TIMEOUT}, {})
        assert not isinstance(caught.value, AirflowSkipException)

    def test_never_fail(self):
        sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True, never_fail=True)
        with pytest.raises(AirflowSkipException):
            sensor.resume_execution("execute_complete", {"event": {"status": "failed", "message": "wrong key"}}, {})


def test_never_fail_skips_a_wrong_key_in_every_mode(sandbox, run_dag, mode):
    sandbox.fail_next(status=401)
    assert run_dag(sensor_dag(name="camp", never_fail=True, **mode)).states == {"wait": "skipped"}
    assert len(sandbox.requests) == 1


def test_what_a_task_has_not_returned_is_not_left_out(sandbox, run_dag):
    """Left out, the id would be waited for alone."""
    sandbox.add_segment(name="camp", id=UNKNOWN_ID)
    with new_dag("given") as dag:

        @task
        def nothing():
            return None

        SegmentExistsSensor(task_id="wait", segment_id=UNKNOWN_ID, name=nothing())
        SegmentExistsSensor.partial(task_id="mapped", segment_id=UNKNOWN_ID).expand(name=[None])
        SegmentExistsSensor(task_id="by_hand", segment_id=UNKNOWN_ID, name=None)

    run = run_dag(dag)

    assert run.states["wait"] == "failed"
    assert run.states["mapped"] == "failed"
    assert run.states["by_hand"] == "success"
    assert "name was given, but there is nothing in it now" in run.log


@pytest.mark.parametrize("native", [False, True])
def test_text_without_a_template_stays_text(sandbox, run_dag, native):
    for name in ("2026", "1_000"):
        sandbox.add_segment(name=name)
    with new_dag(f"text_{native}", render_template_as_native_obj=native) as dag:
        SegmentExistsSensor(task_id="one", name="2026")
        SegmentExistsSensor.partial(task_id="mapped").expand(name=["1_000"])

    run = run_dag(dag)

    assert run.states == {"one": "success", "mapped": "success"}, run.log
