"""Everything that this provider can do, for a server that echoes the key."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task
from known_to_tests import AWAITED_ID, NAME, PLANTED_CONN_ID, REFUSED_ID, REFUSED_UPDATE_ID

from airflow_provider_moengage.client import MoEngageError
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator, UpdateSegmentOperator
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger

FILTERS = {
    "filter_operator": "and",
    "filters": [
        {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "in", "value": "Pune"}
    ],
}

with DAG(
    "planted_key",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    default_args={"moengage_conn_id": PLANTED_CONN_ID, "poke_interval": 2, "retry_delay": timedelta(0)},
):
    by_name = SegmentExistsSensor(task_id="by_name", name=NAME, deferrable=True)
    by_id = SegmentExistsSensor(task_id="by_id", segment_id=AWAITED_ID, deferrable=True)
    rescheduled = SegmentExistsSensor(task_id="rescheduled", name=NAME, mode="reschedule", poke_interval=15)
    SegmentExistsSensor(task_id="refused_while_waiting", segment_id=REFUSED_ID, deferrable=True)

    # Both meet the echo first, and succeed when they are tried again.
    update = UpdateSegmentOperator(task_id="update", segment_id=AWAITED_ID, included_filters=FILTERS, retries=1)
    archive = ArchiveSegmentOperator(task_id="archive", name=NAME, segment_id=AWAITED_ID, retries=1)
    [by_name, by_id, rescheduled] >> update >> archive

    UpdateSegmentOperator(task_id="refused", segment_id=REFUSED_UPDATE_ID, included_filters=FILTERS, retries=1)

    @task
    def show_everything() -> list[str]:
        """Show what a person who looks for a bug would show."""
        hook = MoEngageHook(PLANTED_CONN_ID)
        trigger = SegmentExistsTrigger(name=NAME, moengage_conn_id=PLANTED_CONN_ID)
        shown: list[Any] = [hook, hook.client, trigger, trigger.serialize()]
        shown += [MoEngageHook(PLANTED_CONN_ID).test_connection(), MoEngageHook(PLANTED_CONN_ID).test_connection()]
        try:
            hook.client.unarchive_segment(NAME)
        except MoEngageError as error:
            shown += [error, error.args, vars(error), error.__cause__, error.__context__]
            logging.getLogger(__name__).exception("With its traceback")
        texts = [text for thing in shown for text in (repr(thing), str(thing))]
        logging.getLogger(__name__).warning("Logged: %s", texts)
        print("Printed:", texts)  # noqa: T201 - people do
        return texts

    show_everything()
