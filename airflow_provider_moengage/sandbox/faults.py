"""Faults on demand: what goes wrong, with which request, and the queue of those still to come."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args
from urllib.parse import parse_qs

from airflow_provider_moengage.sandbox.errors import (
    ApiError,
    lifecycle_limited,
    out_of_scope,
    too_many_active_segments,
    usual_error,
)
from airflow_provider_moengage.sandbox.file_calls import FILE_SEGMENT_PATH
from airflow_provider_moengage.sandbox.http_messages import (
    JSON_TYPE,
    Answer,
    Request,
    error_answer,
    fail_answer,
    with_headers,
)
from airflow_provider_moengage.sandbox.limits import MAX_ACTIVE_SEGMENTS

FaultKind = Literal[
    "silence",
    "reset",
    "lost-answer",
    "half-body",
    "html",
    "empty",
    "out-of-scope",
    "active-limit",
    "fail-envelope",
    "download-refused",
    "download-slow",
    "download-truncated",
    "file-too-large",
    "file-error",
    "callback-refused",
]

UNANSWERED = ("silence", "reset", "lost-answer")
OF_FILES = (
    "download-refused",
    "download-slow",
    "download-truncated",
    "file-too-large",
    "file-error",
    "callback-refused",
)
"""What goes wrong after the answer: with the file that a call on a file segment names, or with its callback."""
WITHOUT_OWN_BODY = ("html", "empty", "fail-envelope")

_NAMING = frozenset({"name", "segment_id", "cs_id"})

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
MAX_DELAY = 86_400.0
MAX_TIMES = 10_000

_FIRST_FINAL_STATUS, _FIRST_ERROR_STATUS, _LAST_STATUS = 200, 400, 599

# What MoEngage answers for a reason that lies outside the request, in the envelope of the version that was called.
_REFUSALS: dict[str | None, Callable[[], ApiError]] = {
    "out-of-scope": out_of_scope,
    "active-limit": lambda: too_many_active_segments(MAX_ACTIVE_SEGMENTS + 1, MAX_ACTIVE_SEGMENTS),
}

_HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Web proxy</title></head>\n"
    b"<body><h1>Please stand by</h1><p>Your request could not be forwarded.</p></body></html>\n"
)


@dataclass(frozen=True)
class Fault:
    """
    What one request is to meet.

    :param status: the status to answer instead of carrying the request out.
    :param headers: headers to add to the answer, or to put in place of its own.
    :param body: the body of the answer of this status: bytes, text, or what JSON can express. The documented error
        of the status by default.
    :param delay: how long to wait first, in seconds.
    :param fault: what else goes wrong; see :meth:`Sandbox.fail_next`.
    :param method: the HTTP method it strikes, or None for any.
    :param path: a glob for the path as it is on the wire, or None for any.
    :param segment: the name or the id of the segment that the request names, or None for any request.
    :raises ValueError: when the arguments make no sense, alone or together.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | dict[str, Any] | list[Any] | None = None
    delay: float = 0.0
    fault: FaultKind | None = None
    method: str | None = None
    path: str | None = None
    segment: str | None = None

    def __post_init__(self) -> None:
        if self.fault is not None and self.fault not in get_args(FaultKind):
            raise ValueError(f"fault must be one of {', '.join(get_args(FaultKind))}, not {self.fault!r}")
        if self.status is not None and not _is_final_status(self.status):
            raise ValueError(f"status must be a number from 200 to 599, not {self.status!r}")
        if not isinstance(self.delay, int | float) or not 0 <= self.delay <= MAX_DELAY:
            raise ValueError(f"delay must be a number of seconds, zero or more, at most {MAX_DELAY}: {self.delay!r}")
        if not isinstance(self.headers, Mapping):
            raise ValueError(f"headers must be a mapping of texts, not {self.headers!r}")  # noqa: TRY004 - as all others
        object.__setattr__(self, "headers", dict(self.headers))
        for name, value in self.headers.items():
            _check_header(name, value)
        for key, text in (("method", self.method), ("path", self.path), ("segment", self.segment)):
            if text is not None and not isinstance(text, str):
                raise ValueError(f"{key} must be a text, not {text!r}")
        if self.body is not None:
            _as_bytes(self.body)
        self._check_combination()

    def _check_combination(self) -> None:
        if self.fault in UNANSWERED and (self.status is not None or self.headers or self.body is not None):
            raise ValueError(f"the fault {self.fault!r} sends no answer, so it takes no status, headers or body")
        if self.fault in OF_FILES and (self.status is not None or self.headers or self.body is not None):
            raise ValueError(f"the fault {self.fault!r} comes after the answer, so it takes no status, headers or body")
        if self.fault in WITHOUT_OWN_BODY and self.body is not None:
            raise ValueError(f"the fault {self.fault!r} has its own body, so it takes none")
        if self.body is not None and self.status is None and self.fault not in _REFUSALS:
            raise ValueError("a body needs a status to go with")
        if self.fault is None and self.status is None and not self.headers and self.delay == 0:
            raise ValueError("say what is to go wrong: a status, headers, a delay or a fault")

    def strikes(self, request: Request, *, body_is_read: bool = True) -> bool | None:
        """
        Say whether a request is to meet this fault.

        :param body_is_read: whether the body is known.
        :return: None while only the body can tell.
        """
        if not (
            (self.method is None or self.method.upper() == request.method)
            and (self.path is None or fnmatch.fnmatchcase(request.path, self.path))
            and (self.fault not in OF_FILES or request.path.startswith(FILE_SEGMENT_PATH))
        ):
            return False
        if self.segment is None or self.segment in _segments_named_by(request):
            return True
        return False if body_is_read else None

    def answer(self, request: Request, carry_out: Callable[[Request], Answer]) -> Answer:
        """
        Make the answer that the client gets, of which it may still see only one half.

        :param carry_out: does what the request asks for. It is called only when the answer is the true one.
        """
        answer = self._answer(request, carry_out)
        return replace(answer, headers=with_headers(answer.headers, self.headers))

    def _answer(self, request: Request, carry_out: Callable[[Request], Answer]) -> Answer:
        if self.fault == "html":
            return Answer(self.status or 200, _HTML_PAGE, {"Content-Type": "text/html; charset=utf-8"})
        if self.fault == "empty":
            return Answer(self.status or 200, b"")
        if self.fault == "fail-envelope":
            return fail_answer(self.status or 400)
        if self.fault in OF_FILES:
            return carry_out(replace(request, file_fault=self.fault))
        if self.fault in _REFUSALS:
            answer = error_answer(request.path, _REFUSALS[self.fault]())
            body = answer.body if self.body is None else _as_bytes(self.body)
            return replace(answer, status=self.status or answer.status, body=body)
        return self._answer_of_status(request, carry_out)

    def _answer_of_status(self, request: Request, carry_out: Callable[[Request], Answer]) -> Answer:
        if self.status is None:
            return carry_out(request)
        if self.body is not None:
            return Answer(self.status, _as_bytes(self.body), {"Content-Type": JSON_TYPE})
        if self.status < _FIRST_ERROR_STATUS:
            return Answer(self.status, b"")
        is_lifecycle_limit = self.status == 429 and request.path.startswith("/v2/")
        return error_answer(request.path, lifecycle_limited() if is_lifecycle_limit else usual_error(self.status))


class FaultQueue:
    """The faults still to come, the first first; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault, times: int = 1) -> None:
        """
        Queue a fault.

        :param times: how many requests are to meet it.
        :raises ValueError: when ``times`` is not from 1 to 10,000.
        """
        if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= MAX_TIMES:
            raise ValueError(f"times must be a whole number of requests, at least 1, at most {MAX_TIMES}: {times!r}")
        with self._lock:
            self._faults.extend([fault] * times)

    def take(self, request: Request, *, body_is_read: bool) -> Fault | None:
        """
        Take the first fault that strikes a request off the queue.

        :param body_is_read: whether the body is known, in which many a request names its segment.
        :return: the fault, or None when the request is to meet none, or only the body can tell which.
        """
        with self._lock:
            for position, fault in enumerate(self._faults):
                strikes = fault.strikes(request, body_is_read=body_is_read)
                if strikes:
                    return self._faults.pop(position)
                if strikes is None:
                    return None
            return None

    def pending(self) -> list[Fault]:
        """List the faults that no request has met yet."""
        with self._lock:
            return list(self._faults)

    def clear(self) -> None:
        """Forget the faults that no request has met yet."""
        with self._lock:
            self._faults.clear()


def _segments_named_by(request: Request) -> set[str]:
    """Collect the names and ids of segments in a request: in its path, its query, and its body once that is read."""
    named = {request.path.rpartition("/")[2], *parse_qs(request.query).get("name", ())}
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(request.body)
        if isinstance(body, dict):
            named.update(value for key, value in body.items() if key in _NAMING and isinstance(value, str))
    return named


def _is_final_status(status: object) -> bool:
    return isinstance(status, int) and not isinstance(status, bool) and _FIRST_FINAL_STATUS <= status <= _LAST_STATUS


def _check_header(name: object, value: object) -> None:
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"a header's name must be a token, not {name!r}")
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"the header {name} must have a text of one line as its value, not {value!r}")


def _as_bytes(body: bytes | str | dict[str, Any] | list[Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("body must be bytes, a text of characters, or what JSON can express") from None
