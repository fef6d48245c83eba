"""What a DAG file costs to parse, and what a DAG author may hand to a constructor."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from packaging.version import Version

from airflow_provider_moengage.operators.bulk import (
    ArchiveSegmentsOperator,
    ListSegmentsOperator,
    UnarchiveSegmentsOperator,
)
from airflow_provider_moengage.operators.file_segments import (
    AddUsersOperator,
    CreateFileSegmentOperator,
    RemoveUsersOperator,
    ReplaceUsersOperator,
)
from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    CreateSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator
from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator

ADDED_MODULES = """
import sys
import airflow.sdk
before = set(sys.modules)
import airflow_provider_moengage.operators.bulk
import airflow_provider_moengage.operators.segments
import airflow_provider_moengage.sensors.segments
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="counted on Airflow 3.3")
def test_operators_and_sensors_add_at_most_23_modules():
    added = subprocess.run(
        [sys.executable, "-c", ADDED_MODULES], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "airflow_provider_moengage.sensors.segments" in added
    assert len(added) <= 23, added
    assert not {"requests", "urllib3", "airflow_provider_moengage.client.client"} & set(added)


@pytest.mark.parametrize(
    "operator",
    [
        ArchiveSegmentOperator,
        UnarchiveSegmentOperator,
        ArchiveSegmentsOperator,
        UnarchiveSegmentsOperator,
        UpdateSegmentOperator,
        CreateSegmentOperator,
        ListSegmentsOperator,
        CreateFileSegmentOperator,
        AddUsersOperator,
        RemoveUsersOperator,
        ReplaceUsersOperator,
        SqlToFileSegmentOperator,
        LocalFileToFileSegmentOperator,
        SegmentExistsSensor,
        FileSegmentReadySensor,
    ],
)
def test_a_constructor_only_assigns(operator):
    """An XComArg arrives unresolved: whatever touches a template field before execute() breaks it."""

    class Untouchable:
        def __getattribute__(self, name):
            if name == "__class__":
                return object.__getattribute__(self, name)
            raise AssertionError(f"the constructor touched .{name} of a template field")

        __bool__ = __eq__ = __str__ = __iter__ = None
        __hash__ = None

    values = {field: Untouchable() for field in operator.template_fields}
    task = operator(task_id="it", **values)
    assert all(vars(task)[field] is value for field, value in values.items())


TRANSFER_MODULES = """
import sys
import airflow.sdk
before = set(sys.modules)
import airflow_provider_moengage.transfers.local_file_to_segment
import airflow_provider_moengage.transfers.sql_to_segment
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="counted on Airflow 3.3")
def test_transfers_read_no_database_before_they_run():
    added = subprocess.run(
        [sys.executable, "-c", TRANSFER_MODULES], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "airflow_provider_moengage.transfers.sql_to_segment" in added
    heavy = {"requests", "urllib3", "fsspec", "upath", "sqlparse", "sqlalchemy"}
    assert not heavy & set(added)
    assert not [module for module in added if module.startswith("airflow.providers.common.sql")]


def test_the_same_template_fields_everywhere():
    assert "moengage_conn_id" in SegmentExistsSensor.template_fields
    assert {"segment_id", "name"} <= set(SegmentExistsSensor.template_fields)
    assert {"segment_id", "name"} <= set(ArchiveSegmentOperator.template_fields)
    assert UpdateSegmentOperator.template_fields_renderers == {"included_filters": "json", "excluded_filters": "json"}
