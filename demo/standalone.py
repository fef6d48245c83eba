"""A whole Airflow on this machine: `airflow standalone` on free ports, and its REST API."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from demo.ports import promised_ports
from demo.watchdog import kill_session

SECONDS_TO_START = 300
SECONDS_TO_PARSE = 120
SECONDS_TO_RUN = 300
ENDED = ("success", "failed")
WAITING_FOR_A_PERSON = ("awaiting_input", "deferred")
SECONDS_BETWEEN_QUESTIONS = 0.2
# How long a process of Airflow waits while another writes to the database. SQLite lets one write at a time, and by
# default gives up after 5 seconds. The api-server of `make airflow` gives up sooner: see demo/launcher.py.
SECONDS_TO_WAIT_TO_WRITE = 100

REPOSITORY = Path(__file__).resolve().parents[1]
BINARIES = Path(sys.executable).parent
AIRFLOW = BINARIES / "airflow"
LAUNCHER = (sys.executable, "-m", "demo.launcher")


class AirflowFailedError(Exception):
    """
    Airflow does not do what it should.

    :param what: a sentence without its full stop.
    :param logs: the end of its logs.
    """

    def __init__(self, what: str, logs: str) -> None:
        super().__init__(f"{what}.\n{logs}")
        self.what = what


def _direct_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass
class Standalone:
    """
    Talks to a running Airflow over its REST API.

    :param url: where its api-server listens.
    :param home: its AIRFLOW_HOME, with its logs and its database.
    :param settings: the environment of its processes.
    :param parent: the process that has started all others, where there is one.
    """

    url: str
    home: Path
    settings: Mapping[str, str]
    parent: subprocess.Popen[bytes] | None = None
    _session: requests.Session = field(default_factory=_direct_session, repr=False)

    @property
    def log(self) -> Path:
        """The output of all its processes."""
        return self.home / "standalone.log"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """
        Send a request to the REST API.

        :param method: its method.
        :param path: what follows ``/api/v2/``.
        :param arguments: whatever else requests takes.
        :return: the parsed answer.
        :raises requests.HTTPError: when Airflow refuses.
        :raises AirflowFailedError: when it fails.
        """
        answer = self.text(method, path, **arguments)
        return json.loads(answer) if answer else None

    def text(self, method: str, path: str, **arguments: Any) -> str:
        """Send a request to the REST API, and give the answer as it is."""
        response = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=120, **arguments)
        if response.status_code >= 500:
            what = f"{method} {path} was answered with {response.status_code}: {response.text[:500]}"
            raise AirflowFailedError(what, self._last_words())
        response.raise_for_status()
        return response.text

    def healthy(self) -> bool:
        """Tell whether all parts of it run, and whether a worker's first question is answered at once."""
        try:
            # At its first request the api-server makes the Execution API in all versions that it has had: seconds, and
            # on a busy machine half a minute, for which no task has to wait.
            self._session.get(f"{self.url}/execution/health", timeout=120)
            health = self.call("GET", "monitor/health")
        except (requests.RequestException, AirflowFailedError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    @contextmanager
    def connection(self, conn_id: str, connection: Mapping[str, Any]) -> Iterator[None]:
        """Keep a connection in the metadata database for a while."""
        extra = {"extra": json.dumps(connection["extra"])} if "extra" in connection else {}
        body = {**connection, **extra, "connection_id": conn_id}
        self.call("POST", "connections", json=body)
        try:
            yield
        finally:
            with suppress(requests.ConnectionError):  # it has ended
                self.call("DELETE", f"connections/{conn_id}")

    def trigger(
        self,
        dag_id: str,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        logical_date: str | None = None,
    ) -> str:
        """
        Start a DAG run, as soon as the DAG is parsed.

        :param conf: values of the DAG's params.
        :param logical_date: for a DAG that asks for the dates of its run.
        :return: the run's id.
        """
        self._wait_for_dag(dag_id)
        body = {"logical_date": logical_date, "dag_run_id": run_id, "conf": conf or {}}
        return self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def unpause(self, dag_id: str) -> None:
        """Let the schedule of a DAG start it."""
        self._wait_for_dag(dag_id)
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Give the task instances of a run by their task's id; of a mapped task, one of them."""
        tasks = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in tasks}

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Give the state of each task of a run."""
        return {task_id: task["state"] for task_id, task in self.tasks(dag_id, run_id).items()}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Give what a task has returned."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.call("GET", path, params={"deserialize": "true"})["value"]

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """
        Wait until a task asks a person, and its worker is done with it.

        :return: what the person sees: ``{"subject", "body", "options", ...}``.
        """
        waiting = f"the task {task_id} asks a person"
        self.wait_until(
            lambda: self.states(dag_id, run_id).get(task_id) in WAITING_FOR_A_PERSON, waiting, SECONDS_TO_RUN
        )
        self._wait_for_worker(dag_id, run_id, task_id)
        return self.call("GET", self._hitl_path(dag_id, run_id, task_id))

    def wait_until_deferred(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Wait until tasks are deferred, and their workers are done with them."""
        for task_id in task_ids:
            deferred = f"the task {task_id} is deferred"
            self.wait_until(
                lambda task_id=task_id: self.states(dag_id, run_id).get(task_id) == "deferred", deferred, SECONDS_TO_RUN
            )
            self._wait_for_worker(dag_id, run_id, task_id)

    def _wait_for_worker(self, dag_id: str, run_id: str, task_id: str) -> None:
        # Airflow 3.3 fails a task that goes on before the scheduler has heard that the worker is done. A person, and
        # what is waited for in earnest, is never so quick.
        done = f"Received executor event with state success for task instance TaskInstanceKey(dag_id='{dag_id}', "
        done += f"task_id='{task_id}', run_id='{run_id}'"
        self.wait_until(lambda: done in self.log.read_text(errors="replace"), "its worker is done", SECONDS_TO_RUN)

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Click one of the options of a task that asks a person."""
        answer = {"chosen_options": [option], "params_input": {}}
        self.call("PATCH", self._hitl_path(dag_id, run_id, task_id), json=answer)

    @staticmethod
    def _hitl_path(dag_id: str, run_id: str, task_id: str) -> str:
        return f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"

    def wait_for_the_end(self, dag_id: str, run_id: str, seconds: float = SECONDS_TO_RUN) -> None:
        """Wait until a run has ended, well or not."""
        path = f"dags/{dag_id}/dagRuns/{run_id}"
        self.wait_until(lambda: self.call("GET", path)["state"] in ENDED, f"the run of {dag_id} ends", seconds)

    def wait_until(self, happened: Callable[[], Any], what: str, seconds: float) -> None:
        """
        Ask until something has happened.

        :param happened: the question.
        :param what: what it asks for, in words.
        :param seconds: how long to ask.
        :raises AirflowFailedError: when it does not happen.
        """
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                raise AirflowFailedError(f"in {seconds} s it did not happen that {what}", self._last_words())
            if self.parent and self.parent.poll() is not None:
                raise AirflowFailedError(f"Airflow has ended before it happened that {what}", self._last_words())
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def _wait_for_dag(self, dag_id: str) -> None:
        self.wait_until(lambda: self._knows(dag_id), f"the DAG {dag_id} is parsed", SECONDS_TO_PARSE)

    def _knows(self, dag_id: str) -> bool:
        try:
            self.call("GET", f"dags/{dag_id}")
        except requests.HTTPError:
            return False
        return True

    def _last_words(self) -> str:
        lines = (log.read_text(errors="replace").splitlines()[-80:] for log in self.home.glob("*.log"))
        return "\n".join(line for log in lines for line in log)


@contextmanager
def running_airflow(home: Path, dags: Path, environment: Mapping[str, str], *, port: int = 0) -> Iterator[Standalone]:
    """
    Start Airflow, and stop every process of it afterwards.

    :param home: the folder of its own, its AIRFLOW_HOME.
    :param dags: the folder of its DAGs, which are not paused.
    :param environment: more variables, such as connections.
    :param port: where it listens, any by default, and when this one is taken.
    """
    with promised_ports(3, port) as (api_port, worker_port, triggerer_port):
        settings = _settings(home, dags, api_port) | {
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_port),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(triggerer_port),
            **environment,
        }
        with started(LAUNCHER, settings, home / "standalone.log") as parent:
            airflow = Standalone(settings["AIRFLOW__API__BASE_URL"], home, settings, parent)
            airflow.wait_until(airflow.healthy, "Airflow is healthy", SECONDS_TO_START)
            yield airflow


def _settings(home: Path, dags: Path, port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        **environment_without_airflow(),
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={SECONDS_TO_WAIT_TO_WRITE}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": url,
        # LocalExecutor starts all that it may have at once, 32 by default.
        "AIRFLOW__CORE__PARALLELISM": "8",
        # How long the scheduler sleeps when it has found nothing to do: in a chain of short tasks, most of the time.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # The keys by which its parts believe each other: where none is set, each process makes up its own.
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        # On a busy machine an answer takes longer than the 5 s for which a worker waits by default.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # How late a worker may notice that its task has ended. A sensor that is back sooner than that fails.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


@contextmanager
def started(command: Sequence[str | Path], settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """
    Keep a process of Airflow, and all those that it starts, for a while.

    :param command: its program and arguments.
    :param settings: the environment.
    :param log: the file for its output.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=settings,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with watched(process):
        try:
            yield process
        finally:
            _stop(process)


@contextmanager
def watched(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """
    Let a process of Airflow not outlive this one, even if this one is killed.

    :param process: what was started, in a session of its own.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "demo.watchdog", str(process.pid)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as watchdog:
        try:
            yield
        finally:
            watchdog.kill()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left: nobody needs its last words, and to ask it takes half a minute."""
    kill_session(psutil.Process(process.pid))
    process.wait()


def environment_without_airflow() -> dict[str, str]:
    """
    Leave out what leads Airflow elsewhere: workers ask AIRFLOW_CONN_* before the database.

    Whoever has exported the connection of a real workspace would archive the segments of that.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
