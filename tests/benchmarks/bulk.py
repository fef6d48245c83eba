"""
Archive many segments: how near ArchiveSegmentsOperator comes to the shortest time possible, what it sends, how much
memory that takes, and what a task for each segment would take instead.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median
from typing import Any

from demo import say
from tests.benchmarks.in_a_process import result_of
from tests.benchmarks.in_airflow import TASKS_AT_ONCE, airflow_of_its_own, archived_by
from tests.benchmarks.show import table
from tests.benchmarks.slow_moengage import slow_moengage

LATENCY = 0.05
CONCURRENCIES = (1, 4, 16)
SIZES = (100, 1_000, 10_000)
RUNS = 3
LONGEST_TO_REPEAT = 15.0  # seconds
LONGEST = 200.0  # seconds, unless --long

FIRST_NAME = "camp_first"
SEGMENTS_IN_AIRFLOW = 1_000
MAPPED_SEGMENTS = 50
MAPPED_RUNS = 3
WAYS = {
    "one_task": f"ArchiveSegmentsOperator, one task, concurrency {TASKS_AT_ONCE}",
    "mapped": "ArchiveSegmentOperator, mapped",
    "mapped_http": "HttpOperator, mapped",
}
MAPPED = ("mapped", "mapped_http")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :param options: ``long`` asks for what takes minutes, too.
    :return: the raw figures, each run with its own.
    """
    return {
        "latency_seconds": LATENCY,
        "in_a_process": _in_a_process(math.inf if options.long else LONGEST),
        "tasks_at_once": TASKS_AT_ONCE,
        "in_airflow": _in_airflow(),
    }


def _in_a_process(longest: float) -> list[dict[str, Any]]:
    runs = []
    for round_ in range(RUNS):
        for count, concurrency in product(SIZES, CONCURRENCIES):
            limit = count * LATENCY / concurrency
            if limit <= (longest if round_ == 0 else LONGEST_TO_REPEAT):
                say(f"bulk: {count} segments, {concurrency} at a time, run {round_ + 1}")
                taken = _archived_in_a_process(count, concurrency)
                runs.append({"segments": count, "concurrency": concurrency, "limit_seconds": limit, **taken})
    return runs


def _archived_in_a_process(count: int, concurrency: int) -> dict[str, Any]:
    names = _names(count)
    with slow_moengage([FIRST_NAME, *names], LATENCY) as moengage:
        order = {"first_name": FIRST_NAME, "names": names, "concurrency": concurrency}
        environment = {"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(moengage.connection)}
        return {**result_of("archiving", order, environment), **moengage.traffic(names)}


def _in_airflow() -> list[dict[str, Any]]:
    say("bulk: Airflow starts")
    runs = []
    with airflow_of_its_own() as airflow:
        for round_ in range(MAPPED_RUNS):
            for dag_id in WAYS if round_ == 0 else MAPPED:
                count = MAPPED_SEGMENTS if dag_id in MAPPED else SEGMENTS_IN_AIRFLOW
                say(f"bulk: {count} segments in Airflow, {dag_id}, run {round_ + 1}")
                taken = archived_by(airflow, dag_id, _names(count), LATENCY)
                runs.append({"way": dag_id, "segments": count, **taken})
    return runs


def _names(count: int) -> list[str]:
    return [f"camp_{number:05}" for number in range(count)]


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians; of requests and connections the most that was seen.

    :param figures: what :func:`measure` gives.
    """
    runs, tasks_at_once = figures["in_a_process"], figures["tasks_at_once"]
    first_call = median(run["first_call_seconds"] for run in runs)
    return [
        f"Bulk: MoEngage takes {figures['latency_seconds'] * 1000:.0f} ms to archive a segment; medians of the runs.",
        "",
        "ArchiveSegmentsOperator in a process of its own. The limit is segments x latency / at once.",
        "",
        *_table_of_processes(runs),
        "",
        f"The first call of a process is not in it: {first_call:.2f} s, of which most is for imports.",
        "The ratio at best is above 1 where the last calls are fewer than may run at once.",
        *_left_out(runs, figures["latency_seconds"]),
        "",
        f"On a real Airflow, LocalExecutor, {tasks_at_once} at once, from the first start of a task to the last end.",
        f"Only {MAPPED_SEGMENTS} are mapped: what {SEGMENTS_IN_AIRFLOW:,} would take is extrapolated from that.",
        "",
        *_table_of_ways(figures["in_airflow"], SEGMENTS_IN_AIRFLOW),
    ]


def _left_out(runs: Sequence[Mapping[str, Any]], latency: float) -> list[str]:
    measured = {(run["segments"], run["concurrency"]) for run in runs}
    left_out = [setting for setting in product(SIZES, CONCURRENCIES) if setting not in measured]
    return [
        f"Not measured: {count:,} segments, {concurrency} at once. They take {count * latency / concurrency:,.0f} s; "
        "OPTIONS=--long measures it."
        for count, concurrency in left_out
    ]


def _table_of_processes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ("segments", "at once", "runs", "s", "limit", "ratio", "at best", "requests/segment", "connections")
    rows = []
    for same in _by(runs, "segments", "concurrency"):
        segments, concurrency, limit = (same[0][key] for key in ("segments", "concurrency", "limit_seconds"))
        seconds = median(run["seconds"] for run in same)
        rows.append(
            (
                f"{segments:,}",
                f"{concurrency}",
                f"{len(same)}",
                f"{seconds:.2f}",
                f"{limit:.2f}",
                f"{seconds / limit:.2f}",
                f"{math.ceil(segments / concurrency) * concurrency / segments:.2f}",
                f"{max(run['requests'] / run['segments'] for run in same):.2f}",
                f"{max(run['connections'] for run in same)}",
                f"{median(run['cpu_seconds'] * 1000 / run['segments'] for run in same):.2f}",
                f"{median(run['mib_peak'] for run in same):.1f}",
                f"{median(run['mib_peak'] - run['mib_after_first_call'] for run in same):.1f}",
                f"{median(run['mib_peak'] - run['mib_before'] for run in same):.1f}",
            )
        )
    return table((*head, "CPU ms/segment", "peak MiB", "over the first call", "over the start"), rows)


def _table_of_ways(runs: Sequence[Mapping[str, Any]], segments: int) -> list[str]:
    head = ("", "runs", "segments", "s", "requests", "connections", f"s for {segments:,}", "ratio", "")
    ways = {same[0]["way"]: same for same in _by(runs, "way")}
    estimates = {way: median(run["seconds"] * segments / run["segments"] for run in same) for way, same in ways.items()}
    rows = [
        (
            WAYS[way],
            f"{len(same)}",
            f"{same[0]['segments']:,}",
            f"{median(run['seconds'] for run in same):.1f}",
            f"{max(run['requests'] for run in same):,}",
            f"{max(run['connections'] for run in same):,}",
            f"{estimates[way]:,.1f}",
            f"{estimates[way] / estimates['one_task']:.1f}",
            "measured" if same[0]["segments"] == segments else "extrapolated",
        )
        for way, same in ways.items()
    ]
    return table(head, rows)


def _by(runs: Sequence[Mapping[str, Any]], *keys: str) -> list[list[Mapping[str, Any]]]:
    """Put the runs together that are alike in this."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(tuple(run[key] for key in keys), []).append(run)
    return list(groups.values())
