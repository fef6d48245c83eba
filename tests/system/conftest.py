"""What the system tests share: one running Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.real_airflow import RealAirflow, running_airflow
from tests.system.settings import DAGS, PARSED_ONCE, SOMEBODY_ELSES_CONNECTION


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAirflow]:
    """Run one Airflow for all tests that leave its own processes alive: each start takes its time."""
    settings = {
        **PARSED_ONCE,
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # How soon a worker that was killed is missed.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS": "True",
    }
    with pytest.MonkeyPatch.context() as exported:
        exported.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", SOMEBODY_ELSES_CONNECTION)
        with running_airflow(tmp_path_factory.mktemp("airflow"), DAGS, settings) as airflow:
            yield airflow
