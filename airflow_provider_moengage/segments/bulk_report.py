"""What has become of each of many segments: the report of a run, its XCom, its table of failures, its error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_moengage.client.errors import MoEngageError, SegmentNotFoundError
from airflow_provider_moengage.segments.bulk_plan import Segment
from airflow_provider_moengage.segments.log_lines import LINE_CHARACTERS, short

Result = Literal["succeeded", "skipped", "failed"]
RESULTS: tuple[Result, ...] = ("succeeded", "skipped", "failed")

_SHOWN_FAILURES = 20
_SHOWN_NAMES = 20


@dataclass(frozen=True)
class Outcome:
    """
    What became of one segment.

    :param segment: which.
    :param result: ``succeeded``, ``skipped`` or ``failed``.
    :param reason: why it was skipped or has failed, with the server's own words.
    :param retryable: whether a later try can mend the failure.
    """

    segment: Segment
    result: Result = "succeeded"
    reason: str = ""
    retryable: bool = False


def outcome_of(segment: Segment, error: MoEngageError | None, *, gone_is_done: bool) -> Outcome:
    """
    Decide what a call means for its segment.

    :param segment: which.
    :param error: what the call has raised, None for nothing.
    :param gone_is_done: whether a segment that is not there any more counts as done.
    :return: what became of it.
    """
    if error is None:
        return Outcome(segment)
    if gone_is_done and isinstance(error, SegmentNotFoundError):
        return Outcome(segment, "skipped", "MoEngage does not show it any more, which a repeated try takes for done")
    return Outcome(segment, "failed", str(error), error.retryable)


class Report:
    """
    What has become of each segment so far.

    :param segments: all of them, in their order.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        self.segments = tuple(segments)
        self.ended_by: MoEngageError | None = None
        """What has ended the run before its end; the segments left are neither done nor failed."""
        self.done_before: frozenset[str] = frozenset()
        """Keys of the segments that an earlier run of the DAG has done already, as far as its XCom is still there."""
        self._outcomes: dict[str, Outcome] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def record(self, outcome: Outcome) -> None:
        """
        Record one segment.

        :param outcome: what became of it.
        """
        self._outcomes[outcome.segment.key] = outcome

    def record_keys(self, keys: Collection[str], result: Result, reason: str = "") -> None:
        """
        Record segments that are done already.

        :param keys: those of the segments; keys of others are no harm.
        :param result: what to call it.
        :param reason: why.
        """
        known = frozenset(keys)
        for segment in self.untried:
            if segment.key in known:
                self.record(Outcome(segment, result, reason))

    @property
    def untried(self) -> list[Segment]:
        """The segments of which nothing is known yet, in their order."""
        return [segment for segment in self.segments if segment.key not in self._outcomes]

    def of(self, *results: Result) -> list[Outcome]:
        """
        Give the segments with these results.

        :param results: which.
        :return: what became of them, in their order.
        """
        known = (self._outcomes.get(segment.key) for segment in self.segments)
        return [outcome for outcome in known if outcome and outcome.result in results]

    def keys_of(self, *results: Result) -> list[str]:
        """
        Give the keys of the segments with these results.

        :param results: which.
        :return: the keys, in the order of the segments.
        """
        return [outcome.segment.key for outcome in self.of(*results)]

    def as_xcom(self) -> dict[str, list[dict[str, Any]]]:
        """
        Put it into JSON.

        :return: ``{"succeeded": [{name, segment_id}], "skipped": [{name, segment_id, reason}], "failed": [{name,
            segment_id, error}]}``, each with ``created_time``, ``type`` and ``source`` where those were given; and
            ``done_before``, those of ``succeeded`` that an earlier run has done, where there are some.
        """
        reason_key = {"succeeded": None, "skipped": "reason", "failed": "error"}
        xcom: dict[str, list[dict[str, Any]]] = {
            result: [_entry(outcome, reason_key[result]) for outcome in self.of(result)] for result in RESULTS
        }
        # Not within the entries, which other operators take as their arguments.
        again = [_entry(outcome, None) for outcome in self.again()]
        return {**xcom, "done_before": again} if again else xcom

    def entries(self, segments: Iterable[Segment]) -> list[dict[str, Any]]:
        """
        Put segments into JSON, as they are in the XCom.

        :param segments: which.
        :return: ``{name, segment_id}`` and what else was given of each.
        """
        return [_entry(Outcome(segment), None) for segment in segments]

    def again(self) -> list[Outcome]:
        """Give those that have succeeded once more: an earlier run of the DAG has done them already."""
        return [outcome for outcome in self.of("succeeded") if outcome.segment.key in self.done_before]

    def raise_if_failed(self, *, tolerate_failures: bool) -> None:
        """
        Raise what the run has come to.

        :param tolerate_failures: whether segments that have failed raise nothing.
        :raises MoEngageError: what has ended the run early, whatever ``tolerate_failures`` says, since segments are
            left.
        :raises SegmentsFailedError: when segments have failed; whatever ``tolerate_failures`` says when it was the
            server that has failed, each time.
        """
        if self.ended_by:
            raise self.ended_by
        failed = self.of("failed")
        server_fails = len(failed) == len(self.segments) and all(outcome.retryable for outcome in failed)
        if failed and (server_fails or not tolerate_failures):
            raise SegmentsFailedError(self)


class SegmentsFailedError(MoEngageError):
    """
    Some of many segments have failed. A retry makes sense when it does for one of them.

    :param report: what became of each.
    """

    headline = "Not every segment is done"

    def __init__(self, report: Report) -> None:
        failed = report.of("failed")
        have = "has" if len(failed) == 1 else "have"
        super().__init__(
            f"{len(failed):,} of {len(report.segments):,} {have} failed; the log and the XCom have the reasons. The "
            f"first: {short(failed[0].segment.name)}: {failed[0].reason}"
        )
        self.retryable = any(outcome.retryable for outcome in failed)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the report: whoever gets the error in another process gets its sentence, and what its type says.
        return _error_again, (type(self), self.args, self.__dict__)


def table_of_failures(report: Report) -> list[str]:
    """
    Show the failures with their reasons.

    :param report: what has become of each.
    :return: the lines of a table, the first 20 failures at most; none without failures. No text of a server makes a
        line of its own.
    """
    failed = report.of("failed")
    rows = [
        (short(one.segment.name), short(one.segment.segment_id or ""), one.reason) for one in failed[:_SHOWN_FAILURES]
    ]
    if not rows:
        return []
    rows.insert(0, ("name", "segment_id", "error"))
    name_width, id_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{name:<{name_width}}  {segment_id:<{id_width}}  {error}" for name, segment_id, error in rows]
    if len(failed) > _SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - _SHOWN_FAILURES} more, which the XCom has.")
    return lines


def _error_again(kind: type[SegmentsFailedError], args: tuple[Any, ...], state: dict[str, Any]) -> SegmentsFailedError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def lines_of_names(head: str, segments: Sequence[Segment]) -> list[str]:
    """
    Name segments in a log, whose lines are not to be longer than a screen is wide.

    :param head: what the first line begins with.
    :param segments: which.
    :return: lines of at most 120 characters with the first 20 names, and how many more there are.
    """
    words = [short(segment.name) for segment in segments[:_SHOWN_NAMES]]
    if more := len(segments) - len(words):
        words.append(f"and {more:,} more")
    lines = [head]
    for index, word in enumerate(words):
        text = word if index == len(words) - 1 else f"{word},"
        if len(lines[-1]) + 1 + len(text) > LINE_CHARACTERS:
            lines.append(f"  {text}")
        else:
            lines[-1] += f" {text}"
    return lines if words else []


def keys_in(xcom: Any) -> frozenset[str]:
    """
    Read what a run says that it has done.

    :param xcom: what :meth:`Report.as_xcom` gave, or anything.
    :return: the keys of those segments.
    """
    lists = (xcom.get(result) for result in ("succeeded", "skipped")) if isinstance(xcom, Mapping) else ()
    entries = (entry for one in lists if isinstance(one, list) for entry in one if isinstance(entry, Mapping))
    return frozenset(
        Segment(entry["name"], entry.get("segment_id")).key for entry in entries if isinstance(entry.get("name"), str)
    )


def _entry(outcome: Outcome, reason_key: str | None) -> dict[str, Any]:
    segment = outcome.segment
    entry = {"name": segment.name, "segment_id": segment.segment_id, **segment.listed}
    return {**entry, reason_key: outcome.reason} if reason_key else entry
