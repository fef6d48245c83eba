"""What the operators that change many segments share: they plan, run a few calls at once, and report."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.operators.base import MoEngageOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.segments.bulk_plan import Plan, Segment
    from airflow_provider_moengage.segments.bulk_report import Report
    from airflow_provider_moengage.segments.checkpoint import Checkpoint


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

    def __init__(
        self,
        *,
        segments: list[dict[str, Any]],
        concurrency: int = 4,
        max_segments: int = 100,
        on_error: Literal["fail", "warn"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segments = segments
        self.concurrency = concurrency
        self.max_segments = max_segments
        self.on_error = on_error
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

    def _start(self, progress: dict[str, Any]) -> None:
        super()._start(progress)
        self._is_killed = False

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

        refuse_outlets(self.outlets)
        plan = self._plan()
        report = Report(plan.segments)
        if not plan.segments:
            self.log.info("There are no segments to %s: nothing was sent.", self.action)
            return report.as_xcom()
        max_tries = getattr(context.get("ti"), "max_tries", None)
        checkpoint = Checkpoint(context.get("task_state_store"), self.log, plan.segments, max_tries)
        # Before Airflow 3.3 nothing but the deferral itself keeps what was done before it.
        report.record_keys(self.progress.get("done", []), "succeeded")
        report.record_keys(checkpoint.load(), "skipped", "an earlier try of this task has done it")
        try:
            self._run(report, checkpoint, gone_is_done=self.gone_is_done and _repeats_blindly(context))
            report.raise_if_failed(tolerate_failures=self.on_error == "warn")
        except BaseException:
            self._push(report, context)
            raise
        checkpoint.clear()
        return report.as_xcom()

    def _plan(self) -> Plan:
        """Say what is to be done, or raise what is wrong with it."""
        from airflow_provider_moengage.segments.bulk_plan import check_options, plan_of

        check_options(
            concurrency=self.concurrency,
            max_segments=self.max_segments,
            on_error=self.on_error,
            include_file_segments=self.include_file_segments,
        )
        plan = plan_of(self.segments, max_segments=self.max_segments, include_file_segments=self.include_file_segments)
        if plan.duplicates:
            self.log.info("%d of the entries name a segment again: each is done once.", plan.duplicates)
        return plan

    def _run(self, report: Report, checkpoint: Checkpoint, *, gone_is_done: bool) -> None:
        """Call for each segment that is left, and log and keep what became of them, however it ends."""
        from airflow_provider_moengage.segments.bulk_run import BulkRun

        with self.hook.client as client:
            run = BulkRun(
                lambda segment: self.change_segment(client, segment),
                report,
                concurrency=self.concurrency,
                gone_is_done=gone_is_done,
                is_killed=lambda: self._is_killed,
            )

            def log_progress() -> None:
                self.log.info("%s: %s", self.action, run.progress())

            def save_checkpoint() -> None:
                checkpoint.save(report.keys_of("succeeded", "skipped"))

            self.log.info("%s: %d segments, %d at a time.", self.action, len(report.untried), self.concurrency)
            try:
                run.run(log_progress, save_checkpoint)
            finally:
                self.progress = {"done": report.keys_of("succeeded")}
                save_checkpoint()
                self._log_end(report, run.summary())

    def _log_end(self, report: Report, summary: str) -> None:
        from airflow_provider_moengage.segments.bulk_report import table_of_failures

        failures = table_of_failures(report)
        level = logging.WARNING if failures or report.untried else logging.INFO
        self.log.log(level, "%s: %s", self.action, summary)
        # A record a line, so that each has its own beginning.
        for line in failures:
            self.log.warning("%s", line)

    def _push(self, report: Report, context: Context) -> None:
        """Leave the XCom of a task that fails: Airflow itself does it for one that succeeds."""
        if self.do_xcom_push and (ti := context.get("ti")):
            try:
                ti.xcom_push(key="return_value", value=report.as_xcom())
            except Exception as error:  # noqa: BLE001 - it must not take the place of what has failed the task
                self.log.warning("Airflow could not keep the XCom of this try: %s", error)


def _repeats_blindly(context: Context) -> bool:
    """Tell whether this is a retry on an Airflow that has kept nothing of the last try."""
    return context.get("task_state_store") is None and getattr(context.get("ti"), "try_number", 1) > 1
