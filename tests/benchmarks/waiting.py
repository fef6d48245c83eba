"""
Wait for many segments: what a triggerer pays for each that waits by name, beside the http provider's trigger, and how
those that wait by id share MoEngage's rate limit.
"""

from __future__ import annotations

import argparse
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from demo import say
from tests.benchmarks.in_a_process import result_of
from tests.benchmarks.in_airflow import over_http
from tests.benchmarks.show import table
from tests.benchmarks.slow_moengage import KEPT_REQUESTS, running_sandbox

POLLS = 10
INTERVAL = 5.0
LISTED = 1_000  # segments: as many as a workspace may have active
BY_NAME = (0, 1, 10, 100, 1_000, 10_000)  # none: what the process does besides
# 10,000 of them would send more requests than the sandbox answers in an interval.
OVER_HTTP = (1, 10, 100, 1_000)

USUAL_INTERVAL = 300.0
BY_ID = (1, 10, 100, 1_000, 10_000)
DAY = 86_400.0
LIMITS = {"minute": 60.0, "hour": 3_600.0, "day": DAY}


def measure(_options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :return: the raw figures.
    """
    return {
        "interval_seconds": INTERVAL,
        "polls": POLLS,
        "listed_segments": LISTED,
        "by_name": [run for count in BY_NAME for run in _side_by_side(count)],
        "by_id": [_shared_for_a_day(count) for count in BY_ID],
    }


def _side_by_side(count: int) -> list[dict[str, Any]]:
    ways = ("names", "http") if count in OVER_HTTP else ("names",)
    return [_waited(way, count) for way in ways]


def _waited(way: str, count: int) -> dict[str, Any]:
    say(f"waiting: {count} in the way {way}")
    listed = [f"camp_{number:05}" for number in range(LISTED)]
    with running_sandbox("--dialect", "today", "--no-rate-limits", names=listed) as moengage:
        before = len(moengage.requests())
        taken = _in_a_process(moengage.connection, {"wait": way, "count": count, "interval": INTERVAL, "polls": POLLS})
        # Without the one that each process makes first.
        sent = moengage.requests()[before + 1 :]
    connections = len({request["connection"] for request in sent})
    return {"way": way, "count": count, "requests": len(sent), "connections": connections, **taken}


def _shared_for_a_day(count: int) -> dict[str, Any]:
    say(f"waiting: {count} by id, for a day of their clock")
    with running_sandbox("--dialect", "today") as moengage:
        began = moengage.now()
        order = {"wait": "ids", "count": count, "interval": USUAL_INTERVAL, "seconds": DAY}
        taken = _in_a_process(moengage.connection, order)
        sent = moengage.requests()
    if len(sent) >= KEPT_REQUESTS:
        raise RuntimeError("The sandbox has seen more requests than it remembers.")
    times = [(_seconds(request["time"]) - _seconds(began), request) for request in sent]
    moments = [moment for moment, _ in times]
    polls: dict[str, list[float]] = {f"{number:024x}": [0.0] for number in range(count)}
    for moment, request in times:
        polls[request["path"].rsplit("/", 1)[1]].append(moment)
    gaps = [
        max(later - earlier for earlier, later in zip(its, [*its[1:], max(DAY, its[-1])], strict=True))
        for its in polls.values()
    ]
    return {
        "count": count,
        "requests": len(sent),
        "refused": sum(request["status"] == 429 for request in sent),
        **{f"most_in_a_{name}": _most_within(period, moments) for name, period in LIMITS.items()},
        "fewest_polls": min(len(its) - 1 for its in polls.values()),
        "most_polls": max(len(its) - 1 for its in polls.values()),
        "longest_gap_hours": round(max(gaps) / 3_600, 2),
        **taken,
    }


def _in_a_process(connection: dict[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    environment = {
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps(over_http(connection)),
    }
    return result_of("waiters", order, environment)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(f"{moment}+00:00").timestamp()


def _most_within(period: float, moments: Sequence[float]) -> int:
    within = (bisect_right(moments, moment + period) - index for index, moment in enumerate(moments))
    return max(within, default=0)


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them.

    :param figures: what :func:`measure` gives.
    """
    polls, interval = figures["polls"], figures["interval_seconds"]
    return [
        f"Waiting: {polls} intervals of {interval:g} s, each row a process of its own, measured once.",
        f"By name all share one list of {figures['listed_segments']:,} segments. The http provider's HttpSensorTrigger",
        "asks by id: it takes every answer but a 404 for what it waits for, so that it cannot wait for a name.",
        "",
        *_table_of_ways(figures["by_name"]),
        "",
        "The first row is what the process does besides; of the others, a poll costs the CPU that is more than that.",
        "MiB is what the process has grown by meanwhile. The lag is the event loop's: the longest, and the median.",
        "",
        f"By id, for a day, a poll every {USUAL_INTERVAL:g} s if MoEngage's limit allows (100 a minute, 1,000 an hour,",
        "4,000 a day). The day is one of the process's and the sandbox's clocks; the requests are real.",
        "",
        *_table_of_polls(figures["by_id"]),
    ]


def _table_of_ways(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    names = {"names": "SegmentExistsTrigger", "http": "HttpSensorTrigger"}
    head = ("", "waiting", "requests", "connections", "CPU s", "ms/poll of one", "MiB", "KiB each", "lag ms", "median")
    none = next(run["cpu_seconds"] for run in runs if not run["count"])
    rows = []
    for run in runs:
        polls = run["requests"] * (run["count"] if run["way"] == "names" else 1)
        rows.append(
            (
                names[run["way"]],
                f"{run['count']:,}",
                f"{run['requests']:,}",
                f"{run['connections']:,}",
                f"{run['cpu_seconds']:.2f}",
                f"{(run['cpu_seconds'] - none) * 1_000 / polls:.3f}" if polls else "",
                f"{run['kib_waiting'] / 1024:.1f}",
                f"{run['kib_waiting'] / run['count']:.1f}" if run["count"] else "",
                f"{run['longest_lag_ms']:.0f}",
                f"{run['median_lag_ms']:.1f}",
            )
        )
    return table(head, rows)


def _table_of_polls(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ("waiting", "requests", "refused", "a minute", "an hour", "a day", "polls at one", "longest gap h")
    rows = [
        (
            f"{run['count']:,}",
            f"{run['requests']:,}",
            f"{run['refused']}",
            f"{run['most_in_a_minute']}",
            f"{run['most_in_a_hour']:,}",
            f"{run['most_in_a_day']:,}",
            f"{run['fewest_polls']} to {run['most_polls']}",
            f"{run['longest_gap_hours']:.2f}",
        )
        for run in runs
    ]
    return table(head, rows)
