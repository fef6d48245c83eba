"""A request whose callback comes through a relay, and the sensor that waits for it."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task
from known_to_tests import RELAYED_FILES, RELAYED_NONCE

from airflow_provider_moengage.segments.callbacks import FileRequest, expectation
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor

with DAG("relayed", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):

    @task
    def fill(ti: Any = None) -> str:
        """Expect a callback as an operator does; its address is one of a relay, which only a test can call."""
        request = FileRequest(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, RELAYED_NONCE)
        ti.xcom_push(key=request.expected_key, value="expected")
        for number, nonce in enumerate(RELAYED_FILES, start=1):
            of_file = FileRequest(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, nonce)
            ti.xcom_push(key=of_file.expected_key, value=expectation(number, len(RELAYED_FILES)))
        return request.as_text()

    FileSegmentReadySensor(task_id="wait", request=fill(), deferrable=True, poke_interval=3, timeout=250)
