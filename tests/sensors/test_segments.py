from __future__ import annotations

import json
from datetime import timedelta
from importlib.metadata import version

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from tests.support import NOTHING, new_dag

# How Airflow 3 and Airflow 2 tell that a deferral has timed out.
TIMEOUT = "Trigger timeout" if version("apache-airflow") >= "3" else "Trigger/execution timeout"

MODES = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


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

    def test_trouble_is_not_yet(self, sandbox, run_dag, mode, wanted):
        for trouble in ({"status": 429}, {"status": 500}, {"fault": "reset"}, {"fault": "html"}):
            sandbox.fail_next(**trouble)

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
    @pytest.mark.parametrize("looks_before", [0, 1])
    def test_a_wrong_key_fails_at_once_even_with_soft_fail(self, sandbox, run_dag, monkeypatch, mode, looks_before):
        """Skipped, it would look like a segment that is not there."""
        key = "not-the-key-of-this-workspace"
        connection = {**sandbox.connection, "password": key}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
        sandbox.fail_next(
            looks_before or 1, status=200 if looks_before else 401, body=NOTHING if looks_before else None
        )

        run = run_dag(sensor_dag(name="camp", soft_fail=True, **mode))

        assert run.states == {"wait": "failed"}
        assert run.tries == {"wait": 1}
        assert len(sandbox.requests) == looks_before + 1
        assert "MoEngage refused the credentials: " in run.log
        assert key not in run.log

    @pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
    @pytest.mark.parametrize("mode", [MODES["poke"], MODES["reschedule"]])
    def test_a_timeout(self, sandbox, run_dag, mode, soft_fail, state):
        assert run_dag(sensor_dag(name="camp", timeout=0, soft_fail=soft_fail, **mode)).states == {"wait": state}

    @pytest.mark.parametrize("mode_with_soft_fail", [False, True])
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({}, "exactly one of segment_id and name: none of them is given"),
            ({"segment_id": "a", "name": "b"}, "exactly one of segment_id and name: segment_id and name are given"),
            ({"name": "{{ '' }}"}, "name is blank"),
            ({"segment_id": " "}, "segment_id is blank"),
        ],
    )
    def test_bad_input(self, sandbox, run_dag, mode, arguments, sentence, mode_with_soft_fail):
        run = run_dag(sensor_dag(**arguments, **mode, soft_fail=mode_with_soft_fail))

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
    assert deferred.value.timeout == timedelta(hours=1)


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
