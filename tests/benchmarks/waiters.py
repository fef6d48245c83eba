"""
Wait in a process that does nothing else: who waits, and for how long, comes as JSON on standard input, and what it took
goes as JSON into the last line of standard output.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import requests
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests import virtual_time
from tests.support import Clock

# Often enough to see what lasts, and so seldom that it is not what the processor does.
SECONDS_BETWEEN_BEATS = 0.02
# Those of the provider that ask for the time.
ON_THE_CLOCK = ("client.retry", "client.transport", "triggers.polling", "triggers.segments")


def main() -> None:
    order = json.load(sys.stdin)
    result = {"names": on_a_shared_stream, "http": over_http, "ids": for_a_day}[order.pop("wait")](**order)
    sys.stdout.write(f"\n{json.dumps(result)}\n")


def on_a_shared_stream(count: int, interval: float, polls: int) -> dict[str, Any]:
    triggers = [SegmentExistsTrigger(name=f"awaited {number}", poll_interval=interval) for number in range(count)]

    async def wait_together() -> dict[str, Any]:
        manager = SharedStreamManager()
        all_seen = asyncio.Event()

        async def counted(stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
            seen = 0
            async for poll in stream:
                yield poll
                seen += 1
                if seen == polls:
                    all_seen.set()

        async def wait(number: int) -> None:
            """Do what the triggerer does with a trigger that has a shared stream."""
            trigger = triggers[number]
            key = trigger.shared_stream_key()
            stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
            try:
                # The last of them counts: the others have seen it before.
                async for event in trigger.filter_shared_stream(counted(stream) if number == count - 1 else stream):
                    raise RuntimeError(f"Nothing was to be found, but: {event}")
            finally:
                await manager.unsubscribe(number, key)

        return await measured(wait, count, all_seen.wait() if count else asyncio.sleep(polls * interval))

    return asyncio.run(wait_together())


def over_http(count: int, interval: float, polls: int) -> dict[str, Any]:
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    async def wait(number: int) -> None:
        trigger = HttpSensorTrigger(endpoint=f"v3/custom-segments/{number:024x}", poke_interval=interval)
        async for event in trigger.run():
            raise RuntimeError(f"Nothing was to be found, but: {event}")

    # It polls before it sleeps.
    return asyncio.run(measured(wait, count, asyncio.sleep((polls - 0.5) * interval)))


async def measured(wait: Callable[[int], Any], count: int, end_of_it: Awaitable[Any]) -> dict[str, Any]:
    """Let so many wait, and poll at what it takes."""
    process = psutil.Process()
    # Once a process: what it imports, and what the first list of all segments takes.
    with await MoEngageHook().aget_client() as client:
        await asyncio.to_thread(client.list_segments)
    resident_before, cpu_before = process.memory_info().rss, time.process_time()
    waiting = [asyncio.create_task(wait(number)) for number in range(count)]
    # Once round the loop, in which all begin; a triggerer begins them a few at a time.
    await asyncio.sleep(0)
    began, cpu_begun = time.monotonic(), time.process_time()
    lags: list[float] = []
    beating = asyncio.create_task(heartbeat(lags))
    await end_of_it
    cpu, resident = time.process_time(), process.memory_info().rss
    seconds = time.monotonic() - began
    await end([beating, *waiting])
    return {
        "seconds": round(seconds, 2),
        "cpu_to_begin": round(cpu_begun - cpu_before, 4),
        "cpu_seconds": round(cpu - cpu_begun, 4),
        "kib_before": resident_before // 1024,
        "kib_waiting": (resident - resident_before) // 1024,
        "longest_lag_ms": round(max(lags) * 1_000, 1),
        "median_lag_ms": round(sorted(lags)[len(lags) // 2] * 1_000, 2),
    }


async def heartbeat(lags: list[float]) -> None:
    """Measure by how much a nap on the loop is longer than it should be."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(SECONDS_BETWEEN_BEATS)
        lags.append(time.monotonic() - before - SECONDS_BETWEEN_BEATS)


async def end(tasks: list[asyncio.Task[Any]]) -> None:
    """End what waits; what has ended by itself has failed."""
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.wait(tasks)


def for_a_day(count: int, interval: float, seconds: float) -> dict[str, Any]:
    """Wait for ids, on a clock of the process and one of the sandbox that both go on when there is nothing to do."""

    async def wait_for_one(number: int) -> None:
        async for event in SegmentExistsTrigger(segment_id=f"{number:024x}", poll_interval=interval).run():
            raise RuntimeError(f"Nothing was to be found, but: {event}")

    async def wait_for_all() -> None:
        waiting = [asyncio.create_task(wait_for_one(number)) for number in range(count)]
        await asyncio.sleep(seconds)
        await end(waiting)

    with clock_of_the_sandbox() as clock:
        virtual_time.run(wait_for_all(), clock)
    return {"seconds": seconds}


@contextmanager
def clock_of_the_sandbox() -> Iterator[Clock]:
    clock = Clock()
    url = json.loads(os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"])["host"]
    with requests.Session() as session:
        session.trust_env = False

        def move(seconds: float) -> None:
            session.post(f"{url}/_sandbox/clock", json={"seconds": seconds}, timeout=30).raise_for_status()

        clock.when_slept.append(move)
        for module in ON_THE_CLOCK:
            importlib.import_module(f"airflow_provider_moengage.{module}").time = clock
        yield clock


if __name__ == "__main__":
    main()
