"""
Fill in every campaign segment as soon as marketing has created it. Needs Airflow 3, which has asset watchers.

Marketing creates camp_pune_diwali in the dashboard, and that starts this DAG: it sets the segment's filters to the
cities in its name. One watcher polls for all segments, now and in years, from the triggerer, with one list request each
five minutes; on Airflow 3.3 deferred sensors of the same connection and interval share that request.

It understands names whose words have an underscore between them, and in which the cities of CITIES are in small
letters: camp_pune_diwali, camp_delhi_mumbai. A segment without such a city, a file segment, and an event that somebody
makes by hand in Airflow are passed over, and the task's log names them.

A segment that exists when the watch begins starts nothing, and neither does one that is renamed later. Several that
were created between two polls can share a run, and so there is a task for each. On Airflow 3.3 those that are created
while the triggerer is down are found afterwards.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_moengage.operators.segments import UpdateSegmentOperator
from airflow_provider_moengage.triggers.segments import SegmentCreatedTrigger

log = logging.getLogger(__name__)

CITIES = ("Chennai", "Delhi", "Mumbai", "Pune")

new_segments = Asset(
    "new_campaign_segments",
    watchers=[AssetWatcher(name="moengage", trigger=SegmentCreatedTrigger(name_pattern="camp_*"))],
)

with DAG(
    dag_id="update_new_segments",
    description="Point every new MoEngage segment at the cities in its name.",
    doc_md=__doc__,
    schedule=[new_segments],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):

    @task
    def make_updates(**context: Any) -> list[dict[str, Any]]:
        """Make the update of each new segment that has a city in its name and is not from a file."""
        updates = []
        passed_over = []
        for event in context["triggering_asset_events"][new_segments]:
            segment = event.extra.get("payload")
            if not segment:
                passed_over.append("an event made by hand")
                continue
            cities = [city for city in CITIES if city.lower() in segment["name"].split("_")]
            if not cities or segment["type"] != "ELASTIC_SEARCH":
                passed_over.append(segment["name"])
                continue
            in_cities = {
                "filter_type": "user_attributes",
                "name": "City",
                "data_type": "string",
                "operator": "in",
                "value": cities,
            }
            filters = {"filter_operator": "and", "filters": [in_cities]}
            updates.append({"segment_id": segment["segment_id"], "included_filters": filters})
        if passed_over:
            log.info("Passed over: %s", passed_over)
        if not updates:
            raise AirflowSkipException("No event tells of a segment to fill in.")
        return updates

    UpdateSegmentOperator.partial(
        task_id="update",
        updated_by="data-engineering@example.com",
    ).expand_kwargs(make_updates())
