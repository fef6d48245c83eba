"""What keeps a wrong query from becoming an audience: decided before anything is uploaded or sent. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import kind_of, type_of
from airflow_provider_moengage.client.limits import DAY, FILE_SEGMENTS, LIMITS, least_seconds
from airflow_provider_moengage.segments.log_lines import count_of

MODES = ("replace", "add", "remove")

USERS_A_DAY = 2_000_000
"""How many users a workspace may upload a day, as published."""

LEAST_URL_SECONDS = 3_600
"""MoEngage fetches a file later, and a failed download again."""

MOST_URL_SECONDS = 604_800
"""S3 and Google Cloud Storage sign for a week at most."""


# Ten times as many more. What is larger is meant in percent, and would guard against nothing.
_MOST_CHANGE = 10


def check_options(
    *, mode: Any, min_rows: Any, max_change: Any, max_users: Any, keep_staged_file: Any, dry_run: Any
) -> None:
    """
    Check what an operator was told of the guards.

    :param mode: what is to be done with the users.
    :param min_rows: the least number of values.
    :param max_change: by what share their number may differ from the last run's.
    :param max_users: the most users that a run may upload.
    :param keep_staged_file: whether the file is left where it is.
    :param dry_run: whether nothing is to be changed.
    :raises InvalidInputError: when one of them is none that can be used.
    """
    if mode not in MODES:
        raise InvalidInputError(f'mode must be "replace", "add" or "remove", not {kind_of(mode)}.')
    for name, value, least in (("min_rows", min_rows, 0), ("max_users", max_users, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InvalidInputError(f"{name} must be a whole number, {least} or more, not {kind_of(value)}.")
    is_number = isinstance(max_change, (int, float)) and not isinstance(max_change, bool) and math.isfinite(max_change)
    if max_change is not None and not (is_number and 0 <= max_change <= _MOST_CHANGE):
        raise InvalidInputError(
            f"max_change must be a share from 0 to {_MOST_CHANGE}, such as 0.5 for 50 percent more or fewer, or None "
            f"for any number, not {kind_of(max_change)}."
        )
    for name, value in (("keep_staged_file", keep_staged_file), ("dry_run", dry_run)):
        if not isinstance(value, bool):
            raise InvalidInputError(f"{name} must be True or False, not {type_of(value)}.")


def url_seconds_of(url_expires_in: Any) -> int:
    """
    Check for how long an address is to be good.

    :param url_expires_in: what the caller gave: seconds, or a timedelta.
    :return: whole seconds.
    :raises InvalidInputError: when MoEngage may come too late for it, or storage does not sign for so long.
    """
    seconds = url_expires_in.total_seconds() if isinstance(url_expires_in, timedelta) else url_expires_in
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not LEAST_URL_SECONDS <= seconds <= MOST_URL_SECONDS:
        raise InvalidInputError(
            f"url_expires_in must be from an hour to a week, in seconds ({LEAST_URL_SECONDS:,} to {MOST_URL_SECONDS:,})"
            " or as a timedelta: MoEngage fetches a file some time after the call, and storage signs for a week at "
            f"most. It is {kind_of(url_expires_in)}."
        )
    return int(seconds)


def check_rows(rows: int, *, min_rows: int, before: int | None, max_change: float | None) -> None:
    """
    Compare the number of values with what was expected.

    :param rows: how many there are.
    :param min_rows: the least.
    :param before: how many the last run had; None when that is not known.
    :param max_change: by what share they may differ; None for any.
    :raises InvalidInputError: when there are too few, or too many more or fewer.
    """
    if rows < min_rows:
        raise InvalidInputError(
            f"{_there_are(rows)} to write, and min_rows is {min_rows:,}. Nothing was uploaded or sent. Look at what "
            "the source has now; if so few are right, lower min_rows."
        )
    if not before or max_change is None or abs(rows - before) <= max_change * before:
        return
    raise InvalidInputError(
        f"{_there_are(rows)} to write, and the last run had {before:,}: a difference of "
        f"{abs(rows - before) / before:.0%}, and max_change is {max_change:.0%}. Nothing was uploaded or sent. If the "
        "number is right, run the task once with a larger max_change, or with None."
    )


def check_quota(rows: int, files: int, *, max_users: int, deferrable: bool) -> None:
    """
    Find out before the first call whether a day's quota holds what is to be sent.

    :param rows: how many users.
    :param files: in how many files, a call each.
    :param max_users: the most users.
    :param deferrable: whether the task can wait without its worker slot.
    :raises InvalidInputError: when it does not; the message says what to do.
    """
    if rows > max_users:
        raise InvalidInputError(
            f"{_there_are(rows)} to write, and max_users is {max_users:,}: MoEngage takes {USERS_A_DAY:,} users "
            "a day of a workspace. Nothing was uploaded or sent. Let the query select fewer, or add the others on "
            'another day with mode="add"; raise max_users if your contract has another limit.'
        )
    hour, day = LIMITS[FILE_SEGMENTS]
    if files > day.calls:
        raise InvalidInputError(
            f"The values need {files:,} files of 150 MB, a call each, and MoEngage takes {day.calls} such calls within "
            f"{DAY / 3_600:.0f} hours. Nothing was uploaded or sent. Let the query select fewer."
        )
    if files > hour.calls and not deferrable:
        hours = math.ceil(least_seconds(files, LIMITS[FILE_SEGMENTS]) / 3_600)
        raise InvalidInputError(
            f"The values need {files:,} files of 150 MB, a call each, and MoEngage takes {hour.calls} such calls an "
            f"hour: at least {hours} h. Nothing was uploaded or sent. Set deferrable=True, which holds no worker slot "
            "meanwhile."
        )


def rows_before(xcom: Any, *, name: str, mode: str) -> int | None:
    """
    Read how many values the last run had that has sent any.

    :param xcom: what the last run has returned, or anything. A dry run, and one without a value, say in it what they
        were compared with themselves.
    :param name: the segment of this run: the number of another one says nothing.
    :param mode: what is done with the users, likewise.
    :return: the number; None when the XCom does not tell it.
    """
    if not isinstance(xcom, Mapping) or (xcom.get("cs_name"), xcom.get("mode")) != (name, mode):
        return None
    rows = xcom.get("last_rows_written" if xcom.get("calls") == [] else "rows_written")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None


def _there_are(rows: int) -> str:
    return f"There {'is' if rows == 1 else 'are'} {count_of(rows, 'value')}"
