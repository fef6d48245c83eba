"""How often a workspace may call: the documented rate limits, as sliding windows. Nothing here knows of HTTP."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from airflow_provider_moengage.sandbox.clock import Clock, as_utc
from airflow_provider_moengage.sandbox.errors import ApiError, lifecycle_limited, rate_limited

Endpoint = Literal["get", "list", "create", "update", "archive", "unarchive", "file-segments"]

ResetStyle = Literal["epoch", "seconds"]
"""How ``x-ratelimit-reset`` is spelled: MoEngage publishes both."""


MAX_ACTIVE_SEGMENTS = 1_000
"""How many segments of all kinds may be active at once."""


@dataclass(frozen=True)
class Window:
    """
    So many requests within so much time.

    :param limit: how many requests.
    :param period: within how much time.
    """

    limit: int
    period: timedelta

    @property
    def minutes(self) -> int:
        """The period in minutes, as the API words it."""
        return self.period // timedelta(minutes=1)


def _windows(a_minute: int, an_hour: int, a_day: int) -> tuple[Window, ...]:
    return (
        Window(a_minute, timedelta(minutes=1)),
        Window(an_hour, timedelta(hours=1)),
        Window(a_day, timedelta(days=1)),
    )


DOCUMENTED_LIMITS: dict[Endpoint, tuple[Window, ...]] = {
    "get": _windows(100, 1_000, 4_000),
    "list": _windows(50, 200, 1_000),
    "create": _windows(50, 200, 1_000),
    "update": _windows(50, 200, 1_000),
    "archive": _windows(50, 200, 1_000),
    "unarchive": _windows(50, 200, 1_000),
    # All four calls on file segments together.
    "file-segments": (Window(10, timedelta(hours=1)), Window(100, timedelta(days=1))),
}


@dataclass(frozen=True)
class Usage:
    """
    How much of a window is used.

    :param window: the window.
    :param used: how many requests counted within it.
    :param reset: when the oldest of them leaves it, so that one more fits in.
    :param now: when that was so.
    """

    window: Window
    used: int
    reset: datetime
    now: datetime

    @property
    def remaining(self) -> int:
        """How many more requests fit in."""
        return max(0, self.window.limit - self.used)

    def headers(self, style: ResetStyle) -> dict[str, str]:
        """
        Put it into the headers of an answer.

        :param style: whether the reset is a moment in UTC epoch seconds, or the seconds that are left until then.
        """
        reset = self.reset.timestamp() if style == "epoch" else (self.reset - self.now).total_seconds()
        return {
            "x-ratelimit-limit": str(self.window.limit),
            "x-ratelimit-remaining": str(self.remaining),
            # Rounded up: who waits until then is not refused for a fraction of a second.
            "x-ratelimit-reset": str(math.ceil(reset)),
        }


class RateLimits:
    """
    Counts the requests of a workspace; safe to use from several threads at once.

    :param clock: tells the time.
    :param limits: the windows of each endpoint that has any.
    :param reset: how the header that says when a window ends is spelled.
    """

    def __init__(
        self,
        clock: Clock,
        limits: Mapping[Endpoint, tuple[Window, ...]] = DOCUMENTED_LIMITS,
        *,
        reset: ResetStyle = "epoch",
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._reset: ResetStyle = reset
        self._lock = threading.Lock()
        self._moments: dict[Endpoint, list[datetime]] = {endpoint: [] for endpoint in limits}

    def take(self, endpoint: Endpoint | None) -> Usage | None:
        """
        Count one request.

        :param endpoint: what it calls; None has no limits.
        :return: how much of the tightest window is used, this request included, or None where there is no limit.
        :raises ApiError: 429 when it is one too many; then it does not count.
        """
        if endpoint is None or endpoint not in self._limits:
            return None
        with self._lock:
            now = as_utc(self._clock())
            if not (before := self._tightest(endpoint, now)).remaining:
                raise _refusal(endpoint, before.window, before.headers(self._reset))
            insort(self._moments[endpoint], now)
            return self._tightest(endpoint, now)

    def tightest(self, endpoint: Endpoint | None) -> Usage | None:
        """
        Look at the window in which the fewest requests remain; of several, the one that opens last.

        :param endpoint: what is called; None has no limits.
        :return: how much of it is used, or None where there is no limit.
        """
        if endpoint is None or endpoint not in self._limits:
            return None
        with self._lock:
            return self._tightest(endpoint, as_utc(self._clock()))

    def headers(self, usage: Usage | None) -> dict[str, str]:
        """
        Put into headers how much of a window is used.

        :param usage: as :meth:`take` and :meth:`tightest` tell it; None has no headers.
        """
        return usage.headers(self._reset) if usage else {}

    def usage(self) -> dict[Endpoint, list[Usage]]:
        """Show how much of each window of each endpoint is used."""
        with self._lock:
            now = as_utc(self._clock())
            return {endpoint: self._usages(endpoint, now) for endpoint in self._limits}

    def _tightest(self, endpoint: Endpoint, now: datetime) -> Usage:
        return min(self._usages(endpoint, now), key=lambda usage: (usage.remaining, -usage.reset.timestamp()))

    def _usages(self, endpoint: Endpoint, now: datetime) -> list[Usage]:
        windows, moments = self._limits[endpoint], self._moments[endpoint]
        del moments[: bisect_right(moments, now - max(window.period for window in windows))]
        usages = []
        for window in windows:
            first = bisect_right(moments, now - window.period)
            oldest = moments[first] if first < len(moments) else now
            usages.append(Usage(window, len(moments) - first, oldest + window.period, now))
        return usages


def _refusal(endpoint: Endpoint, window: Window, headers: dict[str, str]) -> ApiError:
    if endpoint in ("archive", "unarchive", "file-segments"):
        return lifecycle_limited(headers)
    return rate_limited(window.limit, window.minutes, headers)
