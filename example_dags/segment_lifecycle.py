"""
The life of a campaign segment, from a Monday to the next.

1. Wait until marketing has created the segment. The wait takes no worker slot, however long it is.
2. Point its filters at the week of this run. They come from the JSON file beside this one, which is what MoEngage's
   dashboard makes (Test & Debug > Segment Payload > Generate Payload), with Airflow's dates put in.
3. When the campaign is over, archive it: a workspace holds at most 1,000 active segments.
4. Before MoEngage forgets it, 180 days later, unarchive it for reuse.

Between the last three a real campaign would have tasks of its own. All of them use the connection moengage_default.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.common.compat.sdk import DAG, chain

from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor

with DAG(
    dag_id="segment_lifecycle",
    description="Wait for a MoEngage segment, update its filters, archive it, unarchive it.",
    doc_md=__doc__,
    schedule="@weekly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # two runs at once would archive the segment while the other updates it
    params={"segment_name": "camp_diwali_2026"},
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    wait_for_segment = SegmentExistsSensor(
        task_id="wait_for_segment",
        name="{{ params.segment_name }}",
        deferrable=True,
        timeout=timedelta(days=2),
        multiple_outputs=True,  # each key of the segment is an XCom of its own: .output["id"] below
    )

    update_filters = UpdateSegmentOperator(
        task_id="update_filters",
        segment_id=wait_for_segment.output["id"],
        included_filters=json.loads(Path(__file__).with_name("segment_lifecycle_filters.json").read_text()),
        updated_by="data-engineering@example.com",
    )

    archive = ArchiveSegmentOperator(
        task_id="archive",
        name="{{ params.segment_name }}",
        segment_id=wait_for_segment.output["id"],
    )

    unarchive = UnarchiveSegmentOperator(
        task_id="unarchive",
        name="{{ params.segment_name }}",
        segment_id=wait_for_segment.output["id"],
    )

    chain(wait_for_segment, update_filters, archive, unarchive)
