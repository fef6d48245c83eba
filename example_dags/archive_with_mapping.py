"""
Archive the segments of campaigns that are over, a task for each.

Every segment has a line of its own in the grid, with its own log and its own retries, and can be cleared alone. That is
worth it for a few dozen. Each task starts a process, though, and Airflow maps 1,024 at most: for more segments, or when
nobody looks at single ones, ArchiveSegmentsOperator does them all in one task.

MoEngage archives 50 a minute and 200 an hour of a workspace. A task that meets the end of a window is deferred until
there is room again, and holds no worker slot meanwhile.

MoEngage does not say which segments are archived already. Between newer_than and older_than a segment is selected in
a few weekly runs and then never again; to archive it a second time changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_moengage.operators.bulk import ListSegmentsOperator
from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator

with DAG(
    dag_id="archive_with_mapping",
    description="Archive the segments of campaigns that are over, a task for each.",
    doc_md=__doc__,
    schedule="@weekly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"name_pattern": "camp_*", "exclude_pattern": "*_evergreen"},
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    find_expired = ListSegmentsOperator(
        task_id="find_expired",
        name_pattern="{{ params.name_pattern }}",
        exclude_pattern="{{ params.exclude_pattern }}",
        older_than="P90D",
        newer_than="P120D",
        types=["ELASTIC_SEARCH"],  # filter segments: a file segment's users are lost after 30 days in the archive
    )

    ArchiveSegmentOperator.partial(
        task_id="archive",
        map_index_template="{{ task.name }}",
        deferrable=True,
        max_active_tis_per_dagrun=4,  # a weekly chore, which leaves the worker slots to others
    ).expand_kwargs(find_expired.output)
