"""
What people wait for, beside another build of this package: measured in turn on one machine, and compared as ratios.

The processor's time is that of the measured process: other work on the machine disturbs it little. What a whole demo or
a whole run of the tests takes is measured by the clock, and only on demand, since it takes minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from demo import say
from demo.standalone import environment_without_airflow
from tests.benchmarks import parsing, same_cases
from tests.benchmarks.in_a_process import HOME, REPOSITORY
from tests.benchmarks.show import table
from tests.benchmarks.slow_moengage import running_sandbox

DEFAULT_BUILD = "6be7d30"
SENSORS = 10_000
SECONDS_BETWEEN_POLLS = 3.0
CACHE = REPOSITORY / ".venv" / "cache"
GIT, MAKE, TAR = (shutil.which(name) or name for name in ("git", "make", "tar"))
PROBE = REPOSITORY / "tests" / "benchmarks" / "probe.py"
CHEAP = ("imports", "imports_of_all", "first_archive", "bare_patch", "events", "bare_events")
# No process is started beside what these measure.
WITHOUT_MOENGAGE = ("imports", "imports_of_all", "bare_events")
# Which operator the files have that the DAG processor parses.
PARSED = {"dag_processor": "ArchiveSegmentOperator", "dag_processor_http": "HttpOperator"}
SAME_TESTS = "same tests"
CASES = HOME / "cases"
# What takes minutes, and the commands for it, the last of which is counted.
LONG = {
    "demo": ("demo", "demo"),
    "fresh demo": ("demo",),
    SAME_TESTS: (".venv/ready", "test"),
    "ci": (".venv/ready", "ci"),
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure this working tree and another build in turn.

    :param options: ``against``, the other build as git names it; ``rows``, those to measure; ``runs``, how often.
    :return: the figures of each run of each build.
    """
    builds = {"now": REPOSITORY, options.against: _checked_out(options.against)}
    wanted = options.rows or [*CHEAP, *PARSED]
    if PARSED.keys() & set(wanted):
        parsing.write_files()
    if SAME_TESTS in wanted:
        _list_tests(builds[options.against])
    runs = []
    for round_ in range(options.runs):
        for row in wanted:
            for build, folder in builds.items():
                say(f"today: {row} of {build}, run {round_ + 1}")
                runs.append({"row": row, "build": build, **_measured(folder, row)})
    return {"against": options.against, "runs": runs}


def joined(kept: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """
    Put rows in the place of those of before, and leave the others: what takes minutes is not measured every time.

    :param kept: what :func:`measure` has given before, empty at first.
    :param measured: what it has given now.
    """
    if kept.get("against") != measured["against"]:
        return dict(measured)
    again = {run["row"] for run in measured["runs"]}
    others = [run for run in kept["runs"] if run["row"] not in again]
    return {**measured, "runs": [*others, *measured["runs"]]}


def _measured(folder: Path, row: str) -> dict[str, Any]:
    if row in LONG:
        return _timed(folder, row)
    if row in PARSED:
        took = parsing.parse_files(PARSED[row], {"PYTHONPATH": str(folder)})
        return {"ms_a_file": took["milliseconds_a_file"]}
    return _probed(folder, row)


def _checked_out(build: str) -> Path:
    """Check a build out into a folder of its own, by its number."""
    rev = subprocess.run(
        [GIT, "rev-parse", "--verify", f"{build}^{{commit}}"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    folder = HOME / "builds" / rev.stdout.strip()
    if not (folder / "Makefile").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([GIT, "clone", "--quiet", "--no-checkout", REPOSITORY, folder], check=True)
        subprocess.run([GIT, "checkout", "--quiet", rev.stdout.strip()], cwd=folder, check=True)
    return folder


def _probed(folder: Path, row: str) -> dict[str, Any]:
    if row in WITHOUT_MOENGAGE:
        return _probe(folder, {}, _order(row, {}))
    with running_sandbox("--no-rate-limits", names=_names(row)) as moengage:
        return _probe(folder, moengage.connection, _order(row, moengage.connection))


def _names(row: str) -> list[str]:
    count = {"events": SENSORS, "first_archive": 1, "bare_patch": 1}.get(row, 0)
    return [f"camp_{number:05}" for number in range(count)]


def _order(row: str, connection: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, dict[str, Any]] = {
        "imports": {},
        "imports_of_all": {},
        "first_archive": {"name": "camp_00000"},
        "bare_patch": {"name": "camp_00000", "connection": connection},
        "events": {"names": _names("events"), "interval": SECONDS_BETWEEN_POLLS},
        "bare_events": {"count": SENSORS},
    }
    return {"measure": row, **details[row]}


def _probe(folder: Path, connection: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    environment = {
        **environment_without_airflow(),
        "AIRFLOW_HOME": str(HOME),
        **({"AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(connection)} if connection else {}),
        "no_proxy": "*",
        # Before what the environment has installed, which is this working tree.
        "PYTHONPATH": str(folder),
    }
    child = subprocess.run(
        [sys.executable, PROBE], input=json.dumps(order), capture_output=True, text=True, check=False, env=environment
    )
    if child.returncode:
        raise RuntimeError(f"{PROBE.name} has failed with the build in {folder}:\n{child.stderr[-3_000:]}")
    result = json.loads(child.stdout.splitlines()[-1])
    if not Path(result.pop("package")).is_relative_to(folder):
        raise RuntimeError(f"What was measured is not the build in {folder}.")
    return result


def _timed(folder: Path, row: str) -> dict[str, Any]:
    if row == "fresh demo":
        clone = HOME / "builds" / "fresh"
        shutil.rmtree(clone, ignore_errors=True)
        subprocess.run([GIT, "clone", "--quiet", folder, clone], check=True)
        folder = clone
    if row == "ci":
        # Of this working tree too, so that both make theirs anew, of cached packages: 6be7d30 fails with those of a run
        # before.
        shutil.rmtree(folder / ".nox", ignore_errors=True)
    *before, counted = LONG[row]
    for command in before:
        _run(folder, command)
    began = time.monotonic()
    _run(folder, counted)
    return {"seconds": round(time.monotonic() - began, 1)}


def _list_tests(folder: Path) -> None:
    """Write down which tests the other build has: this one then runs those, and no others."""
    _run(folder, ".venv/ready")
    python = folder / ".venv" / "bin" / "python"
    with CASES.open("w") as listed:
        command = [python, "-m", "pytest", "--collect-only"]
        subprocess.run(command, cwd=folder, env=environment_without_airflow(), check=True, stdout=listed)


def _run(folder: Path, command: str) -> None:
    # What make gives those that it starts would be for the make in here as well.
    inherited = {
        name: value
        for name, value in environment_without_airflow().items()
        if name != "OPTIONS" and not name.startswith("MAKE")
    }
    environment = {**inherited, "UV_CACHE_DIR": str(CACHE), "PIP_CACHE_DIR": str(CACHE), same_cases.FILE: str(CASES)}
    words = [folder / ".ci" / "run"] if command == "ci" else [MAKE, command]
    if command == "test" and folder == REPOSITORY:
        words.append(f"OPTIONS=-p {same_cases.__name__}")
    with (HOME / "output").open("w") as output:
        code = subprocess.run(words, cwd=folder, env=environment, check=False, stdout=output).returncode
    failed = [line for line in (HOME / "output").read_text().splitlines() if line.startswith(("FAILED", "ERROR"))]
    # Tests that fail have taken their time as well; which they were is told.
    if code and command == "test" and failed:
        say("\n".join(failed))
    elif code:
        raise RuntimeError(f"{' '.join(map(str, words))} has failed in {folder}: see {HOME / 'output'}.")


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians of the runs, and their ratios.

    :param figures: what :func:`measure` gives.
    """
    against, runs = figures["against"], figures["runs"]
    rows = []
    for row in dict.fromkeys(run["row"] for run in runs):
        same = [run for run in runs if run["row"] == row]
        for what in (key for key in same[0] if key not in {"row", "build"}):
            now, before = (median(run[what] for run in same if run["build"] == build) for build in ("now", against))
            ratio = f"{now / before:.2f}" if before else ""
            rows.append((f"{row}, {what}", f"{len(same) // 2}", f"{before:.1f}", f"{now:.1f}", ratio))
    return [
        f"Beside the build {against}: medians of the runs of each, in turn.",
        "",
        *table(("", "runs", against, "now", "ratio"), rows),
        "",
        *_beside_each_other(figures),
    ]


def _beside_each_other(figures: Mapping[str, Any]) -> list[str]:
    """Compare the first archive with what nobody can do without."""
    ours, bare = (
        [run["cpu_ms"] for run in figures["runs"] if run["row"] == row and run["build"] == "now"]
        for row in ("first_archive", "bare_patch")
    )
    if not (ours and bare):
        return []
    return [f"The first archive takes {median(ours) / median(bare):.2f} times the processor's time of the bare PATCH."]
