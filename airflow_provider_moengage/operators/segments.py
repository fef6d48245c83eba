"""Operators for segments: archive, unarchive and update one; select many, archive and unarchive them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError, RateLimitError, shown
from airflow_provider_moengage.failures import MoEngageRetryPolicy, failing_for_good
from airflow_provider_moengage.links import SegmentLink, note_segment_page

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.bulk import Memory, Plan, Report
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.hooks.moengage import MoEngageHook


# What a segment can be selected by.
_CRITERIA = (
    "name",
    "name_pattern",
    "exclude_pattern",
    "older_than",
    "newer_than",
    "as_of",
    "types",
    "sources",
    "limit",
)


class _LeftOut:
    def __repr__(self) -> str:
        return "<left out>"


# Not None: a mapped task is given what another task has returned, and None of that must not select every segment.
_LEFT_OUT: Any = _LeftOut()

# The longest window of MoEngage's limits is a day: a task still refused after that waits in vain.
_LONGEST_DEFERRAL = timedelta(days=1, minutes=5)

# A server that refuses again and again, and each time asks for a second, is not to be asked all day long.
_SHORTEST_DEFERRAL = timedelta(seconds=30)


class _SegmentOperator(BaseOperator):
    """What the operators share: the connection, and what happens when the call does not succeed."""

    def __init__(
        self,
        *,
        moengage_conn_id: str = "moengage_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.moengage_conn_id = moengage_conn_id
        self.deferrable = deferrable
        # Only Airflow 3.3 has the attribute. Filled in afterwards, so that default_args can set it too.
        if getattr(self, "retry_policy", self) is None:
            self.retry_policy = MoEngageRetryPolicy()

    @cached_property
    def hook(self) -> MoEngageHook:
        """The hook of the connection."""
        from airflow_provider_moengage.hooks.moengage import MoEngageHook

        return MoEngageHook(self.moengage_conn_id)

    def execute(self, context: Context) -> Any:
        """
        Make the call; when MoEngage asks for a long wait, defer until it is over.

        :param context: the task's context.
        :return: what the operator returns as XCom.
        :raises AirflowFailException: for what no retry can mend.
        :raises MoEngageError: for what a later try can mend; ``retry_after`` says when, where the server said so.
        """
        return self._change_or_defer(context, None)

    def execute_complete(self, context: Context, event: Any = None, waiting_since: str | None = None) -> Any:
        """
        Carry on once there is room again.

        :param context: the task's context.
        :param event: the moment at which the trigger has fired.
        :param waiting_since: when the task has deferred for the first time.
        :return: as :meth:`execute`.
        """
        return self._change_or_defer(context, waiting_since)

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates, but not the name and id of a segment that :class:`ListSegmentsOperator` has found.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content.
        """
        # Airflow renders what expand_kwargs() takes from an XCom: whoever names a segment could read secrets by it.
        if self._is_listed_part(content):
            return content
        return super().render_template(content, context, jinja_env, seen_oids)

    def _is_listed_part(self, content: Any) -> bool:
        """Say whether something is, or is a part of, a segment that was listed."""
        return False

    def _change(self, context: Context) -> Any:
        raise NotImplementedError

    def _for_later(self) -> dict[str, Any]:
        """Give what :meth:`execute_complete` needs of what was done before a deferral."""
        return {}

    def _change_or_defer(self, context: Context, waiting_since: str | None) -> Any:
        try:
            with failing_for_good():
                return self._change(context)
        except MoEngageError as error:
            if self.deferrable and error.retry_after and self._is_too_long_for_the_client(error):
                self._defer(error, waiting_since)
            raise

    def _is_too_long_for_the_client(self, error: MoEngageError) -> bool:
        """Tell a wait that did not fit into the client's budget. One for a rate limit fits, or is over by now."""
        return isinstance(error, RateLimitError) or (error.retry_after or 0) > self.hook.client.retry.budget

    def _defer(self, error: MoEngageError, waiting_since: str | None) -> None:
        """Leave the worker until the wait is over, unless all waits together take longer than they may."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = pendulum.now("UTC")
        moment = now + max(timedelta(seconds=error.retry_after or 0), _SHORTEST_DEFERRAL)
        since = datetime.fromisoformat(waiting_since) if waiting_since else now
        if moment - min(_LONGEST_DEFERRAL, self.execution_timeout or _LONGEST_DEFERRAL) > since:
            return
        self.log.warning("The task is deferred until %s UTC. %s", moment.to_datetime_string(), error)
        self.defer(
            trigger=DateTimeTrigger(moment=moment),
            method_name="execute_complete",
            kwargs={"waiting_since": since.isoformat(), **self._for_later()},
        )


class _OneSegmentOperator(_SegmentOperator):
    """What the operators that change one segment share: the link to it, and the events of its assets."""

    operator_extra_links = (SegmentLink(),)
    segment_page = ""
    """Where people see the segment, once that is known."""

    name: str | None
    segment_id: str | None
    _verb = ""

    def _change(self, context: Context) -> dict[str, Any]:
        from airflow_provider_moengage.assets import check_outlets, has_segments, tell_outlets

        client = self.hook.client
        segment_id = self.segment_id
        if segment_id is None and self.name is not None and has_segments(self.outlets):
            # Not every server answers the id, and an event of another segment cannot be taken back.
            segment_id = (client.find_segment(name=self.name) or {}).get("id")
        note_segment_page(self, context, segment_id)
        check_outlets(self.outlets, client.workspace_id, segment_id)
        answer = self._call(client)
        if segment_id is None and answer.get("cs_id"):
            note_segment_page(self, context, answer["cs_id"])
            check_outlets(self.outlets, client.workspace_id, answer["cs_id"])
        tell_outlets(self.outlets, context, {"action": self._verb, **self._changed(answer)})
        return answer

    def _call(self, client: MoEngageClient) -> dict[str, Any]:
        raise NotImplementedError

    def _changed(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Give what an event is to tell of the segment."""
        raise NotImplementedError


class _ArchivalOperator(_OneSegmentOperator):
    """What archive and unarchive share: which segment."""

    template_fields: Sequence[str] = ("name", "segment_id", "moengage_conn_id")

    name: str

    def __init__(
        self,
        *,
        name: str,
        segment_id: str | None = None,
        created_time: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's word
        source: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.segment_id = segment_id
        self._is_listed = created_time is not None
        self._type = type

    def _is_listed_part(self, content: Any) -> bool:
        return self._is_listed and isinstance(content, str) and (content is self.name or content is self.segment_id)

    def _changed(self, answer: dict[str, Any]) -> dict[str, Any]:
        return {"name": answer.get("cs_name", self.name)}


class ArchiveSegmentOperator(_ArchivalOperator):
    """
    Archive a segment, file or filter.

    MoEngage no longer shows an archived segment after 180 days: unarchive before that what is needed again.
    API document: archive and unarchive.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.create_asset` gets what has changed as the ``extra`` of its event; one of
    another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param created_time: when it was created, for a segment of :class:`ListSegmentsOperator`: its name and id are then
        taken as they are, and no template in them is rendered.
    :param type: its type, where it is known: the log warns of a file segment, whose users are deleted for good once it
        has been archived for 30 days.
    :param source: not used; taken so that ``expand_kwargs()`` takes what :class:`ListSegmentsOperator` returns.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    _verb = "archive"

    def _call(self, client: MoEngageClient) -> dict[str, Any]:
        from airflow_provider_moengage.bulk import Segment

        if Segment(self.name, self.segment_id, self._type).is_known_to_be_no_filter_segment:
            self.log.warning(_LOSS, "The segment is, or may be, a file segment", _in_30_days())
        answer = client.archive_segment(self.name, self.segment_id)
        self.log.info(
            "Archived the segment %s. MoEngage no longer shows an archived segment after 180 days: if it was active "
            "until now, it can be unarchived until %s.",
            shown(str(answer.get("cs_name", self.name))),
            pendulum.now("UTC").add(days=180).to_date_string(),
        )
        return answer


class UnarchiveSegmentOperator(_ArchivalOperator):
    """
    Make an archived segment active again, for reuse.

    MoEngage no longer shows an archived segment after 180 days, and then there is nothing to unarchive.
    API document: archive and unarchive.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.create_asset` gets what has changed as the ``extra`` of its event; one of
    another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param created_time: when it was created, for a segment of :class:`ListSegmentsOperator`: its name and id are then
        taken as they are, and no template in them is rendered.
    :param type: not used; taken so that ``expand_kwargs()`` takes what :class:`ListSegmentsOperator` returns.
    :param source: not used, likewise.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    _verb = "unarchive"

    def _call(self, client: MoEngageClient) -> dict[str, Any]:
        answer = client.unarchive_segment(self.name, self.segment_id)
        self.log.info("Unarchived the segment %s.", shown(str(answer.get("cs_name", self.name))))
        return answer


class _ArchivalsOperator(_SegmentOperator):
    """What archive and unarchive of many segments share. What it decides and does is in the module bulk."""

    template_fields: Sequence[str] = ("segments", "moengage_conn_id")
    template_fields_renderers = {"segments": "json"}  # noqa: RUF012 - as Airflow types it

    _verb = ""
    # An archived segment that is not shown any more is where it should be; one to be unarchived is lost.
    _gone_is_done = False

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
        self._done: list[str] = []
        self._killed = False

    def execute_complete(
        self, context: Context, event: Any = None, waiting_since: str | None = None, done: list[str] | None = None
    ) -> Any:
        """
        Carry on with the rest once there is room again.

        :param context: the task's context.
        :param event: the moment at which the trigger has fired.
        :param waiting_since: when the task has deferred for the first time.
        :param done: which segments it has done before.
        :return: as :meth:`execute`.
        """
        self._done = done or []
        return super().execute_complete(context, event, waiting_since)

    def on_kill(self) -> None:
        """Begin no call any more. A signal handler calls this, so it only says so."""
        self._killed = True

    def _is_listed_part(self, content: Any) -> bool:
        return isinstance(content, dict) and content.get("created_time") is not None

    def _for_later(self) -> dict[str, Any]:
        # Before Airflow 3.3 nothing else keeps it.
        return {"done": self._done}

    def _calls_of(self, client: MoEngageClient) -> Callable[[str, str | None], object]:
        raise NotImplementedError

    def _change(self, context: Context) -> dict[str, Any]:
        from airflow_provider_moengage import bulk
        from airflow_provider_moengage.assets import refuse_outlets

        refuse_outlets(self.outlets)
        plan = self._plan()
        report = bulk.Report(plan.segments)
        if not plan.segments:
            self.log.info("There are no segments to %s: nothing was sent.", self._verb)
            return report.as_xcom()
        max_tries = getattr(context.get("ti"), "max_tries", None)
        memory = bulk.Memory(context.get("task_state_store"), self.log, plan.segments, max_tries)
        report.note_known(self._done, "succeeded")
        report.note_known(memory.recall(), "skipped", "an earlier try of this task has done it")
        try:
            self._call_for_all(report, memory, self._gone_is_done and _repeats_blindly(context))
            report.raise_if_failed(bear_failures=self.on_error == "warn")
        except BaseException:
            self._push(report, context)
            raise
        memory.forget()
        return report.as_xcom()

    def _plan(self) -> Plan:
        """Say what is to be done, or raise what is wrong with it."""
        from airflow_provider_moengage import bulk

        bulk.check_options(
            concurrency=self.concurrency,
            max_segments=self.max_segments,
            on_error=self.on_error,
            include_file_segments=self.include_file_segments,
        )
        plan = bulk.plan_of(
            self.segments, max_segments=self.max_segments, include_file_segments=self.include_file_segments
        )
        if plan.duplicates:
            self.log.info("%d of the entries name a segment again: each is done once.", plan.duplicates)
        return plan

    def _call_for_all(self, report: Report, memory: Memory, gone_is_done: bool) -> None:
        """Call for each segment that is left, and tell and keep what became of them, however it ends."""
        from airflow_provider_moengage import bulk

        with self.hook.client as client:
            call = self._calls_of(client)
            run = bulk.BulkRun(
                lambda segment: call(segment.name, segment.segment_id),
                report,
                concurrency=self.concurrency,
                gone_is_done=gone_is_done,
                is_killed=lambda: self._killed,
            )

            def tell_progress() -> None:
                self.log.info("%s: %s", self._verb, run.progress())

            def keep() -> None:
                memory.keep(report.keys_of("succeeded", "skipped"))

            self.log.info("%s: %d segments, %d at a time.", self._verb, len(report.untried), self.concurrency)
            try:
                run.run(tell_progress, keep)
            finally:
                self._done = report.keys_of("succeeded")
                keep()
                self._tell_end(report, run.summary())

    def _tell_end(self, report: Report, summary: str) -> None:
        from airflow_provider_moengage import bulk

        failures = bulk.table_of_failures(report)
        level = logging.WARNING if failures or report.untried else logging.INFO
        self.log.log(level, "%s: %s", self._verb, summary)
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


# What, and until when.
_LOSS = (
    "%s. MoEngage deletes the users of a file segment for good on %s, after 30 days in the archive: unarchive before "
    "that what is needed again."
)


def _in_30_days() -> str:
    return pendulum.now("UTC").add(days=30).to_date_string()


def _repeats_blindly(context: Context) -> bool:
    """Tell whether this is a retry on an Airflow that has kept nothing of the last try."""
    return context.get("task_state_store") is None and getattr(context.get("ti"), "try_number", 1) > 1


class ArchiveSegmentsOperator(_ArchivalsOperator):
    """
    Archive many segments in one task, a few calls at once on kept-alive connections.

    The calls keep to the rate limits that the server's headers tell. A segment that fails does not stop the others:
    the task fails at the end, with a table of the failures in its log, and is retried when a retry can mend one of
    them. What every call would meet, such as a wrong key, ends it at once. A retry carries on where the last try has
    stopped: on Airflow 3.3 it does not repeat what is done; on older versions it does, which changes nothing, and a
    segment that is gone by then counts as done. Killed, it begins no call any more. API document: archive and
    unarchive.

    A file segment's users are deleted for good once it has been archived for 30 days, and no unarchive brings them
    back: a segment whose ``type`` is another than that of filters (``ELASTIC_SEARCH``) is refused, before anything is
    sent, unless ``include_file_segments`` is set. Entries without a ``type`` pass, with a warning that counts them.

    Returns as XCom, when the task fails as well, ``{"succeeded": [{name, segment_id}], "skipped": [{name, segment_id,
    reason}], "failed": [{name, segment_id, error}]}``, each with ``created_time``, ``type`` and ``source`` where those
    were given; what was not tried stands in none of them. Fails without a retry when the input cannot be used, the key
    is wrong, or no failure is one that a retry can mend.

    :param segments: the segments, ``[{"name": ..., "segment_id": ..., "type": ...}]``: the id wins over the name and
        is optional, as is the type; other keys are ignored. An empty list is a success. (templated)
    :param concurrency: how many calls at once, from 1 to 16.
    :param max_segments: how many different segments there may be: more of them fail before anything is sent.
    :param include_file_segments: archive file segments, too.
    :param on_error: ``fail`` or ``warn``: whether segments that have failed fail the task. What ends the run early
        always does.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    _verb = "archive"
    _gone_is_done = True

    def __init__(self, *, include_file_segments: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.include_file_segments = include_file_segments

    def _calls_of(self, client: MoEngageClient) -> Callable[[str, str | None], object]:
        return client.archive_segment

    def _plan(self) -> Plan:
        plan = super()._plan()
        if plan.file_segments:
            self.log.warning(
                _LOSS, f"{len(plan.file_segments)} of the segments are, or may be, file segments", _in_30_days()
            )
        if plan.of_unknown_type:
            self.log.warning(
                _LOSS, f"{plan.of_unknown_type} of the segments have no type, and may be file segments", _in_30_days()
            )
        return plan

    def _tell_end(self, report: Report, summary: str) -> None:
        super()._tell_end(report, summary)
        if not report.of("succeeded"):
            return
        self.log.info(
            "MoEngage no longer shows an archived segment after 180 days: what was active until now can be unarchived "
            "until %s.",
            pendulum.now("UTC").add(days=180).to_date_string(),
        )


class UnarchiveSegmentsOperator(_ArchivalsOperator):
    """
    Make many archived segments active again in one task, a few calls at once on kept-alive connections.

    Rate limits, failures, retries, a kill and the XCom are as with :class:`ArchiveSegmentsOperator`, but for a segment
    that is gone: that is a failure in every try. A workspace that is full ends the task. API document: archive and
    unarchive.

    :param segments: the segments, ``[{"name": ..., "segment_id": ...}]``: the id wins over the name and is optional;
        other keys are ignored. An empty list is a success. (templated)
    :param concurrency: how many calls at once, from 1 to 16.
    :param max_segments: how many different segments there may be: more of them fail before anything is sent.
    :param on_error: ``fail`` or ``warn``: whether segments that have failed fail the task. What ends the run early
        always does.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    _verb = "unarchive"

    def _calls_of(self, client: MoEngageClient) -> Callable[[str, str | None], object]:
        return client.unarchive_segment


class UpdateSegmentOperator(_OneSegmentOperator):
    """
    Replace the filters of a filter segment, for example when a pipeline has fresh data.

    The filters reach MoEngage as they are given, unknown keys and order included. MoEngage's own templates, such as
    ``"value": "{{MoeUserAttribute['lifetime_value']}}"``, pass through Airflow's templating untouched, while
    ``{{ ds }}`` beside them is rendered. API document: update by id.

    Returns the updated segment as XCom: ``{"name", "id", "created_time", "updated_time", "type", "source",
    "description", "included_filters"}``. Fails without a retry when MoEngage refuses the update (a file, internal,
    imported or archived segment; a taken name; filters that another segment has; a definition that is circular or too
    large), when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.create_asset` gets what has changed as the ``extra`` of its event; one of
    another segment fails the task.

    :param segment_id: id of the segment. (templated)
    :param included_filters: who is in it, ``{"filter_operator": "and" | "or", "filters": [...]}``. (templated)
    :param name: a new name; the old one stays when left out. (templated)
    :param updated_by: email address that people see in the segment's edit history; recommended. (templated)
    :param excluded_filters: who is left out of it, shaped like ``included_filters``. (templated)
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = (
        "segment_id",
        "included_filters",
        "name",
        "updated_by",
        "excluded_filters",
        "moengage_conn_id",
    )
    template_fields_renderers = {"included_filters": "json", "excluded_filters": "json"}  # noqa: RUF012 - as Airflow types it

    segment_id: str
    _verb = "update"

    def __init__(
        self,
        *,
        segment_id: str,
        included_filters: dict[str, Any],
        name: str | None = None,
        updated_by: str | None = None,
        excluded_filters: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segment_id = segment_id
        self.included_filters = included_filters
        self.name = name
        self.updated_by = updated_by
        self.excluded_filters = excluded_filters

    def _call(self, client: MoEngageClient) -> dict[str, Any]:
        segment = client.update_segment(
            self.segment_id,
            self.included_filters,
            name=self.name,
            updated_by=self.updated_by,
            excluded_filters=self.excluded_filters,
        )
        name, description = (shown(str(segment.get(key))) for key in ("name", "description"))
        self.log.info("Updated the segment %s. It is now: %s", name, description)
        return segment

    def _changed(self, answer: dict[str, Any]) -> dict[str, Any]:
        return {"name": answer.get("name"), "updated_time": answer.get("updated_time")}

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates and leave MoEngage's own as they are.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content.
        """
        from airflow_provider_moengage.templates import put_back, take_out

        if not isinstance(content, str) or id(content) in (seen_oids or ()):
            return super().render_template(content, context, jinja_env, seen_oids)
        template, expressions = take_out(content)
        return put_back(super().render_template(template, context, jinja_env, seen_oids), expressions)


class ListSegmentsOperator(_SegmentOperator):
    """
    Select segments by name, age, type and source, the oldest first: for example those of campaigns that are over.

    A segment is selected when it is all of what is asked for; without any criterion every segment is. One list request
    (50 a minute, 200 an hour and 1,000 a day for the workspace), whose segments are as in the API document: get by id.

    Returns them as XCom, a list of ``{"name", "segment_id", "created_time", "type", "source"}`` that the operators for
    one segment take with ``expand_kwargs()``. A selection of nothing is a success and an empty list, for which Airflow
    skips a mapped task. The log has the selection as a table of at most 100 rows. A segment whose ``created_time``
    cannot be read is never selected, and named in a warning. Fails without a retry when the key is wrong or a parameter
    cannot be used; a bad parameter is found before the request.

    The documents show no field that tells an archived segment from an active one, and do not say that the list leaves
    archived ones out. Count on them to be listed, and so to be selected, until 180 days after they were archived. To
    archive one again changes nothing, but ``limit`` may be used up by segments that are archived already: give a job
    that archives every week a ``newer_than`` as well, so that a segment drops out once it was dealt with.

    Ages count from ``created_time``, never from ``updated_time``, which MoEngage's own services move too. They are
    half-open: of exactly the age ``older_than`` a segment is not old enough, of exactly the age ``newer_than`` it is
    still new enough.

    :param name: exact name of the segment; asks MoEngage for that one only. (templated)
    :param name_pattern: glob for the name, such as ``camp_*``: ``*``, ``?``, ``[abc]``, ``[!abc]``; case-sensitive.
        (templated)
    :param exclude_pattern: glob for names that are never selected; case-sensitive. (templated)
    :param older_than: least age: a timedelta, a pendulum Duration, or an ISO 8601 duration of whole numbers such as
        ``P90D``, ``P3M`` (months of the calendar) or ``PT12H``. (templated)
    :param newer_than: greatest age, likewise; longer than ``older_than``. (templated)
    :param as_of: moment from which ages count: a datetime, or an ISO 8601 string such as ``{{ data_interval_end }}``
        renders to; without a zone it is in UTC. What was created then or later is not selected. Now by default, when
        nothing is too new; not in the future. (templated)
    :param types: types to select, such as ``["ELASTIC_SEARCH"]`` for filter segments; all by default. (templated)
    :param sources: sources to select, such as ``["API"]``; all by default. (templated)
    :param limit: how many to select at most, the oldest; all by default. (templated)
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = (*_CRITERIA, "moengage_conn_id")

    def __init__(
        self,
        *,
        name: str = _LEFT_OUT,
        name_pattern: str = _LEFT_OUT,
        exclude_pattern: str = _LEFT_OUT,
        older_than: timedelta | str = _LEFT_OUT,
        newer_than: timedelta | str = _LEFT_OUT,
        as_of: datetime | str = _LEFT_OUT,
        types: list[str] = _LEFT_OUT,
        sources: list[str] = _LEFT_OUT,
        limit: int | str = _LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._given: list[str] = []
        self.name = self._take("name", name)
        self.name_pattern = self._take("name_pattern", name_pattern)
        self.exclude_pattern = self._take("exclude_pattern", exclude_pattern)
        self.older_than = self._take("older_than", older_than)
        self.newer_than = self._take("newer_than", newer_than)
        self.as_of = self._take("as_of", as_of)
        self.types = self._take("types", types)
        self.sources = self._take("sources", sources)
        self.limit = self._take("limit", limit)

    def _take(self, criterion: str, value: Any) -> Any:
        if value is _LEFT_OUT:
            return None
        self._given.append(criterion)
        return value

    def _change(self, context: Context) -> list[dict[str, Any]]:
        from airflow_provider_moengage.selection import criteria_of, select

        values = {criterion: getattr(self, criterion) for criterion in _CRITERIA}
        for criterion in self._given:
            # Or a template that renders to nothing, or a task that returns it, would select every segment.
            if values[criterion] is None:
                raise InvalidInputError(
                    f"{criterion} was given, but there is nothing in it now. If it comes from a template or another "
                    "task, look at what that gives; leave the parameter out where it is not wanted."
                )
        criteria = criteria_of(now=pendulum.now("UTC"), **values)
        selection = select(self.hook.client.list_segments(criteria.name), criteria)
        for line in selection.lines():
            self.log.info("%s", line)
        for warning in selection.warnings():
            self.log.warning("%s", warning)
        return [segment.as_arguments() for segment in selection.segments]
