"""
Archive segments in a process that does nothing else: names and concurrency come as JSON on standard input, and what it
took goes as JSON into the last line of standard output.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import psutil

from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator

MIB = 1024 * 1024
# On Linux it counts in KiB, elsewhere in bytes.
UNIT_OF_MAXRSS = 1024 if sys.platform == "linux" else 1


def main() -> None:
    order = json.load(sys.stdin)
    process = psutil.Process()
    before = process.memory_info().rss
    # Once a process: the client and requests are imported when an operator runs, not when a DAG file is parsed.
    first = archive([order["first_name"]], concurrency=1)
    warm = process.memory_info().rss
    run = archive(order["names"], order["concurrency"])
    # The kernel's own peak lags a little behind what it says now.
    peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT_OF_MAXRSS, warm, process.memory_info().rss)
    result = {
        **run,
        "first_call_seconds": first["seconds"],
        "mib_before": round(before / MIB, 1),
        "mib_after_first_call": round(warm / MIB, 1),
        "mib_peak": round(peak / MIB, 1),
    }
    sys.stdout.write(f"\n{json.dumps(result)}\n")


def archive(names: list[str], concurrency: int) -> dict[str, Any]:
    operator = ArchiveSegmentsOperator(
        task_id="archive",
        segments=[{"name": name} for name in names],
        concurrency=concurrency,
        max_segments=len(names),
        # The server has no limits; without it, what is more than a day's quota fails before the first call.
        deferrable=True,
    )
    began, cpu_began = time.perf_counter(), time.process_time()
    operator.execute({})
    return {
        "seconds": round(time.perf_counter() - began, 4),
        "cpu_seconds": round(time.process_time() - cpu_began, 4),
    }


if __name__ == "__main__":
    main()
