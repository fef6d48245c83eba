"""
Archive many segments under MoEngage's published limits, on the sandbox's clock: how near ArchiveSegmentsOperator comes
to the least that the limits allow, and what the waits cost. Nothing is timed: a day takes no time, and the figures are
the same on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pendulum
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.triggers import temporal

from airflow_provider_moengage.client.limits import ARCHIVE, LIMITS, earliest_moments
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator
from airflow_provider_moengage.sandbox import Sandbox
from demo import say
from tests.benchmarks.show import table

SIZES = (100, 1_000, 3_000)
CONCURRENCIES = (4, 16)
WANTED = {"time": 1.02, "requests": 1.005, "slot": 0.02}

# Not at a full second: MoEngage tells in whole ones when a window ends.
BEGIN = datetime(2026, 11, 2, 9, 30, 0, 400_000, tzinfo=timezone.utc)

TIMED = ("client.retry", "client.transport", "segments.bulk_run", "operators.bulk_base")
DATED = ("operators.base", "operators.bulk_base", "operators.bulk")
NO_PAUSE = SimpleNamespace(random=lambda: 0.5)


class StandingClock:
    """Stands in for the module time. It stands still until somebody sleeps; safe to use from several threads."""

    def __init__(self, begin: datetime = BEGIN) -> None:
        self._begin = begin
        self._passed = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._begin + self._passed

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    def time(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._passed += timedelta(seconds=seconds)


@contextmanager
def provider_on(clock: StandingClock) -> Iterator[None]:
    """Let the provider, and the trigger that a deferred task waits with, go by a clock."""

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)

    def now(_: str = "UTC") -> pendulum.DateTime:
        return pendulum.instance(clock.now())

    with ExitStack() as patches:

        def patch(module: Any, name: str, value: Any) -> None:
            patches.enter_context(mock.patch(f"{module}.{name}", value))

        for module in TIMED:
            patch(f"airflow_provider_moengage.{module}", "time", clock)
        for module in ("client.retry", "client.transport"):
            patch(f"airflow_provider_moengage.{module}", "random", NO_PAUSE)
        for module in DATED:
            patch(f"airflow_provider_moengage.{module}", "pendulum", SimpleNamespace(now=now))
        patch(temporal.__name__, "timezone", SimpleNamespace(**{**vars(temporal.timezone), "utcnow": now}))
        patch(temporal.__name__, "asyncio", SimpleNamespace(sleep=sleep))
        yield


def archived_under_limits(
    count: int, concurrency: int, *, begin: datetime = BEGIN, **arguments: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Archive so many segments in one task, with all of its deferrals; each resumes in a worker that knows nothing.

    :param count: how many.
    :param concurrency: how many calls at once.
    :param begin: when.
    :param arguments: more of the operator's.
    :return: what it took, and the XCom.
    """
    clock = StandingClock(begin)
    with Sandbox(dialect="today", clock=clock.now) as sandbox, provider_on(clock), _connection_to(sandbox):
        segments = [{"name": sandbox.add_segment(name=f"camp_{number:05}")["name"]} for number in range(count)]
        arguments = {"max_segments": count, "deferrable": True, "concurrency": concurrency, **arguments}
        kwargs: dict[str, Any] | None = None
        slot, deferrals = 0.0, 0
        while True:
            RATE_LIMITER.reset()
            operator = ArchiveSegmentsOperator(task_id="archive", segments=segments, **arguments)
            started = clock.monotonic()
            try:
                xcom = operator.execute({}) if kwargs is None else operator.execute_complete({}, None, **kwargs)
            except TaskDeferred as deferral:
                slot += clock.monotonic() - started
                deferrals += 1
                kwargs = json.loads(json.dumps(deferral.kwargs))
                asyncio.run(_first_event(deferral.trigger))
                continue
            slot += clock.monotonic() - started
            return {
                "segments": count,
                "concurrency": concurrency,
                "seconds": round(clock.monotonic(), 3),
                "requests": len(sandbox.requests),
                "refused": sum(request.status == 429 for request in sandbox.requests),
                "archived": sum(segment["archived"] for segment in sandbox.segments),
                "slot_seconds": round(slot, 3),
                "deferrals": deferrals,
                "bytes_taken_along": len(json.dumps(kwargs)),
            }, xcom


async def _first_event(trigger: Any) -> None:
    async for _ in trigger.run():
        return


@contextmanager
def _connection_to(sandbox: Sandbox) -> Iterator[None]:
    with mock.patch.dict(os.environ, {"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection)}):
        yield


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
            taken, _ = archived_under_limits(count, concurrency)
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
        f"Quota: ArchiveSegmentsOperator(deferrable=True) under the published limits ({limits}), on the sandbox's",
        "clock; each beside the least that the limits allow. A batch is what can be sent without another wait.",
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
