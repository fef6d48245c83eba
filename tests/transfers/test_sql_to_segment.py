"""A query becomes an audience: what reaches MoEngage, what is refused before, and what a retry does not repeat."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import traceback
import types
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pendulum
import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.client.errors import ServerError
from airflow_provider_moengage.segments import audience_file
from airflow_provider_moengage.segments.audience_values import ValueChecks
from airflow_provider_moengage.transfers import values_file
from airflow_provider_moengage.transfers.query import RowsNotReadError
from airflow_provider_moengage.transfers.staging import Staging
from tests.support import UNKNOWN_ID, new_dag
from tests.transfers.conftest import Store

PATH = "/v2/custom-segments/file-segment"
IDS = ["u-1", "u-2", "u-3"]
# Not as it stands here in the source, lines of which a traceback has.
WORDS = "-".join(["do", "not", "show"])


def calls(sandbox):
    """Those that change something."""
    return [request.path.removeprefix(PATH) or "/create" for request in sandbox.requests if request.method != "GET"]


def refusal_of(operator, context=None):
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context or {})
    return str(caught.value)


class TestReplace:
    def test_a_segment_that_is_not_there_is_created_and_filled(self, sandbox, warehouse, served, transfer, filled):
        warehouse.fill(IDS)
        operator = transfer(emails=["a@b.c"])

        found = operator.execute({})

        (segment,) = sandbox.segments
        assert served.values() == IDS
        assert found == {
            "cs_name": "vip",
            "cs_id": segment["id"],
            "mode": "replace",
            "rows_read": 3,
            "rows_written": 3,
            "left_out": {"null": 0, "blank": 0, "duplicate": 0},
            "blanks_stripped": 0,
            "bytes": 11,
            "calls": [{"action": "create", "rows": 3, "bytes": 11, "repeated": False}],
            "staged_files": [str(served.files[0].as_uri())],
        }
        assert sandbox.requests[-1].json["expiry_time"] == 30
        assert sandbox.requests[-1].json["emails"] == ["a@b.c"]
        assert operator.segment_page.endswith(segment["id"])
        (done,) = filled()
        assert (done.status, done.values_found, done.user_count, done.explanation) == (201, 3, 3, "")

    def test_the_users_of_one_that_is_there_are_replaced(self, sandbox, warehouse, transfer, filled):
        segment = sandbox.add_segment(name="vip", kind="file")
        warehouse.fill(IDS)
        asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=segment["id"])
        found = transfer(outlets=[asset], expiry_days=None).execute({})
        assert (found["cs_id"], found["calls"][0]["action"]) == (segment["id"], "replace")
        assert calls(sandbox) == ["/replace"]
        assert sandbox.requests[-1].json["cs_id"] == segment["id"]
        assert filled()[-1].user_count == 3

    def test_without_a_segment_it_needs_to_know_for_how_long(self, sandbox, transfer):
        assert "There is no segment 'vip' yet. To have it created, set expiry_days" in refusal_of(
            transfer(expiry_days=None)
        )
        assert calls(sandbox) == []

    def test_an_outlet_before_it_is_there(self, sandbox, transfer):
        asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=UNKNOWN_ID)
        assert "There is no segment 'vip' yet, so that the outlet" in refusal_of(transfer(outlets=[asset]))


@pytest.mark.parametrize(
    ("mode", "path", "action"), [("add", "/add-users", "add_users"), ("remove", "/remove-users", "remove_users")]
)
class TestAddAndRemove:
    def test_the_users_change(self, sandbox, warehouse, transfer, filled, mode, path, action):
        warehouse.fill(IDS)
        transfer().execute({})
        filled()
        warehouse.fill(["u-3", "u-4"])
        found = transfer(mode=mode).execute({})
        assert calls(sandbox) == ["/create", path]
        assert (found["mode"], found["calls"][0]["action"]) == (mode, action)
        filled()
        assert sandbox.segments[0]["user_count"] == (4 if mode == "add" else 2)

    def test_there_is_none_of_this_name(self, sandbox, warehouse, served, transfer, mode, path, action):
        """A name with a slip of the pen must not become an audience of its own."""
        warehouse.fill(IDS)
        assert "MoEngage did not find the segment" in refusal_of(transfer(mode=mode))
        assert (calls(sandbox), served.files) == ([], [])


class TestWhatIsWritten:
    def test_what_is_left_out_is_counted(self, sandbox, warehouse, served, transfer, filled, log):
        warehouse.fill([" u-1", "u-1", None, "", "  ", "u-2\t", 17, 17, "ü 3", None])
        found = transfer().execute({})
        assert served.values() == ["17", "u-1", "u-2", "ü 3"]
        assert found["left_out"] == {"null": 2, "blank": 2, "duplicate": 2}
        assert (found["rows_read"], found["rows_written"], found["blanks_stripped"]) == (10, 4, 2)
        assert "Read 10 rows: 4 values to write; left out are 2 null, 2 blank, 2 duplicate." in log()
        assert filled()[0].explanation == ""

    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            (b"do-not-show", "is of type bytes, which can be written in more than one way"),
            (1.5, "is of type float, which can be written in more than one way"),
            ("do-not\nshow", "has a line break"),
            ("do-not\u2028show", "has a line break"),
            ('"do-not-show"', "has a double quote"),
            ("do-not,show", "has a comma"),
            ("do-not\x00show", "has an invisible character (U+0000)"),
            ("\ufeffdo-not-show", "has an invisible character (U+FEFF)"),
        ],
    )
    def test_a_value_that_cannot_be_written(self, sandbox, warehouse, served, transfer, log, value, sentence):
        warehouse.fill([*IDS, value])
        said = refusal_of(transfer())
        assert f"The value in row 4 {sentence}" in said
        assert "do-not" not in said + log()
        assert (calls(sandbox), served.files) == ([], [])

    @pytest.mark.parametrize("attribute_type", ["string", "double"])
    @pytest.mark.parametrize("values", [[7, 10**5_000], [7, -(10**100)], ["7", 10**5_000], ["7", Decimal("1E+100")]])
    def test_numbers_that_are_too_long(self, sandbox, served, transfer, monkeypatch, log, values, attribute_type):
        """As the drivers of some databases give them. Python itself writes none of more than 4,300 digits."""
        rows = iter([[(value,) for value in values], []])
        cursor = types.SimpleNamespace(
            execute=lambda _: None, fetchmany=lambda _: next(rows), description=[("id",)], close=lambda: None
        )
        monkeypatch.setattr("airflow_provider_moengage.transfers.query._cursor_of", lambda _: cursor)
        said = refusal_of(transfer(attribute_type=attribute_type))
        assert "The value in row 2 has more than 100 digits. Nothing was uploaded or sent." in said
        assert "000000" not in said + log()
        assert (calls(sandbox), served.files) == ([], [])

    @pytest.mark.parametrize("value", [10**100 - 1, Decimal(10**100 - 1)])
    def test_a_number_of_a_hundred_digits(self, value):
        assert ValueChecks("string").texts_of([value]) == ["9" * 100]

    def test_numbers(self, sandbox, warehouse, served, transfer):
        warehouse.fill(["1", "2.5", 3])
        transfer(attribute_type="double").execute({})
        assert served.values() == ["1", "2.5", "3"]
        warehouse.fill(["1", "a"])
        assert 'The value in row 2 is no number, and attribute_type is "double"' in refusal_of(
            transfer(attribute_type="double")
        )

    def test_many_values_take_a_line_of_the_log_every_few_seconds(self, sandbox, warehouse, transfer, log, monkeypatch):
        monkeypatch.setattr(values_file, "_SECONDS_BETWEEN_PROGRESS", 0)
        warehouse.fill(f"u-{number}" for number in range(12_000))
        assert transfer().execute({})["rows_written"] == 12_000
        said = log()
        assert [line for line in ("5,000", "10,000", "12,000") if re.search(f"Read {line} rows[.:]", said)] == [
            "5,000",
            "10,000",
            "12,000",
        ]
        assert "u-11" not in said


BAD_INPUT = {
    "mode": ({"mode": "upsert"}, 'mode must be "replace", "add" or "remove", not str (\'upsert\').'),
    "min_rows": ({"min_rows": "many"}, "min_rows must be a whole number, 0 or more"),
    "max_change": ({"max_change": -1}, "max_change must be a share from 0 to 10, such as 0.5"),
    "max_change in percent": (
        {"max_change": 30},
        "0.5 for 50 percent more or fewer, or None for any number, not int (30).",
    ),
    "max_users": ({"max_users": 0}, "max_users must be a whole number, 1 or more"),
    "keep_staged_file": ({"keep_staged_file": "no"}, "keep_staged_file must be True or False"),
    "dry_run": ({"dry_run": "no"}, "dry_run must be True or False"),
    "name": ({"name": "a:b"}, "name has the character :"),
    "attribute_type": ({"attribute_type": "bool"}, "attribute_type must be"),
    "attribute_name": ({"attribute_name": " "}, "attribute_name is blank"),
    "expiry_days": ({"expiry_days": 0}, "expiry_days must be"),
    "emails": ({"emails": "a@b.c"}, "emails must be"),
    "callback_url": ({"callback_url": "nowhere"}, "callback_url has no scheme"),
    "an address for too short": ({"url_expires_in": 3_599}, "url_expires_in must be from an hour to a week"),
    "an address for too long": ({"url_expires_in": timedelta(days=8)}, "url_expires_in must be from an hour to a week"),
    "an address for a truth": ({"url_expires_in": True}, "url_expires_in must be from an hour to a week"),
    "no scheme": ({"staging": "here/and/there"}, "staging has no scheme: give the URI of an object storage"),
    "a path": ({"staging": "/here"}, "or of a folder on this machine, such as file:///tmp/audiences."),
    "a machine": ({"staging": "file://tmp/a"}, "staging has 'tmp' where a file:// URI has the name of a machine"),
    "no folder": ({"staging": "file:///nowhere/a"}, "There is no folder file:///nowhere/a, as far as this worker"),
    "public_url without a scheme": ({"public_url": "files/a"}, "public_url has no scheme. Give an http(s) address"),
    "an unknown scheme": ({"staging": "nowhere://here"}, "staging has the scheme nowhere, which no installed provider"),
    "an unknown connection of the storage": (
        {"staging": "file://nobody@/tmp"},
        "staging names the connection 'nobody', which Airflow does not know",
    ),
    "credentials": ({"staging": "s3://key:secret@bucket/a"}, "staging has credentials in it"),
    "cannot sign": ({"public_url": None}, "The storage of staging (file://) cannot sign an address for MoEngage"),
    "public_url": ({"public_url": "ftp://files"}, "public_url has the scheme ftp"),
    "public_url with a query": ({"public_url": "https://files/?a=b"}, "public_url must be an address without a query"),
    "an unknown connection": ({"conn_id": "nobody"}, "'nobody', which Airflow does not know. Nothing was sent."),
    "no database": ({"conn_id": "moengage_default"}, "'moengage_default' is of type moengage, which is no database"),
    "no query": ({"sql": " "}, "sql is blank"),
    "a comment": ({"sql": "-- select id from users"}, "sql must be one statement that gives one column; it has 0"),
    "two queries": ({"sql": "select 1; select 2"}, "sql must be one statement that gives one column; it has 2"),
    "two columns": (
        {"sql": "select id, id from users"},
        "the file of an audience has one: let it select nothing but the values. Nothing was uploaded or sent.",
    ),
    "no column": ({"sql": "create table if not exists t (id)"}, "The query gives no columns"),
}


@pytest.mark.parametrize(("wrong", "sentence"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_what_cannot_work_changes_nothing(sandbox, warehouse, served, transfer, wrong, sentence):
    warehouse.fill(IDS)
    assert sentence in refusal_of(transfer(**wrong))
    assert (calls(sandbox), served.files) == ([], [])


def test_a_filter_segment_takes_no_file(sandbox, warehouse, transfer):
    sandbox.add_segment(name="vip")
    warehouse.drop()
    for mode in ("replace", "add", "remove"):
        assert "is a filter segment, which takes no file" in refusal_of(transfer(mode=mode))
    assert calls(sandbox) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_segment_that_moengage_may_have_archived_is_warned_of(sandbox, warehouse, transfer, log, dry_run):
    """No answer shows whether it has: what this task knows is when it was created, and for how many days."""
    sandbox.add_segment(name="vip", kind="file", created_time=pendulum.now("UTC").subtract(days=31))
    warehouse.fill(IDS)
    assert transfer(dry_run=dry_run).execute({})
    assert "Unarchive it with UnarchiveSegmentOperator" in log()
    for arguments in ({"expiry_days": 365}, {"expiry_days": None}):
        assert transfer(dry_run=dry_run, **arguments).execute({})
        assert "UnarchiveSegmentOperator" not in log()


@pytest.mark.parametrize(
    "sql",
    ["select id from users;", "select id from users; -- all\n", "/* all */ select id from users where id <> '%s;'"],
)
def test_how_people_write_a_query(sandbox, warehouse, served, transfer, sql):
    warehouse.fill(IDS)
    transfer(sql=sql).execute({})
    assert served.values() == IDS


def before(rows, **changed):
    """What Airflow knows of the last run."""
    return run_after({"cs_name": "vip", "mode": "replace", "rows_written": rows, **changed})


def run_after(xcom):
    return {"ti": types.SimpleNamespace(try_number=1, xcom_pull=lambda **_: xcom)}


class TestGuards:
    @pytest.mark.parametrize(("rows", "least"), [(0, 1), (3, 4)])
    def test_too_few_never_empty_an_audience(self, sandbox, warehouse, served, transfer, rows, least):
        sandbox.add_segment(name="vip", kind="file", user_count=7)
        warehouse.fill(IDS[:rows])
        assert f"There are {rows} values to write, and min_rows is {least}." in refusal_of(transfer(min_rows=least))
        assert (calls(sandbox), served.files, sandbox.segments[0]["user_count"]) == ([], [], 7)

    def test_without_a_value_nothing_is_sent_whatever_the_guard(self, sandbox, warehouse, served, transfer, log):
        sandbox.add_segment(name="vip", kind="file", user_count=7)
        found = transfer(min_rows=0).execute({})
        assert (found["rows_written"], found["calls"], found["staged_files"]) == (0, [], [])
        assert "the segment is as it was" in log()
        assert (calls(sandbox), served.files) == ([], [])

    def test_without_a_value_no_segment_is_created(self, sandbox, transfer, log):
        assert transfer(min_rows=0).execute({})["calls"] == []
        assert "nothing was uploaded or sent, and no segment was created." in log()
        assert sandbox.segments == []

    def test_one_value_is_one(self, sandbox, warehouse, transfer, log):
        warehouse.fill(IDS[:1])
        assert "There is 1 value to write, and min_rows is 2. Nothing was" in refusal_of(transfer(min_rows=2))
        assert transfer(dry_run=True).execute({})["changes"] == ["1 value would be uploaded: 1 file, 3 bytes."]
        assert "Read 1 row: 1 value to write;" in log()

    @pytest.mark.parametrize(("last", "share"), [(7, "57%"), (1, "200%")])
    def test_a_number_that_is_far_from_the_last_one(self, sandbox, warehouse, served, transfer, last, share):
        warehouse.fill(IDS)
        said = refusal_of(transfer(), before(last))
        assert f"There are 3 values to write, and the last run had {last}: a difference of {share}" in said
        assert (calls(sandbox), served.files) == ([], [])
        assert transfer(max_change=None).execute(before(last))["rows_written"] == 3

    @pytest.mark.parametrize(
        "context",
        [{}, before(3), before(2), before(6), before(99, cs_name="other"), before(99, mode="add"), before("9")],
    )
    def test_a_number_that_says_nothing_of_this_one_or_is_near(self, sandbox, warehouse, transfer, context):
        warehouse.fill(IDS)
        assert transfer().execute(context)["rows_written"] == 3

    @pytest.mark.parametrize("between", [{"dry_run": True}, {"min_rows": 0, "max_change": None}])
    def test_a_run_that_has_sent_nothing_is_no_measure(self, sandbox, warehouse, transfer, between):
        """What it was compared with itself is what the next one is compared with."""
        last = before(3)["ti"].xcom_pull()
        warehouse.fill(range(100) if "dry_run" in between else [])
        for _ in range(2):
            last = transfer(**{"max_change": None, **between}).execute(run_after(last))
            assert (last["calls"], last["last_rows_written"]) == ([], 3)
        warehouse.fill(range(100))
        assert "There are 100 values to write, and the last run had 3" in refusal_of(transfer(), run_after(last))
        warehouse.fill(IDS)
        assert "last_rows_written" not in transfer().execute(run_after(last))

    def test_more_than_a_day_takes(self, sandbox, warehouse, served, transfer):
        warehouse.fill(IDS)
        said = refusal_of(transfer(max_users=2))
        assert "There are 3 values to write, and max_users is 2: MoEngage takes 2,000,000 users a day" in said
        assert (calls(sandbox), served.files) == ([], [])

    def test_more_files_than_an_hour_or_a_day_takes(self, sandbox, warehouse, served, transfer, monkeypatch):
        monkeypatch.setattr(audience_file, "MAX_FILE_BYTES", 3)
        warehouse.fill(range(100, 111))
        assert (
            "need 11 files of 150 MB, a call each, and MoEngage takes 10 such calls an hour: at least 1 h"
            in refusal_of(transfer())
        )
        warehouse.fill(range(100, 201))
        assert "need 101 files of 150 MB, a call each, and MoEngage takes 100 such calls within 24 hours" in refusal_of(
            transfer(deferrable=True)
        )
        assert (calls(sandbox), served.files) == ([], [])


class TestSeveralFiles:
    @pytest.fixture(autouse=True)
    def _small_files(self, monkeypatch):
        monkeypatch.setattr(audience_file, "MAX_FILE_BYTES", 7)

    def test_the_first_replaces_and_the_others_add(self, sandbox, warehouse, served, transfer, filled):
        sandbox.add_segment(name="vip", kind="file", user_count=7)
        warehouse.fill([f"u-{number}" for number in range(5)])
        found = transfer().execute({})
        assert calls(sandbox) == ["/replace", "/add-users", "/add-users"]
        assert [(call["action"], call["rows"], call["bytes"]) for call in found["calls"]] == [
            ("replace", 2, 7),
            ("add_users", 2, 7),
            ("add_users", 1, 3),
        ]
        assert len(served.files) == 3
        filled()
        assert sandbox.segments[0]["user_count"] == 5

    def test_what_is_done_is_not_done_again_by_a_retry(self, sandbox, warehouse, served, transfer, filled):
        warehouse.fill([f"u-{number}" for number in range(5)])
        context = {"task_state_store": Store()}
        # The whole budget of the client.
        sandbox.fail_next(6, method="PUT", status=500)
        with pytest.raises(ServerError):
            transfer().execute(context)
        staged = served.files
        assert calls(sandbox) == ["/create", *["/add-users"] * 6]
        warehouse.drop()

        found = transfer().execute(context)

        assert calls(sandbox)[7:] == ["/add-users", "/add-users"]
        assert served.files == staged
        assert (found["rows_read"], [call["action"] for call in found["calls"]]) == (
            5,
            ["create", "add_users", "add_users"],
        )
        assert context["task_state_store"] == {}
        filled()
        assert sandbox.segments[0]["user_count"] == 5

    def test_a_used_up_hour_is_waited_for_elsewhere(self, sandbox, warehouse, served, transfer, clock):
        warehouse.fill([f"u-{number:02}" for number in range(11)])
        operator = transfer(deferrable=True)
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({})
        assert calls(sandbox).count("/add-users") == 9
        kwargs = json.loads(json.dumps(deferred.value.kwargs))
        assert "u-0" not in json.dumps(kwargs)
        assert len(served.files) == 11
        warehouse.drop()
        sandbox.move_clock(timedelta(hours=2))
        clock.move(7_200)

        found = transfer(deferrable=True).execute_complete({}, **kwargs)

        assert len(found["calls"]) == len(calls(sandbox)) == 11


class TestRetries:
    def test_an_upload_that_fails_is_made_again_and_nothing_was_sent(
        self, sandbox, warehouse, served, transfer, monkeypatch
    ):
        warehouse.fill(IDS)
        context = {"task_state_store": Store()}
        with monkeypatch.context() as patch:
            # What is left of an upload that did not come whole.
            patch.setattr(
                "fsspec.implementations.local.LocalFileSystem.put_file",
                lambda _self, _file, to: Path(to).write_text("u"),
            )
            with pytest.raises(OSError, match="1 of the 11 bytes"):
                transfer().execute(context)
        assert calls(sandbox) == []

        found = transfer().execute(context)

        assert calls(sandbox) == ["/create"]
        assert Path(found["staged_files"][0].removeprefix("file://")).stat().st_size == 11

    @pytest.mark.parametrize("there", [False, True])
    def test_an_answer_that_is_lost(self, sandbox, warehouse, transfer, filled, there):
        """A create is looked for; to replace by the same file again changes nothing."""
        warehouse.fill(IDS)
        if there:
            sandbox.add_segment(name="vip", kind="file")
        sandbox.fail_next(method="PUT" if there else "POST", fault="lost-answer")
        found = transfer().execute({})
        assert found["cs_id"] == sandbox.segments[0]["id"]
        assert calls(sandbox) == (["/replace"] * 2 if there else ["/create"])
        filled()
        assert sandbox.segments[0]["user_count"] == 3

    def test_what_is_uploaded_is_not_uploaded_again(self, sandbox, warehouse, served, transfer):
        sandbox.add_segment(name="vip", kind="file")
        warehouse.fill(IDS)
        context = {"task_state_store": Store()}
        sandbox.fail_next(6, method="PUT", status=500)
        with pytest.raises(ServerError):
            transfer().execute(context)
        staged = served.files
        warehouse.drop()
        assert transfer().execute(context)["rows_written"] == 3
        assert served.files == staged

    @pytest.mark.parametrize("changed", ["the query", "cleared", "too old"])
    def test_what_was_done_of_something_else_counts_for_nothing(
        self, sandbox, warehouse, served, transfer, monkeypatch, changed
    ):
        sandbox.add_segment(name="vip", kind="file")
        warehouse.fill(IDS)
        context = {"task_state_store": Store(), "ti": types.SimpleNamespace(try_number=1, max_tries=1)}
        sandbox.fail_next(6, method="PUT", status=500)
        with pytest.raises(ServerError):
            transfer().execute(context)
        (old,) = served.files
        warehouse.fill(IDS[:2])
        arguments = {"sql": "select id from users where 1"} if changed == "the query" else {}
        if changed == "cleared":
            context["ti"].max_tries = 2
        if changed == "too old":
            # Its file may be deleted before MoEngage fetches it.
            store = context["task_state_store"]["moengage_audience"]["staged"]
            store["kept_until"] -= timedelta(days=2).total_seconds()
        assert transfer(**arguments).execute(context)["rows_written"] == 2
        assert len(served.files) == 2
        assert old.read_text().count("\n") == 2

    @pytest.mark.parametrize("broken", ["get", "set", "delete"])
    def test_a_store_that_does_not_work_is_no_reason_to_stop(self, sandbox, warehouse, transfer, log, broken):
        def fail(*_):
            raise RuntimeError("the api-server is away")

        warehouse.fill(IDS)
        store = Store()
        setattr(store, broken, fail)
        assert transfer().execute({"task_state_store": store})["calls"]
        assert "the api-server is away" in log()


class TestStagedFiles:
    def test_the_log_has_no_address_that_leads_to_a_file(self, sandbox, warehouse, served, transfer, log):
        """Where no storage signs, whoever knows the name can fetch it."""
        warehouse.fill(IDS)
        operator = transfer()
        operator.execute({})
        said = log()
        assert f"{served.url}/{operator.dag_id}/sync/***" in said
        assert served.files[0].name not in said

    @pytest.mark.parametrize("keep", [False, True])
    def test_a_run_deletes_what_nobody_can_fetch_any_more(self, sandbox, warehouse, served, transfer, keep, log):
        warehouse.fill(IDS)
        folder = served.folder / transfer().dag_id / "sync"
        folder.mkdir(parents=True)
        token = Staging.new_token()
        old, fresh = f"20260101T000000Z-{token}-0.csv", f"29990101T000000Z-{token}-0.csv"
        for name in (old, fresh, "ids.csv", f"20260101T000000Z-{token}-0.csv.bak"):
            (folder / name).write_text("u-1")
        transfer(keep_staged_file=keep).execute({})
        assert ((folder / old).exists(), len(served.files)) == (keep, 5 if keep else 4)
        assert ("Deleted 1 staged file, of" in log()) is not keep

    def test_its_own_is_kept_until_its_address_has_expired(self, sandbox, warehouse, served, transfer):
        warehouse.fill(IDS)
        transfer(url_expires_in=timedelta(days=7)).execute({})
        (file,) = served.files
        until = pendulum.from_format(file.name.partition("Z-")[0], "YYYYMMDD[T]HHmmss", tz="UTC")
        assert timedelta(days=7) <= until - pendulum.now("UTC") < timedelta(days=9)

    def test_a_storage_that_does_not_list_is_no_reason_to_fail(self, sandbox, warehouse, transfer, monkeypatch, log):
        def fail(*_, **__):
            raise PermissionError

        monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.ls", fail)
        warehouse.fill(IDS)
        assert transfer().execute({})["calls"]
        assert "Staged files that are not needed any more stay: PermissionError." in log()


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run(sandbox, warehouse, served, transfer, there):
    warehouse.fill([*IDS, "u-1"])
    if there:
        sandbox.add_segment(name="vip", kind="file")
    found = transfer(dry_run=True).execute({})
    assert found["action"] == ("replace" if there else "create")
    assert found["changes"] == ["3 values would be uploaded: 1 file, 11 bytes."]
    # A task that reports on it finds what it finds after a run.
    assert (found["cs_name"], found["cs_id"]) == ("vip", sandbox.segments[0]["id"] if there else None)
    assert (found["rows_read"], found["rows_written"], found["left_out"]["duplicate"]) == (4, 3, 1)
    assert (found["bytes"], found["calls"], found["staged_files"]) == (11, [], [])
    assert "min_rows is 4" in refusal_of(transfer(dry_run=True, min_rows=4))
    assert (calls(sandbox), served.files) == ([], [])


class TestInADagRun:
    def test_a_query_in_a_file_and_the_number_of_the_last_run(self, sandbox, warehouse, transfer, run_dag, tmp_path):
        (tmp_path / "vips.sql").write_text("select id from users where id <> '{{ params.without }}'")
        with new_dag("sql_to_segment", params={"without": "u-9"}, template_searchpath=[str(tmp_path)]) as dag:
            transfer(sql="vips.sql")
        warehouse.fill([*IDS, "u-9"])
        first, second, third = (pendulum.now("UTC").subtract(days=days) for days in (21, 14, 7))
        assert run_dag(dag, first).xcoms["sync"]["rows_written"] == 3
        warehouse.fill(f"u-1{number}" for number in range(10))

        run = run_dag(dag, second)

        assert run.states == {"sync": "failed"}
        assert "There are 10 values to write, and the last run had 3: a difference of 233%" in run.log
        warehouse.fill(IDS[:2])
        # The run that failed has written nothing.
        assert run_dag(dag, third).xcoms["sync"]["rows_written"] == 2
        assert calls(sandbox) == ["/create", "/replace"]
        with create_session() as session:
            stored = session.scalars(
                select(RenderedTaskInstanceFields).where(RenderedTaskInstanceFields.dag_id == "sql_to_segment")
            )
            assert "where id <> 'u-9'" in json.dumps([row.rendered_fields for row in stored])


def test_what_the_database_cannot_compute_is_not_shown(sandbox, warehouse, transfer, monkeypatch, log):
    """The words of a driver have the value in them."""

    class DataError(Exception):
        sqlstate = "22P02"

    def read(*_):
        raise DataError(WORDS)

    monkeypatch.setattr("airflow_provider_moengage.transfers.query._column_of", read)
    warehouse.fill(IDS)
    said = refusal_of(transfer())
    assert "could not compute a row of the query (DataError, SQLSTATE 22P02)" in said
    assert "do-not" not in said + log()


@pytest.mark.parametrize("row", [0, 5_000])
def test_what_sqlite_cannot_decode_is_not_shown(sandbox, warehouse, served, transfer, log, row):
    """Its driver calls that an OperationalError, as it does a lost disk."""
    values = [f"u-{number}" for number in range(row)]
    warehouse.fill([*values, WORDS.encode() + b"\xff"])
    said = refusal_of(transfer(sql="select cast(id as text) as id from users"))
    assert "could not compute a row of the query (OperationalError)" in said
    assert "do-not" not in said + log()
    assert (calls(sandbox), served.files) == ([], [])


class ProgrammingError(Exception):
    """As Snowflake's driver raises."""

    sqlstate = "22018"


def test_an_error_of_the_query_about_a_value_is_not_shown(sandbox, transfer, monkeypatch, log):
    def execute(_):
        raise ProgrammingError(f"Numeric value '{WORDS}' is not recognized")

    cursor = types.SimpleNamespace(execute=execute, close=lambda: None)
    monkeypatch.setattr("airflow_provider_moengage.transfers.query._cursor_of", lambda _: cursor)
    said = refusal_of(transfer())
    assert "could not compute a row of the query (ProgrammingError, SQLSTATE 22018)" in said
    assert "do-not" not in said + log()


def test_whatever_a_driver_says_while_rows_are_fetched_is_not_shown_and_tried_again(
    sandbox, warehouse, transfer, monkeypatch, log
):
    class GoneError(Exception):
        sqlstate = WORDS

    def read(*_):
        raise GoneError(WORDS)

    monkeypatch.setattr("airflow_provider_moengage.transfers.query._column_of", read)
    warehouse.fill(IDS)
    with pytest.raises(RowsNotReadError, match=r"while the rows of the query were read \(GoneError\)") as caught:
        transfer().execute({})
    assert WORDS not in "".join(traceback.format_exception(caught.value)) + log()
    assert caught.value.__context__ is None


def test_what_is_wrong_with_the_query_is_shown(sandbox, transfer):
    with pytest.raises(sqlite3.OperationalError, match="no such table: orders"):
        transfer(sql="select id from orders").execute({})


def test_without_the_extra(sandbox, transfer, monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.common.sql.hooks.sql", None)
    assert "install airflow-provider-moengage[sql]" in refusal_of(transfer())


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="nothing of Airflow 2 takes the callback")
class TestTheWait:
    """That a callback reaches Airflow is for the tests of the operators; here it is what becomes of the file."""

    @pytest.fixture
    def context(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__MOENGAGE__CALLBACK_BASE_URL", "http://127.0.0.1:9")
        xcoms = {}
        ti = types.SimpleNamespace(
            dag_id="d",
            run_id="r",
            task_id="sync",
            map_index=-1,
            try_number=1,
            max_tries=1,
            xcom_push=lambda key, value: xcoms.update({key: value}),
            xcom_pull=lambda **_: None,
        )
        return {"ti": ti, "task_state_store": Store()}

    def test_several_files_are_expected_as_parts_of_one(self, sandbox, warehouse, transfer, context, monkeypatch):
        """Their callbacks make one event, with the last."""
        monkeypatch.setattr(audience_file, "MAX_FILE_BYTES", 7)
        pushed = {}
        context["ti"].xcom_push = lambda key, value: pushed.update({key: value})
        warehouse.fill([f"u-{number}" for number in range(5)])
        transfer(callback_url="airflow").execute(context)
        expected = [value for key, value in pushed.items() if key.startswith("moengage_request_")]
        assert expected == ["expected: 1 of 3", "expected: 2 of 3", "expected: 3 of 3"]

    @staticmethod
    def called_back(deferred, done):
        """What the trigger gives to a task whose callbacks have come."""
        fields = ("request_id", "segment_name", "status", "values_found", "values_processed", "user_count")
        payload = {"db_name": "d", **{field: getattr(done, field) for field in fields}}
        carried = json.loads(json.dumps(deferred.trigger.serialize()[1]["carried"]))
        return {"status": "called_back", "outcomes": [payload], "carried": carried}

    @pytest.mark.parametrize("keep", [False, True])
    def test_the_file_is_deleted_once_moengage_has_it(
        self, sandbox, warehouse, served, transfer, filled, context, keep
    ):
        warehouse.fill(IDS)
        arguments = {"wait": True, "deferrable": True, "keep_staged_file": keep}
        with pytest.raises(TaskDeferred) as deferred:
            transfer(**arguments).execute(context)
        assert len(served.files) == 1
        (done,) = filled()

        event = self.called_back(deferred.value, done)
        found = transfer(**arguments).take_callbacks(context, event)

        assert (found["rows_written"], found["values_found"], found["user_count"]) == (3, 3, 3)
        assert len(served.files) == keep
        assert context["task_state_store"] == {}

    def test_a_retry_makes_the_calls_again_since_it_waits_for_other_callbacks(
        self, sandbox, warehouse, served, transfer, context
    ):
        warehouse.fill(IDS)
        with pytest.raises(TaskDeferred):
            transfer(wait=True, deferrable=True).execute(context)
        warehouse.drop()
        staged = served.files
        with pytest.raises(TaskDeferred):
            transfer(wait=True, deferrable=True).execute(context)
        assert calls(sandbox) == ["/create", "/replace"]
        assert served.files == staged
        addresses = {request.json["callback_url"] for request in sandbox.requests if request.method != "GET"}
        assert len(addresses) == 2

    @pytest.mark.parametrize(
        ("faults", "is_kept"),
        [
            ([{"fault": "lost-answer"}], True),
            ([{"status": 429, "headers": {"Retry-After": "0"}}], False),
            # What comes after the deferral is the second of two all the same.
            ([{"fault": "lost-answer"}, {"status": 429, "headers": {"Retry-After": "3600"}}], True),
        ],
        ids=["the answer is lost", "refused", "lost, then a deferral"],
    )
    def test_a_call_that_moengage_may_hold_twice_keeps_its_file(
        self, sandbox, warehouse, served, transfer, filled, context, clock, log, faults, is_kept
    ):
        """The second one would find no file, and fail what the first has done."""
        sandbox.add_segment(name="vip", kind="file")
        warehouse.fill(IDS)
        for fault in faults:
            sandbox.fail_next(method="PUT", **fault)
        operator = transfer(wait=True, deferrable=True)
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(context)
        if len(faults) == 2:
            kwargs = json.loads(json.dumps(deferred.value.kwargs))
            clock.move(7_200)
            with pytest.raises(TaskDeferred) as deferred:
                transfer(wait=True, deferrable=True).execute_complete(context, **kwargs)
        event = self.called_back(deferred.value, filled()[0])

        found = transfer(wait=True, deferrable=True).take_callbacks(context, event)

        assert [call["repeated"] for call in found["calls"]] == [is_kept]
        assert len(served.files) == is_kept
        assert ("MoEngage may hold 1 call twice" in log()) is is_kept
        assert [request.status for request in sandbox.files.requests] == [201] * (2 if is_kept else 1)

    def test_what_an_earlier_try_has_sent_may_be_fetched_still(
        self, sandbox, warehouse, served, transfer, filled, context, log
    ):
        """A worker that was killed has written down nothing of its last call."""
        sandbox.add_segment(name="vip", kind="file")
        warehouse.fill(IDS)
        for _ in range(2):
            with pytest.raises(TaskDeferred) as deferred:
                transfer(wait=True, deferrable=True).execute(context)
        _, done = filled()
        transfer(wait=True, deferrable=True).take_callbacks(context, self.called_back(deferred.value, done))
        assert len(served.files) == 1
        assert "or an earlier try has made the same." in log()
        # As all others, once nobody can fetch it.
        (file,) = served.files
        file.rename(file.with_name(re.sub(r"^\d{4}", "2020", file.name)))
        assert transfer().execute({})["calls"]
        assert [left.name[:4] for left in served.files] != ["2020"]
        assert len(served.files) == 1


SYNC = """
from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator
import json, sys
SqlToFileSegmentOperator(**json.load(sys.stdin)).execute({})
"""
# Rows without an end.
ENDLESS = "with recursive n (id) as (select 1 union all select id + 1 from n) select id from n"


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
@pytest.mark.parametrize("killed_while", ["it reads", "it calls"])
def test_a_killed_worker(sandbox, warehouse, served, transfer, filled, tmp_path, killed_while):
    """The audience is as it was, or as it shall be; and the next try makes it so."""
    sandbox.add_segment(name="vip", kind="file", user_count=7)
    warehouse.fill(IDS)
    arguments = {
        "task_id": "sync",
        "conn_id": "warehouse",
        "name": "vip",
        "attribute_name": "ID",
        "attribute_type": "string",
        "sql": ENDLESS if killed_while == "it reads" else "select id from users",
        **served.arguments,
    }
    sandbox.fail_next(method="PUT", fault="silence")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SYNC], stdin=subprocess.PIPE, env={**os.environ, "TMPDIR": str(temporary)}, text=True
    ) as worker:
        worker.stdin.write(json.dumps(arguments))
        worker.stdin.close()
        while not (list(temporary.glob("*/values-*")) if killed_while == "it reads" else calls(sandbox)):
            assert worker.poll() is None
            time.sleep(0.05)
        worker.kill()
    assert calls(sandbox) == ([] if killed_while == "it reads" else ["/replace"])
    assert sandbox.segments[0]["user_count"] == 7
    sandbox.clear_faults()

    assert transfer().execute({})["rows_written"] == 3
    filled()
    assert sandbox.segments[0]["user_count"] == 3
