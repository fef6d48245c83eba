"""The journal: what has reached the sandbox, and what it answered."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class RecordedRequest:
    """
    One request that the sandbox has met.

    :param method: the HTTP method; empty when the request line made no sense.
    :param path: the path as it was on the wire, without the query.
    :param query: the query as it was on the wire, without the question mark.
    :param headers: the headers under their lower-case names; the value of ``authorization`` is ``***``.
    :param body: the body; empty when a fault struck before it was read.
    :param status: the status of the answer, or None when no answer was sent.
    :param connection: on the how-manyth TCP connection it came, counted from 1.
    :param time: when it was recorded, by the sandbox's clock.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    connection: int
    time: datetime

    @property
    def json(self) -> Any:
        """
        The body as JSON.

        :raises ValueError: when it is not JSON.
        """
        return json.loads(self.body)


class Journal:
    """All requests, in the order of their answers; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []

    def add(self, request: RecordedRequest) -> None:
        """Record a request."""
        with self._lock:
            self._requests.append(request)

    def requests(self) -> list[RecordedRequest]:
        """List what was recorded."""
        with self._lock:
            return list(self._requests)
