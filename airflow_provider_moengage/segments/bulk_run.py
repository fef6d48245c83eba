"""
A few calls at once, one for each of many segments, until all are done or something ends the run.

The threads are daemons, and the thread that runs the task only ever waits for them a fraction of a second at a time: a
signal is heard, and no thread that sleeps before a retry keeps the process alive.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    AuthenticationError,
    EndpointNotFoundError,
    MoEngageError,
    OtherSegmentError,
    ProxyRefusedError,
    RateLimitError,
    RedirectError,
    TlsError,
)
from airflow_provider_moengage.segments.bulk_report import RESULTS, Report, outcome_of
from airflow_provider_moengage.segments.estimate import duration
from airflow_provider_moengage.segments.log_lines import count_of

if TYPE_CHECKING:
    from airflow_provider_moengage.segments.bulk_plan import Segment

PROGRESS_SECONDS = 5.0
"""Seconds between two progress lines."""

# What was done since then is done once more when the worker is killed without a chance to say goodbye.
CHECKPOINT_SECONDS = 1.0

SERVER_FAILURES_IN_A_ROW = 20
"""So many calls in a row that fail through no fault of their segments end a run: nobody is there to answer."""

# How soon a kill is noticed, and how long calls under way may take then, so that they are known to be done.
_NAP_SECONDS = 0.2
_GRACE_SECONDS = 0.7
_NAP_OF_A_LONG_WAIT = 1.0

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


class KilledError(Exception):
    """The task was asked to end while segments were still waiting. Airflow's own retries carry on with those."""


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
    Calls for each segment, a few calls at once, and records what became of them.

    :param call: does what is to be done for one segment; raises a MoEngageError when it has not succeeded.
    :param report: says which segments are left, and gets what became of them.
    :param concurrency: how many calls at once.
    :param find: gives the segment by its own name, before the call for it; raises like ``call``.
    :param gone_is_done: whether a segment that is not there any more counts as done.
    :param is_killed: whether the run is to end; asked all the time, from every thread.
    :param least_seconds: tells how long so many more calls take under the server's limits; 0 where it has none.
    """

    def __init__(
        self,
        call: Callable[[Segment], object],
        report: Report,
        *,
        concurrency: int,
        find: Callable[[Segment], Segment] = lambda segment: segment,
        gone_is_done: bool = False,
        is_killed: Callable[[], bool] = lambda: False,
        least_seconds: Callable[[int], float] = lambda _: 0.0,
    ) -> None:
        self.report = report
        self._call = call
        self._find = find
        self._concurrency = concurrency
        self._gone_is_done = gone_is_done
        self._is_killed = is_killed
        self._least_seconds = least_seconds
        self._left = deque(report.untried)
        # From the threads: a segment with what its call has raised, or a thread that ends. A signal may raise anywhere
        # on the thread that runs the task: all stays here until it is recorded, and the queue only says that it came.
        self._results: deque[tuple[Segment, Exception | None] | threading.Thread] = deque()
        self._arrivals: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._working: set[threading.Thread] = set()
        self._stopping = False
        self._server_failures = 0
        self._began = time.monotonic()
        self._done_before = len(report)

    def run(self, log_progress: Callable[[], None], save_checkpoint: Callable[[], None]) -> None:
        """
        Do it, until each segment was called for, or something has ended the run: then ``report.ended_by`` says what.

        Called again, it carries on with those that are left.

        :param log_progress: called every 5 seconds, on this thread.
        :param save_checkpoint: called every second, likewise: writes down what is done.
        :raises KilledError: when it was killed.
        """
        self._left = deque(self.report.untried)
        self._stopping = False
        self.report.ended_by = None
        try:
            self._start()
            self._collect(_Periodic(PROGRESS_SECONDS, log_progress), _Periodic(CHECKPOINT_SECONDS, save_checkpoint))
        except BaseException:
            self._wait_for_calls_under_way()
            raise
        if self._working:
            self._wait_for_calls_under_way()
            raise self._killed()
        # The threads may have heard of it first.
        if self.report.untried and self._is_killed():
            raise self._killed()

    def wait(self, seconds: float) -> None:
        """
        Wait for room between two windows of a limit, on this thread.

        :param seconds: how long.
        :raises KilledError: when it was killed meanwhile.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._is_killed():
                raise self._killed()
            time.sleep(min(left, _NAP_OF_A_LONG_WAIT))

    def progress(self) -> str:
        """
        Say how far it is.

        :return: a line with what is done, of how many, the rate, and the time left.
        """
        report, seconds = self.report, time.monotonic() - self._began
        # What an earlier try has done says nothing about the rate of this one.
        rate = (len(report) - self._done_before) / seconds if seconds > 0 else 0.0
        time_left = f"about {duration(len(report.untried) / rate)} left" if rate else "time left unknown"
        # A window is filled within seconds, and what comes after that is waiting.
        if report.untried and (least := self._least_seconds(len(report.untried))):
            time_left = f"at least {duration(least)} left"
        failed = len(report.of("failed"))
        failures = f" ({failed:,} failed)" if failed else ""
        segments = count_of(len(report.segments), "segment")
        return f"{len(report):,} of {segments}{failures}, {rate:.1f} a second, {time_left}."

    def summary(self) -> str:
        """
        Say what it has come to.

        :return: a line.
        """
        report = self.report
        numbers = [f"{len(report.of(result)):,} {result}" for result in RESULTS]
        if report.untried:
            # A rate limit that is used up ends nothing: the task defers, or is tried again.
            left = "still to come" if isinstance(report.ended_by, RateLimitError) else "not tried"
            numbers.append(f"{len(report.untried):,} {left}")
        seconds = duration(time.monotonic() - self._began)
        return f"{count_of(len(report.segments), 'segment')} in {seconds}: {', '.join(numbers)}."

    def _killed(self) -> KilledError:
        untried = len(self.report.untried)
        return KilledError(
            f"The task was killed. {count_of(untried, 'segment')} {'was' if untried == 1 else 'were'} not tried."
        )

    def _start(self) -> None:
        for number in range(min(self._concurrency, len(self._left))):
            thread = threading.Thread(target=self._work, name=f"moengage-bulk-{number + 1}", daemon=True)
            self._working.add(thread)
            thread.start()

    def _work(self) -> None:
        try:
            while not self._is_stopping():
                try:
                    segment = self._left.popleft()
                except IndexError:  # none is left
                    return
                if result := self._result_of(segment):
                    self._hand_over(result)
        finally:
            self._hand_over(threading.current_thread())

    def _hand_over(self, result: tuple[Segment, Exception | None] | threading.Thread) -> None:
        self._results.append(result)
        self._arrivals.put(None)

    def _is_stopping(self) -> bool:
        return self._stopping or self._is_killed()

    def _result_of(self, segment: Segment) -> tuple[Segment, Exception | None] | None:
        """Call for one; give it by its own name with what went wrong, or None when the run was to end before that."""
        try:
            segment = self._find(segment)
            if self._is_stopping():
                return None
            self._call(segment)
        except MoEngageError as error:
            # Here rather than where it is recorded: the other threads are to begin nothing in between.
            if ends_the_run(error):
                self._stopping = True
            # A thousand failures would hold on to the frames of a thousand calls.
            return segment, error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - the thread that runs the task raises it
            return segment, error
        return segment, None

    def _collect(self, *periodic: _Periodic) -> None:
        while self._working and not self._is_killed():
            self._receive(_NAP_SECONDS)
            for call in periodic:
                call.if_due()

    def _wait_for_calls_under_way(self) -> None:
        self._stopping = True
        until = time.monotonic() + _GRACE_SECONDS
        while self._working and (left := until - time.monotonic()) > 0:
            self._receive(left)

    def _receive(self, seconds: float) -> None:
        """Wait for what the threads have done, but not for long."""
        with contextlib.suppress(queue.Empty):
            self._arrivals.get(timeout=seconds)
        while self._results:
            if isinstance(result := self._results[0], threading.Thread):
                self._working.discard(result)
            else:
                segment, error = result
                if error is not None and not isinstance(error, MoEngageError):
                    self._results.popleft()
                    raise error
                self._record(segment, error)
            self._results.popleft()

    def _record(self, segment: Segment, error: MoEngageError | None) -> None:
        self._server_failures = self._server_failures + 1 if error and _is_the_servers(error) else 0
        if error and (ends_the_run(error) or self._server_failures >= SERVER_FAILURES_IN_A_ROW):
            self._stopping = True
            self.report.ended_by = self.report.ended_by or error
        # A segment that is to come later has been neither changed nor refused.
        if not isinstance(error, RateLimitError):
            self.report.record(outcome_of(segment, error, gone_is_done=self._gone_is_done))


def _is_the_servers(error: MoEngageError) -> bool:
    """Tell a failure that has nothing to do with its segment, such as a proxy's refusal: MoEngage's own has a code."""
    return error.retryable or (type(error) is MoEngageError and not error.code)
