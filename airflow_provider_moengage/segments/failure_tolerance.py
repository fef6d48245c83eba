"""
How long a wait tolerates failed polls: the same for the sensor in a worker and for the trigger in the triggerer.

A rate limit, a failing server or a broken network is "not yet": whoever waits for days must not fail for minutes of
those. But failures that do not end are a broken set-up, and somebody has to hear of it.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_moengage.client.errors import MoEngageError

TOLERATED_SECONDS = 6 * 3_600.0
"""Seconds for which polls in a row may fail before a wait gives up."""

# Where a thousand share a rate limit, the polls of one are hours apart: two that fail tell nothing of what was between.
_FEWEST_POLLS = 3


def wanted(segment_id: str | None, name: str | None) -> str:
    """
    Say in words what is waited for.

    :param segment_id: an id, or None.
    :param name: a name, where there is no id.
    :return: a noun phrase.
    """
    return f"the segment {name!r}" if segment_id is None else f"the segment with the id {segment_id!r}"


class GaveUpWaitingError(Exception):
    """Polls have failed for too long. Airflow's own retries may start the wait again."""


class ConnectionChangedError(MoEngageError):
    """MoEngage has refused a key that the connection no longer has: the next poll is made with the new one."""

    headline = "The connection has changed while the segment was waited for"
    retryable = True


class ConnectionUnreadableError(MoEngageError):
    """The connection is gone while something is waited for with it: a secrets backend fails, or somebody edits it."""

    headline = "Airflow cannot read the connection any more"
    retryable = True


class ConnectionNeverReadError(ConnectionUnreadableError):
    """The triggerer has never read the connection, though the worker could: it may lack what a worker has."""

    headline = "The triggerer cannot read the connection"
    way_out = (
        "Give the triggerer the secrets backend and the environment of the workers. A team's triggerer (airflow "
        "triggerer --team-name) cannot read the connections of its team: wait in a worker there, with deferrable=False "
        'and mode="reschedule".'
    )


class FailedPolls:
    """
    Polls in a row that have failed.

    :param since: when the first of them failed, in epoch seconds.
    :param in_a_row: how many they are.
    :param cause: what kind of error the last one met.
    """

    def __init__(self, since: float, in_a_row: int, cause: str) -> None:
        self.since = since
        self.in_a_row = in_a_row
        self.cause = cause

    @classmethod
    def after(cls, before: FailedPolls | None, error: MoEngageError, now: float) -> FailedPolls:
        """
        Count one more failed poll.

        :param before: those that have failed before it, in a row.
        :param error: what this poll has met.
        :param now: the time, in epoch seconds.
        :return: all of them.
        """
        cause = f"{type(error).__name__} {error.status or ''}".rstrip()
        return cls(before.since if before else now, before.in_a_row + 1 if before else 1, cause)

    @classmethod
    def from_json(cls, saved: Any) -> FailedPolls | None:
        """
        Undo :meth:`as_json`.

        :param saved: what was saved in another process, perhaps by another version; None for nothing.
        :return: the failed polls, or None when there were none that this version can read.
        """
        match saved:
            case {"since": float(since), "in_a_row": int(in_a_row), "cause": str(cause)}:
                return cls(since, in_a_row, cause)
        return None

    def as_json(self) -> dict[str, Any]:
        """
        Give what another process can go on with.

        :return: ``{"since", "in_a_row", "cause"}``.
        """
        return {"since": self.since, "in_a_row": self.in_a_row, "cause": self.cause}


class FailureTolerance:
    """
    Tolerates failed polls while something is waited for, and logs each change once.

    :param wanted: what is waited for, in words.
    :param log: where to log.
    :param failed: the polls that have failed so far, where another process has met them.
    """

    def __init__(self, wanted: str, log: Any, failed: FailedPolls | None = None) -> None:
        self.failed = failed
        self._wanted = wanted
        self._log = log

    def record_failure(self, error: MoEngageError, now: float) -> None:
        """
        Record a poll that has failed, in a way that waiting may mend.

        :param error: what it has met.
        :param now: the time, in epoch seconds.
        :raises GaveUpWaitingError: when polls have failed for too long.
        """
        before, self.failed = self.failed, FailedPolls.after(self.failed, error, now)
        if now - self.failed.since > TOLERATED_SECONDS and self.failed.in_a_row >= _FEWEST_POLLS:
            raise GaveUpWaitingError(
                f"Gave up waiting for {self._wanted}: for {TOLERATED_SECONDS / 3_600:g} hours no poll has succeeded "
                f"({self.failed.in_a_row} in a row have failed). The last cause: {error}"
            ) from error
        has_changed = before is None or before.cause != self.failed.cause
        self._log.log(
            logging.WARNING if has_changed else logging.DEBUG,
            "Could not poll for %s, which counts as not yet (failed polls in a row: %d). %s",
            self._wanted,
            self.failed.in_a_row,
            error,
        )

    def record_success(self, now: float) -> None:
        """
        Record a poll that has succeeded, whatever it has found.

        :param now: the time, in epoch seconds.
        """
        if self.failed:
            self._log.info(
                "MoEngage answers again. Failed polls: %d in %.0f s.", self.failed.in_a_row, now - self.failed.since
            )
        self.failed = None
