"""Two tasks on two workers that update segments with the same connection."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_moengage.hooks.moengage import MoEngageHook

with DAG("two_updaters", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    for worker in ("worker-1", "worker-2"):

        @task(task_id=worker, queue=worker, execution_timeout=timedelta(minutes=10))
        def update(dag_run: Any = None, task: Any = None) -> None:
            """Begin as soon as there is the segment that is this task's gate."""
            job = dag_run.conf[task.task_id]
            client = MoEngageHook().client
            while client.get_segment(job["gate"]) is None:
                time.sleep(2)
            for included_filters in job["updates"]:
                client.update_segment(job["segment"], included_filters)

        update()
