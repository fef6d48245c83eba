"""A DAG that an asset starts: what it does with the asset's event."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import requests
from packaging.version import Version

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.support import UNKNOWN_ID

pytestmark = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3"), reason="the REST API that the test uses came with Airflow 3"
)


@pytest.fixture
def airflow(airflow):
    """Each request with a token: Airflow 3.1 wants one though everybody is an administrator."""
    token = requests.get(f"{airflow.url}/auth/token", timeout=60).json()["access_token"]
    airflow._session.headers["Authorization"] = f"Bearer {token}"
    yield airflow
    del airflow._session.headers["Authorization"]


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
