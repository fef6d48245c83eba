"""Operators that define a filter segment: what they share, and update. Import it from ``operators.segments``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.client.errors import InvalidInputError, shown
from airflow_provider_moengage.client.inputs import check_one_of, check_text, kind_of
from airflow_provider_moengage.operators.base import LEFT_OUT
from airflow_provider_moengage.operators.one_segment import OneSegmentOperator, Target, find_by_id, find_by_name
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.log_lines import short

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient

_LOGGED_MISTAKES = 100

# What an error's message has room for.
_SHOWN_CHARACTERS = 700


class DefinitionOperator(OneSegmentOperator):
    """What create and update share: the filters."""

    template_fields_renderers = {"included_filters": "json", "excluded_filters": "json"}  # noqa: RUF012 - as Airflow types it

    def __init__(
        self,
        *,
        included_filters: dict[str, Any],
        excluded_filters: dict[str, Any] = LEFT_OUT,
        allow_empty_values: bool = False,
        validate_filters: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.included_filters = self._take("included_filters", included_filters)
        self.excluded_filters = self._take("excluded_filters", excluded_filters)
        self.allow_empty_values = allow_empty_values
        self.validate_filters = validate_filters

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

    @property
    def _definition(self) -> dict[str, Any]:
        """What is to be sent of the filters."""
        excluded = {} if self.excluded_filters is None else {"excluded_filters": self.excluded_filters}
        return {"included_filters": self.included_filters, **excluded}

    def _check_filters(self) -> None:
        """Refuse what MoEngage would refuse without a place, all at once, before anything is sent."""
        from airflow_provider_moengage.client.filter_group import check_filter_group

        for parameter in ("allow_empty_values", "validate_filters"):
            if not isinstance(getattr(self, parameter), bool):
                raise InvalidInputError(f"{parameter} must be True or False, not {kind_of(getattr(self, parameter))}.")
        for place, group in self._definition.items():
            check_filter_group(place, group)
        from airflow_provider_moengage.segments.filter_checks import empty_lists_of, mistakes_of_definition

        if self.validate_filters:
            found = mistakes_of_definition(self._definition, allow_empty_values=self.allow_empty_values)
            refused = (
                "MoEngage would refuse these filters, and nothing was sent (validate_filters=False sends them as they "
                "are, but for empty lists)."
            )
        else:
            # Not to be checked against the language is no consent to select everybody.
            found = [] if self.allow_empty_values else empty_lists_of(self._definition)
            refused = "These filters have an empty list, and nothing was sent."
        mistakes = [f"{place}: {sentence}" for place, sentence in found]
        if not (self.included_filters["filters"] or self.allow_empty_values):
            empty = "The list is empty: MoEngage may select nobody, or everybody. allow_empty_values=True lets it be."
            mistakes.insert(0, f"included_filters.filters: {empty}")
        if mistakes:
            for mistake in mistakes[:_LOGGED_MISTAKES]:
                self.log.error("%s", mistake)
            raise InvalidInputError(f"{refused} {_beginning_of(mistakes)}")

    def _changes_in(self, segment: dict[str, Any]) -> list[str]:
        """Say what is to change in a segment that is there, as far as the server shows its definition."""
        from airflow_provider_moengage.client.same_definition import is_definition_shown
        from airflow_provider_moengage.segments.definition_changes import changes_between, outline_of

        if not is_definition_shown(segment):
            unknown = "MoEngage does not show the definition as it is; the new one follows."
            return [unknown, *outline_of(self._definition)]
        return changes_between(segment, self._definition_after(segment))

    def _definition_after(self, segment: dict[str, Any]) -> dict[str, Any]:
        """Say what the segment's definition is to be, when it has one already."""
        return self._definition


def _beginning_of(mistakes: list[str]) -> str:
    """Give as many as there is room for, one at least."""
    fit, room = 1, _SHOWN_CHARACTERS - len(mistakes[0])
    while fit < len(mistakes) and len(mistakes[fit]) < room:
        room -= len(mistakes[fit]) + 1
        fit += 1
    more = len(mistakes) - fit
    return " ".join(mistakes[:fit])[:_SHOWN_CHARACTERS] + (f" And {more} more, in the log." if more else "")


class UpdateSegmentOperator(DefinitionOperator):
    """
    Replace the filters of a filter segment, for example when a pipeline has fresh data.

    The filters reach MoEngage as they are given, unknown keys and order included. MoEngage's own templates, such as
    ``"value": "{{MoeUserAttribute['lifetime_value']}}"``, pass through Airflow's templating untouched, while
    ``{{ ds }}`` beside them is rendered. API document: update by id.

    The segment is looked up before (get by id, 4,000 a day for the workspace), so that the log says what changes: how
    many filters there were and are, and which attributes came and went, by name and never by value.

    Returns the updated segment as XCom: ``{"name", "id", "created_time", "updated_time", "type", "source",
    "description", "included_filters"}``. Fails without a retry when MoEngage refuses the update (a file, internal,
    imported or archived segment; a taken name; filters that another segment has; a definition that is circular or too
    large), when there is no such segment, the key is wrong, or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param segment_id: id of the segment; either this or its name. (templated)
    :param included_filters: who is in it, ``{"filter_operator": "and" | "or", "filters": [...]}``. (templated)
    :param segment_name: exact name of the segment, in place of its id; costs one list request more. (templated)
    :param name: a new name; the old one stays when left out. (templated)
    :param updated_by: email address that people see in the segment's edit history; recommended. (templated)
    :param excluded_filters: who is left out of it, shaped like ``included_filters``. (templated)
    :param allow_empty_values: let a list of values be empty, of which MoEngage may make nobody, or everybody.
    :param validate_filters: refuse filters that MoEngage's published language does not allow, before anything is sent.
        ``False`` leaves ``allow_empty_values`` as it is.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something: the log and the XCom say what it would be,
        ``{"dry_run": true, "action", "name", "segment_id", "changes"}``.
    """

    template_fields: Sequence[str] = (
        "segment_id",
        "segment_name",
        "included_filters",
        "name",
        "updated_by",
        "excluded_filters",
        "moengage_conn_id",
    )

    action = "update"

    def __init__(
        self,
        *,
        included_filters: dict[str, Any],
        segment_id: str = LEFT_OUT,
        segment_name: str = LEFT_OUT,
        name: str = LEFT_OUT,
        updated_by: str = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(included_filters=included_filters, **kwargs)
        self.segment_id = self._take("segment_id", segment_id)
        self.segment_name = self._take("segment_name", segment_name)
        self.name = self._take("name", name)
        self.updated_by = self._take("updated_by", updated_by)

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check what was given, and get the segment as it is.

        :param client: the client of the connection.
        :return: the segment, with its definition where the server shows it.
        """
        from airflow_provider_moengage.client.names import check_segment_name

        check_one_of(segment_id=self.segment_id, segment_name=self.segment_name)
        if self.name is not None:
            check_segment_name("name", self.name)
        if self.updated_by is not None:
            check_text("updated_by", self.updated_by)
        self._check_filters()
        segment_id = self.segment_id
        if segment_id is None:
            segment_id = str(find_by_name(client, check_text("segment_name", self.segment_name))["id"])
        segment = find_by_id(client, segment_id)
        return Target(segment.get("name"), segment_id, segment)

    def _definition_after(self, segment: dict[str, Any]) -> dict[str, Any]:
        # An update without excluded filters leaves those that are there.
        return {"excluded_filters": segment.get("excluded_filters"), **self._definition}

    def changes_of(self, target: Target) -> list[str]:
        """
        Say what would change in the segment.

        :param target: the segment.
        :return: sentences without values.
        """
        is_renamed = self.name is not None and self.name != target.name
        renamed = [f"Its new name: {shown(self.name)}."] if is_renamed else []
        return [*renamed, *self._changes_in(target.segment)]

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Replace its filters.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the updated segment.
        """
        segment = client.update_segment(
            str(target.segment_id),
            self.included_filters,
            name=self.name,
            updated_by=self.updated_by,
            excluded_filters=self.excluded_filters,
        )
        self.log.info("Updated the segment %s.", short(str(segment.get("name", target.name))))
        for change in self.changes_of(target):
            log_lines.info(self.log, change)
        return segment
