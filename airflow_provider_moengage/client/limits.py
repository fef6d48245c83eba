"""
How often MoEngage lets a workspace call, as published, and what follows from it: pure.

How a window slides is not published. What is decided here holds for both readings: no period, whenever it begins, gets
more calls than it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_moengage.client.wait_headers import RateLimit

Call = tuple[str, str]
"""A method, and a path without the segment's id: what has a limit of its own."""

SEGMENTS = "/v3/custom-segments"
GET_BY_ID: Call = "GET", f"{SEGMENTS}/{{id}}"
LIST: Call = "GET", SEGMENTS
CREATE: Call = "POST", SEGMENTS
UPDATE: Call = "PATCH", f"{SEGMENTS}/{{id}}"
ARCHIVE: Call = "PATCH", "/v2/custom-segments/archive"
UNARCHIVE: Call = "PATCH", "/v2/custom-segments/unarchive"
FILE_SEGMENTS: Call = "POST", "/v2/custom-segments/file-segment"
"""All four operations on file segments, which share one limit."""
COHORT_SYNC: Call = "POST", "/v1/integrations/cohortsync"

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


class Limit(NamedTuple):
    """
    So many calls within so much time.

    :param calls: how many calls.
    :param seconds: within how many seconds.
    """

    calls: int
    seconds: float


def _limits(a_minute: int, an_hour: int, a_day: int) -> tuple[Limit, ...]:
    return Limit(a_minute, MINUTE), Limit(an_hour, HOUR), Limit(a_day, DAY)


LIMITS: dict[Call, tuple[Limit, ...]] = {
    GET_BY_ID: _limits(100, 1_000, 4_000),
    **dict.fromkeys((LIST, CREATE, UPDATE, ARCHIVE, UNARCHIVE), _limits(50, 200, 1_000)),
    FILE_SEGMENTS: (Limit(10, HOUR), Limit(100, DAY)),
    COHORT_SYNC: (Limit(300, MINUTE),),
}
"""What is published of each call, shortest period first; each has limits of its own."""

# Of each limit. What is spent at once is missing later: with all of a day's calls spent within four hours, nobody could
# poll for twenty. With none, a few who wait would have to queue though there is room.
_AT_ONCE = 0.25


def endpoint_of(method: str, path: str) -> Call:
    """
    Tell whose limit a call counts toward.

    :param method: its HTTP method.
    :param path: its path.
    :return: the method, and the path without the segment's id.
    """
    if path.startswith(f"{SEGMENTS}/"):
        return method, f"{SEGMENTS}/{{id}}"
    file_segments = FILE_SEGMENTS[1]
    return FILE_SEGMENTS if path == file_segments or path.startswith(f"{file_segments}/") else (method, path)


def earliest_moments(
    calls: int, limits: Sequence[Limit], *, sent: Sequence[float] = (), window: RateLimit | None = None
) -> list[float]:
    """
    Say when each of many calls can be sent at the earliest, the answers taking no time.

    A window is taken to begin with the first call in it, or to slide. Should MoEngage's begin at full minutes, hours
    and days instead, the end may come one minute, hour and day sooner at most; the order of what is sent when is right
    under both.

    :param calls: how many.
    :param limits: those of the endpoint, such as ``LIMITS[ARCHIVE]``.
    :param sent: when earlier calls were sent, in seconds before now as numbers below 0.
    :param window: what the last answer said of the window that is used up first; None when nothing is known, which
        counts as if nothing were used. What others have used leaves that window when it resets.
    :return: seconds from now, in their order.
    """
    histories = [_history(limit, sent, window) for limit in limits]
    moments: list[float] = []
    moment = 0.0
    for _ in range(calls):
        for limit, history in zip(limits, histories, strict=True):
            if len(history) >= limit.calls:
                moment = max(moment, history[-limit.calls] + limit.seconds)
        moments.append(moment)
        for history in histories:
            history.append(moment)
    return moments


def least_seconds(
    calls: int, limits: Sequence[Limit], *, sent: Sequence[float] = (), window: RateLimit | None = None
) -> float:
    """
    Say how long many calls take at least: until the last one can be sent.

    :param calls: how many.
    :param limits: as for :func:`earliest_moments`, which says what is assumed.
    :param sent: likewise.
    :param window: likewise.
    :return: seconds from now.
    """
    return max(earliest_moments(calls, limits, sent=sent, window=window), default=0.0)


def _history(limit: Limit, sent: Sequence[float], window: RateLimit | None) -> list[float]:
    """Give the moments of the calls that a window has in it now, as far as they are known."""
    own = sorted(moment for moment in sent if moment > -limit.seconds)
    if window is None or window.limit != limit.calls or window.remaining is None or window.resets_in is None:
        return own
    others = max(0, limit.calls - window.remaining - len(own))
    return sorted(own + [min(window.resets_in, limit.seconds) - limit.seconds] * others)


class TokenBuckets:
    """
    Spends limits so that no period, whenever it begins, has more calls than it may.

    A quarter of each limit may be spent at once. The rest comes back evenly over the period, and so does that quarter.

    :param limits: how many calls within which periods.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        # Of each limit: how many at once, the seconds in which one more comes back, and when all are back.
        self._at_once = [max(1, int(limit.calls * _AT_ONCE)) for limit in limits]
        self._seconds = [
            limit.seconds / (limit.calls - at_once) for limit, at_once in zip(limits, self._at_once, strict=True)
        ]
        self._full_at = [float("-inf")] * len(limits)

    def wait(self, ticks: float) -> float:
        """
        Tell how long the next call has to wait.

        :param ticks: the time of the monotonic clock.
        :return: seconds, 0 when there is room.
        """
        states = zip(self._full_at, self._at_once, self._seconds, strict=True)
        return max(0.0, *(full_at - (at_once - 1) * seconds - ticks for full_at, at_once, seconds in states))

    def spend(self, ticks: float) -> None:
        """
        Count a call.

        :param ticks: when it is sent.
        """
        self._full_at = [
            max(full_at, ticks) + seconds for full_at, seconds in zip(self._full_at, self._seconds, strict=True)
        ]
