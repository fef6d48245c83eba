"""The operator that creates a filter segment, or brings one up to date. Import it from ``operators.segments``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.client.errors import (
    DuplicateNameError,
    ForbiddenOperationError,
    InvalidInputError,
    shown,
)
from airflow_provider_moengage.client.inputs import kind_of
from airflow_provider_moengage.operators.one_segment import Target, find_by_id
from airflow_provider_moengage.operators.update import DefinitionOperator
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.log_lines import short

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient

# An update without excluded filters leaves those that are there.
_NOBODY = {"filter_operator": "and", "filters": []}


# How far MoEngage's clock may be behind that of Airflow.
_CLOCKS_DIFFER = timedelta(minutes=1)


class CreateSegmentOperator(DefinitionOperator):
    """
    Create a filter segment, or make sure that it is there with these filters.

    A name is never free again, not even when its segment is archived, so that a run that is repeated meets the segment
    of its first time: ``if_exists`` says what is to be done then. A task that was killed after MoEngage has created the
    segment finds it in its retry, by name and definition, and succeeds: there is one segment, whatever was lost. Where
    a server shows no definition, it has to be of this name and no older than the run. OpenAPI description of August
    2026: create; API documents: list, get by id, update by id.

    The filters reach MoEngage as they are given, as with :class:`UpdateSegmentOperator`, templates included.

    Returns the segment as XCom: ``{"name", "id", "created_time", "updated_time", "type", "source", "description",
    "included_filters"}``. Fails without a retry when the name is taken (unless ``if_exists`` allows that) or is none
    that MoEngage takes, another segment has these filters, the workspace has as many active segments as it may have,
    the segment that is there cannot be updated, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` is for a segment that is there already: the task
    fails, before anything is sent, when there is none of this name.

    :param name: name of the segment. (templated)
    :param included_filters: who is in it, ``{"filter_operator": "and" | "or", "filters": [...]}``. (templated)
    :param excluded_filters: who is left out of it, shaped like ``included_filters``. (templated)
    :param if_exists: what to do when a segment has the name already. ``fail``: fail. ``skip``: return that one, and
        say in the log whether its definition is another. ``update``: compare, and update it only when its definition is
        another, or is not shown by the server; excluded filters that are not given are taken away.
    :param allow_empty_values: let a list of values be empty, of which MoEngage may make nobody, or everybody.
    :param validate_filters: refuse filters that MoEngage's published language does not allow, before anything is sent.
        ``False`` leaves ``allow_empty_values`` as it is.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something: the log and the XCom say what it would be,
        ``{"dry_run": true, "action", "name", "segment_id", "changes"}``, the action being ``create``, ``update`` or
        ``none``.
    """

    template_fields: Sequence[str] = ("name", "included_filters", "excluded_filters", "moengage_conn_id")

    def __init__(
        self,
        *,
        name: str,
        included_filters: dict[str, Any],
        if_exists: Literal["fail", "skip", "update"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(included_filters=included_filters, **kwargs)
        self.name = self._take("name", name)
        self.if_exists = if_exists

    def _start(self, progress: dict[str, Any]) -> None:
        super()._start(progress)
        self._is_retry = False
        self._run_began: datetime | None = None

    def call_api(self, context: Context) -> dict[str, Any]:
        """
        Create the segment, or do with the one of its name what ``if_exists`` says.

        :param context: the task's context.
        :return: the segment, or what a dry run has found out.
        :raises DuplicateNameError: when the name is taken.
        :raises MoEngageError: when MoEngage has not done it.
        """
        self._is_retry = getattr(context.get("ti"), "try_number", 1) > 1
        self._run_began = getattr(context.get("dag_run"), "start_date", None)
        try:
            return super().call_api(context)
        except DuplicateNameError as error:
            if self.if_exists == "fail":
                raise
            if error.existing_segment_id is None:
                error.way_out = (
                    f"MoEngage does not list the segment that has it, which was archived long ago then. {error.way_out}"
                )
                raise
        # It was made after it was looked for and before the call: it is there now.
        return super().call_api(context)

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check what was given, and look for the segment of this name where that decides something.

        :param client: the client of the connection.
        :return: the segment that is there, or one without an id.
        """
        from airflow_provider_moengage.assets.segments import has_segments
        from airflow_provider_moengage.client.names import check_segment_name

        check_segment_name("name", self.name)
        if self.if_exists not in ("fail", "skip", "update"):
            raise InvalidInputError(f'if_exists must be "fail", "skip" or "update", not {kind_of(self.if_exists)}.')
        self._check_filters()
        has_outlets = has_segments(self.outlets)
        if self.if_exists == "fail" and not (self._is_retry or self.is_dry_run or has_outlets):
            return Target(self.name)
        found = client.find_segment(name=self.name)
        if found is None:
            if has_outlets:
                raise InvalidInputError(
                    f"There is no segment {shown(self.name)} yet, so that the outlet of this task is another one: a "
                    "new segment gets an id of its own. Nothing was sent. Take the outlet away until it is there."
                )
            return Target(self.name)
        segment = find_by_id(client, str(found.get("id")))
        if self.if_exists == "fail":
            self._refuse_unless_ours(segment)
        return Target(self.name, str(segment["id"]), segment)

    def _refuse_unless_ours(self, segment: dict[str, Any]) -> None:
        """Let pass what an earlier try of this task has created: a retry of the task meets it under its own name."""
        from airflow_provider_moengage.client.same_definition import is_definition_shown

        if self._is_retry and self._is_as_wanted(segment):
            return
        if self._is_retry and self._is_of_this_run(segment):
            log_lines.warn(
                self.log,
                f"The segment {short(self.name)} ({segment['id']}) is taken for the one of an earlier try, by its time "
                f"alone. It was created at {segment.get('created_time')}, and this run began at {self._run_began}. "
                "MoEngage does not show its definition, and somebody else may have made it since then. To be sure, "
                'compare its filters in the dashboard with those of this task; if_exists="update" sends these '
                "whatever is there.",
            )
            return
        taken = DuplicateNameError(f"there is a segment {shown(self.name)} already")
        taken.existing_segment_name, taken.existing_segment_id = self.name, str(segment["id"])
        if self._is_retry and not is_definition_shown(segment):
            taken.way_out = (
                "It may be the one that an earlier try of this task has created, but MoEngage does not show its "
                f'definition: look at it in the dashboard; if_exists="skip" takes it as it is. {taken.way_out}'
            )
        raise taken

    def _is_of_this_run(self, segment: dict[str, Any]) -> bool:
        """Tell by its time whether a retry has met what this run has created, where no definition is shown."""
        from airflow_provider_moengage.client.same_definition import is_definition_shown

        if is_definition_shown(segment) or self._run_began is None:
            return False
        try:
            created = datetime.fromisoformat(str(segment.get("created_time")))
        except ValueError:
            return False
        return (created if created.tzinfo else created.replace(tzinfo=timezone.utc)) >= self._run_began - _CLOCKS_DIFFER

    def _is_as_wanted(self, segment: dict[str, Any]) -> bool:
        from airflow_provider_moengage.client.same_definition import is_same_definition

        return is_same_definition(self._definition, segment)

    def action_on(self, target: Target) -> str:
        """
        Say what is, or would be, done.

        :param target: the segment that is there, or one without an id.
        :return: ``create``, ``update``, or ``none`` for one that stays as it is.
        """
        if target.segment_id is None or self.if_exists == "fail":
            return "create"
        return "none" if self.if_exists == "skip" or self._is_as_wanted(target.segment) else "update"

    def changes_of(self, target: Target) -> list[str]:
        """
        Say what would be created, or change in the segment that is there.

        :param target: the segment.
        :return: sentences without values.
        """
        from airflow_provider_moengage.client.same_definition import is_definition_shown
        from airflow_provider_moengage.segments.definition_changes import outline_of

        if target.segment_id is None:
            return outline_of(self._definition)
        # Of one that stays as it is, and does not show how that is, there is nothing to tell.
        if self.action_on(target) == "none" and not is_definition_shown(target.segment):
            return []
        return [] if self._is_as_wanted(target.segment) else self._changes_in(target.segment)

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Create it, or do with the one that is there what ``if_exists`` says.

        :param client: the client of the connection.
        :param target: the segment that is there, or one without an id.
        :return: the segment.
        """
        if target.segment_id is None:
            segment = client.create_segment(self.name, self.included_filters, excluded_filters=self.excluded_filters)
            log_lines.info(self.log, f"Created the segment {short(self.name)} ({segment.get('id')}).")
        elif self.action_on(target) == "update":
            segment = self._update(client, target)
            log_lines.info(self.log, f"Updated the segment {short(self.name)} ({target.segment_id}), which was there.")
        else:
            self._log_as_it_is(target)
            return target.segment
        for change in self.changes_of(target):
            log_lines.info(self.log, change)
        return segment

    def _update(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        excluded = self.excluded_filters
        if excluded is None and target.segment.get("excluded_filters"):
            excluded = _NOBODY
        try:
            return client.update_segment(str(target.segment_id), self.included_filters, excluded_filters=excluded)
        except ForbiddenOperationError as error:
            error.way_out = (
                f"The segment {shown(self.name)} is there ({target.segment_id}), and archived, or of a kind that "
                "cannot be updated (file, internal, imported). If it is archived, unarchive it first "
                "(UnarchiveSegmentOperator)."
            )
            raise

    def _log_as_it_is(self, target: Target) -> None:
        from airflow_provider_moengage.client.same_definition import is_definition_shown

        if self.if_exists == "fail":
            self.log.info("An earlier try of this task has created the segment %s.", short(self.name))
            return
        if self._is_as_wanted(target.segment):
            definition = "Its definition is the one that was asked for"
        elif is_definition_shown(target.segment):
            definition = "Its definition is another one than was asked for"
        else:
            definition = "MoEngage does not show whether its definition is the one that was asked for"
        log_lines.info(
            self.log,
            f"The segment {short(self.name)} is there already ({target.segment_id}), and stays as it is. {definition}; "
            "whether it is archived MoEngage does not show.",
        )
        for change in self.changes_of(target):
            log_lines.info(self.log, change)
