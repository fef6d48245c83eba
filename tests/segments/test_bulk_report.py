"""What became of many segments, in words, as XCom and as an error."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.client import errors
from airflow_provider_moengage.segments.bulk_plan import Segment
from airflow_provider_moengage.segments.bulk_report import (
    Outcome,
    Report,
    SegmentsFailedError,
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
