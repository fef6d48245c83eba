"""
Archive many segments under MoEngage's published limits, on the sandbox's clock: how near ArchiveSegmentsOperator comes
to the least that the limits allow, and what the waits cost. Nothing is timed: a day takes no time, and the figures are
the same on every machine.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_moengage.client.limits import ARCHIVE, LIMITS, earliest_moments
from demo import say
from tests.benchmarks.in_a_process import result_of
from tests.benchmarks.show import table

SIZES = (100, 1_000, 3_000)
CONCURRENCIES = (4, 16)
WANTED = {"time": 1.02, "requests": 1.005, "slot": 0.02}


def measure(_options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :return: the raw figures, each with the least that the limits allow.
    """
    return {"limits": [list(limit) for limit in LIMITS[ARCHIVE]], "runs": [*_runs()]}


def _runs() -> Iterator[dict[str, Any]]:
    for count in SIZES:
        for concurrency in CONCURRENCIES:
            say(f"quota: {count:,} segments, {concurrency} at a time")
            taken = result_of("on_the_clock", {"count": count, "concurrency": concurrency})
            if taken["archived"] != count:
                raise RuntimeError(f"Only {taken['archived']} of {count} segments were archived.")
            yield {**taken, **least_of(count)}


def least_of(count: int) -> dict[str, Any]:
    """Give the least seconds that the limits allow, and in how many windows' time they can be sent at best."""
    batches = Counter(earliest_moments(count, LIMITS[ARCHIVE]))
    return {"least_seconds": max(batches), "windows": len(batches)}


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them.

    :param figures: what :func:`measure` gives.
    """
    limits = ", ".join(f"{calls:,} in {seconds:,.0f} s" for calls, seconds in figures["limits"])
    return [
        "Quota: ArchiveSegmentsOperator(deferrable=True), on the sandbox's clock, under the published limits",
        f"({limits}); each beside the least that they allow. A batch needs no wait within it.",
        "",
        *_table(figures["runs"]),
        "",
        f"Wanted: at most {WANTED['time']} of the least time, {WANTED['requests']} requests a segment, one refusal",
        f"a window, and {WANTED['slot']} of the time in a worker slot.",
    ]


def _table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    head = (
        "segments",
        "at once",
        "s",
        "least",
        "ratio",
        "requests",
        "least",
        "refused",
        "batches",
        "slot s",
        "of time",
    )
    rows = [
        (
            f"{run['segments']:,}",
            f"{run['concurrency']}",
            f"{run['seconds']:,.0f}",
            f"{run['least_seconds']:,.0f}",
            f"{run['seconds'] / run['least_seconds']:.4f}",
            f"{run['requests']:,}",
            f"{run['segments']:,}",
            f"{run['refused']}",
            f"{run['windows']}",
            f"{run['slot_seconds']:.1f}",
            f"{run['slot_seconds'] / run['seconds']:.4f}",
            f"{run['deferrals']}",
            f"{run['windows'] - 1}",
        )
        for run in runs
    ]
    return table((*head, "deferrals", "least"), rows)
