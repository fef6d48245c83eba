"""The journal: what has reached the sandbox, and what it answered."""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

KEPT_REQUESTS = 10_000
"""More than any test makes, and few enough for a sandbox that runs for weeks."""

KEPT_UNKNOWN = 100
"""How many calls of what there is not are remembered."""
KEPT_ANSWER = 2_000


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
    :param answer: the beginning of the answer's body, at most 2,000 bytes.
    :param known: whether MoEngage has such an endpoint, and it takes this method.
    :param explanation: why it was refused, where the answer itself does not say: which filter is wrong, and how. None
        when there is nothing to explain.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    connection: int
    time: datetime
    answer: bytes = b""
    known: bool = True
    explanation: str | None = None

    @property
    def json(self) -> Any:
        """
        The body as JSON.

        :raises ValueError: when it is not JSON.
        """
        return json.loads(self.body)


class Journal:
    """The last 10,000 requests, in the order of their answers; safe to use from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=KEPT_REQUESTS)
        self._unknown: list[RecordedRequest] = []

    def add(self, request: RecordedRequest) -> None:
        """Record a request."""
        with self._lock:
            self._requests.append(request)
            if not request.known and len(self._unknown) < KEPT_UNKNOWN:
                self._unknown.append(request)

    def requests(self) -> list[RecordedRequest]:
        """List what was recorded."""
        with self._lock:
            return list(self._requests)

    def unknown(self) -> list[RecordedRequest]:
        """List the first requests that called what there is not; no later request takes their place."""
        with self._lock:
            return list(self._unknown)

    def last(self, count: int) -> list[RecordedRequest]:
        """
        List the last requests, the last first.

        :param count: how many at most.
        """
        with self._lock:
            return list(itertools.islice(reversed(self._requests), count))
