"""What the operators that change many segments share: they plan, run a few calls at once, and report."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pendulum

from airflow_provider_moengage.client.errors import MoEngageError, RateLimitError
from airflow_provider_moengage.operators.base import LONGEST_DEFERRAL, MoEngageOperator
from airflow_provider_moengage.segments import log_lines

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.limits import Limit
    from airflow_provider_moengage.hooks.moengage import MoEngageHook
    from airflow_provider_moengage.segments.bulk_plan import Plan, Segment
    from airflow_provider_moengage.segments.bulk_report import Report
    from airflow_provider_moengage.segments.bulk_run import BulkRun
    from airflow_provider_moengage.segments.checkpoint import Checkpoint
    from airflow_provider_moengage.segments.estimate import SentCalls

# What a thread waits for room by itself. Longer waits are the task's: they give the worker slot back, or can be killed.
_SHORT_WAIT = 2.0

# The longest that a task without deferrable holds its worker slot for one window: that of an hour.
_LONGEST_WAIT_IN_THE_WORKER = 3_660.0

# From then on it is worth a hint that deferrable would save the slot.
_LONG_IN_THE_WORKER = 600.0

# A task whose trigger fires within a second of its deferral can fail.
_SHORTEST_DEFERRAL_ON_THE_WAY = timedelta(seconds=5)


class ManySegmentsOperator(MoEngageOperator):
    """
    What archive and unarchive of many segments share. What is decided about them is in the folder ``segments``.

    A subclass implements :meth:`change_segment`.
    """

    template_fields: Sequence[str] = ("segments", "moengage_conn_id")
    template_fields_renderers = {"segments": "json"}  # noqa: RUF012 - as Airflow types it

    action = ""
    # An archived segment that is not shown any more is where it should be; one to be unarchived is lost.
    gone_is_done = False
    # Whether a run looks up what the last one has done.
    remembers_runs = False

    def __init__(
        self,
        *,
        segments: list[dict[str, Any]],
        concurrency: int = 4,
        max_segments: int = 100,
        on_error: Literal["fail", "warn"] = "fail",
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segments = segments
        self.concurrency = concurrency
        self.max_segments = max_segments
        self.on_error = on_error
        # dry_run is a method of Airflow's own.
        self.is_dry_run = dry_run
        self.include_file_segments = True
        self._is_killed = False

    @abstractmethod
    def change_segment(self, client: MoEngageClient, segment: Segment) -> object:
        """
        Make the call for one of the segments. Called from several threads at once.

        :param client: the client of the connection.
        :param segment: which.
        :return: anything.
        :raises MoEngageError: when MoEngage has not changed it.
        """

    @cached_property
    def hook(self) -> MoEngageHook:
        """The hook of the connection, for one execution; its client waits for no window of a rate limit."""
        from airflow_provider_moengage.client.retry import RETRIES
        from airflow_provider_moengage.hooks.moengage import MoEngageHook

        self._own_hook = MoEngageHook(self.moengage_conn_id, retry=RETRIES._replace(limit_budget=_SHORT_WAIT))
        return self._own_hook

    def _start(self, progress: dict[str, Any]) -> None:
        super()._start(progress)
        self._is_killed = False

    def _limits(self) -> Sequence[Limit]:
        from airflow_provider_moengage.client.limits import LIMITS

        return LIMITS[self._call]

    @property
    def _call(self) -> tuple[str, str]:
        return "PATCH", f"/v2/custom-segments/{self.action}"

    def _longest_wait(self) -> timedelta:
        """Allow a day more than the plan takes at best: others may have used a day's quota."""
        from airflow_provider_moengage.client.limits import least_seconds

        least = timedelta(seconds=least_seconds(len(self.segments), self._limits()))
        return self.execution_timeout or LONGEST_DEFERRAL + least

    def _shortest_deferral(self) -> timedelta:
        sent: list[list[int]] = self.progress.get("sent") or []
        usual = super()._shortest_deferral()
        has_moved = bool(sent) and time.time() - sent[-1][0] < usual.total_seconds()
        return _SHORTEST_DEFERRAL_ON_THE_WAY if has_moved else usual

    def on_kill(self) -> None:
        """Begin no call any more. A signal handler calls this, so it only says so."""
        self._is_killed = True

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates, but not segments that were listed.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content.
        """
        # Airflow renders what expand() takes from an XCom: whoever names a segment could read secrets by it.
        if isinstance(content, dict) and content.get("created_time") is not None:
            return content
        return super().render_template(content, context, jinja_env, seen_oids)

    def call_api(self, context: Context) -> dict[str, Any]:
        """
        Plan, call for each segment that is left, and report what became of them.

        :param context: the task's context.
        :return: the report.
        :raises MoEngageError: when something has ended the run early, or segments have failed.
        """
        from airflow_provider_moengage.assets.segments import refuse_outlets
        from airflow_provider_moengage.segments.bulk_report import Report
        from airflow_provider_moengage.segments.checkpoint import Checkpoint
        from airflow_provider_moengage.segments.estimate import SentCalls

        refuse_outlets(self.outlets)
        plan = self._plan()
        report = Report(plan.segments)
        if not plan.segments:
            self.log.info("There are no segments to %s: nothing was sent.", self.action)
            return report.as_xcom()
        max_tries = getattr(context.get("ti"), "max_tries", None)
        checkpoint = Checkpoint(context.get("task_state_store"), self.log, plan.segments, max_tries)
        is_resumed = bool(self.progress)
        # Before Airflow 3.3 nothing but the deferral itself keeps what was done before it.
        report.record_keys(checkpoint.read(self.progress), "succeeded")
        report.record_keys(checkpoint.load(), "skipped", "an earlier try of this task has done it")
        sent = SentCalls(checkpoint.sent)
        self._say_how_long(report, sent, is_resumed=is_resumed)
        # Once is enough: not again after each deferral.
        if not is_resumed:
            self._log_plan(plan)
        if self.is_dry_run:
            return self._say_what_would_be_done(report)
        report.done_before = self._done_before(report, context)
        try:
            self._run(report, checkpoint, sent, gone_is_done=self.gone_is_done and _repeats_blindly(context))
            report.raise_if_failed(tolerate_failures=self.on_error == "warn")
        except BaseException:
            self._push(report, context)
            raise
        checkpoint.clear()
        return report.as_xcom()

    def _say_how_long(self, report: Report, sent: SentCalls, *, is_resumed: bool) -> None:
        """Say how long it takes at best, and refuse before the first call what the task has no time for."""
        from airflow_provider_moengage.segments.estimate import check_time, estimate_of

        estimate = estimate_of(len(report.untried), self._limits(), sent.before(time.time()))
        if line := estimate.sentence(self.action, pendulum.now("UTC")):
            log_lines.info(self.log, line)
        if not is_resumed:
            check_time(estimate, self.action, deferrable=self.deferrable, longest=self.execution_timeout)
        if line and not self.deferrable and estimate.seconds > _LONG_IN_THE_WORKER:
            self.log.warning("With deferrable=True the task would not hold its worker slot for all that time.")

    def _say_what_would_be_done(self, report: Report) -> dict[str, Any]:
        from airflow_provider_moengage.segments.bulk_report import lines_of_names
        from airflow_provider_moengage.segments.log_lines import count_of

        untried = report.untried
        # As it would fail, were the connection not to be used.
        with self.hook.client as client:
            count = count_of(len(untried), "segment")
            head = f"Dry run: would {self.action} {count} of the workspace {client.workspace_id}:"
        for line in lines_of_names(head, untried):
            self.log.info("%s", line)
        return {"dry_run": True, "action": self.action, "segments": report.entries(untried), **report.as_xcom()}

    def _done_before(self, report: Report, context: Context) -> frozenset[str]:
        """
        Look up what the last run of this task says that it has done: a list shows archived segments, too.

        That run has named what the one before it had done once more, so that its XCom alone is enough.
        """
        if not self.remembers_runs:
            return frozenset()
        try:
            last = self._last_xcom(context)
        except Exception as error:  # noqa: BLE001 - it is for the words of the log only
            log_lines.info(
                self.log, f"What earlier runs have done is not known, since Airflow could not read it: {error}"
            )
            return frozenset()
        from airflow_provider_moengage.segments.bulk_report import keys_in

        return keys_in(last) & {segment.key for segment in report.untried}

    def _plan(self) -> Plan:
        """Say what is to be done, or raise what is wrong with it."""
        from airflow_provider_moengage.segments.bulk_plan import check_options, plan_of

        check_options(
            concurrency=self.concurrency,
            max_segments=self.max_segments,
            on_error=self.on_error,
            include_file_segments=self.include_file_segments,
        )
        return plan_of(self.segments, max_segments=self.max_segments, include_file_segments=self.include_file_segments)

    def _log_plan(self, plan: Plan) -> None:
        """Log what the plan has of note, after how long it takes."""
        if plan.duplicates:
            name = "names a segment" if plan.duplicates == 1 else "name segments"
            self.log.info("%d of the entries %s again: each is done once.", plan.duplicates, name)

    def _run(self, report: Report, checkpoint: Checkpoint, sent: SentCalls, *, gone_is_done: bool) -> None:
        """Call for each segment that is left, and log and keep what became of them, however it ends."""
        from airflow_provider_moengage.segments.bulk_run import BulkRun
        from airflow_provider_moengage.segments.log_lines import count_of

        with self.hook.client as client:
            run = BulkRun(
                self._counted(client, sent),
                report,
                concurrency=self.concurrency,
                find=self._finder(client),
                gone_is_done=gone_is_done,
                is_killed=lambda: self._is_killed,
                least_seconds=self._least_seconds(client, sent),
            )

            def log_progress() -> None:
                self.log.info("%s: %s", self.action, run.progress())

            def save_checkpoint() -> None:
                checkpoint.save(report.keys_of("succeeded", "skipped"), sent.as_json(time.time()))

            left = frozenset(segment.key for segment in report.untried)
            self.log.info("%s: %s, %d at a time.", self.action, count_of(len(left), "segment"), self.concurrency)
            try:
                self._fill_windows(run, log_progress, save_checkpoint)
            finally:
                self.progress = checkpoint.pack(report.keys_of("succeeded"), sent.as_json(time.time()))
                save_checkpoint()
                self._log_end(report, run.summary(), left)

    def _fill_windows(
        self, run: BulkRun, log_progress: Callable[[], None], save_checkpoint: Callable[[], None]
    ) -> None:
        """Run; without deferrable, wait in the worker between two windows, as long as there is time for it."""
        from airflow_provider_moengage.segments.estimate import duration

        until = time.monotonic() + self._longest_wait().total_seconds()
        while True:
            run.run(log_progress, save_checkpoint)
            wait = _room_in(run.report.ended_by)
            if self.deferrable or not 0 < wait <= min(_LONGEST_WAIT_IN_THE_WORKER, until - time.monotonic()):
                return
            save_checkpoint()
            self.log.info("%s: %s There is room again in %s.", self.action, run.progress(), duration(wait))
            run.wait(wait)

    def _finder(self, client: MoEngageClient) -> Callable[[Segment], Segment]:
        """Give what gets a segment of an id that was given by hand: not again when its call waits for a window."""
        from airflow_provider_moengage.operators.one_segment import find_target_by_id

        found: dict[str, Segment] = {}

        def find(segment: Segment) -> Segment:
            if segment.segment_id is None or not segment.is_given_by_hand:
                return segment
            if segment.key not in found:
                target = find_target_by_id(client, segment.name, segment.segment_id, self.log)
                found[segment.key] = replace(segment, name=target.name or segment.name)
            return found[segment.key]

        return find

    def _counted(self, client: MoEngageClient, sent: SentCalls) -> Callable[[Segment], object]:
        def call(segment: Segment) -> object:
            try:
                answer = self.change_segment(client, segment)
            except RateLimitError:
                # Not sent, or not counted.
                raise
            except BaseException:
                sent.record(time.time())
                raise
            sent.record(time.time())
            return answer

        return call

    def _least_seconds(self, client: MoEngageClient, sent: SentCalls) -> Callable[[int], float]:
        from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
        from airflow_provider_moengage.segments.estimate import estimate_of

        endpoint = client.base_url, client.workspace_id, *self._call
        has_answers = [False]

        def least(calls: int) -> float:
            # Once is enough: between two windows nothing is known.
            has_answers[0] = has_answers[0] or RATE_LIMITER.window_of(endpoint, time.monotonic()) is not None
            return estimate_of(calls, self._limits(), sent.before(time.time())).seconds if has_answers[0] else 0.0

        return least

    def _log_end(self, report: Report, summary: str, left: frozenset[str]) -> None:
        """Log what has become of those that were left when this execution has begun."""
        from airflow_provider_moengage.segments.bulk_report import lines_of_names, table_of_failures

        failures = table_of_failures(report)
        # That a window is used up is what was planned for.
        is_cut_short = bool(report.untried) and not isinstance(report.ended_by, RateLimitError)
        level = logging.WARNING if failures or is_cut_short else logging.INFO
        self.log.log(level, "%s: %s", self.action, summary)
        done = [outcome.segment for outcome in report.of("succeeded") if outcome.segment.key in left]
        if again := report.again():
            self.log.warning(
                "%d of these %s archived by an earlier run of this DAG already. MoEngage may list archived segments:",
                len(again),
                "was" if len(again) == 1 else "were",
            )
            self.log.warning("give the selection a newer_than, so that each is selected in one run or two.")
        # A record a line, so that each has its own beginning.
        for line in lines_of_names(f"{self.action}d:", done):
            self.log.info("%s", line)
        for line in failures:
            log_lines.warn(self.log, line)

    def _push(self, report: Report, context: Context) -> None:
        """Leave the XCom of a task that fails: Airflow itself does it for one that succeeds."""
        if self.do_xcom_push and (ti := context.get("ti")):
            try:
                ti.xcom_push(key="return_value", value=report.as_xcom())
            except Exception as error:  # noqa: BLE001 - it must not take the place of what has failed the task
                log_lines.warn(self.log, f"Airflow could not keep the XCom of this try: {error}")


def _repeats_blindly(context: Context) -> bool:
    """Tell whether this is a retry on an Airflow that has kept nothing of the last try."""
    return context.get("task_state_store") is None and getattr(context.get("ti"), "try_number", 1) > 1


def _room_in(error: MoEngageError | None) -> float:
    """Give the seconds until a rate limit lets more through; 0 for anything else."""
    return (error.retry_after or 0.0) if isinstance(error, RateLimitError) else 0.0
