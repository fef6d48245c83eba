"""
Believing the rate-limit headers before the 429 comes, and taking turns.

The limits are those of the workspace and of an endpoint. Whoever in this process has seen that no request is left tells
all others: a request that will be refused is not worth sending. Those who look again and again spend no more than the
documented limits besides.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from airflow_provider_moengage.client.limits import LIMITS, SEGMENTS, Pace
from airflow_provider_moengage.client.retry import asked_wait

Endpoint = tuple[str, str, str, str]
"""Whose limit it is: the address, the workspace, the method and the path, whichever segment it names."""

# One refusal an hour costs nothing, while a triggerer that lives for months must not believe an odd header for a day.
_LONGEST_MEMORY = 3_600.0


def endpoint_of(method: str, path: str) -> tuple[str, str]:
    """
    Tell whose limit a call counts toward.

    :param method: its HTTP method.
    :param path: its path.
    :return: the method, and the path without the segment's id.
    """
    return method, f"{SEGMENTS}/{{id}}" if path.startswith(f"{SEGMENTS}/") else path


class Windows:
    """When each endpoint takes requests again, as far as its answers have told; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until: dict[Endpoint, float] = {}
        self._paces: dict[Endpoint, Pace] = {}

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

    def take_turn(self, endpoint: Endpoint, ticks: float) -> float:
        """
        Take the next turn of those who look again and again.

        :param endpoint: what they call; one that has documented limits.
        :param ticks: the time of the monotonic clock.
        :return: 0 when it is taken, else the seconds after which to ask again.
        """
        with self._lock:
            pace = self._paces.setdefault(endpoint, Pace(LIMITS[endpoint[-2:]]))
            wait = max(self._closed_until.get(endpoint, 0.0) - ticks, pace.wait(ticks))
            if wait > 0:
                return wait
            pace.spend(ticks)
            return 0.0

    def forget(self) -> None:
        """Take all endpoints for open: a test begins with a workspace that nobody has called yet."""
        with self._lock:
            self._closed_until = {}
            self._paces = {}


WINDOWS = Windows()
"""Those of this process."""
