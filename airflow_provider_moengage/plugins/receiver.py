"""The receiver of MoEngage's callbacks: checks what comes, records it, and answers. A plain ASGI application."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.segments.callback_token import Ticket, is_signed_with, ticket_of
from airflow_provider_moengage.segments.callbacks import PATH, RefusedCallbackError, event_of, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# All that anybody hears who has no genuine token: not whether a connection is there, nor of which type it is.
_NOT_GENUINE = "The token is not genuine."

_log = logging.getLogger(__name__)

_MOST_BYTES = 16 * 1024
_SECONDS_FOR_A_BODY = 10.0
# Callbacks at a time that may have the database work for them: it is there for others.
_AT_ONCE = 4


class Refusal(Exception):  # noqa: N818 - it is an answer
    """
    An answer other than 200.

    :param status: its HTTP status.
    :param reason: a sentence, which shows nothing of what came.
    :param for_log: another one for the log, where the answer is not to say why.
    """

    def __init__(self, status: int, reason: str, for_log: str | None = None) -> None:
        super().__init__(status, reason, for_log)
        self.status = status
        self.reason = reason
        self.for_log = for_log or reason


class Receiver:
    """Takes callbacks. One for a process."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.

        :param scope: what ASGI says of the request.
        :param receive: gives the body.
        :param send: takes the answer.
        """
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        try:
            await self._take(scope, receive)
            status, reason = 200, "recorded"
        except Refusal as refusal:
            status, reason = refusal.status, refusal.reason
            _log.warning("MoEngage callback refused (%s): %s", status, refusal.for_log)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the API server goes on, and MoEngage hears of it
            # Without its words, which may be those of a statement with all its values.
            status, reason = 503, "It could not be recorded."
            _log.error("MoEngage callback not recorded: %s", type(error).__name__)
        await _answer(send, status, reason)

    async def _take(self, scope: Scope, receive: Receive) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        # What it is mounted below stands before, however many prefixes a proxy has added.
        if not scope["path"].endswith(PATH.rpartition("/")[2]):
            raise Refusal(404, "There is nothing here.")
        if scope["method"] != "POST":
            raise Refusal(405, "A callback is a POST.")
        token = _token_in(scope["query_string"])
        ticket = _ticket_in(token)
        # Nothing published says which content type MoEngage sends: the token is the guard, and the body must be JSON.
        body = await _body_of(headers, receive)
        async with self._free:
            # In a thread: the event loop is that of the whole API server.
            result = await asyncio.to_thread(_record, token, ticket, body)
        _log.info("MoEngage callback %s: %s", result, ticket.request.task_id)


def _record(token: str, ticket: Ticket, body: bytes) -> str:
    """Check what only the database knows, and record."""
    from airflow_provider_moengage.plugins.airflow_internals import record_callback

    try:
        connection = BaseHook.get_connection(ticket.moengage_conn_id)
    except AirflowNotFoundException:
        raise Refusal(403, _NOT_GENUINE, "The API server has no connection of the id that the token names.") from None
    # The password of a connection of another type signs nothing here: it may be one that many know.
    if connection.conn_type != MoEngageHook.conn_type:
        raise Refusal(403, _NOT_GENUINE, "The connection that the token names is none of MoEngage.")
    if not is_signed_with(token, connection.password):
        raise Refusal(403, _NOT_GENUINE, "The token is not signed with the password that its connection has here.")
    try:
        outcome = read_body(body)
    except RefusedCallbackError as error:
        raise Refusal(400, str(error)) from None
    uri = _asset_uri(connection.login, ticket.segment_id)
    return record_callback(ticket.request, outcome.as_json(), uri, event_of(outcome, ticket.segment_id))


def _asset_uri(workspace_id: str | None, segment_id: str | None) -> str | None:
    if segment_id is None:
        return None
    try:
        return str(create_asset(workspace_id=workspace_id or "", segment_id=segment_id).uri)
    except InvalidInputError:
        return None


def _token_in(query: bytes) -> str:
    try:
        given = parse_qs(query.decode("ascii"), max_num_fields=10).get("token", [])
    except ValueError:
        given = []
    if len(given) != 1:
        raise Refusal(403, "There is no token.")
    return given[0]


def _ticket_in(token: str) -> Ticket:
    try:
        return ticket_of(token, time.time())
    except RefusedCallbackError as error:
        raise Refusal(403, str(error)) from None


async def _body_of(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    too_long = Refusal(413, f"A callback has {_MOST_BYTES:,} bytes at most.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 10 or int(length) > _MOST_BYTES:
        raise too_long
    try:
        body = await asyncio.wait_for(_read(receive), _SECONDS_FOR_A_BODY)
    except asyncio.TimeoutError:
        raise Refusal(408, "The body did not come.") from None
    if len(body) > _MOST_BYTES:
        raise too_long
    return body


async def _read(receive: Receive) -> bytes:
    """Read the body, no further than it may be."""
    body = bytearray()
    while len(body) <= _MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "The body broke off.")
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return bytes(body)


async def _answer(send: Send, status: int, reason: str) -> None:
    content = json.dumps({"message": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


RECEIVER = Receiver()
