"""
How long a wait bears trouble: the same for the sensor in a worker and for the trigger in the triggerer.

A rate limit, a failing server or a broken network is "not yet": whoever waits for days must not fail for minutes of
trouble. But trouble that does not end is a broken set-up, and somebody has to hear of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from airflow_provider_moengage.client.errors import MoEngageError

LONGEST_TROUBLE = 6 * 3_600.0
"""Seconds for which looks in a row may fail before a wait gives up."""

# Where a thousand take turns, the looks of one are hours apart: two that fail tell nothing of what was in between.
_FEWEST_LOOKS = 3


def wanted(segment_id: str | None, name: str | None) -> str:
    """
    Say in words what is waited for.

    :param segment_id: an id, or None.
    :param name: a name, where there is no id.
    :return: a noun phrase.
    """
    return f"the segment {name!r}" if segment_id is None else f"the segment with the id {segment_id!r}"


class GaveUpWaitingError(Exception):
    """Looks have failed for too long. Airflow's own retries may start the wait again."""


class ConnectionChangedError(MoEngageError):
    """MoEngage has refused a key that the connection no longer has: the next look is made with the new one."""

    headline = "The connection has changed while the segment was waited for"
    retryable = True


class ConnectionUnreadableError(MoEngageError):
    """The connection is gone while something is waited for with it: a secrets backend fails, or somebody edits it."""

    headline = "Airflow cannot read the connection any more"
    retryable = True


@dataclass(frozen=True)
class Trouble:
    """
    Looks in a row that have failed.

    :param since: when the first of them failed, in epoch seconds.
    :param looks: how many they are.
    :param cause: what kind of error the last one met.
    """

    since: float
    looks: int
    cause: str

    @classmethod
    def after(cls, before: Trouble | None, error: MoEngageError, now: float) -> Trouble:
        """
        Count one more failed look.

        :param before: the trouble so far.
        :param error: what this look has met.
        :param now: the time, in epoch seconds.
        :return: the trouble with it.
        """
        cause = f"{type(error).__name__} {error.status or ''}".rstrip()
        return cls(before.since if before else now, before.looks + 1 if before else 1, cause)

    @classmethod
    def remembered(cls, kept: Any) -> Trouble | None:
        """
        Undo ``dataclasses.asdict``.

        :param kept: what was kept in another process, perhaps by another version; None for nothing.
        :return: the trouble, or None when there was none that this version knows.
        """
        match kept:
            case {"since": float(since), "looks": int(looks), "cause": str(cause)}:
                return cls(since, looks, cause)
        return None


class Patience:
    """
    Bears trouble while something is waited for, and says so once for each change.

    :param wanted: what is waited for, in words.
    :param log: where it is said.
    :param trouble: the trouble so far, where another process has met it.
    """

    def __init__(self, wanted: str, log: Any, trouble: Trouble | None = None) -> None:
        self.trouble = trouble
        self._wanted = wanted
        self._log = log

    def bear(self, error: MoEngageError, now: float) -> None:
        """
        Take note of a look that has failed, in a way that waiting may mend.

        :param error: what it has met.
        :param now: the time, in epoch seconds.
        :raises GaveUpWaitingError: when looks have failed for too long.
        """
        before, self.trouble = self.trouble, Trouble.after(self.trouble, error, now)
        if now - self.trouble.since > LONGEST_TROUBLE and self.trouble.looks >= _FEWEST_LOOKS:
            raise GaveUpWaitingError(
                f"Gave up waiting for {self._wanted}: for {LONGEST_TROUBLE / 3_600:g} hours no look has succeeded "
                f"({self.trouble.looks} in a row have failed). The last cause: {error}"
            ) from error
        changed = before is None or before.cause != self.trouble.cause
        self._log.log(
            logging.WARNING if changed else logging.DEBUG,
            "Could not look for %s, which counts as not yet (failed looks in a row: %d). %s",
            self._wanted,
            self.trouble.looks,
            error,
        )

    def relax(self, now: float) -> None:
        """
        Take note of a look that has succeeded, whatever it has found.

        :param now: the time, in epoch seconds.
        """
        if self.trouble:
            self._log.info(
                "MoEngage answers again. Failed looks: %d in %.0f s.", self.trouble.looks, now - self.trouble.since
            )
        self.trouble = None
