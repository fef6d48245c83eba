"""A request and an answer, as the API sees them: no sockets, no bytes of a head."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.errors import ApiError

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Request:
    """
    A request that has been read.

    :param path: the path as it was on the wire, without the query.
    :param query: the query as it was on the wire, without the question mark.
    :param headers: the headers under their lower-case names; those sent twice are joined by a comma.
    :param peer: the IP address that it came from.
    :param connection: on the how-manyth TCP connection it came, counted from 1.
    :param file_fault: what is to go wrong with the file that it names, or None.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = ""
    connection: int = 0
    file_fault: str | None = None


@dataclass(frozen=True)
class Answer:
    """
    An answer that is to be sent.

    :param headers: what comes besides those that every answer has, or instead of them.
    :param explanation: why it is a refusal, for the journal; it is not sent.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    explanation: str | None = None


Ending = Literal["keep", "end", "half-body", "close", "reset", "silence"]


@dataclass(frozen=True)
class Delivery:
    """
    What becomes of a request on its connection.

    :param answer: what is sent, or None when nothing is.
    :param ending: how it goes on: ``keep`` sends the answer and waits for the next request; ``end`` sends it and ends
        the connection, whose unread body nobody can tell from a next request; ``half-body`` announces the true length,
        sends half of it and closes; ``close`` sends nothing and closes; ``reset`` does so with a reset; ``silence``
        sends nothing and reads on until the client leaves.
    :param log_line: what the log gets once all is sent, or None for nothing.
    """

    answer: Answer | None
    ending: Ending = "keep"
    log_line: str | None = None


def json_answer(status: int, payload: Any) -> Answer:
    """Answer with JSON."""
    # ASCII alone: what a client sends as a lone surrogate can then be sent back.
    return Answer(status, json.dumps(payload).encode("ascii"), {"Content-Type": JSON_TYPE})


def segment_answer(status: int, data: Any) -> Answer:
    """
    Answer in the envelope of v3.

    :param data: one segment or a list of them.
    """
    return json_answer(status, {"data": data, "response_id": _response_id(), "type": "custom_segment"})


def error_answer(path: str, error: ApiError) -> Answer:
    """
    Refuse a request in the envelope of the API version that it spoke.

    :param path: the path of the request: v3 below ``/v3/``, v2 elsewhere.
    :param error: the reason.
    """
    if path.startswith("/v3/"):
        reason = {"code": error.code, "message": error.message, **error.details}
        payload = {"response_id": _response_id(), "type": "custom_segment", "error": reason}
    else:
        payload = {"title": error.code, "description": error.message, **error.details}
    answer = json_answer(error.status, payload)
    return Answer(answer.status, answer.body, {**answer.headers, **error.headers}, error.explanation)


def with_headers(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """
    Put headers over others, whatever the case of their names.

    :param headers: those below.
    :param others: those above.
    """
    replaced = {name.lower() for name in others}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **others}


def fail_answer(status: int) -> Answer:
    """Refuse a request in the third envelope, that of services in front of the API."""
    reason = {"message": "Something went wrong", "type": "Internal Error", "request_id": _response_id()}
    return json_answer(status, {"status": "fail", "error": reason})


def _response_id() -> str:
    return "".join(secrets.choice(string.ascii_letters) for _ in range(8))
