"""Lengths of time, as people give them to operators and sensors. Pure."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pendulum

from airflow_provider_moengage.client.errors import InvalidInputError


def check_survives_copies(parameter: str, value: Any) -> None:
    """
    Refuse a pendulum Duration where a copy of one is shorter than it.

    Before pendulum 3.2 a deep copy has no weeks, and Airflow copies default_args deeply: of 90 days 6 arrive. Whether
    this value was copied cannot be seen. An Interval is let through: there it cannot be copied at all.

    :param parameter: how the caller named it.
    :param value: what the caller gave; anything but a Duration passes.
    :raises InvalidInputError: when it may have lost its weeks.
    """
    if isinstance(value, pendulum.Duration) and not isinstance(value, pendulum.Interval) and not _copies_keep_weeks():
        raise InvalidInputError(
            f"{parameter} is a pendulum Duration, and the installed pendulum loses the weeks of one when Airflow "
            "copies it, as it does with default_args: of 90 days 6 would be left. Give a datetime.timedelta "
            "instead, or install pendulum>=3.2."
        )


@cache
def _copies_keep_weeks() -> bool:
    week = pendulum.duration(weeks=1)
    return bool(copy.deepcopy(week) == week)
