"""
What people wait for, measured once in a fresh process, with whatever build of the package comes first on its path: what
to measure comes as JSON on standard input, and what it took goes as JSON into the last line of standard output.

It imports nothing of these benchmarks, and of the package only what every build has under the same name.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from typing import Any

OPERATORS, SENSORS = "airflow_provider_moengage.operators.segments", "airflow_provider_moengage.sensors.segments"
# What every build has, though not all of them in one module.
ALL_OPERATORS = (
    "ArchiveSegmentOperator",
    "UnarchiveSegmentOperator",
    "UpdateSegmentOperator",
    "ListSegmentsOperator",
    "ArchiveSegmentsOperator",
    "UnarchiveSegmentsOperator",
)
# Often enough to see what lasts, and so seldom that it is not what the processor does.
SECONDS_BETWEEN_BEATS = 0.02
SECONDS_BEFORE_THE_BARE_ITEM = 3.0


def main() -> None:
    order = json.load(sys.stdin)
    result = {
        "imports": imports,
        "imports_of_all": imports_of_all,
        "first_archive": first_archive,
        "bare_patch": bare_patch,
        "events": events,
        "bare_events": bare_events,
    }[order.pop("measure")](**order)
    import airflow_provider_moengage

    sys.stdout.write(f"\n{json.dumps({**result, 'package': airflow_provider_moengage.__file__})}\n")


def imports() -> dict[str, Any]:
    """What a file costs that archives a segment and waits for one."""
    return _imports_of(ALL_OPERATORS[:1])


def imports_of_all() -> dict[str, Any]:
    """What a file costs that uses whatever there is."""
    return _imports_of(ALL_OPERATORS)


def _imports_of(operators: tuple[str, ...]) -> dict[str, Any]:
    importlib.import_module("airflow.sdk")
    before, began = len(sys.modules), _resting()
    module = importlib.import_module(OPERATORS)
    for operator in operators:
        if not hasattr(module, operator):
            importlib.import_module("airflow_provider_moengage.operators.bulk")
    importlib.import_module(SENSORS)
    return {"cpu_ms": _since(began), "modules": len(sys.modules) - before}


def _import_what_a_worker_has() -> None:
    """A worker's process is forked from its supervisor: it has the task runner and its parts, whatever runs."""
    for module in ("airflow.sdk", "airflow.sdk.execution_time.supervisor", "airflow.sdk.execution_time.task_runner"):
        importlib.import_module(module)


def first_archive(name: str) -> dict[str, Any]:
    """What it takes beside what an empty operator takes: Airflow and the module of the operator are there already."""
    _import_what_a_worker_has()
    operator = importlib.import_module(OPERATORS).ArchiveSegmentOperator(task_id="archive", name=name)
    resident, began = _resident(), _resting()
    operator.execute({})
    return {"cpu_ms": _since(began), "mib": round((_resident() - resident) / 2**20, 2)}


def bare_patch(connection: dict[str, Any], name: str) -> dict[str, Any]:
    _import_what_a_worker_has()
    resident, began = _resident(), _resting()
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
    from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger

    return _events_of([SegmentExistsTrigger(name=name, poll_interval=interval) for name in names])


def bare_events(count: int) -> dict[str, Any]:
    """Let as many triggers wait that do nothing but take the first item: what is Airflow's own."""
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent

    class BareTrigger(BaseEventTrigger):
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return ("bare", {})

        async def run(self) -> Any:
            yield TriggerEvent(None)

        def shared_stream_key(self) -> Any:
            return "bare"

        @classmethod
        async def open_shared_stream(cls, kwargs: dict[str, Any]) -> Any:  # noqa: ARG003 - Airflow's
            await asyncio.sleep(SECONDS_BEFORE_THE_BARE_ITEM)
            yield {}
            await asyncio.Event().wait()

        async def filter_shared_stream(self, shared_stream: Any) -> Any:
            async for item in shared_stream:
                yield TriggerEvent(item)
                return

    return _events_of([BareTrigger() for _ in range(count)])


def _events_of(triggers: list[Any]) -> dict[str, Any]:
    from airflow.triggers.shared_stream import SharedStreamManager

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
                # To its end, which is that of the trigger: Airflow does not leave it after an event.
                async for _ in trigger.filter_shared_stream(stream):
                    pass
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


def _resting() -> float:
    """
    Begin to measure, with Airflow's objects out of the garbage collector's way, as its processes that fork have them.

    Where one of its rounds falls is chance, and it takes as long as all that is measured here.
    """
    gc.collect()
    gc.freeze()
    return time.process_time()


def _since(began: float) -> float:
    return round((time.process_time() - began) * 1_000, 1)


def _resident() -> int:
    import psutil

    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    main()
