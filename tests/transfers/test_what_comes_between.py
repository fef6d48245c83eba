"""What comes between two tries, or a look and a call: files that are gone, other targets, a segment just made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_moengage.client.errors import ServerError
from airflow_provider_moengage.segments import audience_file
from airflow_provider_moengage.segments.callbacks import Outcome
from airflow_provider_moengage.transfers import audience_base
from tests.transfers.conftest import Store
from tests.transfers.test_sql_to_segment import IDS, calls


@pytest.fixture
def begun(sandbox, warehouse, transfer):
    """A task whose file is uploaded, and whose call has failed."""
    sandbox.add_segment(name="vip", kind="file")
    warehouse.fill(IDS)
    context = {"task_state_store": Store()}
    sandbox.fail_next(6, method="PUT", status=500)
    with pytest.raises(ServerError):
        transfer().execute(context)
    return context


def test_a_file_that_is_gone_is_staged_anew(served, transfer, begun, log):
    (file,) = served.files
    file.unlink()
    found = transfer().execute(begun)
    assert len(found["calls"]) == 1
    assert len(served.files) == 1
    assert "it is staged anew" in log()


def test_another_workspace_has_nothing_of_it(sandbox, served, transfer, begun, monkeypatch):
    from airflow_provider_moengage.sandbox import Sandbox

    with Sandbox() as other:
        other.add_segment(name="vip", kind="file")
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(other.connection))
        transfer(moengage_conn_id="other").execute(begun)
        assert calls(other) == ["/replace"]
    assert len(served.files) == 2


def test_what_is_begun_is_ended_whatever_the_query_has_become(sandbox, warehouse, served, transfer, clock, monkeypatch):
    """Such as one with the time in it, which Airflow renders anew after each deferral."""
    monkeypatch.setattr(audience_file, "MAX_FILE_BYTES", 7)
    sandbox.add_segment(name="vip", kind="file")
    warehouse.fill([f"u-{number:02}" for number in range(11)])
    with pytest.raises(TaskDeferred) as deferred:
        transfer(deferrable=True).execute({})
    staged = served.files
    sandbox.move_clock(timedelta(hours=2))
    clock.move(7_200)
    later = transfer(deferrable=True, sql="select id from users where 1 = 1")
    found = later.execute_complete({}, **deferred.value.kwargs)
    assert [call["action"] for call in found["calls"]] == ["replace", *["add_users"] * 10]
    assert served.files == staged


@pytest.mark.parametrize("kind", ["file", "filter"])
def test_a_segment_that_is_made_after_the_look(sandbox, warehouse, transfer, monkeypatch, kind):
    warehouse.fill(IDS)
    original = audience_base.AudienceOperator._stage

    def stage(self, *arguments):
        sandbox.add_segment(name="vip", kind=kind)
        return original(self, *arguments)

    monkeypatch.setattr(audience_base.AudienceOperator, "_stage", stage)
    if kind == "filter":
        with pytest.raises(AirflowFailException, match="is a filter segment"):
            transfer().execute({})
        assert calls(sandbox) == []
        return
    found = transfer().execute({})
    assert [call["action"] for call in found["calls"]] == ["replace"]
    assert found["cs_id"] == sandbox.segments[0]["id"]


def test_fewer_found_than_written_is_warned_of(sandbox, warehouse, served, transfer, log):
    warehouse.fill(IDS)
    ti = types.SimpleNamespace(max_tries=1)
    operator = transfer()
    answer = operator.execute({})
    said = [Outcome(status=201, request_id="r", segment_name="vip", values_found=2, values_processed=2, user_count=2)]
    found = operator.finish({"ti": ti, "task_state_store": Store()}, answer, said)
    assert found["values_found"] == 2
    assert "MoEngage has found 2 values in the files, and 3 were written" in log()


# In a process of its own: what is traced is all that a process allocates, whichever thread does.
A_MILLION_TIMES = """
import sys, tracemalloc
from pathlib import Path
from airflow_provider_moengage.segments.audience_file import MAX_FILE_BYTES, DistinctValues

distinct = DistinctValues(Path(sys.argv[1]))
tracemalloc.start()
for _ in range(200):
    distinct.add(["the-same-id-of-thirty-two-letters"] * 5_000)
(piece,) = distinct.write(MAX_FILE_BYTES)
print(distinct.added, piece.rows, tracemalloc.get_traced_memory()[1])
"""


def test_a_value_that_is_there_a_million_times_is_in_memory_once(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", A_MILLION_TIMES, tmp_path], stdout=subprocess.PIPE, text=True, check=True
    )
    added, rows, most_bytes = map(int, said.stdout.split())
    assert (added, rows) == (1_000_000, 1)
    assert most_bytes < 4 * 2**20


# A worker whose task state store outlives it, as Airflow's does.
WORKER = """
import json, sys
from pathlib import Path
from airflow_provider_moengage.segments import audience_file
from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator

audience_file.MAX_FILE_BYTES = 7

class Store(dict):
    def set(self, key, value):
        self[key] = value
        Path(sys.argv[1]).write_text(json.dumps(self))

SqlToFileSegmentOperator(**json.load(sys.stdin)).execute({"task_state_store": Store()})
"""


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_a_worker_that_is_killed_between_two_files(
    sandbox, warehouse, served, transfer, filled, tmp_path, monkeypatch, log
):
    """The next try adds what is missing: it neither begins anew nor leaves anything out."""
    sandbox.add_segment(name="vip", kind="file", user_count=7)
    warehouse.fill([f"u-{number}" for number in range(5)])
    sandbox.fail_next(path="*/add-users", fault="silence")
    arguments = {"task_id": "sync", "conn_id": "warehouse", "sql": "select id from users", "name": "vip"}
    arguments |= {"attribute_name": "ID", "attribute_type": "string", **served.arguments}
    saved = tmp_path / "store.json"
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(saved)], stdin=subprocess.PIPE, env=os.environ.copy(), text=True
    ) as worker:
        worker.stdin.write(json.dumps(arguments))
        worker.stdin.close()
        while len(calls(sandbox)) < 2:
            assert worker.poll() is None
            time.sleep(0.05)
        worker.kill()
    assert calls(sandbox) == ["/replace", "/add-users"]
    filled()
    assert sandbox.segments[0]["user_count"] == 2
    sandbox.clear_faults()
    warehouse.drop()
    staged = served.files

    store = Store(json.loads(saved.read_text()))
    found = transfer(expiry_days=None).execute({"task_state_store": store})

    assert calls(sandbox)[2:] == ["/add-users", "/add-users"]
    assert [call["rows"] for call in found["calls"]] == [2, 2, 1]
    assert served.files == staged
    assert "5 values: staged already; 1 of 3 calls are made." in log()
    filled()
    assert sandbox.segments[0]["user_count"] == 5
