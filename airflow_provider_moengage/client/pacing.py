"""
Believing the rate-limit headers before the 429 comes.

The limits are those of the workspace and of an endpoint. Whoever in this process has seen that no request is left tells
all others: a request that will be refused is not worth sending.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from airflow_provider_moengage.client.retry import asked_wait

Endpoint = tuple[str, ...]
"""Whose limit it is: the address, the workspace, the method and the path, whichever segment it names."""

_SEGMENTS = "/v3/custom-segments"

# One refusal an hour costs nothing, while a triggerer that lives for months must not believe an odd header for a day.
_LONGEST_MEMORY = 3_600.0


def endpoint_of(method: str, path: str) -> tuple[str, str]:
    """
    Tell whose limit a call counts toward.

    :param method: its HTTP method.
    :param path: its path.
    :return: the method, and the path without the segment's id.
    """
    return method, f"{_SEGMENTS}/{{id}}" if path.startswith(f"{_SEGMENTS}/") else path


class Windows:
    """When each endpoint takes requests again, as far as its answers have told; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until: dict[Endpoint, float] = {}

    def learn(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], *, now: float, ticks: float) -> None:
        """
        Take note of an answer: with a 429, or with none remaining, the endpoint is closed until its window ends.

        :param endpoint: what has answered.
        :param status: the status of the answer.
        :param headers: its headers.
        :param now: the time, in epoch seconds.
        :param ticks: the time of the monotonic clock.
        """
        wait = asked_wait(status, headers, now) if status < 500 else None
        with self._lock:
            self._closed_until = {known: until for known, until in self._closed_until.items() if until > ticks}
            if wait:
                self._closed_until[endpoint] = ticks + min(wait, _LONGEST_MEMORY)

    def wait(self, endpoint: Endpoint, ticks: float) -> float:
        """
        Tell how long an endpoint stays closed.

        :param endpoint: what is to be called.
        :param ticks: the time of the monotonic clock.
        :return: seconds, 0 when it is open.
        """
        with self._lock:
            return max(0.0, self._closed_until.get(endpoint, 0.0) - ticks)

    def forget(self) -> None:
        """Take all endpoints for open: a test begins with a workspace that nobody has called yet."""
        with self._lock:
            self._closed_until = {}


WINDOWS = Windows()
"""Those of this process."""
