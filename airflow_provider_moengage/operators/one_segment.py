"""What the operators for one segment share: which one, the dry run, the link to it, the events of its assets."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.client.errors import (
    BadRequestError,
    InvalidInputError,
    MoEngageError,
    SegmentNotFoundError,
)
from airflow_provider_moengage.links.segments import SegmentLink, set_segment_page
from airflow_provider_moengage.operators.base import MoEngageOperator
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.log_lines import short

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient

_ID_CHARACTERS = 24


class Target:
    """
    The segment that an execution is about.

    :param name: its own name, as far as it is known.
    :param segment_id: its id, as far as it is known.
    :param segment: what MoEngage shows of it, empty when it was not asked.
    """

    def __init__(self, name: str | None, segment_id: str | None = None, segment: dict[str, Any] | None = None) -> None:
        self.name = name
        self.segment_id = segment_id
        self.segment = segment or {}


class OneSegmentOperator(MoEngageOperator):
    """
    What the operators for one segment share: the link to it, and the events of its assets.

    A subclass implements :meth:`find_target` and :meth:`change_segment`.

    :param dry_run: do everything but the call that changes something.
    """

    operator_extra_links = (SegmentLink(),)
    segment_page = ""
    """Where people see the segment, once that is known."""

    action = ""
    """What the event of an outlet calls the change."""

    def __init__(self, *, dry_run: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Airflow's operators have a method of that name.
        self.is_dry_run = dry_run

    @abstractmethod
    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check what was given, and find out which segment is meant. Changes nothing.

        :param client: the client of the connection.
        :return: the segment.
        :raises MoEngageError: when what was given cannot be used, or there is no such segment.
        """

    @abstractmethod
    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Make the one call that changes the segment.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer, which is the XCom too: with ``cs_name`` or ``name``, and ``cs_id`` or ``id`` where
            the server tells it.
        :raises MoEngageError: when MoEngage has not changed it.
        """

    def action_on(self, target: Target) -> str:
        """
        Say what is, or would be, done.

        :param target: the segment.
        :return: what events and dry runs call it; ``none`` when nothing has to be done.
        """
        return self.action

    def changes_of(self, target: Target) -> list[str]:
        """
        Say what would change in the segment, for a dry run. No value of a filter is in it.

        :param target: the segment.
        :return: sentences; none when the action says all.
        """
        return []

    def _start(self, progress: dict[str, Any]) -> None:
        super()._start(progress)
        self.segment_page = ""

    def call_api(self, context: Context) -> dict[str, Any]:
        """
        Change the segment; set the link to it, and attach the change to the events of its outlets.

        :param context: the task's context.
        :return: the server's answer, or what a dry run has found out.
        :raises InvalidInputError: when an outlet is another segment.
        :raises MoEngageError: when MoEngage has not changed it.
        """
        from airflow_provider_moengage.assets.segments import attach_change, check_outlets

        if not isinstance(self.is_dry_run, bool):
            raise InvalidInputError(f"dry_run must be True or False, not {type(self.is_dry_run).__name__}.")
        client = self.hook.client
        target = self.find_target(client)
        set_segment_page(self, context, target.segment_id)
        check_outlets(self.outlets, client.workspace_id, target.segment_id)
        action = self.action_on(target)
        if self.is_dry_run:
            return self._end_dry_run(context, target, action)
        answer = self.change_segment(client, target)
        answered_id = answer.get("cs_id") or answer.get("id")
        if target.segment_id is None and answered_id:
            set_segment_page(self, context, answered_id)
            check_outlets(self.outlets, client.workspace_id, str(answered_id))
        attach_change(self.outlets, context, {"action": action, **_facts_of(answer, target.name)})
        return answer

    def _end_dry_run(self, context: Context, target: Target, action: str) -> dict[str, Any]:
        from airflow_provider_moengage.assets.segments import attach_change, has_segments

        changes = self.changes_of(target)
        which = f"the segment {short(str(target.name))}" + (f" ({target.segment_id})" if target.segment_id else "")
        would = f"would leave {which} as it is" if action == "none" else f"would {action} {which}"
        log_lines.info(self.log, f"Dry run, nothing is changed: this task {would}.")
        for change in changes:
            log_lines.info(self.log, change)
        if has_segments(self.outlets):
            log_lines.warn(
                self.log,
                "Airflow makes the events of the task's outlets all the same. They have dry_run in their extra; who is "
                "scheduled by them starts.",
            )
            attach_change(self.outlets, context, {"action": "none", "dry_run": True, "name": target.name})
        return {
            "dry_run": True,
            "action": action,
            "name": target.name,
            "segment_id": target.segment_id,
            "changes": changes,
        }


def find_by_id(client: MoEngageClient, segment_id: str) -> dict[str, Any]:
    """
    Get the segment of an id that was given by hand.

    :param client: the client of the connection.
    :param segment_id: the id, or what somebody takes for one.
    :return: the segment.
    :raises SegmentNotFoundError: when there is none. If a segment of that name is there, the error has its id.
    :raises BadRequestError: when it cannot be an id, likewise.
    """
    from airflow_provider_moengage.client.names import asked_for

    try:
        segment = client.get_segment(segment_id)
    except BadRequestError as error:
        error.way_out = f"{_segment_of_that_name(client, segment_id)}{error.way_out}"
        raise
    if segment is None:
        missing = SegmentNotFoundError("there is no segment of this id, and nothing was changed")
        hint = _segment_of_that_name(client, segment_id)
        missing.way_out = f"{asked_for(None, segment_id)} {hint}{missing.way_out}"
        raise missing
    return segment


def find_target_by_id(client: MoEngageClient, name: str | None, segment_id: str, log: Any) -> Target:
    """
    Get the segment of an id that was given by hand, with its own name: a newer server goes by the name alone.

    :param client: the client of the connection.
    :param name: what it was said to be called, None where nothing was said.
    :param segment_id: its id.
    :param log: where it is said that it has another name.
    :return: the segment, by its own name.
    :raises SegmentNotFoundError: when there is none.
    :raises BadRequestError: when it cannot be an id.
    """
    segment = find_by_id(client, segment_id)
    own = segment.get("name")
    if not isinstance(own, str) or not own.strip():
        return Target(name, segment_id, segment)
    if name is not None and name != own:
        log_lines.warn(
            log,
            f"The id wins over the name: the segment {segment_id} is called {short(own)}, not {short(name)}. It is the "
            "one of the id that this task is about.",
        )
    return Target(own, segment_id, segment)


def find_by_name(client: MoEngageClient, name: str) -> dict[str, Any]:
    """
    Get the segment of a name, as a list shows it.

    :param client: the client of the connection.
    :param name: its exact name.
    :return: the segment, whose ``id`` is there.
    :raises SegmentNotFoundError: when there is none.
    """
    from airflow_provider_moengage.client.names import asked_for

    found = client.find_segment(name=name)
    if found is None or not found.get("id"):
        missing = SegmentNotFoundError("there is no segment of this name, and nothing was changed")
        missing.way_out = f"{asked_for(name, None)} {missing.way_out}"
        raise missing
    return found


def _segment_of_that_name(client: MoEngageClient, segment_id: str) -> str:
    """Look for a segment that is called what was given as an id. Whatever fails here, the id is what is wrong."""
    from airflow_provider_moengage.client.names import is_like_an_id

    if is_like_an_id(segment_id):
        is_short = len(segment_id) < _ID_CHARACTERS
        return (
            f"An id has {_ID_CHARACTERS} hexadecimal characters, and this one {len(segment_id)}. " if is_short else ""
        )
    with suppress(MoEngageError):
        found = client.find_segment(name=segment_id)
        if found and found.get("id"):
            return f"Here is the segment of that name: its id is {found['id']}. "
    return ""


def _facts_of(answer: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Give what an event says of the segment: its name, and when it was updated where the answer has it."""
    facts = {"name": answer.get("cs_name", answer.get("name", name))}
    return {**facts, "updated_time": answer["updated_time"]} if "updated_time" in answer else facts
