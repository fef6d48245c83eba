"""A DAG that an asset starts: what it does with the asset's event."""

from __future__ import annotations

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.support import UNKNOWN_ID
from tests.system.settings import needs_shared_streams

pytestmark = needs_shared_streams


def test_fresh_data_updates_the_segment(airflow):
    with Sandbox() as sandbox, airflow.connection("moengage_default", sandbox.connection):
        sandbox.add_segment(name="camp", id=UNKNOWN_ID)

        # Its schedule starts load_orders as soon as it may.
        for dag_id in ("update_on_fresh_data", "load_orders"):
            airflow.unpause(dag_id)

        airflow.wait_until(lambda: sandbox.requests, "the update reaches MoEngage", SECONDS_TO_RUN)
        airflow.wait_until(
            lambda: "success" in states_of_runs(airflow, "update_on_fresh_data"),
            "the update's DAG run succeeds",
            SECONDS_TO_RUN,
        )
    (segment,) = sandbox.segments
    assert [found["value"] for found in segment["included_filters"]["filters"]] == [["Mumbai", "Pune"]]
    assert segment["updated_by"] == "data-engineering@example.com"


def states_of_runs(airflow, dag_id):
    return [run["state"] for run in airflow.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]]
