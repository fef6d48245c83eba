"""The Airflow of `make airflow`, on a database that lets one process write at a time."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from importlib.metadata import version

import pytest
from packaging.version import Version

from demo.standalone import SECONDS_TO_WAIT_TO_WRITE, AirflowFailedError

pytestmark = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3"), reason="the parts that `make airflow` starts came with Airflow 3"
)


def test_a_click_is_answered_while_something_else_writes(airflow):
    """A click on Trigger froze every page for 100 s: for so long its two requests waited for each other to write."""
    with closing(sqlite3.connect(airflow.home / "airflow.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(AirflowFailedError, match="answered with 500"):
            airflow.call("PATCH", "dags/waiting", json={"is_paused": False})
        assert time.monotonic() - began < SECONDS_TO_WAIT_TO_WRITE / 2
        database.execute("ROLLBACK")
    assert airflow.call("PATCH", "dags/waiting", json={"is_paused": False})["dag_id"] == "waiting"
