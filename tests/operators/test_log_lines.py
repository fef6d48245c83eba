"""What operators write into a task's log fits a screen, whatever the names: the whole names are in the XCom."""

from __future__ import annotations

import logging
import re

import pytest

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
from airflow_provider_moengage.segments.log_lines import LINE_CHARACTERS, warn
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from tests.support import filters, new_dag, once

LONG = "camp " + "of a long name " * 9 + "{number}"
FILE = {
    "attribute_name": "ID",
    "attribute_type": "string",
    "file_url": f"https://bucket.example.com/{'folder/' * 20}ids.csv?X-Amz-Signature=5f1a7c3e9b2d4f6081a3c5e7092b4d6f",
}
OURS = re.compile(r"\[(?:info|warning) *\] (.*?) *\[(?:[\w.]*\.)?airflow_provider_moengage\.")


def name(number):
    return LONG.format(number=number)


def lines_of(log):
    return OURS.findall(log)


@once
@pytest.mark.parametrize("dry_run", [False, True], ids=["", "dry run"])
def test_of_operators_for_one_segment(sandbox, run_dag, dry_run):
    ids = [sandbox.add_segment(name=name(number), kind=kind)["id"] for number, kind in enumerate(["filter", "file"])]
    archived = sandbox.add_segment(name=name(2), archived=True)["id"]
    how = {"dry_run": dry_run}
    with new_dag(f"lines_of_one_{dry_run}") as dag:
        UpdateSegmentOperator(task_id="update", segment_id=ids[0], included_filters=filters("Agra"), **how)
        CreateSegmentOperator(task_id="create", name=name(3), included_filters=filters(), **how)
        CreateSegmentOperator(task_id="there", name=name(0), included_filters=filters("Goa"), if_exists="skip", **how)
        CreateSegmentOperator(
            task_id="as_wanted", name=name(0), included_filters=filters("Goa"), if_exists="update", **how
        )
        UnarchiveSegmentOperator(task_id="unarchive", name=f"not {name(2)}", segment_id=archived, **how)
        CreateFileSegmentOperator(task_id="file", name=name(4), expiry_days=30, **FILE, **how)
        changes = [
            kind(task_id=kind.__name__, name=name(1), **FILE, **how)
            for kind in (AddUsersOperator, RemoveUsersOperator, ReplaceUsersOperator)
        ]
        archive = ArchiveSegmentOperator(task_id="archive", name=name(1), type="FILE", **how)
        found = SegmentExistsSensor(task_id="found", name=name(1))
        changes >> archive >> found
    run = run_dag(dag)
    assert set(run.states.values()) == {"success"}
    lines = lines_of(run.log)
    said = (
        ("Dry run, nothing is changed", "would archive")
        if dry_run
        else ("Archived the segment 'camp of a", "for good on")
    )
    assert all(any(text in line for line in lines) for text in said)
    assert [line for line in lines if len(line) > LINE_CHARACTERS] == []
    assert name(1) in str(run.xcoms["archive"])


@once
def test_of_calls_that_are_sent_again(sandbox, run_dag, caplog):
    """What the client says has the path of the call in it, and what the network has said."""
    sandbox.add_segment(name=name(1), kind="file")
    for fault in ({"fault": "lost-answer"}, {"status": 500}, {"status": 429, "headers": {"Retry-After": "1"}}):
        sandbox.fail_next(method="PUT", **fault)
    with new_dag("lines_of_calls") as dag:
        RemoveUsersOperator(task_id="remove", name=name(1), **FILE)
    run = run_dag(dag)
    assert run.states == {"remove": "success"}
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_moengage.")]
    assert len([line for line in lines if "sent again in" in line]) == 3
    assert [line for line in lines if len(line) > LINE_CHARACTERS] == []


@once
@pytest.mark.parametrize("kind", [ArchiveSegmentsOperator, UnarchiveSegmentsOperator])
def test_of_operators_for_many(sandbox, run_dag, kind):
    is_archive = kind is ArchiveSegmentsOperator
    segments = [
        {"name": segment["name"], "segment_id": segment["id"], "type": "FILE"}
        for segment in (sandbox.add_segment(name=name(number), archived=not is_archive) for number in range(25))
    ]
    sandbox.fail_next(status=400, segment=name(7))
    files = {"include_file_segments": True} if is_archive else {}
    with new_dag(f"lines_of_many_{kind.__name__}") as dag:
        select = ListSegmentsOperator(task_id="list", name_pattern="camp*", older_than="P0D")
        preview = kind(task_id="preview", segments=segments, dry_run=True, **files)
        change = kind(task_id="change", segments=[*segments, segments[0]], on_error="warn", **files)
        select >> preview >> change
    run = run_dag(dag)
    assert set(run.states.values()) == {"success"}
    lines = lines_of(run.log)
    assert any("24 succeeded, 0 skipped, 1 failed" in line for line in lines)
    assert [line for line in lines if len(line) > LINE_CHARACTERS] == []
    assert name(7) in str(run.xcoms["change"]["failed"])


@pytest.mark.parametrize(
    "text",
    [
        "One sentence. " * 30,
        "one sentence that goes on " * 30,
        "x" * 1_000,
        f"Short. {'long ' * 40}.",
    ],
)
def test_sentences_stay_whole_where_they_fit(text, caplog):
    warn(logging.getLogger("lines"), text)
    lines = [record.getMessage() for record in caplog.records if record.name == "lines"]
    assert all(len(line) <= LINE_CHARACTERS for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(line.startswith("  ") for line in lines[1:])
    if text.startswith("One"):
        assert all(line.endswith("One sentence.") for line in lines)
