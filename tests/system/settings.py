"""What every system test needs to know."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

DAGS = Path(__file__).with_name("dags")

# In an address, in JSON, in HTML, in a Python literal and in base64 it looks different from what it is.
PLANTED_KEY = "planted-key-7c1d44/+=\"'%&"

# What a shell may have exported: a worker would take it rather than that of the database.
SOMEBODY_ELSES_CONNECTION = json.dumps(
    {"conn_type": "moengage", "login": "REAL", "password": "real-key", "host": "https://real.invalid"}
)

# The files of these DAGs stay as they are. By default each is parsed again every half a minute, by another process.
PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}

needs_shared_streams = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="shared streams came with Airflow 3.3"
)
