"""
Import modules as a DAG file does: their names come as JSON on standard input, and what they add to airflow.sdk goes
as JSON into the last line of standard output. It imports nothing else of its own, since that would not be counted.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def main() -> None:
    names = json.load(sys.stdin)
    importlib.import_module("airflow.sdk")
    before = set(sys.modules)
    began, cpu_began = time.perf_counter(), time.process_time()
    for name in names:
        importlib.import_module(name)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    result = {
        "modules": len(set(sys.modules) - before),
        "milliseconds": round(seconds * 1000, 1),
        "cpu_milliseconds": round(cpu_seconds * 1000, 1),
    }
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
