"""What MoEngageClient adds to a call: its time beside that of requests alone, and of HttpHook."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from statistics import median
from typing import Any

from demo import say
from tests.benchmarks.fast_moengage import AUTHORITY, SCHEMES, fast_moengage
from tests.benchmarks.in_a_process import result_of
from tests.benchmarks.in_airflow import over_http
from tests.benchmarks.show import table

CALLS = 2_000
BATCH = 10
RUNS = 3
WAYS = {
    "client": "MoEngageHook().client",
    "requests": "requests.Session",
    "http_hook": "HttpHook.run",
    "socket": "a socket",
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :param options: none of them is looked at.
    :return: the medians of each run.
    """
    runs = []
    for round_ in range(RUNS):
        for scheme in SCHEMES:
            say(f"calls: {CALLS:,} gets and {CALLS:,} archives over {scheme} in each way, run {round_ + 1}")
            runs.append({"scheme": scheme, **_called(scheme)})
    return {"calls": CALLS, "batch": BATCH, "runs": runs}


def _called(scheme: str) -> dict[str, Any]:
    with fast_moengage(scheme) as connection:
        headers = over_http(connection)["extra"] | {"Accept": "application/json"}
        # As the client does: it asks the environment for a proxy and for whom to trust, but not on the way to loopback.
        trust_env = scheme == "https"
        http = {**over_http(connection), "extra": {**headers, "trust_env": trust_env}}
        order = {
            "connection": {**connection, "headers": headers, "trust_env": trust_env},
            "turns": CALLS // BATCH,
            "batch": BATCH,
        }
        environment = {
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_MOENGAGE_OVER_HTTP": json.dumps(http),
            "REQUESTS_CA_BUNDLE": str(AUTHORITY),
        }
        return result_of("calling", order, environment)


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians of the runs.

    :param figures: what :func:`measure` gives.
    """
    runs = figures["runs"]
    head = ("", "us/call", "CPU us/call", "ratio", "CPU ratio", "calls/s")
    rows = []
    for scheme in SCHEMES:
        for call in ("get", "archive"):
            for way, name in WAYS.items():
                of_way = [run[call][way] for run in runs if run["scheme"] == scheme]
                keys = ("microseconds", "cpu_microseconds", "ratio", "cpu_ratio")
                microseconds, cpu_microseconds, ratio, cpu_ratio = (median(run[key] for run in of_way) for key in keys)
                columns = f"{microseconds:.0f}", f"{cpu_microseconds:.0f}", f"{ratio:.2f}", f"{cpu_ratio:.2f}"
                rows.append((f"{scheme}, {call}: {name}", *columns, f"{1e6 / microseconds:,.0f}"))
    connections = (f"{WAYS[way]} {max(run['connections'][way] for run in runs)}" for way in WAYS if way != "socket")
    return [
        f"Calls: {figures['calls']:,} gets and as many archives, {figures['batch']} at a time in each way in turn.",
        f"Medians of {len(runs) // len(SCHEMES)} runs. The ratio: the client's time to that of the row, turn by turn.",
        "",
        "All ways send the same headers and read the answer, but for the socket, which shows what the server can do.",
        "Over https each way looks for a proxy in its environment at each call, over http to loopback none does.",
        "",
        *table(head, rows),
        "",
        f"Connections for all calls of a run: {', '.join(connections)}. A HttpHook has one method, so there are two.",
    ]
