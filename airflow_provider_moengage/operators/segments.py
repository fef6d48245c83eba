"""Operators that change a segment: archive, unarchive, update."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_moengage.client.errors import MoEngageError, shown
from airflow_provider_moengage.failures import MoEngageRetryPolicy, failing_for_good

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.hooks.moengage import MoEngageHook


# The longest window of MoEngage's limits is a day: who is still refused after it waits for nothing.
_LONGEST_DEFERRAL = timedelta(days=1, minutes=5)


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

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Change the segment; when MoEngage asks for a long wait, defer until it is over.

        :param context: the task's context.
        :return: the server's answer.
        :raises AirflowFailException: for what no retry can mend.
        :raises MoEngageError: for what a later try can mend; ``retry_after`` says when, where the server said so.
        """
        return self._change_or_defer(None)

    def execute_complete(self, context: Context, event: Any = None, waiting_since: str | None = None) -> dict[str, Any]:
        """
        Carry on once there is room again.

        :param context: the task's context.
        :param event: the moment at which the trigger has fired.
        :param waiting_since: when the task has deferred for the first time.
        :return: as :meth:`execute`.
        """
        return self._change_or_defer(waiting_since)

    def _change(self) -> dict[str, Any]:
        raise NotImplementedError

    def _change_or_defer(self, waiting_since: str | None) -> dict[str, Any]:
        try:
            with failing_for_good():
                return self._change()
        except MoEngageError as error:
            # The client has already waited for whatever is shorter than its budget.
            if self.deferrable and (error.retry_after or 0) > self.hook.client.retry.budget:
                self._defer(error, waiting_since)
            raise

    def _defer(self, error: MoEngageError, waiting_since: str | None) -> None:
        """Leave the worker until the wait is over, unless all waits together take longer than they may."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = pendulum.now("UTC")
        moment = now + timedelta(seconds=error.retry_after or 0)
        since = datetime.fromisoformat(waiting_since) if waiting_since else now
        if moment - min(_LONGEST_DEFERRAL, self.execution_timeout or _LONGEST_DEFERRAL) > since:
            return
        self.log.warning("The task is deferred until %s. %s", moment.to_datetime_string(), error)
        self.defer(
            trigger=DateTimeTrigger(moment=moment),
            method_name="execute_complete",
            kwargs={"waiting_since": since.isoformat()},
        )


class _ArchivalOperator(_SegmentOperator):
    """What archive and unarchive share: which segment."""

    template_fields: Sequence[str] = ("name", "segment_id", "moengage_conn_id")

    def __init__(self, *, name: str, segment_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.segment_id = segment_id


class ArchiveSegmentOperator(_ArchivalOperator):
    """
    Archive a segment, file or filter.

    MoEngage no longer shows an archived segment after 180 days: unarchive before that what is needed again.
    API document: archive and unarchive.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    def _change(self) -> dict[str, Any]:
        answer = self.hook.client.archive_segment(self.name, self.segment_id)
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

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    def _change(self) -> dict[str, Any]:
        answer = self.hook.client.unarchive_segment(self.name, self.segment_id)
        self.log.info("Unarchived the segment %s.", shown(str(answer.get("cs_name", self.name))))
        return answer


class UpdateSegmentOperator(_SegmentOperator):
    """
    Replace the filters of a filter segment, for example when a pipeline has fresh data.

    The filters reach MoEngage as they are given, unknown keys and order included. MoEngage's own templates, such as
    ``"value": "{{MoeUserAttribute['lifetime_value']}}"``, pass through Airflow's templating untouched, while
    ``{{ ds }}`` beside them is rendered. API document: update by id.

    Returns the updated segment as XCom: ``{"name", "id", "created_time", "updated_time", "type", "source",
    "description", "included_filters"}``. Fails without a retry when MoEngage refuses the update (a file, internal,
    imported or archived segment; a taken name; filters that another segment has; a definition that is circular or too
    large), when there is no such segment, the key is wrong, or a parameter cannot be used.

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

    def _change(self) -> dict[str, Any]:
        segment = self.hook.client.update_segment(
            self.segment_id,
            self.included_filters,
            name=self.name,
            updated_by=self.updated_by,
            excluded_filters=self.excluded_filters,
        )
        self.log.info(
            "Updated the segment %s: %s", shown(str(segment.get("name"))), shown(str(segment.get("description")))
        )
        return segment

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
