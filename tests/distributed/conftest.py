"""What these tests share: one Airflow on many machines."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from tests.conftest import AIRFLOW_VERSION
from tests.distributed.services import program
from tests.system.settings import PARSED_ONCE

if TYPE_CHECKING:
    from tests.distributed.distributed_airflow import DistributedAirflow

PACKAGES = ("airflow.providers.celery", "psycopg", "redis")
PROGRAMS = ("initdb", "postgres", "redis-server")


def missing() -> list[str]:
    packages = [name for name in PACKAGES if not _is_installed(name)]
    return packages + [name for name in PROGRAMS if not program(name)]


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistributedAirflow]:
    if Version("3.3") > AIRFLOW_VERSION:
        pytest.skip("what a task has done is kept for its retry since Airflow 3.3")
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    from tests.distributed.distributed_airflow import running_distributed_airflow

    settings = {
        # How soon a worker that was killed is missed.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        **PARSED_ONCE,
    }
    with running_distributed_airflow(tmp_path_factory.mktemp("airflow"), settings) as airflow:
        yield airflow


@pytest.fixture
def two_workers(airflow: DistributedAirflow) -> tuple[str, str]:
    """Have two workers; who has lost one in the last test gets another in its place."""
    names = ("worker-1", "worker-2")
    airflow.start_workers(names)
    return names
