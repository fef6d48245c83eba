"""Requests on file segments whose callbacks come to Airflow, and what waits for them in every way."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task
from known_to_tests import CALLBACK_CONN_ID, CALLBACK_WORKSPACE, FILLED_ID

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.operators.file_segments import (
    AddUsersOperator,
    CreateFileSegmentOperator,
    ReplaceUsersOperator,
)
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor

START = pendulum.datetime(2026, 1, 1)
FILE = {
    "attribute_name": "ID",
    "attribute_type": "string",
    "file_url": "{{ dag_run.conf['file_url'] }}",
    "moengage_conn_id": CALLBACK_CONN_ID,
    "callback_url": "airflow",
}

with DAG("callbacks", schedule=None, start_date=START, default_args={"poll_interval": 3, "wait_timeout": 200}):
    CreateFileSegmentOperator(task_id="deferred", name="new", expiry_days=30, wait=True, deferrable=True, **FILE)
    AddUsersOperator(task_id="polling", name="polled", wait=True, **FILE)
    failing = {**FILE, "file_url": "{{ dag_run.conf['file_url'] }}.none"}
    AddUsersOperator(task_id="failing", name="failing", wait=True, deferrable=True, retries=2, **failing)
    fill = ReplaceUsersOperator(task_id="fill", segment_id=FILLED_ID, **FILE)
    request = fill.output["request"]
    FileSegmentReadySensor(task_id="sensor_deferred", request=request, deferrable=True, poke_interval=3)
    FileSegmentReadySensor(task_id="sensor_poking", request=request, poke_interval=3)
    templated = "{{ ti.xcom_pull('fill', key='request') }}"
    rescheduled = FileSegmentReadySensor(
        task_id="sensor_rescheduled", request=templated, mode="reschedule", poke_interval=15
    )
    fill >> rescheduled

asset = create_asset(workspace_id=CALLBACK_WORKSPACE, segment_id=FILLED_ID)

with DAG("audience_is_ready", schedule=[asset], start_date=START):

    @task
    def report(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Say what has started this run."""
        return [event.extra for events in triggering_asset_events.values() for event in events]

    report()
