"""A whole Airflow, with every process that it has in production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

SECONDS_TO_START = 180
SECONDS_BETWEEN_QUESTIONS = 0.5


class RealAirflow:
    """
    Talks to a running Airflow over its REST API.

    :param url: where its api-server listens.
    :param log: where its processes write.
    """

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **arguments)
        response.raise_for_status()
        return response.json()

    def healthy(self) -> bool:
        try:
            health = self.call("GET", "monitor/health")
        except requests.RequestException:
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    def trigger(self, dag_id: str) -> str:
        self.wait_until(lambda: self._knows(dag_id), f"the DAG {dag_id} is parsed", 120)
        return self.call("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None})["dag_run_id"]

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        tasks = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def tries(self, dag_id: str, run_id: str) -> dict[str, int]:
        tasks = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["try_number"] for task in tasks}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", path, params={"deserialize": "true"})["value"]

    def wait_until(self, happened: Callable[[], Any], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                log = "\n".join(self.log.read_text(errors="replace").splitlines()[-80:])
                raise AssertionError(f"In {seconds} s it did not happen that {what}.\n{log}")
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def _knows(self, dag_id: str) -> bool:
        try:
            return not self.call("GET", f"dags/{dag_id}")["is_paused"]
        except requests.HTTPError:
            return False


@contextmanager
def running_airflow(home: Path, dags: Path, environment: dict[str, str]) -> Iterator[RealAirflow]:
    """
    Start Airflow on a free port, and stop every process of it afterwards.

    :param home: an empty folder, its AIRFLOW_HOME.
    :param dags: the folder of its DAGs.
    :param environment: more variables, such as connections.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = home / "standalone.log"
    binaries = Path(sys.executable).parent
    settings = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": url,
        **environment,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [binaries / "airflow", "standalone"],
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        airflow = RealAirflow(url, log)
        airflow.wait_until(airflow.healthy, "Airflow is healthy", SECONDS_TO_START)
        yield airflow
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the parent, then end what is left of its group."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
