"""Operators for one segment: archive, unarchive, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_moengage.client.errors import shown
from airflow_provider_moengage.operators.base import OneSegmentOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient


class _ArchivalOperator(OneSegmentOperator):
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

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates, but not the name and id of a segment that was listed.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content.
        """
        # Airflow renders what expand_kwargs() takes from an XCom: whoever names a segment could read secrets by it.
        if self._is_listed and isinstance(content, str) and (content is self.name or content is self.segment_id):
            return content
        return super().render_template(content, context, jinja_env, seen_oids)


class ArchiveSegmentOperator(_ArchivalOperator):
    """
    Archive a segment, file or filter.

    MoEngage no longer shows an archived segment after 180 days: unarchive before that what is needed again.
    API document: archive and unarchive.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param created_time: when it was created, for a segment of
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator`: its name and id are then taken as they
        are, and no template in them is rendered.
    :param type: its type, where it is known: the log warns of a file segment, whose users are deleted for good once it
        has been archived for 30 days.
    :param source: not used; taken so that ``expand_kwargs()`` takes what
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator` returns.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    action = "archive"

    def change_segment(self, client: MoEngageClient) -> dict[str, Any]:
        """
        Archive it, and warn of what is lost with a file segment.

        :param client: the client of the connection.
        :return: the server's answer.
        """
        from airflow_provider_moengage.segments.bulk_plan import Segment, file_segment_warning

        if Segment(self.name, self.segment_id, self._type).has_non_filter_type:
            self.log.warning(
                "%s", file_segment_warning("The segment is, or may be, a file segment", pendulum.now("UTC").date())
            )
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
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param created_time: when it was created, for a segment of
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator`: its name and id are then taken as they
        are, and no template in them is rendered.
    :param type: not used; taken so that ``expand_kwargs()`` takes what
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator` returns.
    :param source: not used, likewise.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    action = "unarchive"

    def change_segment(self, client: MoEngageClient) -> dict[str, Any]:
        """
        Unarchive it.

        :param client: the client of the connection.
        :return: the server's answer.
        """
        answer = client.unarchive_segment(self.name, self.segment_id)
        self.log.info("Unarchived the segment %s.", shown(str(answer.get("cs_name", self.name))))
        return answer


class UpdateSegmentOperator(OneSegmentOperator):
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
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

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
    action = "update"

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

    def change_segment(self, client: MoEngageClient) -> dict[str, Any]:
        """
        Replace its filters.

        :param client: the client of the connection.
        :return: the updated segment.
        """
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
        from airflow_provider_moengage.operators.templating import put_back, take_out

        if not isinstance(content, str) or id(content) in (seen_oids or ()):
            return super().render_template(content, context, jinja_env, seen_oids)
        template, expressions = take_out(content)
        return put_back(super().render_template(template, context, jinja_env, seen_oids), expressions)
