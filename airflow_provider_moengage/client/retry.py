"""When another try makes sense: read from what the server says."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping

# The longest window that MoEngage documents. Who asks for more is mistaken, or not MoEngage.
_LONGEST_WAIT = 86_400.0


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """
    Read how long the server asks to wait.

    ``Retry-After`` (seconds, or a date) comes before ``x-ratelimit-reset`` (UTC epoch seconds, when the window
    ends), since it speaks of this very answer. What cannot be read is as if it were not there.

    :param headers: the answer's headers, looked up without regard to case.
    :param now: the time, in epoch seconds.
    :return: seconds from now, from 0 to a day, or None when the server does not say.
    """
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST_WAIT)
    if asked:
        try:
            return _within_a_day(email.utils.parsedate_to_datetime(asked).timestamp() - now)
        except (ValueError, OverflowError):
            pass
    reset = headers.get("x-ratelimit-reset", "").strip()
    if reset.isascii() and reset.isdigit():
        return _within_a_day(float(reset) - now)
    return None


def _within_a_day(seconds: float) -> float:
    return min(max(0.0, seconds), _LONGEST_WAIT)
