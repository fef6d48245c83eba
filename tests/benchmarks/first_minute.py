"""How long `make demo` takes in a fresh clone, with the packages in a cache, and how long once more there."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from demo import say
from demo.standalone import environment_without_airflow
from tests.benchmarks.in_a_process import HOME, REPOSITORY
from tests.benchmarks.show import table

RUNS = 3
GIT, MAKE = shutil.which("git") or "git", shutil.which("make") or "make"
FIRST_MINUTE = HOME / "first_minute"
CACHE = REPOSITORY / ".venv" / "cache"
TIMES = ("first", "second")
# What the demo does, and how the line begins that it prints then; the last one ends with the process.
PHASES = {
    "set-up": "MoEngage is a sandbox at",
    "Airflow's start": "It runs at",
    "DAG run": "All ",
    "end": "",
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure what is committed, with an empty home folder.

    :param options: none of them is looked at.
    :return: the seconds of each phase, of each run.
    """
    runs = []
    for round_ in range(RUNS):
        clone = _clone()
        for which in TIMES:
            say(f"first_minute: make demo, the {which} time, run {round_ + 1}")
            runs.append({"time": which, **_demo(clone)})
    shutil.rmtree(FIRST_MINUTE)
    return {"runs": runs}


def _clone() -> Path:
    shutil.rmtree(FIRST_MINUTE, ignore_errors=True)
    (FIRST_MINUTE / "home").mkdir(parents=True)
    clone = FIRST_MINUTE / "clone"
    subprocess.run([GIT, "clone", "--quiet", REPOSITORY, clone], check=True)
    return clone


def _demo(clone: Path) -> dict[str, float]:
    # Not the variables with which one make tells another what it was called with.
    inherited = {name: value for name, value in environment_without_airflow().items() if not name.startswith("MAKE")}
    environment = {
        **inherited,
        "HOME": str(FIRST_MINUTE / "home"),
        "UV_CACHE_DIR": str(CACHE),
        "PIP_CACHE_DIR": str(CACHE),
    }
    seconds: dict[str, float] = {}
    phases = iter(PHASES.items())
    phase, end = next(phases)
    began = time.monotonic()
    with subprocess.Popen([MAKE, "demo"], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if end and line.startswith(end):
                seconds[phase] = time.monotonic() - began - sum(seconds.values())
                phase, end = next(phases)
    seconds[phase] = time.monotonic() - began - sum(seconds.values())
    if process.returncode or len(seconds) < len(PHASES):
        raise RuntimeError(f"make demo has failed in {clone}, with the exit code {process.returncode}.")
    return {phase: round(taken, 2) for phase, taken in seconds.items()}


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians of the runs.

    :param figures: what :func:`measure` gives.
    """
    runs = figures["runs"]
    rows = []
    for which in TIMES:
        same = [run for run in runs if run["time"] == which]
        taken = [median(run[phase] for run in same) for phase in PHASES]
        whole = median(sum(run[phase] for phase in PHASES) for run in same)
        rows.append((f"the {which} time", f"{whole:.1f}", *(f"{seconds:.1f}" for seconds in taken)))
    return [
        f"First minute: make demo in a fresh clone, its packages cached; medians of {len(runs) // len(TIMES)} runs.",
        "",
        *table(("", "seconds", *PHASES), rows),
    ]
