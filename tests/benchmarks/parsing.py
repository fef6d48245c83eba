"""What a provider costs before any task runs: its imports, and the time of Airflow's DAG processor."""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from demo import say
from demo.standalone import BINARIES, environment_without_airflow
from tests.benchmarks.in_a_process import HOME, result_of
from tests.benchmarks.show import table

PROVIDERS = {
    "airflow-provider-moengage": (
        "airflow_provider_moengage.operators.bulk",
        "airflow_provider_moengage.operators.segments",
        "airflow_provider_moengage.sensors.segments",
    ),
    "apache-airflow-providers-airbyte": (
        "airflow.providers.airbyte.operators.airbyte",
        "airflow.providers.airbyte.sensors.airbyte",
    ),
    "apache-airflow-providers-http": ("airflow.providers.http.operators.http", "airflow.providers.http.sensors.http"),
    "airflow-provider-fivetran-async": ("fivetran_provider_async.operators", "fivetran_provider_async.sensors"),
}
IMPORT_RUNS = 7

FILES = 200
PARSE_RUNS = 2
OPERATORS = {
    "ArchiveSegmentOperator": (
        "from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator",
        'ArchiveSegmentOperator(task_id="archive", name="camp_diwali_2026")',
    ),
    "HttpOperator": (
        "from airflow.providers.http.operators.http import HttpOperator",
        'HttpOperator(task_id="archive", method="PATCH", endpoint="v2/custom-segments/archive", data="{}")',
    ),
}
DAG_FILE = """\
import pendulum
from airflow.sdk import DAG

{imports}

with DAG("campaign_{number:03}", schedule=None, start_date=pendulum.datetime(2026, 11, 1)):
    {task}
"""
PARSED = HOME / "parsing"
TEMPLATE = PARSED / "template"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :param options: none of them is looked at.
    :return: each run with its own figures.
    """
    return {
        "versions": {provider: version(provider) for provider in PROVIDERS},
        "imports": _imports(),
        "files": FILES,
        "dag_processor": _dag_processor(),
    }


def _imports() -> list[dict[str, Any]]:
    runs = []
    for round_ in range(IMPORT_RUNS):
        say(f"parsing: imports, run {round_ + 1}")
        runs += [{"provider": provider, **result_of("importing", names)} for provider, names in PROVIDERS.items()]
    return runs


def _dag_processor() -> list[dict[str, Any]]:
    write_files()
    runs = []
    for _ in range(PARSE_RUNS):
        for pre_import in (True, False):
            for operator in OPERATORS:
                say(f"parsing: {FILES} files with {operator}, pre-import {pre_import}")
                settings = {"AIRFLOW__DAG_PROCESSOR__PARSING_PRE_IMPORT_MODULES": str(pre_import)}
                runs.append({"operator": operator, "pre_import": pre_import, **parse_files(operator, settings)})
    return runs


def write_files() -> None:
    """Write the files to parse, and make a database that each run gets a copy of."""
    shutil.rmtree(PARSED, ignore_errors=True)
    for operator, (imports, task) in OPERATORS.items():
        folder = PARSED / operator
        folder.mkdir(parents=True)
        for number in range(FILES):
            text = DAG_FILE.format(imports=imports, task=task, number=number)
            (folder / f"campaign_{number:03}.py").write_text(text)
    TEMPLATE.mkdir(parents=True)
    _airflow("db migrate", TEMPLATE, {})


def parse_files(operator: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """
    Let a DAG processor of its own parse all files of an operator once.

    :param operator: one of :data:`OPERATORS`.
    :param settings: the processor's environment, beside what every run has.
    :return: how long Airflow says that it took: the median of a file, all files, and all with start and end.
    """
    home = Path(tempfile.mkdtemp(prefix=operator, dir=PARSED))
    shutil.copy(TEMPLATE / "airflow.db", home)
    every = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(PARSED / operator),
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    }
    began = time.perf_counter()
    _airflow("dag-processor --num-runs 1", home, {**every, **settings})
    seconds = time.perf_counter() - began
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        durations = [row[0] for row in database.execute("SELECT last_parse_duration FROM dag")]
    if len(durations) != FILES or None in durations:
        raise RuntimeError(f"Airflow has not parsed all {FILES} files; its output is in {home}.")
    return {
        "milliseconds_a_file": round(median(durations) * 1000, 1),
        "parsing_seconds": round(sum(durations), 2),
        "seconds": round(seconds, 2),
    }


def _airflow(command: str, home: Path, settings: Mapping[str, str]) -> None:
    environment = {
        **environment_without_airflow(),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        **settings,
    }
    with (home / "output.log").open("a") as output:
        subprocess.run(
            [BINARIES / "airflow", *command.split()],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=True,
        )


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians of the runs.

    :param figures: what :func:`measure` gives.
    """
    imports, parsed = figures["imports"], figures["dag_processor"]
    return [
        "Parsing: what importing a provider's operators and sensors adds to airflow.sdk.",
        f"Medians of {IMPORT_RUNS} runs, each in a fresh interpreter.",
        "",
        *_table_of_imports(imports, figures["versions"]),
        "",
        f"Airflow's DAG processor on {figures['files']} files with a task each; medians of {PARSE_RUNS} runs.",
        "All but the last column are durations that Airflow itself keeps. With pre-import, which is its default, it",
        "imports modules named airflow.* once for all files, our plugin does so with ours; it counts that for none.",
        "",
        *_table_of_files(parsed),
    ]


def _table_of_imports(runs: list[dict[str, Any]], versions: Mapping[str, str]) -> list[str]:
    rows = []
    for provider in PROVIDERS:
        same = [run for run in runs if run["provider"] == provider]
        modules, clock, cpu = (median(run[key] for run in same) for key in _OF_IMPORTS)
        rows.append((f"{provider} {versions[provider]}", f"{modules:.0f}", f"{clock:.0f}", f"{cpu:.0f}"))
    return table(("", "modules", "ms", "CPU ms"), rows)


_OF_IMPORTS = ("modules", "milliseconds", "cpu_milliseconds")
_OF_FILES = ("milliseconds_a_file", "parsing_seconds", "seconds")


def _table_of_files(runs: list[dict[str, Any]]) -> list[str]:
    rows = []
    for pre_import in (True, False):
        for operator in OPERATORS:
            same = [run for run in runs if (run["operator"], run["pre_import"]) == (operator, pre_import)]
            a_file, parsing, whole = (median(run[key] for run in same) for key in _OF_FILES)
            name = f"{operator}, {'with' if pre_import else 'without'} pre-import"
            rows.append((name, f"{a_file:.0f}", f"{parsing:.1f}", f"{whole:.1f}"))
    return table(("", "ms/file", "s for all", "s with start and end"), rows)
