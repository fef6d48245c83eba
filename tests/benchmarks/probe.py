"""
What people wait for, measured once in a fresh process, with whatever build of the package comes first on its path: what
to measure comes as JSON on standard input, and what it took goes as JSON into the last line of standard output.

It imports nothing of these benchmarks, and of the package only what every build has under the same name.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from typing import Any

MODULES = ("airflow_provider_moengage.operators.segments", "airflow_provider_moengage.sensors.segments")
SECONDS_BETWEEN_BEATS = 0.005


def main() -> None:
    order = json.load(sys.stdin)
    result = {
        "imports": imports,
        "first_archive": first_archive,
        "bare_patch": bare_patch,
        "events": events,
    }[order.pop("measure")](**order)
    import airflow_provider_moengage

    sys.stdout.write(f"\n{json.dumps({**result, 'package': airflow_provider_moengage.__file__})}\n")


def imports() -> dict[str, Any]:
    importlib.import_module("airflow.sdk")
    before, began = len(sys.modules), time.process_time()
    for module in MODULES:
        importlib.import_module(module)
    return {"cpu_ms": _since(began), "modules": len(sys.modules) - before}


def first_archive(name: str) -> dict[str, Any]:
    """What it takes beside what an empty operator takes: Airflow and the module of the operator are there already."""
    operator = importlib.import_module(MODULES[0]).ArchiveSegmentOperator(task_id="archive", name=name)
    resident, began = _resident(), time.process_time()
    operator.execute({})
    return {"cpu_ms": _since(began), "mib": round((_resident() - resident) / 2**20, 2)}


def bare_patch(connection: dict[str, Any], name: str) -> dict[str, Any]:
    importlib.import_module("airflow.sdk")
    resident, began = _resident(), time.process_time()
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.patch(
            f"{connection['host']}/v2/custom-segments/archive",
            json={"name": name},
            auth=(connection["login"], connection["password"]),
            headers={"MOE-APPKEY": connection["login"]},
            timeout=(5, 30),
        ).raise_for_status()
    return {"cpu_ms": _since(began), "mib": round((_resident() - resident) / 2**20, 2)}


def events(names: list[str], interval: float) -> dict[str, Any]:
    """Let so many wait, all of whose names appear in one list, as the triggerer does with a shared stream."""
    from airflow.triggers.shared_stream import SharedStreamManager

    from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger

    triggers = [SegmentExistsTrigger(name=name, poll_interval=interval) for name in names]

    async def wait_for_all() -> dict[str, Any]:
        manager = SharedStreamManager()
        lags: list[float] = []

        async def beat() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(SECONDS_BETWEEN_BEATS)
                lags.append(time.monotonic() - before - SECONDS_BETWEEN_BEATS)

        async def wait(number: int) -> None:
            trigger = triggers[number]
            key = trigger.shared_stream_key()
            stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
            try:
                async for _ in trigger.filter_shared_stream(stream):
                    return
            finally:
                await manager.unsubscribe(number, key)

        waiting = [asyncio.create_task(wait(number)) for number in range(len(triggers))]
        await asyncio.sleep(0)
        began = time.process_time()
        beating = asyncio.create_task(beat())
        await asyncio.gather(*waiting)
        cpu = _since(began)
        beating.cancel()
        return {"cpu_ms": cpu, "longest_block_ms": round(max(lags) * 1_000, 1)}

    return asyncio.run(wait_for_all())


def _since(began: float) -> float:
    return round((time.process_time() - began) * 1_000, 1)


def _resident() -> int:
    import psutil

    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    main()
