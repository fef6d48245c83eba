"""A thousand sensors, which the scheduler itself sends to the triggerer: workers would take too long for so many."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG
from airflow.triggers.base import StartTriggerArgs
from known_to_tests import IDS, IDS_INTERVAL, NAMES_INTERVAL, NAMES_PER_RUN

from airflow_provider_moengage.sensors.segments import SegmentExistsSensor


class SentStraightToTheTriggerer(SegmentExistsSensor):
    """Waits with the trigger of every other sensor, and resumes as every other does."""

    start_from_trigger = True

    def __init__(self, **arguments):
        super().__init__(deferrable=True, **arguments)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="airflow_provider_moengage.triggers.segments.SegmentExistsTrigger",
            trigger_kwargs={
                "segment_id": self.segment_id,
                "name": self.name,
                "moengage_conn_id": self.moengage_conn_id,
                "poll_interval": self.poke_interval,
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )


with DAG("many_names", schedule=None, start_date=pendulum.datetime(2026, 1, 1), max_active_runs=100):
    for number in range(NAMES_PER_RUN):
        SentStraightToTheTriggerer(
            task_id=f"wait_{number}", name=f"{{{{ run_id }}}} camp {number}", poke_interval=NAMES_INTERVAL
        )

with DAG("few_ids", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    for number, segment_id in enumerate(IDS):
        SentStraightToTheTriggerer(task_id=f"wait_{number}", segment_id=segment_id, poke_interval=IDS_INTERVAL)
