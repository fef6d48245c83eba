"""Time, as a workspace sees it: UTC everywhere, and a clock that can be moved ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

Clock = Callable[[], datetime]

MAX_AHEAD = timedelta(days=36_500)


def utc_now() -> datetime:
    """Tell the time: the clock of a sandbox that is given no other."""
    return datetime.now(timezone.utc)


def as_api_time(moment: datetime) -> str:
    """Write a moment as the API does: ISO 8601 in UTC, with microseconds, without a zone."""
    return as_utc(moment).replace(tzinfo=None).isoformat(timespec="microseconds")


def as_utc(moment: datetime) -> datetime:
    """Move a moment to UTC; one without a zone is in UTC already."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


class AdvancingClock:
    """
    A clock that goes as another one does, but may be moved ahead of it.

    :param base: the other one, which tells an aware datetime.
    :raises ValueError: when its time has no zone.
    """

    def __init__(self, base: Clock = utc_now) -> None:
        if base().tzinfo is None:
            raise ValueError("the clock must tell an aware datetime, for example datetime.now(timezone.utc)")
        self._base = base
        self._lock = threading.Lock()
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the time, in UTC."""
        return as_utc(self._base()) + self._ahead

    @property
    def ahead(self) -> timedelta:
        """By how much it was moved, in all."""
        return self._ahead

    def move(self, duration: timedelta) -> None:
        """
        Move the clock ahead.

        :param duration: by how much.
        :raises ValueError: when it is negative, or more than a century in all.
        """
        with self._lock:
            if not timedelta() <= duration <= MAX_AHEAD - self._ahead:
                raise ValueError(f"the clock moves ahead only, and by {MAX_AHEAD.days} days in all, not by {duration}")
            self._ahead += duration
