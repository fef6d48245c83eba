"""What became of many segments, in words, as XCom and as an error."""

from __future__ import annotations

import copy
import pickle

import pytest

from airflow_provider_moengage.client import errors
from airflow_provider_moengage.segments.bulk_plan import Segment
from airflow_provider_moengage.segments.bulk_report import (
    Outcome,
    Report,
    SegmentsFailedError,
    keys_in,
    lines_of_names,
    outcome_of,
    table_of_failures,
)


def report_of(number: int) -> Report:
    return Report(Segment(f"camp_{index}") for index in range(number))


def test_a_segment_that_is_gone():
    gone = errors.SegmentNotFoundError("none of this name")
    assert outcome_of(Segment("a"), gone, gone_is_done=False).result == "failed"
    assert outcome_of(Segment("a"), gone, gone_is_done=True).result == "skipped"
    assert outcome_of(Segment("a"), errors.ServerError("no"), gone_is_done=True).result == "failed"


class TestReporting:
    def report(self, number, reason="no"):
        report = report_of(number)
        for segment in report.segments:
            report.record(Outcome(segment, "failed", reason))
        return report

    def test_a_table_of_so_many_rows(self):
        head, *rows, more = table_of_failures(self.report(50, "it was refused"))
        assert head.split() == ["name", "segment_id", "error"]
        assert len(rows) == 20
        assert {row.index("it was refused") for row in rows} == {head.index("error")}
        assert more == "... and 30 more, which the XCom has."
        assert table_of_failures(report_of(3)) == []

    @pytest.mark.parametrize("text", ["a\n[2026-11-02] INFO - all is well", "\x1b[2J", "\u2028", "x" * 5_000, "\u202e"])
    def test_no_text_makes_a_line_of_its_own(self, text):
        segment = Segment(text, text)
        report = Report([segment])
        error = errors.BadRequestError(text, status=400, code=text, response_id=text, call=text)
        report.record(outcome_of(segment, error, gone_is_done=False))
        lines = [*table_of_failures(report), str(SegmentsFailedError(report))]
        assert all(line.isprintable() and len(line) < 2_500 for line in lines)

    def test_a_retry_makes_sense_when_it_can_mend_one(self):
        report = self.report(3)
        assert not SegmentsFailedError(report).retryable
        report.record(Outcome(report.segments[2], "failed", "later", retryable=True))
        assert SegmentsFailedError(report).retryable
        with pytest.raises(SegmentsFailedError, match="3 of 3 have failed"):
            report.raise_if_failed(tolerate_failures=False)
        report.raise_if_failed(tolerate_failures=True)

    def test_the_error_reaches_another_process(self):
        report = self.report(3)
        report.record(Outcome(report.segments[2], "failed", "later", retryable=True))
        error = SegmentsFailedError(report)
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301 - its own
            assert type(again) is SegmentsFailedError
            assert str(again) == str(error)
            assert again.retryable
            assert again.args == error.args


def test_names_in_a_log():
    assert lines_of_names("archived:", []) == []
    assert lines_of_names("archived:", [Segment("a")]) == ["archived: 'a'"]
    lines = lines_of_names("archived:", [Segment(f"camp_{'x' * number * 5}\n") for number in range(300)])
    assert all(len(line) <= 120 and line.isprintable() for line in lines)
    assert sum(line.count("camp_") for line in lines) == 20
    assert lines[-1].endswith("and 280 more")


def test_what_another_run_has_done():
    report = Report([Segment("a"), Segment("b", "1F"), Segment("c"), Segment("d")])
    report.record(Outcome(report.segments[0]))
    report.record(Outcome(report.segments[1], "skipped", "done"))
    report.record(Outcome(report.segments[2], "failed", "no"))
    assert keys_in(report.as_xcom()) == {"name:a", "id:1f"}
    report.done_before = frozenset({"name:a"})
    assert report.as_xcom()["done_before"] == [{"name": "a", "segment_id": None}]
