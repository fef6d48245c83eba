"""Measure, print the figures, and keep the raw ones: ``make bench``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from demo import say
from tests.benchmarks import bulk, calls, first_minute, parsing, quota, waiting
from tests.benchmarks.machine import facts
from tests.benchmarks.show import compact, lines_of
from tests.benchmarks.summary import summary

# To add a benchmark, add its module: measure(options) gives what goes into the JSON, and report(figures) its lines.
BENCHMARKS = {
    "calls": calls,
    "waiting": waiting,
    "parsing": parsing,
    "bulk": bulk,
    "quota": quota,
    "first_minute": first_minute,
}
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    options = _parser().parse_args()
    for name in options.only or BENCHMARKS:
        benchmark = BENCHMARKS[name]
        machine = facts()
        figures = benchmark.measure(options)
        # After each of them: who stops the next one keeps this, and two at a time keep each other's.
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = {"machine": machine, **figures}
        RESULTS.write_text(compact(results))
        say("\n".join(["", *benchmark.report(figures), "", *lines_of(machine), ""]))
    say("\n".join(["The table of the README, for its section Performance:", "", *summary(results), ""]))
    say(f"The raw figures are in tests/benchmarks/{RESULTS.name}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="measure this one; may be repeated")
    parser.add_argument("--long", action="store_true", help="bulk: also what takes minutes, one segment at a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
