"""
Many segments in one task: what is to be done, a few calls at once, and what became of each. Nothing here knows Airflow.

The decisions are functions of their arguments (:func:`plan_of`, :func:`outcome_of`, :func:`ends_the_run`); only
:class:`BulkRun` has threads. They are daemons, and the thread that runs the task only ever waits for them a fraction of
a second at a time: a signal is heard, and no thread that sleeps before a retry keeps the process alive.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    AuthenticationError,
    EndpointNotFoundError,
    InvalidInputError,
    MoEngageError,
    OtherSegmentError,
    ProxyRefusedError,
    RateLimitError,
    RedirectError,
    SegmentNotFoundError,
    TlsError,
    shown,
)
from airflow_provider_moengage.client.inputs import check_text, kind_of

MOST_CALLS_AT_ONCE = 16
"""What ``concurrency`` may be at most, and how many connections a client keeps alive."""

PROGRESS_SECONDS = 5.0
"""Seconds between two progress lines."""

# What was done since then is done once more when the worker is killed without a chance to say goodbye.
KEEP_SECONDS = 1.0

SERVER_FAILURES_IN_A_ROW = 20
"""So many calls in a row that fail through no fault of their segments end a run: nobody is there to answer."""

# The one type of a segment that is made of filters (API document: get by id); no document names that of a file.
_FILTER_TYPE = "elastic_search"

# What a list shows of a segment beside its name and id.
_LISTED = ("created_time", "type", "source")

_SHOWN_FAILURES = 20
_SHOWN_NAMES = 5
_CELL_CHARACTERS = 60

# How soon a kill is noticed, and how long calls under way may take then, so that they are known to be done.
_NAP_SECONDS = 0.2
_GRACE_SECONDS = 0.7

# What every further call would meet too. MoEngage acting on the wrong segment above all must not happen twice.
_ENDING = (
    RateLimitError,
    AuthenticationError,
    EndpointNotFoundError,
    RedirectError,
    TlsError,
    ProxyRefusedError,
    OtherSegmentError,
    ActiveSegmentLimitError,
)

Result = Literal["succeeded", "skipped", "failed"]
_RESULTS: tuple[Result, ...] = ("succeeded", "skipped", "failed")


class SegmentsFailedError(MoEngageError):
    """
    Some of many segments have failed. A retry makes sense when it does for one of them.

    :param report: what became of each.
    """

    headline = "Not every segment is done"

    def __init__(self, report: Report) -> None:
        failed = report.of("failed")
        super().__init__(
            f"{len(failed)} of {len(report.segments)} have failed; the log and the XCom have the reasons. The first: "
            f"{_cell(failed[0].segment.name)}: {failed[0].said}"
        )
        self.retryable = any(outcome.retryable for outcome in failed)


class KilledError(Exception):
    """The task was asked to end while segments were still waiting. Airflow's own retries carry on with those."""


@dataclass(frozen=True)
class Segment:
    """
    One of the segments to be changed.

    :param name: its name.
    :param segment_id: its id, which wins over the name; None when it is not known.
    :param type: as the API shows it, ``ELASTIC_SEARCH`` for a filter segment; None when it is not known.
    :param listed: what else a list has shown of it. Whoever takes the segment from the XCom needs that again: with
        ``created_time`` its name is rendered as no template, without ``type`` no file segment is refused.
    """

    name: str
    segment_id: str | None = None
    type: str | None = None
    listed: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """What tells it from others, and what is kept of it between two tries."""
        return f"name:{self.name}" if self.segment_id is None else f"id:{self.segment_id.casefold()}"

    @property
    def is_known_to_be_no_filter_segment(self) -> bool:
        """Whether it may be a file segment: its type is known, and it is another one than that of filters."""
        return self.type is not None and str(self.type).casefold() != _FILTER_TYPE


@dataclass(frozen=True)
class Plan:
    """
    What is to be done.

    :param segments: each segment once, in the order in which they were given.
    :param duplicates: how many entries are left out, since they name one of these again.
    :param file_segments: those of them that are, or may be, file segments.
    """

    segments: tuple[Segment, ...]
    duplicates: int = 0
    file_segments: tuple[Segment, ...] = ()

    @property
    def of_unknown_type(self) -> int:
        """How many there are of which nothing tells what they are."""
        return sum(segment.type is None for segment in self.segments)


@dataclass(frozen=True)
class Outcome:
    """
    What became of one segment.

    :param segment: which.
    :param result: ``succeeded``, ``skipped`` or ``failed``.
    :param said: why it was skipped or has failed, with the server's own words.
    :param retryable: whether a later try can mend the failure.
    """

    segment: Segment
    result: Result = "succeeded"
    said: str = ""
    retryable: bool = False


class Report:
    """
    What has become of each segment so far.

    :param segments: all of them, in their order.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        self.segments = tuple(segments)
        self.ended_by: MoEngageError | None = None
        """What has ended the run before its end; the segments left are neither done nor failed."""
        self._outcomes: dict[str, Outcome] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def note(self, outcome: Outcome) -> None:
        """
        Take note of a segment.

        :param outcome: what became of it.
        """
        self._outcomes[outcome.segment.key] = outcome

    def note_known(self, keys: Collection[str], result: Result, said: str = "") -> None:
        """
        Take note of segments that are done already.

        :param keys: those of the segments; keys of others are no harm.
        :param result: what to call it.
        :param said: why.
        """
        known = frozenset(keys)
        for segment in self.untried:
            if segment.key in known:
                self.note(Outcome(segment, result, said))

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
            segment_id, error}]}``, each with ``created_time``, ``type`` and ``source`` where those were given.
        """
        said_as = {"succeeded": None, "skipped": "reason", "failed": "error"}
        return {result: [_entry(outcome, said_as[result]) for outcome in self.of(result)] for result in _RESULTS}

    def raise_if_failed(self, *, bear_failures: bool) -> None:
        """
        Raise what the run has come to.

        :param bear_failures: whether segments that have failed are none of it.
        :raises MoEngageError: what has ended the run early, whatever ``bear_failures`` says, since segments are left.
        :raises SegmentsFailedError: when segments have failed; whatever ``bear_failures`` says when it was the server
            that has failed, each time.
        """
        if self.ended_by:
            raise self.ended_by
        failed = self.of("failed")
        nobody_answers = len(failed) == len(self.segments) and all(outcome.retryable for outcome in failed)
        if failed and (nobody_answers or not bear_failures):
            raise SegmentsFailedError(self)


def check_options(*, concurrency: Any, max_segments: Any, on_error: Any, include_file_segments: Any) -> None:
    """
    Check what says how to do it.

    :param concurrency: how many calls at once.
    :param max_segments: how many segments at most.
    :param on_error: what failures mean for the task.
    :param include_file_segments: whether file segments may be among them.
    :raises InvalidInputError: when one of them cannot be meant; the message says which.
    """
    if not _is_whole_number(concurrency) or not 1 <= concurrency <= MOST_CALLS_AT_ONCE:
        raise InvalidInputError(
            f"concurrency must be a whole number of calls at once, from 1 to {MOST_CALLS_AT_ONCE}, "
            f"not {kind_of(concurrency)}."
        )
    if not _is_whole_number(max_segments) or max_segments < 1:
        raise InvalidInputError(
            f"max_segments must be a whole number of segments, 1 or more, not {kind_of(max_segments)}."
        )
    if on_error not in ("fail", "warn"):
        raise InvalidInputError(f'on_error must be "fail" or "warn", not {kind_of(on_error)}.')
    if not isinstance(include_file_segments, bool):
        raise InvalidInputError(f"include_file_segments must be True or False, not {kind_of(include_file_segments)}.")


def plan_of(segments: Any, *, max_segments: int, include_file_segments: bool) -> Plan:
    """
    Decide what is to be done.

    :param segments: objects with a ``name`` and perhaps a ``segment_id`` and a ``type``; other keys mean nothing here.
    :param max_segments: how many different ones there may be.
    :param include_file_segments: whether there may be file segments among them.
    :return: each segment once, in their order.
    :raises InvalidInputError: when they are no such list, too many, or file segments that nobody asked for.
    """
    # Not only lists: the output of mapped tasks is a sequence that Airflow fetches piece by piece.
    if not isinstance(segments, Sequence) or isinstance(segments, (str, bytes, bytearray)):
        raise InvalidInputError(
            f"segments must be a list of objects with a name, not {kind_of(segments)}. Pass the output of a task as it "
            "is (find.output): a template in quotes renders to text, unless the DAG has render_template_as_native_obj."
        )
    given = [_segment_of(f"segments[{index}]", entry) for index, entry in enumerate(segments)]
    plan = _planned(given)
    if len(plan.segments) > max_segments:
        raise InvalidInputError(
            f"There are {len(plan.segments)} segments to change, and max_segments allows {max_segments}. Nothing was "
            f"sent. Look at what has selected them; if that is right, set max_segments={len(plan.segments)} or more."
        )
    if plan.file_segments and not include_file_segments:
        raise InvalidInputError(
            f"{_names_of(plan.file_segments)}: not a filter segment (type ELASTIC_SEARCH), so it may be a file "
            "segment, whose users are deleted for good after 30 days in the archive. Nothing was sent. Take such "
            "segments out of the list, or set include_file_segments=True."
        )
    return plan


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


def ends_the_run(error: MoEngageError) -> bool:
    """
    Decide whether there is any use in calling for the other segments.

    :param error: what the call for one has raised.
    :return: True for what every further call would meet too: a rate limit that lasts, a wrong key, a wrong address, an
        untrusted certificate, a server that takes one segment for another, a workspace that is full.
    """
    return isinstance(error, _ENDING)


class _Periodic:
    """Makes a call again and again, the seconds between two of them at least."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds = seconds
        self._call = call
        self._last = time.monotonic()

    def if_due(self) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._call()
            self._last = time.monotonic()


class BulkRun:
    """
    Calls for each segment, a few calls at once, and notes what became of them.

    :param call: does what is to be done for one segment; raises a MoEngageError when it has not succeeded.
    :param report: says which segments are left, and gets what became of them.
    :param concurrency: how many calls at once.
    :param gone_is_done: whether a segment that is not there any more counts as done.
    :param is_killed: whether the run is to end; asked all the time, from every thread.
    """

    def __init__(
        self,
        call: Callable[[Segment], object],
        report: Report,
        *,
        concurrency: int,
        gone_is_done: bool = False,
        is_killed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.report = report
        self._call = call
        self._concurrency = concurrency
        self._gone_is_done = gone_is_done
        self._is_killed = is_killed
        self._left = deque(report.untried)
        # What the threads tell: what a call has come to, or None when a thread has ended.
        self._told: queue.SimpleQueue[tuple[Segment, Exception | None] | None] = queue.SimpleQueue()
        self._working = 0
        self._stopping = False
        self._server_failures = 0
        self._began = time.monotonic()
        self._known = len(report)

    def run(self, tell_progress: Callable[[], None], keep: Callable[[], None]) -> None:
        """
        Do it, until each segment was called for, or something has ended the run: then ``report.ended_by`` says what.

        :param tell_progress: called every 5 seconds, on this thread.
        :param keep: called every second, likewise: writes down what is done.
        :raises KilledError: when it was killed.
        """
        try:
            self._start()
            self._collect(_Periodic(PROGRESS_SECONDS, tell_progress), _Periodic(KEEP_SECONDS, keep))
        except BaseException:
            self._stopping = True
            self._wait_for_calls_under_way()
            raise

    def progress(self) -> str:
        """
        Say how far it is.

        :return: a line with what is done, of how many, the rate, and the time left.
        """
        report, seconds = self.report, time.monotonic() - self._began
        # What an earlier try has done says nothing about the rate of this one.
        rate = (len(report) - self._known) / seconds if seconds > 0 else 0.0
        time_left = f"about {_duration(len(report.untried) / rate)} left" if rate else "time left unknown"
        failed = len(report.of("failed"))
        failures = f" ({failed} failed)" if failed else ""
        return f"{len(report)} of {len(report.segments)} segments{failures}, {rate:.1f} a second, {time_left}."

    def summary(self) -> str:
        """
        Say what it has come to.

        :return: a line.
        """
        report = self.report
        numbers = [f"{len(report.of(result))} {result}" for result in _RESULTS]
        if report.untried:
            numbers.append(f"{len(report.untried)} not tried")
        seconds = _duration(time.monotonic() - self._began)
        return f"{len(report.segments)} segments in {seconds}: {', '.join(numbers)}."

    def _start(self) -> None:
        for number in range(min(self._concurrency, len(self._left))):
            threading.Thread(target=self._work, name=f"moengage-bulk-{number + 1}", daemon=True).start()
            self._working += 1

    def _work(self) -> None:
        try:
            while not self._stopping and not self._is_killed():
                try:
                    segment = self._left.popleft()
                except IndexError:  # none is left
                    return
                self._told.put((segment, self._error_of(segment)))
        finally:
            self._told.put(None)

    def _error_of(self, segment: Segment) -> Exception | None:
        try:
            self._call(segment)
        except MoEngageError as error:
            # Here rather than where it is noted: the other threads are to begin nothing in between.
            if ends_the_run(error):
                self._stopping = True
            # A thousand failures would hold on to the frames of a thousand calls.
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - the thread that runs the task raises it
            return error
        return None

    def _collect(self, *periodic: _Periodic) -> None:
        while self._working:
            if self._is_killed():
                raise KilledError(f"The task was killed. {len(self.report.untried)} segments were not tried.")
            self._take(_NAP_SECONDS)
            for call in periodic:
                call.if_due()

    def _wait_for_calls_under_way(self) -> None:
        until = time.monotonic() + _GRACE_SECONDS
        while self._working and (left := until - time.monotonic()) > 0:
            self._take(left)

    def _take(self, seconds: float) -> None:
        """Wait for what a thread has to tell, but not for long."""
        try:
            told = self._told.get(timeout=seconds)
        except queue.Empty:
            return
        if told is None:
            self._working -= 1
            return
        segment, error = told
        if error is not None and not isinstance(error, MoEngageError):
            raise error
        self._note(segment, error)

    def _note(self, segment: Segment, error: MoEngageError | None) -> None:
        self._server_failures = self._server_failures + 1 if error and _is_the_servers(error) else 0
        if error and (ends_the_run(error) or self._server_failures >= SERVER_FAILURES_IN_A_ROW):
            self._stopping = True
            self.report.ended_by = self.report.ended_by or error
        # A segment that is to come later has been neither changed nor refused.
        if not isinstance(error, RateLimitError):
            self.report.note(outcome_of(segment, error, gone_is_done=self._gone_is_done))


class Memory:
    """
    Keeps which segments are done from one try of a task to the next.

    A bit for each, since what Airflow keeps for a task is limited to 64 KiB: whoever gives other segments to the next
    try has all of them done.

    :param store: Airflow's task state store, None where there is none.
    :param log: where it is said that the store does not work.
    :param segments: all that are to be done, in their order.
    :param max_tries: how many tries the task may have, as Airflow counts them. Clearing a task raises it: what was done
        before that counts no more.
    """

    _KEY = "moengage_done"

    def __init__(self, store: Any, log: Any, segments: Iterable[Segment], max_tries: int | None) -> None:
        self._store = store
        self._log = log
        self._keys = [segment.key for segment in segments]
        self._of = {"segments": sha256(repr(self._keys).encode()).hexdigest(), "max_tries": max_tries}
        self._kept: list[str] = []

    def recall(self) -> list[str]:
        """
        Read what an earlier try has done.

        :return: keys of segments; none, where none were kept, or not of these segments and tries.
        """
        try:
            kept = None if self._store is None else self._store.get(self._KEY)
        except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
            self._log.warning("What an earlier try has done is repeated, since Airflow could not read it: %s", error)
            kept = None
        self._kept = self._read(kept)
        return list(self._kept)

    def keep(self, keys: Sequence[str]) -> None:
        """
        Write down what is done. A store that fails is no reason to stop: to repeat what is done does no harm.

        :param keys: those of the segments, in their order.
        """
        if self._store is None or keys == self._kept:
            return
        done = frozenset(keys)
        bits = sum(1 << index for index, key in enumerate(self._keys) if key in done)
        try:
            self._store.set(self._KEY, {**self._of, "done": f"{bits:x}"})
        except Exception as error:  # noqa: BLE001 - Airflow raises what its API has come to
            self._log.warning("A retry will repeat what is done, since Airflow could not write it down: %s", error)
        else:
            self._kept = list(keys)

    def forget(self) -> None:
        """Drop what was kept: all is done."""
        if not self._kept:
            return
        try:
            self._store.delete(self._KEY)
        except Exception as error:  # noqa: BLE001 - likewise; it is of these tries only
            self._log.warning("Airflow could not forget what this task has done: %s", error)
        self._kept = []

    def _read(self, kept: Any) -> list[str]:
        if not isinstance(kept, dict) or any(kept.get(key) != value for key, value in self._of.items()):
            return []
        bits = int(kept["done"], 16)
        return [key for index, key in enumerate(self._keys) if bits >> index & 1]


def table_of_failures(report: Report) -> list[str]:
    """
    Show the failures with their reasons.

    :param report: what has become of each.
    :return: the lines of a table, the first 20 failures at most; none without failures. No text of a server makes a
        line of its own.
    """
    failed = report.of("failed")
    rows = [
        (_cell(one.segment.name), _cell(one.segment.segment_id or ""), one.said) for one in failed[:_SHOWN_FAILURES]
    ]
    if not rows:
        return []
    rows.insert(0, ("name", "segment_id", "error"))
    name_width, id_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{name:<{name_width}}  {segment_id:<{id_width}}  {error}" for name, segment_id, error in rows]
    if len(failed) > _SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - _SHOWN_FAILURES} more, which the XCom has.")
    return lines


def _segment_of(place: str, entry: Any) -> Segment:
    if not isinstance(entry, Mapping):
        hint = " Outputs of mapped tasks are lists of lists: flatten them." if isinstance(entry, (list, tuple)) else ""
        raise InvalidInputError(
            f'{place} must be an object such as {{"name": "camp_diwali"}}, not {kind_of(entry)}.{hint}'
        )
    if entry.get("name") is None:
        raise InvalidInputError(f"{place} has no name: give every segment one, with its segment_id or without.")
    name = check_text(f"the name of {place}", entry["name"])
    segment_id = entry.get("segment_id")
    if segment_id is not None:
        check_text(f"the segment_id of {place}", segment_id)
    kind = entry.get("type")
    listed = {key: entry[key] for key in _LISTED if isinstance(entry.get(key), str)}
    return Segment(name, segment_id, kind if kind is None or isinstance(kind, str) else kind_of(kind), listed)


def _planned(given: Sequence[Segment]) -> Plan:
    given = _with_known_ids(given)
    # The entry that comes first counts; but one that says "file" anywhere is heard.
    segments = {segment.key: segment for segment in reversed(given)}
    files = {segment.key: segment for segment in reversed(given) if segment.is_known_to_be_no_filter_segment}
    keys = list(dict.fromkeys(segment.key for segment in given))
    return Plan(
        segments=tuple(segments[key] for key in keys),
        duplicates=len(given) - len(keys),
        file_segments=tuple(files[key] for key in keys if key in files),
    )


def _with_known_ids(given: Sequence[Segment]) -> list[Segment]:
    """Give a segment that is named without its id the one that another entry of this name has: both are the same."""
    ids = {segment.name: segment.segment_id for segment in reversed(given) if segment.segment_id is not None}
    return [replace(segment, segment_id=segment.segment_id or ids.get(segment.name)) for segment in given]


def _is_the_servers(error: MoEngageError) -> bool:
    """Tell a failure that has nothing to do with its segment, such as a proxy's refusal: MoEngage's own has a code."""
    return error.retryable or (type(error) is MoEngageError and not error.code)


def _names_of(segments: Sequence[Segment]) -> str:
    names = ", ".join(f"{_cell(segment.name)} ({_cell(segment.type or '')})" for segment in segments[:_SHOWN_NAMES])
    return names if len(segments) <= _SHOWN_NAMES else f"{names} and {len(segments) - _SHOWN_NAMES} more"


def _entry(outcome: Outcome, said_as: str | None) -> dict[str, Any]:
    segment = outcome.segment
    entry = {"name": segment.name, "segment_id": segment.segment_id, **segment.listed}
    return {**entry, said_as: outcome.said} if said_as else entry


def _cell(text: str) -> str:
    return shown(text if len(text) <= _CELL_CHARACTERS else text[:_CELL_CHARACTERS] + "...") if text else ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
