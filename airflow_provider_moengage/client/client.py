"""MoEngageClient: one method an endpoint, all through the one door of its transport."""

from __future__ import annotations

import json
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_moengage.client.datacenters import data_center_of
from airflow_provider_moengage.client.errors import (
    CreateUnclearError,
    DuplicateNameError,
    InvalidInputError,
    MoEngageError,
    SegmentNotFoundError,
)
from airflow_provider_moengage.client.file_segments import FileSegmentCalls
from airflow_provider_moengage.client.filter_group import check_filter_group
from airflow_provider_moengage.client.inputs import (
    check_api_key,
    check_header_value,
    check_one_of,
    check_seconds,
    check_text,
    check_workspace_id,
)
from airflow_provider_moengage.client.names import check_segment_name
from airflow_provider_moengage.client.retry import RETRIES, RetryPolicy
from airflow_provider_moengage.client.same_definition import is_definition_shown, is_same_definition
from airflow_provider_moengage.client.urls import base_url_of, path_segment, query_string
from airflow_provider_moengage.client.v2_calls import saying_what_was_asked

if TYPE_CHECKING:
    from typing_extensions import Self

_Data = TypeVar("_Data")

_SEGMENTS = "/v3/custom-segments"


class MoEngageClient(FileSegmentCalls):
    """
    The MoEngage Segments API of one workspace.

    Authenticated as the documents say: HTTP Basic with the Workspace ID and the Data API key, and the header
    MOE-APPKEY. Holds one kept-alive connection; use it as a context manager, or call :meth:`close`, to let go of it.
    Every method raises a :class:`~airflow_provider_moengage.client.errors.MoEngageError`, and nothing else, when the
    call does not succeed.

    A call that meets a rate limit, a failing server or a broken network is sent again, as long as the ``retry`` policy
    allows; where the server says that no request is left, the next call of this process waits before it is sent.

    :param workspace_id: the Workspace ID (older accounts: DATA API ID), the Basic user name.
    :param api_key: the Data API key, the Basic password.
    :param data_center: the number in the dashboard's address: 01, 02, 03, 04, 05, 06 or 101.
    :param base_url: an address instead of the data center's, for the sandbox or a proxy; https, or http to loopback.
    :param app_key: the header MOE-APPKEY, the Workspace ID by default; in old accounts the two can differ.
    :param database_name: the header MOE-DBNAME, sent on v2 calls (archive, unarchive, file segments) when given.
    :param timeout: seconds to connect, and seconds to wait for an answer to begin or go on; a whole answer may take
        twice as long.
    :param retry: how often and for how long a call is sent again before it fails.
    :raises InvalidInputError: when one of them cannot work; the message says which.
    """

    def __init__(
        self,
        workspace_id: str,
        api_key: str,
        *,
        data_center: str | int | None = None,
        base_url: str | None = None,
        app_key: str | None = None,
        database_name: str | None = None,
        timeout: tuple[float, float] = (5, 30),
        retry: RetryPolicy = RETRIES,
    ) -> None:
        app_key = app_key or workspace_id
        if not isinstance(timeout, tuple) or len(timeout) != 2:
            raise InvalidInputError("timeout must be two numbers of seconds: to connect, and to wait for an answer.")
        check_workspace_id("workspace_id", workspace_id)
        check_api_key("api_key", api_key)
        check_header_value("app_key", app_key)
        if database_name:
            check_header_value("database_name", database_name)
        self.data_center = None if data_center is None else data_center_of(data_center)
        if base_url:
            address = base_url_of(base_url)
        elif self.data_center:
            address = self.data_center.api_url
        else:
            raise InvalidInputError(
                "Neither a data center nor a base URL is given: set data_center to the number in the address of your "
                "MoEngage dashboard, for example 01."
            )
        super().__init__(
            address,
            workspace_id,
            api_key,
            app_key=app_key,
            database_name=database_name,
            timeout=(check_seconds("connect timeout", timeout[0]), check_seconds("read timeout", timeout[1])),
            retry=retry,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace_id={self.workspace_id!r}, base_url={self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def archive_segment(self, name: str, segment_id: str | None = None) -> dict[str, Any]:
        """
        Archive a segment, file or filter. API document: archive and unarchive.

        MoEngage allows 50 of these calls a minute, 200 an hour and 1,000 a day, and no longer shows an archived segment
        after 180 days.

        :param name: its name. With an id it must be that segment's own, since a newer server goes by the name alone.
        :param segment_id: its id, which wins over the name.
        :return: ``{"message": ..., "success": true, "cs_name": ...}``.
        :raises SegmentNotFoundError: when there is no such segment.
        :raises OtherSegmentError: when the server says that it has archived another segment.
        """
        return self._set_archived("archive", name, segment_id)

    def unarchive_segment(self, name: str, segment_id: str | None = None) -> dict[str, Any]:
        """
        Make an archived segment active again. API document: archive and unarchive; limits as of archive, counted apart.

        :param name: its name. With an id it must be that segment's own, since a newer server goes by the name alone.
        :param segment_id: its id, which wins over the name.
        :return: ``{"message": ..., "success": true, "cs_name": ...}``.
        :raises SegmentNotFoundError: when there is no such segment, or it was archived more than 180 days ago.
        :raises OtherSegmentError: when the server says that it has unarchived another segment.
        """
        return self._set_archived("unarchive", name, segment_id)

    def get_segment(self, segment_id: str) -> dict[str, Any] | None:
        """
        Look a segment up by its id. API document: get by id; 100 calls a minute, 1,000 an hour, 4,000 a day.

        :param segment_id: its id, 24 hexadecimal characters.
        :return: the segment, ``{"name", "id", "created_time", "type", "source"}``, or None when there is none. Newer
            servers show a filter segment's definition too: ``included_filters``, ``excluded_filters``.
        :raises BadRequestError: when the id is malformed.
        """
        call = "GET", _segment_path(segment_id)
        try:
            with saying_what_was_asked(segment_id=segment_id):
                answer = self.request(*call)
        except SegmentNotFoundError:
            return None
        # The document shows a list, today's servers answer one object: both mean the same.
        if answer.get("data") == []:
            return None
        if isinstance(answer.get("data"), list):
            answer = {**answer, "data": answer["data"][0]}
        segment = self._data_of(answer, dict, call)
        if str(segment.get("id") or "").casefold() != segment_id.casefold():
            raise self._unexpected(f"it is about another segment than {segment_id}", json.dumps(answer), " ".join(call))
        return segment

    def update_segment(
        self,
        segment_id: str,
        included_filters: dict[str, Any],
        *,
        name: str | None = None,
        updated_by: str | None = None,
        excluded_filters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Replace the filters of a filter segment. API document: update by id.

        The limit is 50 calls a minute, 200 an hour and 1,000 a day.

        :param segment_id: its id.
        :param included_filters: ``{"filter_operator": "and" | "or", "filters": [...]}``, sent exactly as given.
        :param name: a new name; the old one stays when left out. Checked as one that is new, even when it is not.
        :param updated_by: the email address that people see in the segment's edit history.
        :param excluded_filters: who is left out, shaped like ``included_filters``; newer servers only.
        :return: the segment after the update, ``included_filters`` among its keys.
        :raises ForbiddenOperationError: when it is a file, internal, imported or archived segment.
        :raises SegmentNotFoundError: when there is no such segment.
        :raises ConflictError: when another segment has this name (``DuplicateNameError``) or these filters
            (``DuplicateFiltersError``, which says which segment).
        :raises CircularReferenceError: when the filters lead back to the segment itself.
        :raises QueryLimitError: when the definition is too large.
        """
        call = "PATCH", _segment_path(segment_id)
        body = _definition_of(included_filters, excluded_filters)
        if name is not None:
            body["name"] = check_segment_name("name", name)
        if updated_by is not None:
            body["updated_by"] = check_text("updated_by", updated_by)
        try:
            with saying_what_was_asked(segment_id=segment_id):
                return self._data_of(self.request(*call, body=body), dict, call)
        except DuplicateNameError as error:
            if name is None or not self._is_named(segment_id, name):
                error.existing_segment_name = name
                raise
        # An update whose answer was lost has renamed the segment already: this one met its own new name.
        return self.update_segment(
            segment_id, included_filters, updated_by=updated_by, excluded_filters=excluded_filters
        )

    def create_segment(
        self, name: str, included_filters: dict[str, Any], *, excluded_filters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """
        Create a filter segment. API document: create, in the OpenAPI description of August 2026.

        The limit is 50 calls a minute, 200 an hour and 1,000 a day.

        Never sent twice, unless it certainly was not received. When its answer is lost, the segment is looked for by
        its name, and taken for this one only if its definition is the one that was sent.

        :param name: its name: one that no other segment has, active or archived.
        :param included_filters: ``{"filter_operator": "and" | "or", "filters": [...]}``, sent exactly as given.
        :param excluded_filters: who is left out, shaped like ``included_filters``.
        :return: the segment, ``id`` among its keys.
        :raises InvalidInputError: when MoEngage takes no such name.
        :raises DuplicateNameError: when another segment has this name: ``existing_segment_id`` says which.
        :raises DuplicateFiltersError: when another segment has these filters: ``existing_segment_name`` and
            ``existing_segment_id`` say which.
        :raises ActiveSegmentLimitError: when the workspace has as many active segments as it may have.
        :raises CreateUnclearError: when the answer was lost, and a segment of this name is there that is another, or
            may be.
        """
        call = "POST", _SEGMENTS
        body = {"name": check_segment_name("name", name), **_definition_of(included_filters, excluded_filters)}
        try:
            return self._data_of(self.request(*call, body=body), dict, call)
        except DuplicateNameError as error:
            error.existing_segment_name = name
            with suppress(MoEngageError):  # the refusal is what counts
                found = self.find_segment(name=name)
                error.existing_segment_id = _id_of(found)
            raise
        except MoEngageError as error:
            if not error.is_outcome_unknown:
                raise
            lost = error
        # Out here, where what is raised has nothing hanging on to it.
        return self._find_created(body, lost)

    def list_segments(self, name: str | None = None) -> list[dict[str, Any]]:
        """
        List the segments of the workspace. API document: list; 50 calls a minute, 200 an hour, 1,000 a day.

        :param name: only the segment of exactly this name. Compared again on this side, letter by letter: to act
            on a segment of a similar name would be worse than to find none.
        :return: the segments, each as in :meth:`get_segment`; an empty list when nothing matches.
        """
        call = "GET", _SEGMENTS
        query = "" if name is None else query_string(name=check_text("name", name))
        segments = self._data_of(self.request(*call, query=query), list, call)
        return [segment for segment in segments if name is None or segment.get("name") == name]

    def find_segment(self, *, segment_id: str | None = None, name: str | None = None) -> dict[str, Any] | None:
        """
        Look a segment up by its id or by its exact name. API documents: get by id; list.

        :param segment_id: its id: one :meth:`get_segment`.
        :param name: its name: one :meth:`list_segments`.
        :return: the segment, or None when there is none.
        :raises InvalidInputError: when neither or both are given.
        """
        check_one_of(segment_id=segment_id, name=name)
        if segment_id is not None:
            return self.get_segment(segment_id)
        return next(iter(self.list_segments(name)), None)

    def _find_created(self, body: dict[str, Any], lost: MoEngageError) -> dict[str, Any]:
        """Find what came of a create whose answer was lost: the segment, if it is certain that this is the one."""
        try:
            listed = self.find_segment(name=body["name"])
            listed_id = _id_of(listed)
            found = listed if listed_id is None else self.get_segment(listed_id)
        except MoEngageError as error:
            lost.way_out = f"It may be there: to look for it failed too ({error.message}). {lost.way_out}"
            lost.retry_after = lost.retry_after or error.retry_after
            raise lost from None
        if found is None:
            lost.way_out = f"No segment of this name was there afterwards. {lost.way_out}"
            raise lost
        if is_same_definition(body, found):
            return found
        whose = "has another definition" if is_definition_shown(found) else "does not show its definition"
        found_id = _id_of(found)
        which = f", {found_id}," if found_id else ""
        unclear = CreateUnclearError(
            f"the answer was lost ({lost.message}), and the segment of this name{which} {whose}", call=lost.call
        )
        unclear.existing_segment_name, unclear.existing_segment_id = body["name"], found_id
        raise unclear

    def _set_archived(self, verb: str, name: str, segment_id: str | None) -> dict[str, Any]:
        body = {"name": check_text("name", name)}
        if segment_id is not None:
            body["segment_id"] = check_text("segment_id", segment_id)
        return self._call_v2("PATCH", f"/v2/custom-segments/{verb}", body, verb=verb, segment_id=segment_id)

    def _data_of(self, answer: dict[str, Any], kind: type[_Data], call: tuple[str, str]) -> _Data:
        data = answer.get("data")
        segments = data if isinstance(data, list) else [data]
        if isinstance(data, kind) and all(isinstance(segment, dict) for segment in segments):
            return data
        raise self._unexpected('its "data" is missing or malformed', json.dumps(answer), " ".join(call))


def _id_of(segment: dict[str, Any] | None) -> str | None:
    return str(segment["id"]) if segment and segment.get("id") else None


def _segment_path(segment_id: str) -> str:
    return f"{_SEGMENTS}/{path_segment(check_text('segment_id', segment_id))}"


def _definition_of(included_filters: dict[str, Any], excluded_filters: dict[str, Any] | None) -> dict[str, Any]:
    check_filter_group("included_filters", included_filters)
    if excluded_filters is None:
        return {"included_filters": included_filters}
    check_filter_group("excluded_filters", excluded_filters)
    return {"included_filters": included_filters, "excluded_filters": excluded_filters}
