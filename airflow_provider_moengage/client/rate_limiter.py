"""
Believing the rate-limit headers before the 429 comes.

The limits are those of a workspace and of an endpoint. What one call of this process is told counts for all others: a
request that will be refused is not worth sending. So that a window is filled and not overrun, however many threads
call at once, each call is reserved before it is sent, and no more are under way than the last answer had left.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from airflow_provider_moengage.client.limits import LIMITS, TokenBuckets
from airflow_provider_moengage.client.wait_headers import RateLimit, asked_wait, rate_limit_of

# With more, those of which nothing is known any more are forgotten: what is called may have any path.
_MOST_WINDOWS = 1_000

Endpoint = tuple[str, str, str, str]
"""Whose limit it is: the address, the workspace, the method and the path, whichever segment it names."""


class _Window:
    """
    What is known of the window of an endpoint that is used up first.

    Nothing at first: then one call goes ahead, and the others wait for what its answer says.
    """

    def __init__(self) -> None:
        # How many calls were left at most, those that are under way perhaps among them; infinite when no answer says.
        self.remaining: float = 1
        # When there is room again, on the monotonic clock. Until then ``remaining`` only falls; after that it is the
        # least that there is.
        self.resets_at = -math.inf
        # How many calls it takes, where that is known.
        self.limit: int | None = None
        # Calls that are reserved, and whose answer has not come.
        self.under_way = 0

    def wait(self, ticks: float) -> float:
        return 0.0 if self.remaining > 0 else max(0.0, self.resets_at - ticks)

    def has_room(self) -> bool:
        return self.under_way < max(1, self.remaining)

    def record(self, answered: RateLimit, ticks: float) -> None:
        """Believe an answer. Answers overtake each other, so that within a window the least counts."""
        is_over = ticks >= self.resets_at
        remaining = math.inf if answered.remaining is None else answered.remaining
        resets_at = ticks + (answered.resets_in or 0.0)
        if is_over or remaining < self.remaining:
            self.remaining, self.resets_at, self.limit = remaining, resets_at, answered.limit
        elif remaining == self.remaining and resets_at > self.resets_at:
            self.resets_at, self.limit = resets_at, answered.limit


class RateLimiter:
    """When each endpoint takes requests again, as far as its answers have said; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Notified whenever an answer has come.
        self._answered = threading.Condition(self._lock)
        self._windows: defaultdict[Endpoint, _Window] = defaultdict(_Window)
        self._polls: dict[Endpoint, TokenBuckets] = {}

    def reserve(self, endpoint: Endpoint, monotonic: Callable[[], float], *, longest_wait: float) -> float:
        """
        Reserve one call, which :meth:`release` gives back once it is answered.

        Where those under way may use up all that is left, it waits for their answers, and for nothing else.

        :param endpoint: what is to be called.
        :param monotonic: tells the time of the monotonic clock.
        :param longest_wait: seconds to wait for the answers at most. After that the call goes ahead, unless it is known
            to be one too many; with 0 it goes ahead unless nothing is left for certain.
        :return: 0 when it is reserved, else the seconds after which to ask again.
        """
        # On the real clock, as the answers are.
        deadline = time.monotonic() + longest_wait
        with self._answered:
            while True:
                ticks = monotonic()
                window = self._window(endpoint, ticks)
                if wait := window.wait(ticks):
                    return wait
                left = deadline - time.monotonic()
                if not window.has_room() and left > 0:
                    self._answered.wait(left)
                    continue
                if not window.has_room() and longest_wait > 0 and window.resets_at > ticks:
                    return window.resets_at - ticks
                window.under_way += 1
                return 0.0

    def release(self, endpoint: Endpoint) -> None:
        """
        Give a reserved call back: it is answered, or no answer will come.

        :param endpoint: what was called.
        """
        with self._answered:
            window = self._windows[endpoint]
            # After a reset there may be none.
            window.under_way = max(0, window.under_way - 1)
            self._answered.notify_all()

    def record_answer(
        self, endpoint: Endpoint, status: int, headers: Mapping[str, str], *, now: float, ticks: float
    ) -> None:
        """
        Believe what an answer says: after a 429, or with none remaining, nothing is sent until the window resets.

        That of a failing server (5xx) is not believed: it may be another one's.

        :param endpoint: what has answered.
        :param status: the status of the answer.
        :param headers: its headers.
        :param now: the time, in epoch seconds.
        :param ticks: the time of the monotonic clock.
        """
        answered = rate_limit_of(headers, now) if status < 500 else RateLimit()
        if status == 429:
            # Refused, whatever else it says; and without a time, the next one to go ahead goes alone.
            answered = answered._replace(remaining=0, resets_in=asked_wait(status, headers, now))
        with self._answered:
            self._windows[endpoint].record(answered, ticks)
            self._answered.notify_all()

    def wait(self, endpoint: Endpoint, ticks: float) -> float:
        """
        Tell for how long nothing is to be sent to an endpoint.

        :param endpoint: what is to be called.
        :param ticks: the time of the monotonic clock.
        :return: seconds, 0 when there is room, or nothing is known.
        """
        with self._lock:
            return self._windows[endpoint].wait(ticks) if endpoint in self._windows else 0.0

    def window_of(self, endpoint: Endpoint, ticks: float) -> RateLimit | None:
        """
        Give what the answers have said of the window that is used up first.

        :param endpoint: what is to be called.
        :param ticks: the time of the monotonic clock.
        :return: its limit, and what remains of it without the calls under way; None when nothing is known, or the
            window has reset since.
        """
        with self._lock:
            window = self._windows.get(endpoint)
            if window is None or window.resets_at <= ticks or math.isinf(window.remaining):
                return None
            remaining = max(0, int(window.remaining) - window.under_way)
            return RateLimit(window.limit, remaining, window.resets_at - ticks)

    def reserve_poll(self, endpoint: Endpoint, ticks: float) -> float:
        """
        Reserve one of the calls of those who poll, who spend no more than the published limits between them.

        :param endpoint: what they call; one that has published limits.
        :param ticks: the time of the monotonic clock.
        :return: 0 when it is reserved, else the seconds after which to ask again.
        """
        with self._lock:
            buckets = self._polls.setdefault(endpoint, TokenBuckets(LIMITS[endpoint[-2:]]))
            window_wait = self._windows[endpoint].wait(ticks) if endpoint in self._windows else 0.0
            if (wait := max(window_wait, buckets.wait(ticks))) > 0:
                return wait
            buckets.spend(ticks)
            return 0.0

    def reset(self) -> None:
        """Forget what is known: a test begins with a workspace that nobody has called yet."""
        with self._answered:
            self._windows.clear()
            self._polls.clear()
            self._answered.notify_all()

    def forget_threads(self) -> None:
        """Forget the calls under way, and who holds the lock: in a forked process those threads are not there."""
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        for window in self._windows.values():
            window.under_way = 0

    def _window(self, endpoint: Endpoint, ticks: float) -> _Window:
        if endpoint not in self._windows and len(self._windows) >= _MOST_WINDOWS:
            for other, window in list(self._windows.items()):
                if not window.under_way and window.resets_at <= ticks:
                    del self._windows[other]
        return self._windows[endpoint]


RATE_LIMITER = RateLimiter()
"""That of this process."""

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=RATE_LIMITER.forget_threads)
