"""
The token in the address of a callback: how it is made, read and checked.

A token is the task instance, a nonce and an expiry, signed with the connection's key: the workers, which make it, and
who receives the callback both have that. It hides nothing, and holds nothing secret but that it is valid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.segments.callbacks import FileRequest, RefusedCallbackError

SECONDS_VALID = 7 * 24 * 3_600
"""How long a token is valid: no task waits longer, see :func:`check_wait`."""

# With the longest ids that Airflow takes, in the longest spelling of JSON, it is shorter.
_MOST_TOKEN_CHARACTERS = 8_192
# So that no other signature that is made with the same key is one of these.
_PURPOSE = b"airflow-provider-moengage: a callback, version 1\n"


@dataclass(frozen=True)
class Ticket:
    """
    What a token says.

    :param request: which call it is for.
    :param moengage_conn_id: the connection whose key signs it.
    :param segment_id: the segment, None when it is not known before the call.
    :param expires: until when it is valid, in seconds since 1970.
    """

    request: FileRequest
    moengage_conn_id: str
    segment_id: str | None
    expires: int


def token_of(ticket: Ticket, key: str) -> str:
    """
    Write and sign a token.

    :param ticket: what it says.
    :param key: the key of the connection.
    :return: the token, of characters that an address takes as they are.
    """
    request = ticket.request
    fields = [
        *(request.dag_id, request.run_id, request.task_id, request.map_index, request.nonce),
        *(ticket.moengage_conn_id, ticket.segment_id, ticket.expires),
    ]
    said = _encoded(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode())
    return f"{said}.{_signature(said, key)}"


def ticket_of(token: str, now: float) -> Ticket:
    """
    Read a token. Whether it is genuine is not known before :func:`is_signed_with` says so.

    :param token: what came as one.
    :param now: the time, in seconds since 1970.
    :return: what it says.
    :raises RefusedCallbackError: when it is none, or has expired.
    """
    said, dot, signature = token.partition(".")
    if not (dot and signature) or len(token) > _MOST_TOKEN_CHARACTERS or not token.isascii():
        raise RefusedCallbackError("The token is none.")
    try:
        fields = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        *of_request, conn_id, segment_id, expires = fields
        request = FileRequest(*of_request)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise RefusedCallbackError("The token is none.") from None
    are_texts = isinstance(conn_id, str) and isinstance(segment_id, (str, type(None)))
    if not are_texts or type(expires) is not int or not request.is_plausible():
        raise RefusedCallbackError("The token is none.")
    if now >= expires:
        raise RefusedCallbackError("The token has expired.")
    return Ticket(request, conn_id, segment_id, expires)


def is_signed_with(token: str, key: str | None) -> bool:
    """
    Tell whether a token was signed with a key. Takes as long for a wrong signature as for the right one.

    :param token: the token, which is ASCII.
    :param key: the key of its connection; nothing is signed with an empty one.
    :return: whether it was.
    """
    said, _, signature = token.partition(".")
    return bool(key) and hmac.compare_digest(signature, _signature(said, key or ""))


def check_wait(parameter: str, seconds: Any) -> None:
    """
    Refuse to wait for a callback when none would be taken any more.

    :param parameter: what sets how long is waited.
    :param seconds: how long that is; what is no number is for others to refuse.
    :raises InvalidInputError: when it is longer than a token is valid.
    """
    if isinstance(seconds, (int, float)) and seconds > SECONDS_VALID:
        raise InvalidInputError(
            f"{parameter} is {seconds:,.0f} s, and the address that MoEngage calls back is good for {SECONDS_VALID:,} "
            f"s (7 days): a later callback is refused. Set {parameter} to 7 days at most."
        )


def _signature(said: str, key: str) -> str:
    return _encoded(hmac.new(key.encode(), _PURPOSE + said.encode(), hashlib.sha256).digest())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
