"""An update and a create whose processes are killed; of what, and through which connection, is up to the run."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_moengage.operators.segments import CreateSegmentOperator, UpdateSegmentOperator

with DAG("interrupted", schedule=None, start_date=pendulum.datetime(2026, 1, 1), render_template_as_native_obj=True):
    UpdateSegmentOperator(
        task_id="update",
        segment_id="{{ dag_run.conf['segment_id'] }}",
        name="{{ dag_run.conf['name'] }}",
        included_filters="{{ dag_run.conf['included_filters'] }}",
        moengage_conn_id="{{ dag_run.conf['moengage_conn_id'] }}",
        retries=1,
        retry_delay=timedelta(0),
    )

with DAG(
    "interrupted_create", schedule=None, start_date=pendulum.datetime(2026, 1, 1), render_template_as_native_obj=True
):
    CreateSegmentOperator(
        task_id="create",
        name="{{ dag_run.conf['name'] }}",
        included_filters="{{ dag_run.conf['included_filters'] }}",
        moengage_conn_id="{{ dag_run.conf['moengage_conn_id'] }}",
        retries=1,
        retry_delay=timedelta(0),
    )
