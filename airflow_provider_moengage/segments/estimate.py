"""How long a plan takes under MoEngage's published limits, and whether a task has so much time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.limits import DAY, HOUR, MINUTE, Limit, earliest_moments
from airflow_provider_moengage.segments.log_lines import count_of

_PERIODS = {MINUTE: "a minute", HOUR: "an hour", DAY: "a day"}

# MoEngage tells in whole seconds when a window ends.
_SLACK_OF_A_WAIT = 1.0


@dataclass(frozen=True)
class Estimate:
    """
    How long so many calls take at best.

    :param calls: how many.
    :param seconds: until the last one can be sent.
    :param limit: the longest of the limits that make them wait; None when they need not wait.
    """

    calls: int
    seconds: float = 0.0
    limit: Limit | None = None

    def sentence(self, action: str, now: datetime) -> str:
        """
        Say it for the log.

        :param action: ``archive`` or ``unarchive``.
        :param now: the time, in UTC.
        :return: a sentence; nothing when no call has to wait.
        """
        if self.limit is None:
            return ""
        end = now + timedelta(seconds=self.seconds)
        when = f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"
        limit = f"MoEngage {action}s {self.limit.calls:,} {_PERIODS[self.limit.seconds]}"
        return f"{count_of(self.calls, 'segment')}: at least {duration(self.seconds)}, {limit}; done about {when} UTC."


def estimate_of(calls: int, limits: Sequence[Limit], sent: Sequence[float] = ()) -> Estimate:
    """
    Say how long so many calls take at best.

    :param calls: how many.
    :param limits: those of the endpoint, shortest period first.
    :param sent: when earlier ones were sent, in seconds before now as numbers below 0.
    :return: the estimate, with the second that each wait may take longer.
    """
    moments = earliest_moments(calls, limits, sent=sent)
    waits = len({moment for moment in moments if moment > 0})
    if not waits:
        return Estimate(calls)
    used = {limit: calls + sum(moment > -limit.seconds for moment in sent) for limit in limits}
    binding = [limit for limit in limits if used[limit] > limit.calls]
    return Estimate(calls, moments[-1] + waits * _SLACK_OF_A_WAIT, binding[-1])


def check_time(estimate: Estimate, action: str, *, deferrable: bool, longest: timedelta | None) -> None:
    """
    Find out before the first call whether a task can do what is planned.

    :param estimate: how long it takes at best.
    :param action: ``archive`` or ``unarchive``.
    :param deferrable: whether the task gives its worker slot back while it waits.
    :param longest: the task's ``execution_timeout``, which bounds its deferrals too; None when it has none.
    :raises InvalidInputError: when it cannot; the message says what to do.
    """
    limit = estimate.limit
    if limit is None:
        return
    what = (
        f"{count_of(estimate.calls, 'segment')} take at least {duration(estimate.seconds)}: MoEngage {action}s "
        f"{limit.calls:,} {_PERIODS[limit.seconds]}."
    )
    if longest is not None and estimate.seconds > longest.total_seconds():
        slot = "" if deferrable else ", with deferrable=True, which holds no worker slot meanwhile"
        raise InvalidInputError(
            f"{what} The task's execution_timeout allows {duration(longest.total_seconds())}. Leave it out or make it "
            f"more than {duration(estimate.seconds)}{slot}; or give the task fewer segments. Nothing was sent."
        )
    if not deferrable and limit.seconds >= DAY:
        raise InvalidInputError(
            f"{what} That is more than what is left of today's quota, and the task would hold its worker slot until "
            "tomorrow. Set deferrable=True, which holds none meanwhile, and does not wait at all where a server has no "
            "such limits; or give the task fewer segments. Nothing was sent."
        )


def duration(seconds: float) -> str:
    """
    Write how long something takes, as people say it.

    :param seconds: how long.
    :return: such as ``9.9 s``, ``1 min 5 s``, ``4 h 4 min``, ``1 d 4 h``; from an hour on rounded up.
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < HOUR:
        return _parts(round(seconds), (60, "min"), (1, "s"))
    if seconds < DAY:
        return _parts(math.ceil(seconds / 60) * 60, (3_600, "h"), (60, "min"))
    return _parts(math.ceil(seconds / HOUR) * 3_600, (86_400, "d"), (3_600, "h"))


class SentCalls:
    """
    When the calls of a task were sent, in whole seconds: what it has used of the limits.

    :param counts: how many in which second of the epoch.
    """

    def __init__(self, counts: Iterable[Sequence[float]] = ()) -> None:
        self._counts: dict[int, int] = {}
        for second, count in counts:
            self._counts[int(second)] = self._counts.get(int(second), 0) + int(count)

    def record(self, now: float) -> None:
        """
        Record a call.

        :param now: the time, in epoch seconds.
        """
        self._counts[int(now)] = self._counts.get(int(now), 0) + 1

    def before(self, now: float) -> list[float]:
        """
        Tell when they were sent.

        :param now: the time, in epoch seconds.
        :return: seconds before now as numbers below 0, of the last day.
        """
        return [
            float(min(second - now, -0.001))
            for second, count in sorted(self._counts.items())
            if second > now - DAY
            for _ in range(count)
        ]

    def as_json(self, now: float) -> list[list[int]]:
        """
        Put those of the last day into JSON.

        :param now: the time, in epoch seconds.
        :return: second and count of each.
        """
        return [[second, count] for second, count in sorted(self._counts.items()) if second > now - DAY]


def _parts(value: int, *units: tuple[int, str]) -> str:
    texts = []
    for size, unit in units:
        number, value = divmod(value, size)
        texts.append(f"{number} {unit}")
    return " ".join(texts)
