"""
Hand MoEngage an audience that only the warehouse knows, every night.

sync reads the customers who have spent most within a year, writes them into a file, and lets MoEngage fetch it: the
first run creates the segment, every other one replaces its users. A query that gives too few, or a number that is far
from the last night's, fails the task and leaves the audience as it is. The task ends when MoEngage has called back that
the segment is filled; report says how many of the customers it knows.

It needs the connection warehouse, of any database; the Variable audience_staging, the folder for the file, such as
s3://aws_default@bucket/audiences; and MoEngage has to reach Airflow ([moengage] receive_callbacks). Where the storage
does not sign addresses, the Variable audience_public_url says where a web server serves that folder.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator

with DAG(
    dag_id="sync_audience",
    description="Make the customers who spend most the users of a MoEngage segment.",
    doc_md=__doc__,
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={"least_spent": 500},
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    sync = SqlToFileSegmentOperator(
        task_id="sync",
        sql="""
            select customer_id from orders
            where ordered_on >= '{{ macros.ds_add(ds, -365) }}'
            group by customer_id
            having sum(amount) >= {{ params.least_spent | int }}
        """,
        conn_id="warehouse",
        staging="{{ var.value.audience_staging }}",
        public_url="{{ var.value.get('audience_public_url', '') }}",
        name="big_spenders",
        attribute_name="ID",
        attribute_type="string",
        expiry_days=365,
        min_rows=100,
        max_change=0.3,
        wait=True,
        deferrable=True,
    )

    @task
    def report(synced: dict[str, Any]) -> str:
        """Say what has become of it: MoEngage matches the values with the users it knows."""
        known = synced.get("user_count")
        matched = "" if known is None else f", of whom MoEngage knows {known:,}"
        said = f"{synced['cs_name']} has {synced['rows_written']:,} customers{matched}."
        logging.getLogger(__name__).info("%s", said)
        return said

    report(sync.output)
