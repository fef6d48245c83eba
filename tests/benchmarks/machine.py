"""On what the figures were measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pendulum

PACKAGES = (
    "airflow-provider-moengage",
    "apache-airflow",
    "apache-airflow-providers-common-compat",
    "apache-airflow-providers-http",
    "requests",
    "urllib3",
)


def facts() -> dict[str, Any]:
    """Look at the machine before something is measured: one that is busy then makes figures of no use."""
    return {
        "date": pendulum.now("UTC").to_iso8601_string(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
