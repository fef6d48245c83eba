"""Operators for many segments: list those that are meant, archive them, unarchive them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_moengage.client.errors import RateLimitError
from airflow_provider_moengage.operators.base import LEFT_OUT, MoEngageOperator
from airflow_provider_moengage.operators.bulk_base import ManySegmentsOperator
from airflow_provider_moengage.segments import log_lines

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.segments.bulk_plan import Plan, Segment
    from airflow_provider_moengage.segments.bulk_report import Report

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


class ListSegmentsOperator(MoEngageOperator):
    """
    Select segments by name, age, type and source, the oldest first: for example those of campaigns that are over.

    A segment is selected when it is all of what is asked for; without any criterion every segment is. One list request
    (50 a minute, 200 an hour and 1,000 a day for the workspace), whose segments are as in the API document: get by id.

    Returns them as XCom, a list of ``{"name", "segment_id", "created_time", "type", "source"}`` that the operators for
    one segment take with ``expand_kwargs()``. A selection of nothing is a success and an empty list, for which Airflow
    skips a mapped task; the log then says which criterion has left out how many. The log has the selection as a table
    of at most 100 rows. A segment whose ``created_time`` cannot be read is never selected, and named in a warning.
    Fails without a retry when the key is wrong or a parameter cannot be used; a bad parameter is found before the
    request.

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
    :param older_than: least age: a timedelta, a pendulum Duration (of pendulum 3.2 or newer), or an ISO 8601 duration
        of whole numbers such as ``P90D``, ``P3M`` (months of the calendar) or ``PT12H``. Without ``newer_than`` a
        warning says that the same segments come again. (templated)
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
        name: str = LEFT_OUT,
        name_pattern: str = LEFT_OUT,
        exclude_pattern: str = LEFT_OUT,
        older_than: timedelta | str = LEFT_OUT,
        newer_than: timedelta | str = LEFT_OUT,
        as_of: datetime | str = LEFT_OUT,
        types: list[str] = LEFT_OUT,
        sources: list[str] = LEFT_OUT,
        limit: int | str = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = self._take("name", name)
        self.name_pattern = self._take("name_pattern", name_pattern)
        self.exclude_pattern = self._take("exclude_pattern", exclude_pattern)
        self.older_than = self._take("older_than", older_than)
        self.newer_than = self._take("newer_than", newer_than)
        self.as_of = self._take("as_of", as_of)
        self.types = self._take("types", types)
        self.sources = self._take("sources", sources)
        self.limit = self._take("limit", limit)

    def _take(self, parameter: str, value: Any) -> Any:
        # None is nowhere there on purpose: it would select every segment.
        if value is None:
            self._given.append(parameter)
        return super()._take(parameter, value)

    def call_api(self, context: Context) -> list[dict[str, Any]]:
        """
        List the segments, and select those that are meant.

        :param context: the task's context.
        :return: the selected ones, the oldest first.
        :raises InvalidInputError: when a criterion cannot be used.
        :raises MoEngageError: when MoEngage has not listed them.
        """
        from airflow_provider_moengage.segments.selection import select
        from airflow_provider_moengage.segments.selection_criteria import criteria_of

        values = {criterion: getattr(self, criterion) for criterion in _CRITERIA}
        criteria = criteria_of(now=pendulum.now("UTC"), **values)
        selection = select(self.hook.client.list_segments(criteria.name), criteria)
        for line in selection.lines():
            log_lines.info(self.log, line)
        for warning in selection.warnings():
            log_lines.warn(self.log, warning)
        return [segment.as_arguments() for segment in selection.segments]


class ArchiveSegmentsOperator(ManySegmentsOperator):
    """
    Archive many segments in one task, a few calls at once on kept-alive connections.

    MoEngage archives 50 segments a minute, 200 an hour and 1,000 a day of a workspace: 100 take a minute, 1,000 four
    hours and four minutes, 3,000 two days. The first line of the log says how long it takes at best. The calls keep to
    what the server's headers tell: a window is filled and not overrun, and where a server tells of no limit there is no
    wait. With ``deferrable=True`` no wait holds a worker slot. Without it the task waits in its slot; a plan that needs
    more than a day's quota fails before anything is sent, and so does one with a shorter ``execution_timeout``.

    A segment that fails does not stop the others:
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
    were given; what was not tried stands in none of them. A list of MoEngage may show archived segments: those of
    ``succeeded`` that the last run of this task has archived already stand in ``done_before`` too, and a warning counts
    them. Fails without a retry when the input cannot be used, the key is wrong, the task has no time for the plan, or
    no failure is one that a retry can mend.

    :param segments: the segments, ``[{"name": ..., "segment_id": ..., "type": ...}]``: the id wins over the name and
        is optional, as is the type; other keys are ignored. An id without ``created_time``, which a list would have
        shown, costs a get: the call then goes by the segment's own name, and an unknown id fails before it. What is
        listed twice is done once. An empty list is a success. (templated)
    :param concurrency: how many calls at once, from 1 to 16.
    :param max_segments: how many different segments there may be: more of them fail before anything is sent.
    :param include_file_segments: archive file segments, too.
    :param on_error: ``fail`` or ``warn``: whether segments that have failed fail the task. What ends the run early
        always does.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a rate limit lasts; all waits together take a day more at most
        than the plan at best. The default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the calls: the log and the XCom say what would be done. The XCom has
        ``dry_run``, ``action`` and ``segments`` then, and nothing in the other lists.
    """

    action = "archive"
    gone_is_done = True
    remembers_runs = True

    def __init__(self, *, include_file_segments: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.include_file_segments = include_file_segments

    def change_segment(self, client: MoEngageClient, segment: Segment) -> object:
        """
        Archive one.

        :param client: the client of the connection.
        :param segment: which.
        :return: the server's answer.
        """
        return client.archive_segment(segment.name, segment.segment_id)

    def _log_plan(self, plan: Plan) -> None:
        super()._log_plan(plan)
        for warning in plan.file_segment_warnings(pendulum.now("UTC").date()):
            log_lines.warn(self.log, warning)

    def _log_end(self, report: Report, summary: str, left: frozenset[str]) -> None:
        super()._log_end(report, summary, left)
        if not report.of("succeeded") or isinstance(report.ended_by, RateLimitError):
            return
        self.log.info(
            "What was active until now can be unarchived until %s: MoEngage shows archived ones for 180 days.",
            pendulum.now("UTC").add(days=180).to_date_string(),
        )


class UnarchiveSegmentsOperator(ManySegmentsOperator):
    """
    Make many archived segments active again in one task, a few calls at once on kept-alive connections.

    Rate limits (50 a minute, 200 an hour, 1,000 a day, of its own), how long it takes, failures, retries, a kill and
    the XCom are as with :class:`ArchiveSegmentsOperator`, but for a segment that is gone: that is a failure in every
    try. A workspace that is full ends the task. API document: archive and
    unarchive.

    :param segments: the segments, ``[{"name": ..., "segment_id": ...}]``: the id wins over the name and is optional;
        other keys are ignored. An id without ``created_time``, which a list would have shown, costs a get: the call
        then goes by the segment's own name, and an unknown id fails before it. What is listed twice is done once. An
        empty list is a success. (templated)
    :param concurrency: how many calls at once, from 1 to 16.
    :param max_segments: how many different segments there may be: more of them fail before anything is sent.
    :param on_error: ``fail`` or ``warn``: whether segments that have failed fail the task. What ends the run early
        always does.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a rate limit lasts; all waits together take a day more at most
        than the plan at best. The default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the calls: the log and the XCom say what would be done. The XCom has
        ``dry_run``, ``action`` and ``segments`` then, and nothing in the other lists.
    """

    action = "unarchive"

    def change_segment(self, client: MoEngageClient, segment: Segment) -> object:
        """
        Unarchive one.

        :param client: the client of the connection.
        :param segment: which.
        :return: the server's answer.
        """
        return client.unarchive_segment(segment.name, segment.segment_id)
