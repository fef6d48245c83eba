"""
Every part of Airflow that `airflow standalone` starts, each in a process of its own: `python -m demo.launcher`.

The parts are forked from one process that has imported Airflow once. With `airflow standalone` each of five processes
imports it for itself, for two seconds of a processor, before any of them does its work. What follows the fork is the
command line of Airflow: `airflow scheduler`, and so on.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from demo.watchdog import kill_family

# What answers last begins first: FastAPI makes the routes of the api-server for three seconds of a processor.
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
# What they import before they do anything that could not be shared: no connection is opened, no thread started.
IMPORTED = (
    "airflow.__main__",
    "airflow.utils.db",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.dag_processing.manager",
    "airflow.executors.local_executor",
    "airflow.sdk.execution_time.supervisor",
)
# For how many seconds the api-server waits while another process writes to the database, where that is to be less than
# the others wait: after that it answers with 500.
SECONDS_TO_ANSWER = "DEMO_SECONDS_TO_ANSWER"
ROUTES = "airflow.api_fastapi.core_api.app", "airflow.api_fastapi.core_api.routes.public"


def main() -> None:
    """Start all parts, which end with whoever has started this; if one of them ends by itself, so do all."""
    # While modules are imported there is no garbage, and each search for some takes longer than the one before.
    gc.disable()
    for module in IMPORTED:
        importlib.import_module(module)
    # In a home that is new, Airflow makes up the key to its database, and writes it down. All parts need the same.
    from airflow.configuration import write_default_airflow_configuration_if_needed

    write_default_airflow_configuration_if_needed()
    if threading.active_count() > 1:
        sys.exit("launcher: a thread would be lost in the forks: something that is imported here has started one")
    gc.freeze()

    database_is_ready, tell = os.pipe()
    parts = {_fork(lambda part=part: _run(part, database_is_ready, tell)): part for part in PARTS}
    _, status = os.waitpid(_fork(_migrate), 0)
    if status:
        sys.exit("launcher: the database could not be made ready, see above")
    os.write(tell, b"." * len(PARTS))
    while parts:
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        _say(f"{parts.pop(pid, pid)} has ended with the exit code {code}")
        if code >= 0:
            break  # without it nothing would go on, and nobody would know why; one that was killed has a test's reason
    for pid in parts:
        kill_family(psutil.Process(pid))
        os.waitpid(pid, 0)
    sys.exit(1)


def _fork(run: Callable[[], None]) -> int:
    """
    Run something in a process of its own.

    :param run: what ends with it.
    :return: the number of the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        gc.enable()
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:  # noqa: BLE001 - it must not go on as its parent would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _migrate() -> None:
    """Make the database, or bring it up to date: once for each version of Airflow, since each check takes a second."""
    import airflow
    from airflow.utils import db

    home = Path(os.environ["AIRFLOW_HOME"])
    stamp = home / "migrated"
    if (home / "airflow.db").exists() and stamp.exists() and stamp.read_text() == airflow.__version__:
        return
    db.initdb()
    stamp.write_text(airflow.__version__)


def _run(part: str, database_is_ready: int, tell: int) -> None:
    from airflow.__main__ import main as airflow
    from setproctitle import setproctitle

    os.close(tell)
    setproctitle(f"airflow {part}")
    if part == "api-server":
        if seconds := os.environ.get(SECONDS_TO_ANSWER):
            _answer_after(float(seconds))
        gc.disable()
        for module in ROUTES:
            importlib.import_module(module)
        gc.freeze()
        gc.enable()
    if not os.read(database_is_ready, 1):
        sys.exit(1)  # whoever would have told it has ended
    os.close(database_is_ready)
    sys.argv = ["airflow", part]
    airflow()


def _answer_after(seconds: float) -> None:
    """
    Let this process wait so long for its turn to write to the database, and no longer.

    Airflow writes down who has asked for what on the loop that all answers pass: when another request has written and
    has yet to be answered, each waits for the other. Airflow's page asks for two things when somebody triggers a DAG
    that is paused.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def shorten(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {seconds * 1_000:.0f}")
        cursor.close()

    event.listen(Engine, "connect", shorten)


def _say(text: str) -> None:
    sys.stdout.write(f"launcher: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
