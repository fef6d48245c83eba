"""A whole Airflow, with every process that it has in production."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests

SECONDS_TO_START = 180
SECONDS_BETWEEN_QUESTIONS = 0.5

BINARIES = Path(sys.executable).parent


class RealAirflow:
    """
    Talks to a running Airflow over its REST API, reads what it writes, and kills processes of it.

    :param url: where its api-server listens.
    :param home: its AIRFLOW_HOME, with its logs and its database.
    :param settings: the environment of its processes.
    :param parent: the process that has started all others.
    """

    def __init__(self, url: str, home: Path, settings: Mapping[str, str], parent: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.home = home
        self._settings = settings
        self._parent = parent
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self.text(method, path, **arguments)
        return json.loads(answer) if answer else None

    def text(self, method: str, path: str, **arguments: Any) -> str:
        response = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **arguments)
        response.raise_for_status()
        return response.text

    def healthy(self) -> bool:
        try:
            health = self.call("GET", "monitor/health")
        except requests.RequestException:
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    @contextmanager
    def connection(self, conn_id: str, connection: Mapping[str, Any]) -> Iterator[None]:
        """Keep a connection in the metadata database for a while."""
        body = {**connection, "connection_id": conn_id, "extra": json.dumps(connection["extra"])}
        self.call("POST", "connections", json=body)
        try:
            yield
        finally:
            self.call("DELETE", f"connections/{conn_id}")

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        self.wait_until(lambda: self._knows(dag_id), f"the DAG {dag_id} is parsed", 120)
        body = {"logical_date": None, "dag_run_id": run_id, "conf": conf or {}}
        return self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def unpause(self, dag_id: str) -> None:
        known = "SELECT count(*) FROM dag WHERE dag_id = ?"
        self.wait_until(lambda: self.rows(known, dag_id) == [(1,)], f"the DAG {dag_id} is parsed", 120)
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        tasks = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in tasks}

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {task_id: task["state"] for task_id, task in self.tasks(dag_id, run_id).items()}

    def tries(self, dag_id: str, run_id: str) -> dict[str, int]:
        return {task_id: task["try_number"] for task_id, task in self.tasks(dag_id, run_id).items()}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", path, params={"deserialize": "true"})["value"]

    def wait_until(self, happened: Callable[[], Any], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                raise AssertionError(f"In {seconds} s it did not happen that {what}.\n{self._last_words()}")
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the metadata database, past every mask of the REST API."""
        with closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, parameters).fetchall()

    def kill_triggerer(self) -> None:
        """Kill every process of the triggerer, without a chance to sign off."""
        children = psutil.Process(self._parent.pid).children()
        _kill_family(next(child for child in children if child.cmdline()[-1:] == ["triggerer"]))

    @contextmanager
    def another_triggerer(self) -> Iterator[None]:
        """Run a triggerer beside the others, or in place of one that was killed."""
        with _started("triggerer", self._settings, self.home / "another_triggerer.log"):
            yield

    def kill_task(self, pid: int) -> None:
        """Kill the process of a task. The worker that looks after it lives on, and reports its death."""
        _kill_family(self._own(pid))

    def kill_task_and_worker(self, pid: int) -> None:
        """Kill the process of a task and the worker, so that nobody reports anything."""
        _kill_family(self._own(pid).parent())

    def _own(self, pid: int) -> psutil.Process:
        process = psutil.Process(pid)
        assert process in psutil.Process(self._parent.pid).children(recursive=True), f"{pid} is not of this Airflow"
        return process

    def _knows(self, dag_id: str) -> bool:
        try:
            return not self.call("GET", f"dags/{dag_id}")["is_paused"]
        except requests.HTTPError:
            return False

    def _last_words(self) -> str:
        lines = (log.read_text(errors="replace").splitlines()[-80:] for log in self.home.glob("*.log"))
        return "\n".join(line for log in lines for line in log)


@contextmanager
def running_airflow(home: Path, dags: Path, environment: Mapping[str, str]) -> Iterator[RealAirflow]:
    """
    Start Airflow on a free port, and stop every process of it afterwards.

    :param home: an empty folder, its AIRFLOW_HOME.
    :param dags: the folder of its DAGs.
    :param environment: more variables, such as connections.
    """
    port, worker_port, triggerer_port = _free_ports(3)
    url = f"http://127.0.0.1:{port}"
    settings = {
        **os.environ,
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
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
        # How late a worker may notice that its task has ended. A sensor that is back sooner than that fails.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer_port),
        **environment,
    }
    with _started("standalone", settings, home / "standalone.log") as parent:
        airflow = RealAirflow(url, home, settings, parent)
        airflow.wait_until(airflow.healthy, "Airflow is healthy", SECONDS_TO_START)
        yield airflow


@contextmanager
def _started(command: str, settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as output:
        process = subprocess.Popen(
            [BINARIES / "airflow", command],
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left: nobody needs its last words, and to ask it takes half a minute."""
    _kill_family(psutil.Process(process.pid))
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kill_family(process: psutil.Process) -> None:
    """
    Kill a process and all below it.

    It is suspended first, so that it neither has more children nor reacts to the death of those it has. A running task
    has a process group of its own: to kill the group is not enough.
    """
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        for child in process.children():
            _kill_family(child)
        process.kill()


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
