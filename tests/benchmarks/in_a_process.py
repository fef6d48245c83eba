"""Run a module in an interpreter of its own, so that what is measured and what measures share none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.standalone import environment_without_airflow

REPOSITORY = Path(__file__).parents[2]
HOME = REPOSITORY / ".airflow" / "bench"


def result_of(module: str, order: Any, environment: Mapping[str, str] | None = None) -> Any:
    """
    Run a module of this package that reads an order, and writes its result into its last line.

    :param module: its name within this package.
    :param order: what it reads from its standard input, as JSON.
    :param environment: more variables, such as connections.
    """
    child = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        # No proxy of the environment is asked: all servers are on this machine.
        env={**environment_without_airflow(), "AIRFLOW_HOME": str(HOME), "no_proxy": "*", **(environment or {})},
    )
    if child.returncode:
        raise RuntimeError(f"tests.benchmarks.{module} has failed:\n{child.stderr[-3_000:]}")
    return json.loads(child.stdout.splitlines()[-1])
