"""What several tests use."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from packaging.version import Version

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.sandbox import Sandbox

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

UNKNOWN_ID = "63d8cec0c085939e6c1ab727"

# The answer of both dialects' list, and of a get by id as the document shows it, when nothing matches.
NOTHING = {"data": [], "response_id": "abCDefGH", "type": "custom_segment"}


once = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="once is enough, with the newest Airflow"
)
"""For what is the same whatever the Airflow, or is pinned to the newest."""


class Clock:
    """
    Stands in for the module time: it goes as time does, but waiting takes none.

    ``slept`` has the seconds of each wait; each of ``when_slept`` is called with them.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.when_slept: list[Callable[[float], None]] = []
        self._ahead = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)
        for call in self.when_slept:
            call(seconds)

    def move(self, seconds: float) -> None:
        self._ahead += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def time(self) -> float:
        return time.time() + self._ahead


def dates(since: pendulum.DateTime, days: int) -> set[str]:
    """Give the date so many days after a moment, and after now: a test may begin before midnight and end after it."""
    return {moment.add(days=days).to_date_string() for moment in (since, pendulum.now("UTC"))}


def filters(value: Any = "Pune") -> dict[str, Any]:
    """Make a filter group that both the document and the sandbox accept."""
    return {
        "filter_operator": "and",
        "filters": [
            {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "in", "value": value}
        ],
    }


def client_of(sandbox: Sandbox, **changed: Any) -> MoEngageClient:
    """Make a client for a sandbox, some of its arguments changed."""
    connection = sandbox.connection
    arguments = {
        "workspace_id": connection["login"],
        "api_key": connection["password"],
        "base_url": connection["host"],
        **connection.get("extra", {}),
        **changed,
    }
    return MoEngageClient(**arguments)


@contextmanager
def trickling_server(answer: Iterable[bytes]) -> Iterator[str]:
    """Serve one request with an answer that comes piece by piece, for ever if it has no end."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            for piece in answer:
                connection.sendall(piece)
                if stopped.wait(0.005):
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        thread.join()
        listener.close()


def provider_seen_by(airflow: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask an Airflow for the provider, and for its hook."""

    def ask(what: str) -> subprocess.Popen[str]:
        return subprocess.Popen([airflow, "providers", what, "--output", "json"], stdout=subprocess.PIPE, text=True)

    def rows(asked: subprocess.Popen[str]) -> list[dict[str, Any]]:
        output, _ = asked.communicate()
        assert asked.returncode == 0
        return json.loads(output[output.index("[{") :])  # Airflow 3.0 logs to the same place

    providers, hooks = ask("list"), ask("hooks")
    (provider,) = [row for row in rows(providers) if row["package_name"] == "airflow-provider-moengage"]
    (hook,) = [row for row in rows(hooks) if row["connection_type"] == "moengage"]
    return provider, hook


def new_dag(dag_id: str, **arguments: Any) -> DAG:
    """Make a DAG that runs when it is asked to, on every version of Airflow."""
    # Not above: the process that hands the tests out to the others imports this file too, and no Airflow.
    import pendulum
    from airflow.providers.common.compat.sdk import DAG

    return DAG(dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1), **arguments)


def dags_of(file: Path) -> list[DAG]:
    """Load the DAGs of a file, as Airflow does."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag

    bag = DagBag(file)
    assert not bag.import_errors
    return list(bag.dags.values())
