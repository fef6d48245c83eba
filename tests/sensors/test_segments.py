from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from tests.support import NOTHING, new_dag

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
