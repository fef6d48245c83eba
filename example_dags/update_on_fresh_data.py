"""
Update a segment whenever a pipeline has fresh data.

load_orders stands for the pipeline: after it has loaded the orders of a day it says so with an asset, and which cities
they came from. That starts update_on_fresh_data, which makes filters of those cities and updates the segment with them.
Of several loads that share a run, all cities count. Neither DAG knows of the other, and nothing polls.

The segment is named by its id: put that of yours into the params.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Asset, task

from airflow_provider_moengage.operators.segments import UpdateSegmentOperator

fresh_orders = Asset("warehouse://shop/orders")

with DAG(
    dag_id="load_orders",
    description="Load the orders of a day, and say where they came from.",
    doc_md=__doc__,
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    tags=["moengage", "example"],
):

    @task(outlets=[fresh_orders])
    def load(outlet_events: Any = None) -> None:
        """Load them, and tell with the asset what those who wait for it want to know."""
        outlet_events[fresh_orders].extra = {"cities": ["Mumbai", "Pune"]}

    load()

with DAG(
    dag_id="update_on_fresh_data",
    description="Point a MoEngage segment at the cities of the orders that were loaded.",
    doc_md=__doc__,
    schedule=[fresh_orders],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # the cities of an earlier run never come after those of a later one
    params={"segment_id": "63d8cec0c085939e6c1ab727"},
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):

    @task
    def make_filters(**context: Any) -> dict[str, Any]:
        """Make filters of the cities that all events of this run tell, each once."""
        # On Airflow 2 an asset is a dataset. Its events have other keys there; all are of the one asset anyway.
        events_by_asset = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        fresh = [
            city
            for events in events_by_asset.values()
            for event in events
            for city in event.extra.get("cities", ())  # one that was made by hand has none
        ]
        cities = list(dict.fromkeys(fresh))
        if not cities:
            raise AirflowSkipException("No event of fresh orders tells their cities: trigger load_orders instead.")
        return {
            "filter_operator": "and",
            "filters": [
                {
                    "filter_type": "user_attributes",
                    "name": "City",
                    "data_type": "string",
                    "operator": "in",
                    "value": cities,
                }
            ],
        }

    UpdateSegmentOperator(
        task_id="update",
        segment_id="{{ params.segment_id }}",
        included_filters=make_filters(),
        updated_by="data-engineering@example.com",
    )
