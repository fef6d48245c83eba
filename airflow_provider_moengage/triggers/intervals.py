"""How often a workspace may be polled by one who waits, and what that costs: the same in every mode."""

from __future__ import annotations

from airflow_provider_moengage.client.limits import DAY, GET_BY_ID, LIMITS, LIST, Call

# A trigger that fires sooner after its task's deferral can fail the task.
_SHORTEST_OF_ALL = 1.0

SHORTEST_INTERVALS: dict[Call, float] = {
    call: max(_SHORTEST_OF_ALL, LIMITS[call][0].seconds / LIMITS[call][0].calls) for call in (GET_BY_ID, LIST)
}
"""Seconds between two polls at least, whatever is asked for: a minute's calls, evenly over the minute."""

# Airflow's own default. Below it nobody would guess what a day of waiting costs.
_UNREMARKABLE_SECONDS = 60.0

_NAMES = {GET_BY_ID: "gets by id", LIST: "list calls"}


def call_of(segment_id: str | None) -> Call:
    """
    Say which call polls for a segment.

    :param segment_id: its id, or None when it is waited for by its name.
    :return: the call, with its limits.
    """
    return LIST if segment_id is None else GET_BY_ID


def interval_of(poll_interval: float, call: Call) -> float:
    """
    Give the interval that is kept to.

    :param poll_interval: what was asked for, in seconds.
    :param call: which call polls.
    :return: the same, or the shortest that the limits allow.
    """
    return max(poll_interval, SHORTEST_INTERVALS[call])


def warning_of(poll_interval: float, call: Call) -> str | None:
    """
    Say what a short interval costs.

    :param poll_interval: what was asked for, in seconds.
    :param call: which call polls.
    :return: a sentence or two; None from a minute on.
    """
    if poll_interval >= _UNREMARKABLE_SECONDS:
        return None
    interval, name = interval_of(poll_interval, call), _NAMES[call]
    a_minute, an_hour, a_day = (limit.calls for limit in LIMITS[call])
    instead = "" if interval == poll_interval else f" instead of every {poll_interval:g} s"
    return (
        f"Polling every {interval:g} s{instead}: {DAY / interval:,.0f} {name} in a day of waiting, where MoEngage "
        f"allows the whole workspace {a_minute} a minute, {an_hour:,} an hour and {a_day:,} a day. 300 s spare them."
    )
