"""How often MoEngage lets a workspace call, as documented, and how those who look again and again share it: pure."""

from __future__ import annotations

from collections.abc import Sequence

Call = tuple[str, str]
"""A method, and a path without the segment's id: what has a limit of its own."""

SEGMENTS = "/v3/custom-segments"
GET_BY_ID: Call = "GET", f"{SEGMENTS}/{{id}}"
LIST: Call = "GET", SEGMENTS

LIMITS: dict[Call, tuple[int, ...]] = {GET_BY_ID: (100, 1_000, 4_000), LIST: (50, 200, 1_000)}
"""So many calls within each of the periods (API documents: get by id, list)."""

PERIODS = (60.0, 3_600.0, 86_400.0)

# What is spent at once is missing later: with all of a day's calls spent within four hours, nobody could look for
# twenty. With none, a few who wait would have to take turns though there is room.
_AT_ONCE = 0.25


class Pace:
    """
    Spends limits so that no period, whenever it begins, has more calls than it may.

    A quarter of each limit may be spent at once. The rest comes back evenly over the period, and so does that quarter.

    :param limits: how many calls within each of the periods.
    """

    def __init__(self, limits: Sequence[int]) -> None:
        # Of each limit: how many at once, the seconds in which one more comes back, and when all are back.
        self._at_once = [max(1, int(limit * _AT_ONCE)) for limit in limits]
        self._seconds = [
            period / (limit - at_once) for limit, at_once, period in zip(limits, self._at_once, PERIODS, strict=True)
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
        Take note of a call.

        :param ticks: when it is sent.
        """
        self._full_at = [
            max(full_at, ticks) + seconds for full_at, seconds in zip(self._full_at, self._seconds, strict=True)
        ]
