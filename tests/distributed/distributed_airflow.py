"""
An Airflow on many machines, as far as one machine can be many: nothing is shared that a network would not carry.

Each process has an AIRFLOW_HOME of its own. The workers know the database as the place for Celery's results only.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from demo import standalone
from demo.ports import promised_ports
from demo.watchdog import kill_family
from tests.distributed import machine
from tests.distributed.services import running_postgresql, running_redis

REPOSITORY = Path(__file__).parents[2]
DAGS = Path(__file__).with_name("dags")
SECONDS_TO_START = 600
SECONDS_TO_MIGRATE = 300


@dataclass
class DistributedAirflow(standalone.Standalone):
    """
    Starts workers, and stops them in every way.

    :param database: the address of its metadata database.
    :param start_worker: starts the worker with this name.
    """

    database: str = ""
    start_worker: Callable[[str], subprocess.Popen[bytes]] | None = None
    _workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What the scheduler says."""
        return self.home / "scheduler.log"

    def said(self, name: str) -> str:
        """Give what a process has written since it was started."""
        return (self.home / f"{name}.log").read_text(errors="replace")

    def start_workers(self, names: Sequence[str]) -> None:
        """Start those of the workers that do not run, and wait until all of them take tasks."""
        for name in names:
            if name not in self._workers or self.has_ended(name):
                self._workers[name] = self.start_worker(name)
        for name in names:
            self.wait_until(lambda name=name: f"{name} ready" in self.said(name), f"{name} is ready", SECONDS_TO_START)

    def has_ended(self, name: str) -> bool:
        # Not by poll(): until somebody waits for it, its number is no other's, and who stops it at the end finds it.
        return psutil.Process(self._workers[name].pid).status() == psutil.STATUS_ZOMBIE

    def kill_worker(self, name: str) -> None:
        """Kill a worker and every task in it, so that nobody reports anything."""
        kill_family(psutil.Process(self._workers[name].pid))

    def signal_worker(self, name: str, number: signal.Signals) -> None:
        """Tell a worker something, and nobody else."""
        self._workers[name].send_signal(number)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the metadata database."""
        with psycopg.connect(f"postgresql://{self.database}") as connection:
            return connection.execute(query, parameters).fetchall()


@contextmanager
def running_distributed_airflow(home: Path, environment: Mapping[str, str]) -> Iterator[DistributedAirflow]:
    """
    Start all of Airflow but the workers, and stop every process afterwards.

    :param home: an empty folder.
    :param environment: more settings.
    """
    with (
        promised_ports(2) as (port, triggerer_port),
        running_postgresql() as database,
        running_redis() as broker,
        ExitStack() as stack,
    ):
        url = f"http://127.0.0.1:{port}"
        everywhere = {
            **standalone.environment_without_airflow(),
            "PATH": f"{standalone.BINARIES}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),  # for the name of the machine
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{machine.__name__}.{machine.name.__name__}",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg://{database}",
            "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer_port),
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            **environment,
        }
        # What the tests around this one have set for themselves would lead a worker to another database.
        everywhere.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", None)
        center = {
            **everywhere,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg://{database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+psycopg_async://{database}",
        }
        migrate = [standalone.AIRFLOW, "db", "migrate"]
        own = _own_settings("migration", home)
        subprocess.run(migrate, env=center | own, check=True, capture_output=True, timeout=SECONDS_TO_MIGRATE)
        for part in ("api-server", "scheduler", "dag-processor", "triggerer"):
            stack.enter_context(_started([part], part, home, center))

        def start_worker(name: str) -> subprocess.Popen[bytes]:
            queues = f"default,{name}"  # what is for anybody, and what is for this one
            command = f"celery worker --skip-serve-logs --celery-hostname {name} --queues {queues} --concurrency 2"
            return stack.enter_context(_started(command.split(), name, home, everywhere))

        airflow = DistributedAirflow(url, home, everywhere, database=database, start_worker=start_worker)
        airflow.wait_until(airflow.healthy, "Airflow is healthy", SECONDS_TO_START)
        yield airflow


@contextmanager
def _started(
    command: Sequence[str], name: str, home: Path, settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    log = home / f"{name}.log"
    with standalone.started([standalone.AIRFLOW, *command], settings | _own_settings(name, home), log) as process:
        yield process


def _own_settings(name: str, home: Path) -> dict[str, str]:
    return {"AIRFLOW_HOME": str(home / name), machine.VARIABLE: name}
