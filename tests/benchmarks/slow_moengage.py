"""MoEngage as the benchmarks meet it: a sandbox in a process of its own, which may take its time."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

SECONDS_TO_START = 30
KEPT_REQUESTS = 10_000
"""So many the sandbox remembers, and so many it can be told at a time to answer late."""


@dataclass(frozen=True)
class MoEngage:
    """
    A sandbox in a process of its own: its Python takes no time from the interpreter of what is measured.

    :param connection: the Airflow connection to it.
    """

    connection: dict[str, Any]

    def control(self, method: str, endpoint: str, body: Any = None) -> Any:
        """
        Drive it.

        :return: its answer.
        """
        with requests.Session() as session:
            return _call(session, method, f"{self.connection['host']}/_sandbox/{endpoint}", body)

    def requests(self) -> list[dict[str, Any]]:
        """Give what has reached it, the last 10,000."""
        return self.control("GET", "requests")

    def now(self) -> str:
        """Tell its time."""
        return self.control("GET", "clock")["now"]

    def traffic(self, names: Sequence[str]) -> dict[str, Any]:
        """Count what has reached it for these segments."""
        wanted = set(names)
        sent = [(json.loads(request["body"])["name"], request["connection"]) for request in self.requests()]
        counted = Counter(name for name, _ in sent if name in wanted)
        return {
            "segments_reached": len(counted),
            "requests": counted.total(),
            "most_requests_for_a_segment": max(counted.values(), default=0),
            "connections": len({connection for name, connection in sent if name in counted}),
        }


@contextmanager
def running_sandbox(*options: str, names: Sequence[str] = ()) -> Iterator[MoEngage]:
    """
    Run a workspace that has these segments.

    :param options: for the command line of the sandbox.
    :param names: names of the segments.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_moengage.sandbox", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line a request
        text=True,
    )
    try:
        connection = _connection_told_by(process)
        with requests.Session() as session:
            for name in names:
                _call(session, "POST", f"{connection['host']}/_sandbox/segments", {"name": name})
        yield MoEngage(connection)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS_TO_START)


@contextmanager
def slow_moengage(names: Sequence[str], latency: float) -> Iterator[MoEngage]:
    """
    Run a workspace that has these segments, and that takes its time to archive each.

    :param names: names of the segments.
    :param latency: seconds before each of so many archive requests is answered.
    """
    with running_sandbox(names=names) as moengage:
        for begin in range(0, len(names), KEPT_REQUESTS):
            times = len(names[begin : begin + KEPT_REQUESTS])
            moengage.control("POST", "faults", {"times": times, "delay": latency, "path": "*/archive"})
        yield moengage


def _connection_told_by(process: subprocess.Popen[str]) -> dict[str, Any]:
    # The last line of its greeting, as a shell takes it: export AIRFLOW_CONN_MOENGAGE_DEFAULT='{...}'
    for line in process.stdout or ():
        if line.startswith("export "):
            _, assignment = shlex.split(line)
            return json.loads(assignment.partition("=")[2])
    raise RuntimeError(f"The sandbox did not start, and ended with the exit code {process.wait(SECONDS_TO_START)}.")


def _call(session: requests.Session, method: str, url: str, body: Any = None) -> Any:
    session.trust_env = False
    response = session.request(method, url, json=body, timeout=30)
    response.raise_for_status()
    return response.json()
