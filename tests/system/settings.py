"""What every system test needs to know."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

DAGS = Path(__file__).with_name("dags")

# In an address, in JSON, in HTML, in a Python literal and in base64 it looks different from what it is.
PLANTED_KEY = "planted-key-7c1d44/+=\"'%&"

needs_shared_streams = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="shared streams came with Airflow 3.3"
)
