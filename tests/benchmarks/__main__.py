"""Measure, print the figures, and keep the raw ones: ``make bench``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from demo import say
from tests.benchmarks import audiences, bulk, calls, filters, parsing, quota, today, waiting
from tests.benchmarks.machine import facts
from tests.benchmarks.show import compact, lines_of
from tests.benchmarks.summary import comparison, summary

# To add a benchmark, add its module: measure(options) gives what goes into the JSON, and report(figures) its lines.
BENCHMARKS = {
    "calls": calls,
    "waiting": waiting,
    "parsing": parsing,
    "bulk": bulk,
    "quota": quota,
    "filters": filters,
    "audiences": audiences,
}
# What compares two builds needs the other one, and takes hours as a whole: it is measured when it is named.
COMPARED = {"today": today}
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    options = _parser().parse_args()
    for name in options.only or BENCHMARKS:
        machine = facts()
        benchmark = {**BENCHMARKS, **COMPARED}[name]
        figures = benchmark.measure(options)
        # After each of them: who stops the next one keeps this, and two at a time keep each other's.
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if name in COMPARED:
            figures = COMPARED[name].joined(results.get(name, {}), figures)
        results[name] = {"machine": machine, **figures}
        RESULTS.write_text(compact(results))
        say("\n".join(["", *benchmark.report(figures), "", *lines_of(machine), ""]))
    results = json.loads(RESULTS.read_text())
    tables = [*summary(results), "", *(comparison(results["today"]) if "today" in results else [])]
    say("\n".join(["The tables of docs/performance.md:", "", *tables, ""]))
    say(f"The raw figures are in tests/benchmarks/{RESULTS.name}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=[*BENCHMARKS, *COMPARED], help="measure this one; may be repeated"
    )
    parser.add_argument("--long", action="store_true", help="bulk: also what takes minutes, one segment at a time")
    parser.add_argument("--against", default=today.DEFAULT_BUILD, help="today: the other build, as git names it")
    parser.add_argument(
        "--runs", type=int, default=5, help="today: how often each row is measured of each build, in turn"
    )
    parser.add_argument(
        "--rows",
        action="append",
        choices=[*today.CHEAP, *today.PARSED, *today.LONG],
        help="today: only this row; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
