"""What Airflow is to take for the name of a machine: all are this one, and each has its own."""

from __future__ import annotations

import os

VARIABLE = "TESTS_MACHINE"


def name() -> str:
    return os.environ[VARIABLE]
