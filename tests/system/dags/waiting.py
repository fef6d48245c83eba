"""Sensors of every kind, which wait in a real triggerer."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG
from known_to_tests import WAITING_CONN_ID

from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor

with DAG(
    "waiting",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    default_args={"moengage_conn_id": WAITING_CONN_ID, "poke_interval": 3},
):
    by_name = [
        SegmentExistsSensor(task_id=f"by_name_{number}", name=f"camp {number}", deferrable=True) for number in range(5)
    ]
    by_id = SegmentExistsSensor(task_id="by_id", segment_id="63d8cec0c085939e6c1ab727", deferrable=True)
    # Airflow 3.3 fails a task that is due again before the scheduler has heard that its worker is done, which takes a
    # busy machine some seconds.
    rescheduled = SegmentExistsSensor(task_id="rescheduled", name="camp 0", mode="reschedule", poke_interval=15)
    [*by_name, by_id, rescheduled] >> ArchiveSegmentOperator(task_id="archive", name="camp 0")

    # Long enough for the scheduler to have noticed the deferral, which fails its task on Airflow 3.3 otherwise.
    SegmentExistsSensor(task_id="too_late", name="never", deferrable=True, timeout=10, soft_fail=True)
    SegmentExistsSensor(task_id="malformed", segment_id="no id", deferrable=True, soft_fail=True, retries=3)
