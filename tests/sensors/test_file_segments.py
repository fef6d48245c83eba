"""The sensor that waits for a callback, beside what DAG runs and a whole Airflow show of it."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from packaging.version import Version

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.segments.callbacks import FileRequest
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor

pytestmark = pytest.mark.skipif(Version(version("apache-airflow")) < Version("3"), reason="callbacks need Airflow 3")

COUNTS = {"values_found": 3, "values_processed": 3, "user_count": 3}
FILLED = {"status": 201, "request_id": "r", "segment_name": "vip", **COUNTS}
FAILED = {"status": 400, "request_id": "r", "segment_name": "vip", "error_message": "no file"}
REQUEST = FileRequest.new("another_dag", "a run", "fill", 2)


class Ti:
    """A task instance that gives the XComs of others."""

    def __init__(self, came=None):
        self.came = came

    def xcom_pull(self, **where):
        assert where == {
            "dag_id": "another_dag",
            "run_id": "a run",
            "task_ids": "fill",
            "map_indexes": 2,
            "key": REQUEST.outcome_key,
        }
        return self.came


def sensor(**arguments):
    return FileSegmentReadySensor(task_id="wait", **{"request": REQUEST.as_text(), "poke_interval": 0.01, **arguments})


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_has_come(deferrable):
    assert sensor(deferrable=deferrable).execute({"ti": Ti(FILLED)}) == FILLED


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_has_failed(deferrable):
    for arguments in ({}, {"soft_fail": True}):
        with pytest.raises(AirflowFailException, match=r"no file \(status 400\)"):
            sensor(deferrable=deferrable, **arguments).execute({"ti": Ti(FAILED)})
    with pytest.raises(AirflowSkipException):
        sensor(deferrable=deferrable, never_fail=True).execute({"ti": Ti(FAILED)})


def test_it_never_comes():
    with pytest.raises(AirflowSensorTimeout, match="has not called back within 0.02 s about the request"):
        sensor(timeout=0.02).execute({"ti": Ti()})
    with pytest.raises(AirflowSkipException):
        sensor(timeout=0.02, soft_fail=True).execute({"ti": Ti()})


def test_it_defers():
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, timeout=timedelta(hours=1), execution_timeout=timedelta(minutes=10)).execute(
            {"ti": Ti()}
        )
    trigger = deferred.value.trigger
    assert [FileRequest(**fields) for fields in trigger.requests] == [REQUEST]
    assert timedelta(minutes=10) < deferred.value.timeout <= timedelta(minutes=20)
    resumed = sensor(deferrable=True)
    assert resumed.execute_complete({}, {"status": "called_back", "outcomes": [FILLED], "carried": {}}) == FILLED


@pytest.mark.parametrize("how", [{}, {"deferrable": True}, {"mode": "reschedule"}])
def test_it_waits_no_longer_than_a_callback_is_taken(how):
    with pytest.raises(InvalidInputError, match=r"timeout is 691,200 s, .* good for 604,800 s \(7 days\)"):
        sensor(timeout=timedelta(days=8), **how)
    assert sensor(timeout=timedelta(days=7), **how).timeout == 604_800
    # In the mode reschedule that bounds each poke, and not the wait.
    if how.get("mode") == "reschedule":
        with pytest.raises(InvalidInputError):
            sensor(timeout=timedelta(days=8), execution_timeout=timedelta(hours=1), **how)
    else:
        sensor(timeout=timedelta(days=8), execution_timeout=timedelta(hours=1), **how)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"status": "timeout", "carried": {}}, AirflowSensorTimeout),
        ({"status": "called_back", "outcomes": [FAILED], "carried": {}}, AirflowFailException),
    ],
)
def test_what_the_trigger_may_say(event, error):
    def resume(**arguments):
        return sensor(**arguments).resume_execution("execute_complete", {"event": event}, {})

    with pytest.raises(error):
        resume()
    with pytest.raises(AirflowSkipException if error is AirflowSensorTimeout else error):
        resume(soft_fail=True)
    with pytest.raises(AirflowSkipException):
        resume(never_fail=True)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("fill", "not str of length 4"),
        ("", "not an empty str"),
        ("{}", "not str of length 2"),
        (7, "not int"),
        ({"dag_id": "a"}, "not dict of length 1"),
        ("None", "not str of length 4"),
        (None, "not nothing"),
    ],
)
def test_no_request(given, named):
    with pytest.raises(AirflowFailException, match=r"request must be what an operator for file segments gives") as said:
        sensor(request=given).execute({"ti": Ti()})
    assert f", {named}. An operator gives it when its callback_url is" in str(said.value)
