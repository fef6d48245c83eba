"""A whole Airflow, with every process that it has in production: what only a test does to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from demo import standalone
from demo.watchdog import kill_family


class RealAirflow(standalone.Standalone):
    """Reads what a running Airflow writes, and kills processes of it."""

    def tries(self, dag_id: str, run_id: str) -> dict[str, int]:
        return {task_id: task["try_number"] for task_id, task in self.tasks(dag_id, run_id).items()}

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the metadata database, past every mask of the REST API."""
        with closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, parameters).fetchall()

    def kill_triggerer(self) -> None:
        """Kill every process of the triggerer, without a chance to sign off."""
        children = psutil.Process(self.parent.pid).children()
        kill_family(next(child for child in children if "triggerer" in " ".join(child.cmdline()).split()))

    @contextmanager
    def another_triggerer(self) -> Iterator[None]:
        """Run a triggerer beside the others, or in place of one that was killed."""
        with standalone.started([standalone.AIRFLOW, "triggerer"], self.settings, self.home / "another_triggerer.log"):
            yield

    def kill_task(self, pid: int) -> None:
        """Kill the process of a task. The worker that looks after it lives on, and reports its death."""
        kill_family(self._own(pid))

    def kill_task_and_worker(self, pid: int) -> None:
        """Kill the process of a task and the worker, so that nobody reports anything."""
        kill_family(self._own(pid).parent())

    def _own(self, pid: int) -> psutil.Process:
        process = psutil.Process(pid)
        assert process in psutil.Process(self.parent.pid).children(recursive=True), f"{pid} is not of this Airflow"
        return process


@contextmanager
def running_airflow(home: Path, dags: Path, environment: Mapping[str, str]) -> Iterator[RealAirflow]:
    """Start Airflow on free ports with an empty folder as its home, and stop every process of it afterwards."""
    # With the demo's pause between two looks a scheduler takes a tenth of a processor, also with nothing to do.
    unhurried = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5"}
    with standalone.running_airflow(home, dags, {**unhurried, **environment}) as running:
        yield RealAirflow(running.url, running.home, running.settings, running.parent)
