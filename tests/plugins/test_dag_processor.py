"""The operators in Airflow's DAG processor: imported once, and not for each file again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from airflow_provider_moengage.plugins.plugin import MoEngagePlugin
from tests.conftest import AIRFLOW_HOME

DAG_FILE = """
import json, sys
from pathlib import Path

before = sorted(name for name in sys.modules if name.startswith("airflow_provider_moengage."))

from airflow.sdk import DAG
{imports}

after = sorted(name for name in sys.modules if name.startswith("airflow_provider_moengage."))
Path({seen!r}).write_text(json.dumps([before, after]))

with DAG("parsed"):
    ArchiveSegmentOperator(task_id="it", name="camp")
"""
# What the pages tell DAG files to import.
IMPORTS = """
from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator, ListSegmentsOperator
from airflow_provider_moengage.operators.file_segments import AddUsersOperator
from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator, CreateSegmentOperator, UpdateSegmentOperator
)
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator
from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator
"""
OPERATORS = "airflow_provider_moengage.operators.segments"


@pytest.mark.slow
@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3"), reason="Airflow 2 parses in the scheduler")
@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("pre_import", ["True", "False"])
def test_a_file_finds_them_imported_as_airflow_s_own(tmp_path, pre_import):
    dags, seen, database = tmp_path / "dags", tmp_path / "seen.json", tmp_path / "airflow.db"
    dags.mkdir()
    (dags / "parsed.py").write_text(DAG_FILE.format(imports=IMPORTS, seen=str(seen)))
    shutil.copy(AIRFLOW_HOME / "airflow.db", database)
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PRE_IMPORT_MODULES": pre_import,
    }
    ended = subprocess.run(
        [Path(sys.executable).with_name("airflow"), "dag-processor", "--num-runs", "1"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert seen.exists(), ended.stderr
    before, after = json.loads(seen.read_text())
    if pre_import == "True":
        assert before == after
    else:
        assert OPERATORS not in before
    assert OPERATORS in after


def test_no_other_process_imports_them(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["airflow", "scheduler"])
    for name in [name for name in sys.modules if name.startswith("airflow_provider_moengage.operators")]:
        monkeypatch.delitem(sys.modules, name)
    MoEngagePlugin.on_load()
    assert OPERATORS not in sys.modules
