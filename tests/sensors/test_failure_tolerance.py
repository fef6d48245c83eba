"""A sensor that waits for days tolerates failures, asks no more often than it may, and gives up in the end."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from datetime import timedelta
from importlib.metadata import version
from itertools import cycle, islice

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, BaseSensorOperator
from packaging.version import Version

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments.failure_tolerance import GaveUpWaitingError
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests.support import NOTHING, UNKNOWN_ID, new_dag

HAS_STORE = Version(version("apache-airflow")) >= Version("3.3")
MODES = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}
LATER_MODES = MODES if HAS_STORE else {"poke": {}, "deferrable": {"deferrable": True}}


@pytest.fixture(params=["by_id", "by_name"])
def wanted(request):
    return {"by_id": {"segment_id": UNKNOWN_ID}, "by_name": {"name": "camp"}}[request.param]


@pytest.fixture
def naps(clock, sandbox, monkeypatch):
    """The seconds between two polls, in every mode: they pass on the fake clock and on the sandbox's."""
    naps = []

    def nap(seconds):
        naps.append(seconds)
        clock.sleep(seconds)

    async def async_nap(seconds):
        nap(seconds)
        await asyncio.tasks.sleep(0)

    base = sys.modules[BaseSensorOperator.__module__]
    monkeypatch.setattr(base, "time", types.SimpleNamespace(sleep=nap, monotonic=clock.monotonic))
    polling = sys.modules["airflow_provider_moengage.triggers.polling"]
    monkeypatch.setattr(polling, "asyncio", types.SimpleNamespace(**{**vars(asyncio), "sleep": async_nap}))
    return naps


def short_timeouts(sandbox, monkeypatch, **changed):
    extra = {"read_timeout": 0.5}
    connection = {**sandbox.connection, "extra": extra, **changed}
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))


FAULTS = [
    {"status": 429},
    {"status": 429, "headers": {"Retry-After": "500"}},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"fault": "reset"},
    {"fault": "silence"},
    {"fault": "html"},
    {"fault": "half-body"},
]


async def events(trigger):
    return [event.payload async for event in trigger.run()]


def wait_as_trigger(wanted):
    (event,) = asyncio.run(events(SegmentExistsTrigger(**wanted, poll_interval=300)))
    return event


class TestNeverMoreRequestsThanTheIntervalAllows:
    """Each poll is one request, and two polls are at least an interval apart, whatever the server does."""

    def check(self, sandbox, naps):
        # Not by the times of the requests: a busy sandbox takes note of one after the client has given it up.
        assert len(sandbox.requests) == 41
        assert min(naps) >= 300
        assert 500 <= max(naps) < 501

    def fill(self, sandbox, figures):
        for fault in islice(cycle(FAULTS), 40):
            sandbox.fail_next(**fault)
        sandbox.fail_next(status=200, body={"data": [{"name": "camp", "id": UNKNOWN_ID}]})
        figures.add("faults met while waiting", 40)

    def test_poke(self, sandbox, wanted, naps, monkeypatch, figures):
        short_timeouts(sandbox, monkeypatch)
        self.fill(sandbox, figures)
        sensor = SegmentExistsSensor(task_id="wait", **wanted)
        assert sensor.execute({})["name"] == "camp"
        self.check(sandbox, naps)
        assert len(naps) == 40

    def test_trigger(self, sandbox, wanted, naps, monkeypatch, figures):
        short_timeouts(sandbox, monkeypatch)
        self.fill(sandbox, figures)
        assert wait_as_trigger(wanted)["status"] == "found"
        self.check(sandbox, naps)
        assert len(naps) == 41, "a worker has polled before, so that a trigger waits first"

    def test_reschedule(self, sandbox, wanted, clock, run_dag, monkeypatch, figures):
        """The interval is Airflow's own there; what is left to show is that no poll sends twice."""
        short_timeouts(sandbox, monkeypatch)
        for fault in (fault for fault in FAULTS if "Retry-After" not in fault.get("headers", {})):
            sandbox.fail_next(**fault)
        sandbox.fail_next(status=200, body={"data": [{"name": "camp", "id": UNKNOWN_ID}]})
        assert run_dag(sensor_dag(**wanted, mode="reschedule", poke_interval=0)).states == {"wait": "success"}
        assert len(sandbox.requests) == 7
        assert clock.slept == []

    def test_not_past_the_timeout(self, sandbox, naps):
        sandbox.fail_next(status=429, headers={"Retry-After": "3600"})
        sensor = SegmentExistsSensor(task_id="wait", name="camp", timeout=1_000, soft_fail=True)
        with pytest.raises(AirflowSkipException):
            sensor.execute({})
        assert sum(naps) <= 1_301


def sensor_dag(**arguments):
    with new_dag(f"failures_{arguments.get('mode', 'poke')}") as dag:
        SegmentExistsSensor(task_id="wait", **arguments)
    return dag


@pytest.fixture
def two_hours_between_pokes(clock, monkeypatch):
    """Each poke is a process of its own in production: what it has of the last ones is in Airflow's store."""
    poke = SegmentExistsSensor.poke

    def poke_two_hours_later(self, context):
        clock.move(7_200)
        return poke(self, context)

    monkeypatch.setattr(SegmentExistsSensor, "poke", poke_two_hours_later)


class TestGivingUp:
    """Six hours without one good poll: 72 polls in the interval of 300 seconds, and one more."""

    GAVE_UP = "Gave up waiting for the segment 'camp': for 6 hours no poll has succeeded"

    def test_poke(self, sandbox, naps):
        sandbox.fail_next(500, status=502)
        with pytest.raises(GaveUpWaitingError, match=f"{self.GAVE_UP} .73 in a row.*failed to answer.*502"):
            SegmentExistsSensor(task_id="wait", name="camp").execute({})
        assert len(sandbox.requests) == 73

    def test_trigger(self, sandbox, naps):
        sandbox.fail_next(500, status=502)
        event = wait_as_trigger({"name": "camp"})
        assert event["status"] == "gave_up"
        assert self.GAVE_UP in event["message"]
        sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True, soft_fail=True)
        with pytest.raises(GaveUpWaitingError, match=self.GAVE_UP):
            sensor.resume_execution("execute_complete", {"event": event}, {})

    def test_never_fail_skips_this_too(self):
        sensor = SegmentExistsSensor(task_id="wait", name="camp", deferrable=True, never_fail=True)
        with pytest.raises(AirflowSkipException):
            sensor.resume_execution("execute_complete", {"event": {"status": "gave_up", "message": "so long"}}, {})

    @pytest.mark.skipif(not HAS_STORE, reason="the task state store came with Airflow 3.3")
    def test_reschedule(self, sandbox, two_hours_between_pokes, run_dag):
        sandbox.fail_next(500, status=502)
        run = run_dag(sensor_dag(name="camp", mode="reschedule", poke_interval=0, retries=1, retry_delay=timedelta(0)))
        assert run.states == {"wait": "failed"}
        assert run.tries == {"wait": 2}
        assert self.GAVE_UP in run.log
        # The second try begins anew.
        assert len(sandbox.requests) == 8

    @pytest.mark.skipif(not HAS_STORE, reason="the task state store came with Airflow 3.3")
    @pytest.mark.parametrize(("polls", "state"), [("x...", "success"), ("x.x.x.x.x.", "success"), ("xxxx", "failed")])
    def test_only_failures_in_a_row_count(self, sandbox, two_hours_between_pokes, run_dag, polls, state):
        """Two hours lie between two polls; a good one in between makes what was before forgotten."""
        for poll in polls:
            if poll == "x":
                sandbox.fail_next(status=502)
            else:
                sandbox.fail_next(status=200, body=NOTHING)
        sandbox.add_segment(name="camp")
        assert run_dag(sensor_dag(name="camp", mode="reschedule", poke_interval=0)).states == {"wait": state}

    def test_other_modes_need_no_store(self, sandbox):
        """What a poke has met is forgotten with its process."""
        sandbox.fail_next(status=502)
        context = {"task_state_store": object()}
        assert not SegmentExistsSensor(task_id="wait", name="camp").poke(context).is_done

    @pytest.mark.parametrize("mode", LATER_MODES.values(), ids=LATER_MODES)
    def test_the_same_failure_is_said_once(self, sandbox, run_dag, mode):
        sandbox.add_segment(name="camp")
        sandbox.fail_next(5, status=503)
        sandbox.fail_next(2, status=429)

        run = run_dag(sensor_dag(name="camp", poke_interval=0, **mode))

        assert run.states == {"wait": "success"}
        assert len(sandbox.requests) == 8
        # Said at the first 503 and at the first 429. The worker of a deferrable sensor has already made the first poll.
        said = set(re.findall(r"failed polls in a row: (\d+)", run.log))
        assert said == ({"1", "5"} if "deferrable" in mode else {"1", "6"})
        assert "MoEngage answers again. Failed polls: " in run.log


@pytest.mark.parametrize("mode", ["poke", "trigger"])
def test_a_key_that_is_rotated_while_sensors_wait_fails_none_of_them(sandbox, naps, clock, monkeypatch, mode):
    with Sandbox(api_key="the-new-key") as renewed:
        renewed.add_segment(name="camp")
        sandbox.fail_next(2, status=200, body=NOTHING)
        sandbox.fail_next(status=401)

        def rotate(_):
            if len(sandbox.requests) == 2:
                monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(renewed.connection))

        clock.when_slept.append(rotate)
        if mode == "poke":
            assert SegmentExistsSensor(task_id="wait", name="camp").execute({})["name"] == "camp"
        else:
            assert wait_as_trigger({"name": "camp"})["status"] == "found"

        assert [request.status for request in sandbox.requests] == [200, 200, 401]
        assert [request.status for request in renewed.requests] == [200]


def test_a_refused_key_ends_a_wait_when_nobody_can_say_whether_there_is_a_new_one(sandbox, naps, clock, monkeypatch):
    sandbox.fail_next(status=200, body=NOTHING)
    sandbox.fail_next(status=401)

    def spoil(_):
        if sandbox.requests:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", "{")

    clock.when_slept.append(spoil)
    event = wait_as_trigger({"name": "camp"})
    assert event["status"] == "failed"
    assert event["message"].startswith("MoEngage refused the credentials")


def test_a_host_that_is_mended_while_a_trigger_waits(sandbox, naps, clock, monkeypatch):
    sandbox.add_segment(name="camp")
    with Sandbox() as gone:
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(gone.connection))

    def mend(_):
        if len(naps) == 3:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))

    clock.when_slept.append(mend)
    assert wait_as_trigger({"name": "camp"})["status"] == "found"
    assert len(naps) == 4
