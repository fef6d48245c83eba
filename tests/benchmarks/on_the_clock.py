"""
Archive segments under MoEngage's published limits in a process that does nothing else, on a clock of its own that is
the sandbox's too: how many and how many at once comes as JSON on standard input, and what it took goes as JSON into the
last line of standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pendulum
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.providers.standard.triggers import temporal

from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator
from airflow_provider_moengage.sandbox import Sandbox

# Not at a full second: MoEngage tells in whole ones when a window ends.
BEGIN = datetime(2026, 11, 2, 9, 30, 0, 400_000, tzinfo=timezone.utc)

TIMED = ("client.retry", "client.transport", "segments.bulk_run", "operators.bulk_base")
DATED = ("operators.base", "operators.bulk_base", "operators.bulk")
NO_PAUSE = SimpleNamespace(random=lambda: 0.5)


def main() -> None:
    taken, _ = archived_under_limits(**json.load(sys.stdin))
    sys.stdout.write(f"\n{json.dumps(taken)}\n")


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


if __name__ == "__main__":
    main()
