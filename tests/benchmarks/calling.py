"""
Call MoEngage in several ways, in turn: the connections and the numbers come as JSON on standard input, and what it took
goes as JSON into the last line of standard output.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.benchmarks.fast_moengage import BODY, NAME, SEGMENT_ID, Socket, requests_of

Ways = Mapping[str, Callable[[], Any]]


def main() -> None:
    order = json.load(sys.stdin)
    connection = order["connection"]
    socket = Socket(connection)
    opened: Counter[str] = Counter()
    result = {
        call: in_turn(ways, order["turns"], order["batch"], socket.connections, opened)
        for call, ways in ways_to_call(connection, socket).items()
    }
    sys.stdout.write(f"\n{json.dumps({**result, 'connections': opened})}\n")


def ways_to_call(connection: Mapping[str, Any], socket: Socket) -> dict[str, Ways]:
    """Give for each call the ways to make it. All read the answer; that of the socket does not look at it."""
    client = MoEngageHook().client
    getting, patching = HttpHook("GET", "moengage_over_http"), HttpHook("PATCH", "moengage_over_http")
    session = bare_session(connection)
    get_url = f"{connection['host']}/v3/custom-segments/{SEGMENT_ID}"
    archive_url = f"{connection['host']}/v2/custom-segments/archive"
    ready = requests_of(connection)
    return {
        "get": {
            "client": lambda: client.get_segment(SEGMENT_ID),
            "requests": lambda: answer_of(session.get(get_url, timeout=(5, 30))),
            "http_hook": lambda: getting.run(f"v3/custom-segments/{SEGMENT_ID}").json(),
            "socket": lambda: socket.ask(ready["get"]),
        },
        "archive": {
            "client": lambda: client.archive_segment(NAME),
            "requests": lambda: answer_of(session.patch(archive_url, data=BODY, timeout=(5, 30))),
            "http_hook": lambda: patching.run("v2/custom-segments/archive", data=BODY).json(),
            "socket": lambda: socket.ask(ready["archive"]),
        },
    }


def bare_session(connection: Mapping[str, Any]) -> requests.Session:
    session = requests.Session()
    session.auth = connection["login"], connection["password"]
    session.headers.update(connection["headers"])
    session.trust_env = connection["trust_env"]
    return session


def answer_of(response: requests.Response) -> Any:
    response.raise_for_status()
    return response.json()


def in_turn(
    ways: Ways, turns: int, batch: int, connections: Callable[[], int], opened: Counter[str]
) -> dict[str, dict[str, float]]:
    """
    Let each way make a few calls, again and again: a machine that slows down does so for all of them.

    :param ways: what to call.
    :param turns: how often, after a first turn that does not count.
    :param batch: how many calls a way makes in a turn.
    :param connections: tells how many the server has taken so far.
    :param opened: how many each way has opened, counted on here.
    :return: of each way the microseconds that a call takes, and how often the client's goes into them: by the clock,
        and of the processor.
    """
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(turns + 1):
        for way, call in ways.items():
            before = connections()
            began, cpu_began = time.perf_counter(), time.process_time()
            for _ in range(batch):
                call()
            times = time.perf_counter() - began, time.process_time() - cpu_began
            opened[way] += connections() - before
            if turn:
                taken[way].append(times)
    return {way: summary(times, taken["client"], batch) for way, times in taken.items()}


def summary(times: list[tuple[float, float]], of_client: list[tuple[float, float]], batch: int) -> dict[str, float]:
    clock, cpu = zip(*times, strict=True)
    pairs = list(zip(of_client, times, strict=True))
    return {
        "microseconds": round(median(clock) / batch * 1e6, 1),
        "cpu_microseconds": round(median(cpu) / batch * 1e6, 1),
        "ratio": round(median(client[0] / other[0] for client, other in pairs), 3),
        "cpu_ratio": round(median(client[1] / other[1] for client, other in pairs), 3),
    }


if __name__ == "__main__":
    main()
