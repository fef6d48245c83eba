"""Operators for one segment: archive, unarchive, create, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text
from airflow_provider_moengage.operators.base import LEFT_OUT
from airflow_provider_moengage.operators.one_segment import OneSegmentOperator, Target, find_by_name, find_target_by_id
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.log_lines import short

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.operators.create import CreateSegmentOperator
    from airflow_provider_moengage.operators.update import UpdateSegmentOperator

__all__ = ["ArchiveSegmentOperator", "CreateSegmentOperator", "UnarchiveSegmentOperator", "UpdateSegmentOperator"]


def __getattr__(name: str) -> Any:
    """Load what defines segments on first use: most DAG files archive, and Airflow parses a file again and again."""
    if name == "CreateSegmentOperator":
        from airflow_provider_moengage.operators.create import CreateSegmentOperator

        return CreateSegmentOperator
    if name == "UpdateSegmentOperator":
        from airflow_provider_moengage.operators.update import UpdateSegmentOperator

        return UpdateSegmentOperator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _ArchivalOperator(OneSegmentOperator):
    """What archive and unarchive share: which segment."""

    # In a mapped task group all of them come with the run: type and created_time have to be fields, too.
    template_fields: Sequence[str] = ("name", "segment_id", "created_time", "type", "moengage_conn_id")

    def __init__(
        self,
        *,
        name: str = LEFT_OUT,
        segment_id: str = LEFT_OUT,
        created_time: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's word
        source: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = self._take("name", name)
        self.segment_id = self._take("segment_id", segment_id)
        self.created_time = created_time
        self.type = type
        self._is_listed = created_time is not None

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
        listed = (self.name, self.segment_id, self.created_time, self.type) if self._is_listed else ()
        if isinstance(content, str) and any(content is field for field in listed):
            return content
        return super().render_template(content, context, jinja_env, seen_oids)

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Find out what the segment is called. What a list has given is as it is, and costs no request.

        A newer server goes by the name alone, an older one by the id: with the segment's own name both mean the same.

        :param client: the client of the connection.
        :return: the segment, by its own name.
        """
        if self.name is not None:
            check_text("name", self.name)
        elif self.segment_id is None:
            raise InvalidInputError("Say which segment: give its name, its segment_id, or both.")
        if self.segment_id is None:
            return self._find_by_name(client)
        if self.created_time is not None and self.name is not None:
            return Target(self.name, self.segment_id)
        return find_target_by_id(client, self.name, self.segment_id, self.log)

    def _find_by_name(self, client: MoEngageClient) -> Target:
        from airflow_provider_moengage.assets.segments import has_segments

        if self.is_dry_run:
            segment = find_by_name(client, self.name)
            return Target(self.name, str(segment["id"]), segment)
        # Not every server answers the id, and an event of another segment cannot be taken back.
        found = client.find_segment(name=self.name) if has_segments(self.outlets) else None
        return Target(self.name, (found or {}).get("id"), found or {})


class ArchiveSegmentOperator(_ArchivalOperator):
    """
    Archive a segment, file or filter.

    MoEngage no longer shows an archived segment after 180 days: unarchive before that what is needed again.
    API document: archive and unarchive; 50 calls a minute, 200 an hour, 1,000 a day.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment; may be left out when its id is given. (templated)
    :param segment_id: id of the segment, which wins over the name. It costs one get (4,000 a day for the workspace),
        for the segment's own name: another name that was given is warned of, and an id that is not there fails before
        anything is changed. (templated)
    :param created_time: when it was created, for a segment of
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator`: its name and id are then taken as they
        are, and no template in them is rendered. (templated)
    :param type: its type, where it is known: the log warns of a file segment, whose users are deleted for good once it
        has been archived for 30 days. (templated)
    :param source: not used; taken so that ``expand_kwargs()`` takes what
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator` returns.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something: the log and the XCom say what it would be,
        ``{"dry_run": true, "action", "name", "segment_id", "changes"}``.
    """

    action = "archive"

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Find out which segment is meant, and warn of what is lost with a file segment.

        :param client: the client of the connection.
        :return: the segment.
        """
        target = super().find_target(client)
        kind = target.segment.get("type") if self.type is None else self.type
        if kind is None:
            return target
        from airflow_provider_moengage.segments.bulk_plan import Segment, file_segment_warning

        if Segment(str(target.name), type=kind).has_non_filter_type:
            today = pendulum.now("UTC").date()
            log_lines.warn(self.log, file_segment_warning("The segment is, or may be, a file segment", today))
        return target

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Archive it.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        answer = client.archive_segment(check_text("name", target.name), self.segment_id)
        self.log.info("Archived the segment %s.", short(str(answer.get("cs_name", target.name))))
        self.log.info(
            "MoEngage shows an archived segment for 180 days: what was active until now can be unarchived until %s.",
            pendulum.now("UTC").add(days=180).to_date_string(),
        )
        return answer


class UnarchiveSegmentOperator(_ArchivalOperator):
    """
    Make an archived segment active again, for reuse.

    MoEngage no longer shows an archived segment after 180 days, and then there is nothing to unarchive.
    API document: archive and unarchive; 50 calls a minute, 200 an hour, 1,000 a day.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ...}``. Fails without a retry
    when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment; may be left out when its id is given. (templated)
    :param segment_id: id of the segment, which wins over the name. It costs one get (4,000 a day for the workspace),
        for the segment's own name: another name that was given is warned of, and an id that is not there fails before
        anything is changed. (templated)
    :param created_time: when it was created, for a segment of
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator`: its name and id are then taken as they
        are, and no template in them is rendered. (templated)
    :param type: not used; taken so that ``expand_kwargs()`` takes what
        :class:`~airflow_provider_moengage.operators.bulk.ListSegmentsOperator` returns.
    :param source: not used, likewise.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something: the log and the XCom say what it would be,
        ``{"dry_run": true, "action", "name", "segment_id", "changes"}``.
    """

    action = "unarchive"

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Unarchive it.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        answer = client.unarchive_segment(check_text("name", target.name), self.segment_id)
        self.log.info("Unarchived the segment %s.", short(str(answer.get("cs_name", target.name))))
        return answer
