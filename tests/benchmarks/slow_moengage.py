"""MoEngage as the benchmarks meet it: a sandbox that takes its time."""

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
"""So many the sandbox remembers, and so many it can be told to answer late."""


@dataclass(frozen=True)
class SlowMoEngage:
    """
    A sandbox in a process of its own: its Python takes no time from the interpreter of what is measured.

    :param connection: the Airflow connection to it.
    """

    connection: dict[str, Any]

    def traffic(self, names: Sequence[str]) -> dict[str, Any]:
        """Count what has reached it for these segments."""
        with requests.Session() as session:
            journal = _call(session, "GET", f"{self.connection['host']}/_sandbox/requests")
        wanted = set(names)
        sent = [(json.loads(request["body"])["name"], request["connection"]) for request in journal]
        counted = Counter(name for name, _ in sent if name in wanted)
        return {
            "segments_reached": len(counted),
            "requests": counted.total(),
            "most_requests_for_a_segment": max(counted.values(), default=0),
            "connections": len({connection for name, connection in sent if name in counted}),
        }


@contextmanager
def slow_moengage(names: Sequence[str], latency: float) -> Iterator[SlowMoEngage]:
    """
    Run a workspace that has these segments, and that takes its time to archive each.

    :param names: names of the segments, at most 10,000.
    :param latency: seconds before each of so many archive requests is answered.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_moengage.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line a request
        text=True,
    )
    try:
        connection = _connection_told_by(process)
        with requests.Session() as session:
            url = f"{connection['host']}/_sandbox"
            for name in names:
                _call(session, "POST", f"{url}/segments", {"name": name})
            _call(session, "POST", f"{url}/faults", {"times": len(names), "delay": latency, "path": "*/archive"})
        yield SlowMoEngage(connection)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS_TO_START)


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
