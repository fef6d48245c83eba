"""MoEngageClient: one method an endpoint, all through one door on one requests.Session."""

from __future__ import annotations

import base64
import json
import time
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from airflow_provider_moengage import __version__
from airflow_provider_moengage.client.answers import parse
from airflow_provider_moengage.client.datacenters import data_center_of
from airflow_provider_moengage.client.errors import (
    ConnectionFailedError,
    InvalidInputError,
    MoEngageError,
    OtherSegmentError,
    RedirectError,
    RequestTimeoutError,
    SegmentNotFoundError,
    UnexpectedResponseError,
    error_from_answer,
    shown,
)
from airflow_provider_moengage.client.filters import check_filter_group
from airflow_provider_moengage.client.inputs import (
    check_api_key,
    check_header_value,
    check_one_of,
    check_seconds,
    check_text,
    check_workspace_id,
    json_bytes,
)
from airflow_provider_moengage.client.retry import retry_after
from airflow_provider_moengage.client.urls import base_url_of, path_segment, query_string

if TYPE_CHECKING:
    from typing_extensions import Self

_READ_SIZE = 64 * 1024
_LARGEST_ANSWER = 32 * 1024 * 1024
_SLOW = "was too slow"

_Data = TypeVar("_Data")


class MoEngageClient:
    """
    The MoEngage Segments API of one workspace.

    Authenticated as the documents say: HTTP Basic with the Workspace ID and the Data API key, and the header
    MOE-APPKEY. Holds one kept-alive connection; use it as a context manager, or call :meth:`close`, to let go of it.
    Every method raises a :class:`~airflow_provider_moengage.client.errors.MoEngageError`, and nothing else, when the
    call does not succeed.

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
        self.workspace_id = workspace_id
        self.data_center = None if data_center is None else data_center_of(data_center)
        if base_url:
            self.base_url = base_url_of(base_url)
        elif self.data_center:
            self.base_url = self.data_center.api_url
        else:
            raise InvalidInputError(
                "Neither a data center nor a base URL is given: set data_center to the number in the address of your "
                "MoEngage dashboard, for example 01."
            )
        self.database_name = database_name
        self.segment_id_key = segment_id_key
        self.timeout = (check_seconds("connect timeout", timeout[0]), check_seconds("read timeout", timeout[1]))
        self._session = _session_of(self.base_url, workspace_id, api_key, app_key)
        self._secrets = _spellings(base64.b64encode(f"{workspace_id}:{api_key}".encode()).decode(), api_key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace_id={self.workspace_id!r}, base_url={self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept-alive connection. The client opens a new one when it is used again."""
        self._session.close()

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
        if str(segment.get("id")).casefold() != segment_id.casefold():
            raise self._unexpected(f"it is about another segment than {segment_id}", answer, call)
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
        return self._data_of(self.request(*call, body=body), dict, call)

    def list_segments(self, name: str | None = None) -> list[dict[str, Any]]:
        """
        List the segments of the workspace: 50 calls a minute, 200 an hour, 1,000 a day.

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
        Look a segment up by its id or by its exact name.

        :param segment_id: its id: one :meth:`get_segment`.
        :param name: its name: one :meth:`list_segments`.
        :return: the segment, or None when there is none.
        :raises InvalidInputError: when neither or both are given.
        """
        check_one_of(segment_id=segment_id, name=name)
        if segment_id is not None:
            return self.get_segment(segment_id)
        return next(iter(self.list_segments(name)), None)

    def request(self, method: str, path: str, *, query: str = "", body: Any = None) -> dict[str, Any]:
        """
        Send one request: the door that every call goes through.

        :param method: the HTTP method.
        :param path: the path below the base URL, each segment quoted.
        :param query: the query, encoded.
        :param body: what to send as JSON.
        :return: the answer, a JSON object.
        :raises MoEngageError: the one that fits the answer, or the lack of one.
        """
        call = f"{method} {path}"
        data = None if body is None else json_bytes(body)
        sent = self._send(method, path + (f"?{query}" if query else ""), data, call)
        answer = sent if isinstance(sent, MoEngageError) else self._outcome_of(*sent, call)
        # Raised out here, where no exception of requests hangs on to it: those hold the request and its credentials.
        if isinstance(answer, MoEngageError):
            raise answer.without(self._secrets)
        return answer

    def _send(
        self, method: str, target: str, data: bytes | None, call: str
    ) -> tuple[requests.Response, bytes, str] | MoEngageError:
        headers = {"MOE-DBNAME": self.database_name} if self.database_name and target.startswith("/v2/") else None
        try:
            with self._session.request(
                method, self.base_url + target, data=data, headers=headers, timeout=self.timeout, stream=True
            ) as response:
                return response, *self._read(response.raw)
        except requests.Timeout:
            return self._timed_out(call)
        # Errors of requests are OSErrors, and so is a CA bundle that is not there; a few of urllib3 come through.
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            return ConnectionFailedError(f"{self.base_url}: {_reason(error)}", call=call)

    def _outcome_of(
        self, response: requests.Response, received: bytes, trouble: str, call: str
    ) -> dict[str, Any] | MoEngageError:
        """Tell what an answer means, as far as it came."""
        status = response.status_code
        text = received.decode("utf-8-sig", errors="replace")
        if status >= 400:
            wait = retry_after(response.headers, now=time.time())
            return error_from_answer(status, text, call=call, retry_after=wait)
        if status >= 300:
            target = response.headers.get("Location", "nowhere")
            return RedirectError(f"{self.base_url} redirects to {target!r}", status=status, call=call)
        if trouble == _SLOW:
            return self._timed_out(call)
        if trouble:
            said = f"it {trouble} after {len(received)} bytes: {shown(text)}"
            return UnexpectedResponseError(said, status=status, body=text, call=call)
        return _json_object(text, status, call)

    def _read(self, raw: urllib3.BaseHTTPResponse) -> tuple[bytes, str]:
        """
        Read a body by hand: what came of one that broke off can be shown, and one that never ends has an end.

        :return: what came, and what went wrong with it, an empty text for nothing.
        """
        received = bytearray()
        deadline = time.monotonic() + 2 * self.timeout[1]
        try:
            while chunk := raw.read1(_READ_SIZE, decode_content=True):
                received += chunk
                if len(received) > _LARGEST_ANSWER:
                    return bytes(received), "did not end"
                if time.monotonic() > deadline:
                    return bytes(received), _SLOW
        except urllib3.exceptions.ReadTimeoutError:
            return bytes(received), _SLOW
        except (OSError, urllib3.exceptions.HTTPError):
            return bytes(received), "broke off"
        return bytes(received), ""

    def _timed_out(self, call: str) -> RequestTimeoutError:
        connect, read = self.timeout
        said = f"no answer from {self.base_url} (connect timeout {connect:g} s, read timeout {read:g} s)"
        return RequestTimeoutError(said, call=call)

    def _set_archived(self, verb: str, name: str, segment_id: str | None) -> dict[str, Any]:
        body = {"name": check_text("name", name)}
        if segment_id is not None:
            body[self.segment_id_key] = check_text("segment_id", segment_id)
        call = "PATCH", f"/v2/custom-segments/{verb}"
        answer = self.request(*call, body=body)
        if answer.get("success") is not True:
            raise self._unexpected("it does not say success: true", answer, call)
        if segment_id is not None and str(answer.get("cs_id", segment_id)).casefold() != segment_id.casefold():
            raise OtherSegmentError(
                f"asked to {verb} the segment {segment_id}, it has answered for {answer.get('cs_name')!r}, whose id is "
                f"{answer['cs_id']}",
                call=" ".join(call),
            ).without(self._secrets)
        return answer

    def _data_of(self, answer: dict[str, Any], kind: type[_Data], call: tuple[str, str]) -> _Data:
        data = answer.get("data")
        segments = data if isinstance(data, list) else [data]
        if isinstance(data, kind) and all(isinstance(segment, dict) for segment in segments):
            return data
        raise self._unexpected('its "data" is missing or malformed', answer, call)

    def _unexpected(self, what: str, answer: dict[str, Any], call: tuple[str, str]) -> MoEngageError:
        body = json.dumps(answer)
        error = UnexpectedResponseError(f"{what}: {shown(body)}", status=200, body=body, call=" ".join(call))
        return error.without(self._secrets)


def _json_object(text: str, status: int, call: str) -> dict[str, Any] | UnexpectedResponseError:
    try:
        answer = parse(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return UnexpectedResponseError(f"it is no JSON object: {shown(text)}", status=status, body=text, call=call)


def _segment_path(segment_id: str) -> str:
    return f"/v3/custom-segments/{path_segment(check_text('segment_id', segment_id))}"


def _spellings(*secrets: str) -> list[str]:
    """Give the secrets as they may stand in an answer: plain, in JSON, in an address; the longest first."""
    spellings = {
        spelling
        for secret in secrets
        for spelling in (secret, json.dumps(secret)[1:-1], secret.replace("/", r"\/"), quote(secret, safe=""))
    }
    return sorted(spellings, key=len, reverse=True)


def _reason(error: Exception) -> str:
    """Say what happened without "Max retries exceeded", which requests says though nothing was retried."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or error)


class _Session(requests.Session):
    """A session for an API, which neither redirects nor remembers: MOE-APPKEY would follow to another host."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _session_of(base_url: str, workspace_id: str, api_key: str, app_key: str) -> requests.Session:
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # As bytes: requests encodes text as latin-1, which not every key fits.
    session.auth = HTTPBasicAuth(workspace_id.encode(), api_key.encode())
    session.headers.update(
        {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "MOE-APPKEY": app_key,
            "User-Agent": f"airflow-provider-moengage/{__version__} {requests.utils.default_user_agent()}",
        }
    )
    # Plain http goes to loopback only, where a proxy of the environment would be in the way.
    session.trust_env = urlsplit(base_url).scheme == "https"
    return session
