"""
How long an answer asks to wait: one reader for every spelling of it. Pure.

``x-ratelimit-reset`` is published in two ways, as UTC epoch seconds when the window ends and as the seconds that remain
of it. Some services send ``Retry-After`` instead: seconds, or a date. Gateways add spellings of their own: decimals,
milliseconds, and two headers joined to one. A number of up to a day is seconds, one near the present is an epoch.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import timezone
from typing import NamedTuple

# The longest window that MoEngage publishes. Who asks for more is mistaken, or not MoEngage.
LONGEST_WAIT = 86_400

# How far from the present an epoch may be: a window that has just ended, or one of a day on a machine whose own clock
# is wrong by a day.
_NEAR = range(-LONGEST_WAIT, 2 * LONGEST_WAIT + 1)

# Larger than the milliseconds of any epoch to come, and than a float may be exactly.
_NO_EPOCH = 10**15

_NUMBER = r"(?a)\+?(\d{1,400})(?:\.(\d{0,400}))?(?:[eE]\+?(\d{1,2}))?"
_COUNT = r"(?a)([+-]?\d{1,400})(?:\.\d*)?"

# Two headers are joined with a comma, but a date has one too, after the day of the week.
_BETWEEN_HEADERS = "(?i)(?<!mon|tue|wed|thu|fri|sat|sun|day),"


class RateLimit(NamedTuple):
    """
    What an answer says about the window that is used up first. What cannot be read is None.

    :param limit: how many calls the window takes.
    :param remaining: how many of them are left.
    :param resets_in: seconds until there is room again, from 0 to a day.
    """

    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None


def asked_wait(status: int | None, headers: Mapping[str, str], now: float) -> float | None:
    """
    Read how long the server asks to wait.

    ``Retry-After`` comes before ``x-ratelimit-reset``, since it speaks of this very answer. The latter stands in every
    answer: it counts with a 429, or when ``x-ratelimit-remaining`` is 0. What cannot be read is as if it were not
    there.

    :param status: the status of the answer, None without one.
    :param headers: its headers, looked up without regard to case.
    :param now: the time, in epoch seconds; the server's own ``Date`` comes before it, since clocks differ.
    :return: seconds from now, from 0 to a day and never less than asked, or None when the server does not ask.
    """
    if status is not None and status >= 400:
        # By its standard a plain number is seconds, however many: this asks for a day at least.
        asked = _longest(headers, "Retry-After", now, otherwise=LONGEST_WAIT)
        if asked is not None:
            return asked
    window = rate_limit_of(headers, now)
    return window.resets_in if status == 429 or window.remaining == 0 else None


def rate_limit_of(headers: Mapping[str, str], now: float) -> RateLimit:
    """
    Read the three headers that every answer of an endpoint with a rate limit has.

    :param headers: the headers of an answer, looked up without regard to case.
    :param now: the time, in epoch seconds.
    :return: what they say.
    """
    return RateLimit(
        limit=_least(headers, "x-ratelimit-limit"),
        remaining=_least(headers, "x-ratelimit-remaining"),
        resets_in=_longest(headers, "x-ratelimit-reset", now),
    )


def _least(headers: Mapping[str, str], name: str) -> int | None:
    """Read a count; of two that were joined the smaller, and none below 0."""
    found = (re.fullmatch(_COUNT, value) for value in _values(headers, name))
    counts: list[int] = [max(0, int(count[1])) for count in found if count]
    return min(counts, default=None)


def _longest(headers: Mapping[str, str], name: str, now: float, otherwise: float | None = None) -> float | None:
    """
    Read a wait; of two that were joined the longer.

    :param otherwise: what a number stands for that is neither up to a day nor near the present.
    """
    date = _epoch_of_date(headers.get("Date", "").strip())
    clocks = [now] if date is None else [date, now]
    waits = (_wait(value, clocks, otherwise) for value in _values(headers, name))
    return max((wait for wait in waits if wait is not None), default=None)


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    # What follows a semicolon says more about the value, such as the length of its window.
    return [value.partition(";")[0].strip() for value in re.split(_BETWEEN_HEADERS, headers.get(name, ""))]


def _wait(value: str, clocks: list[float], otherwise: float | None) -> float | None:
    number = _rounded_up(value)
    if number is None:
        moment = _epoch_of_date(value)
        if moment is None:
            return None
        wait = _until(moment, clocks)
        return min(max(0.0, moment - clocks[0]), LONGEST_WAIT) if wait is None else wait
    if number <= LONGEST_WAIT:
        return float(number)
    if number > _NO_EPOCH:
        return otherwise
    in_seconds, in_milliseconds = _until(number, clocks), _until(-(-number // 1_000), clocks)
    return next((wait for wait in (in_seconds, in_milliseconds) if wait is not None), otherwise)


def _until(moment: float, clocks: list[float]) -> float | None:
    """Count the seconds until a moment by the first clock that it is near to."""
    for clock in clocks:
        if _NEAR.start <= moment - clock < _NEAR.stop:
            return min(max(0.0, moment - clock), float(LONGEST_WAIT))
    return None


def _rounded_up(text: str) -> int | None:
    """Read a number exactly: as a float, 4.0000000000000001 would be 4, which is less than was asked for."""
    read = re.fullmatch(_NUMBER, text)
    if read is None:
        return None
    whole, fraction, exponent = read[1], read[2] or "", int(read[3] or 0)
    shift = exponent - len(fraction)
    digits = int(whole + fraction)
    scale = int(10 ** abs(shift))
    return digits * scale if shift >= 0 else -(-digits // scale)


def _epoch_of_date(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
