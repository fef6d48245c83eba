"""Three ways to archive segments, as many at a time as Airflow runs tasks: in one task, and with a task for each."""

from __future__ import annotations

import json

import pendulum
from airflow.providers.common.compat.sdk import conf
from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG, task

from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator
from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator

AT_ONCE = conf.getint("core", "parallelism")
MOST_SEGMENTS = 10_000

SETTINGS = {"schedule": None, "start_date": pendulum.datetime(2026, 1, 1), "params": {"names": []}}


@task
def segments(params=None):
    return [{"name": name} for name in params["names"]]


@task
def bodies(params=None):
    return [{"data": json.dumps({"name": name})} for name in params["names"]]


with DAG("one_task", **SETTINGS):
    ArchiveSegmentsOperator(task_id="archive", segments=segments(), concurrency=AT_ONCE, max_segments=MOST_SEGMENTS)

with DAG("mapped", **SETTINGS):
    ArchiveSegmentOperator.partial(task_id="archive", max_active_tis_per_dagrun=AT_ONCE).expand_kwargs(segments())

# The connection has the credentials, and the other headers in its extra.
with DAG("mapped_http", **SETTINGS):
    HttpOperator.partial(
        task_id="archive",
        http_conn_id="moengage_over_http",
        method="PATCH",
        endpoint="v2/custom-segments/archive",
        max_active_tis_per_dagrun=AT_ONCE,
    ).expand_kwargs(bodies())
