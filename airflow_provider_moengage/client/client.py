"""MoEngageClient: one method an endpoint, all through the one door of its transport."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_moengage.client.datacenters import data_center_of
from airflow_provider_moengage.client.errors import (
    DuplicateNameError,
    InvalidInputError,
    MoEngageError,
    OtherSegmentError,
    SegmentNotFoundError,
)
from airflow_provider_moengage.client.filters import check_filter_group
from airflow_provider_moengage.client.inputs import (
    check_api_key,
    check_header_value,
    check_one_of,
    check_seconds,
    check_text,
    check_workspace_id,
)
from airflow_provider_moengage.client.retry import RETRIES, RetryPolicy
from airflow_provider_moengage.client.transport import Transport
from airflow_provider_moengage.client.urls import base_url_of, path_segment, query_string

if TYPE_CHECKING:
    from typing_extensions import Self

_Data = TypeVar("_Data")


class MoEngageClient(Transport):
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
    :param database_name: the header MOE-DBNAME, sent on v2 calls (archive and unarchive) when given.
    :param segment_id_key: how archive and unarchive name an id: ``segment_id`` as documented, or ``cs_id`` for
        newer servers.
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
        segment_id_key: str = "segment_id",
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
        if segment_id_key not in ("segment_id", "cs_id"):
            raise InvalidInputError('segment_id_key must be "segment_id" or "cs_id".')
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
        self.segment_id_key = segment_id_key
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

        MoEngage no longer shows an archived segment after 180 days.

        :param name: its name.
        :param segment_id: its id, which wins over the name.
        :return: ``{"message": ..., "success": true, "cs_name": ...}``.
        :raises SegmentNotFoundError: when there is no such segment.
        :raises OtherSegmentError: when the server says that it has archived another segment than that of the id.
        """
        return self._set_archived("archive", name, segment_id)

    def unarchive_segment(self, name: str, segment_id: str | None = None) -> dict[str, Any]:
        """
        Make an archived segment active again. API document: archive and unarchive.

        :param name: its name.
        :param segment_id: its id, which wins over the name.
        :return: ``{"message": ..., "success": true, "cs_name": ...}``.
        :raises SegmentNotFoundError: when there is no such segment, or it was archived more than 180 days ago.
        :raises OtherSegmentError: when the server says that it has unarchived another segment than that of the id.
        """
        return self._set_archived("unarchive", name, segment_id)

    def get_segment(self, segment_id: str) -> dict[str, Any] | None:
        """
        Look a segment up by its id. API document: get by id; 100 calls a minute, 1,000 an hour, 4,000 a day.

        :param segment_id: its id, 24 hexadecimal characters.
        :return: the segment, ``{"name", "id", "created_time", "type", "source"}``, or None when there is none.
        :raises BadRequestError: when the id is malformed.
        """
        call = "GET", _segment_path(segment_id)
        try:
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
        :param name: a new name; the old one stays when left out.
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
        check_filter_group("included_filters", included_filters)
        body: dict[str, Any] = {"included_filters": included_filters}
        if excluded_filters is not None:
            check_filter_group("excluded_filters", excluded_filters)
            body["excluded_filters"] = excluded_filters
        if name is not None:
            body["name"] = check_text("name", name)
        if updated_by is not None:
            body["updated_by"] = check_text("updated_by", updated_by)
        try:
            return self._data_of(self.request(*call, body=body), dict, call)
        except DuplicateNameError:
            if name is None or not self._is_named(segment_id, name):
                raise
        # An update whose answer was lost has renamed the segment already: this one met its own new name.
        return self.update_segment(
            segment_id, included_filters, updated_by=updated_by, excluded_filters=excluded_filters
        )

    def list_segments(self, name: str | None = None) -> list[dict[str, Any]]:
        """
        List the segments of the workspace. API document: list; 50 calls a minute, 200 an hour, 1,000 a day.

        :param name: only the segment of exactly this name. Compared again on this side, letter by letter: to act
            on a segment of a similar name would be worse than to find none.
        :return: the segments, each as in :meth:`get_segment`; an empty list when nothing matches.
        """
        call = "GET", "/v3/custom-segments"
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

    def _is_named(self, segment_id: str, name: str) -> bool:
        segment = self.get_segment(segment_id)
        return segment is not None and segment.get("name") == name

    def _set_archived(self, verb: str, name: str, segment_id: str | None) -> dict[str, Any]:
        body = {"name": check_text("name", name)}
        if segment_id is not None:
            body[self.segment_id_key] = check_text("segment_id", segment_id)
        call = "PATCH", f"/v2/custom-segments/{verb}"
        answer = self.request(*call, body=body)
        if answer.get("success") is False and isinstance(answer.get("message"), str):
            # No document shows such an answer; it is MoEngage's own all the same, and says why.
            raise MoEngageError(self._secrets.hide(answer["message"]), code="success: false", call=" ".join(call))
        if answer.get("success") is not True:
            raise self._unexpected("it does not say success: true", json.dumps(answer), " ".join(call))
        if segment_id is not None and str(answer.get("cs_id") or segment_id).casefold() != segment_id.casefold():
            raise OtherSegmentError(
                self._secrets.hide(
                    f"asked to {verb} the segment {segment_id}, it has answered for {answer.get('cs_name')!r}, whose "
                    f"id is {answer['cs_id']}"
                ),
                call=" ".join(call),
            )
        return answer

    def _data_of(self, answer: dict[str, Any], kind: type[_Data], call: tuple[str, str]) -> _Data:
        data = answer.get("data")
        segments = data if isinstance(data, list) else [data]
        if isinstance(data, kind) and all(isinstance(segment, dict) for segment in segments):
            return data
        raise self._unexpected('its "data" is missing or malformed', json.dumps(answer), " ".join(call))


def _segment_path(segment_id: str) -> str:
    return f"/v3/custom-segments/{path_segment(check_text('segment_id', segment_id))}"
