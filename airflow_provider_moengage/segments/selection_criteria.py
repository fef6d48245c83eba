"""The criteria of a selection: what a user asks for, read and checked before anything is sent. Pure: no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pendulum

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text, kind_of
from airflow_provider_moengage.segments.pendulum_copies import check_survives_copies

# Scheduler and worker may be two machines: a run that starts at the end of its data interval can be a moment early.
_CLOCK_DIFFERENCE = timedelta(minutes=1)

# Compiling a glob takes time that grows with the square of its length.
_PATTERN_CHARACTERS = 1_000

# Pendulum also takes "now", a time of today and an interval for a moment, and 4,294,967,297 days for one.
_MOMENT = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ][0-9:.,Z+-]{1,30})?")
_DURATION = re.compile(r"P(?=[0-9T])([0-9]{1,8}[YMWD])*(T([0-9]{1,8}[HMS])+)?")

# What a glob has no use for: anchors, .* and .+, a backslash before a letter or a dot, alternatives.
_REGULAR_EXPRESSION = re.compile(r"^\^|\$$|\.[*+]|\\[.\w]|\([^()|]*\|")


@dataclass(frozen=True)
class Criteria:
    """
    What a segment must be to be selected: all of it at once. None asks for nothing.

    :param as_of: the moment from which ages count, in UTC.
    :param name: its exact name.
    :param name_pattern: a glob that its name matches, in upper and lower case as written.
    :param exclude_pattern: a glob that its name does not match.
    :param since: it was created then or later.
    :param before: it was created before then.
    :param types: its type is one of these.
    :param sources: its source is one of these.
    :param limit: it is among so many of the oldest.
    """

    as_of: pendulum.DateTime
    name: str | None = None
    name_pattern: str | None = None
    exclude_pattern: str | None = None
    since: pendulum.DateTime | None = None
    before: pendulum.DateTime | None = None
    types: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    limit: int | None = None

    def __str__(self) -> str:
        bounds = {"since": self.since, "before": self.before}
        written = [f"{bound} {format_moment(moment)}" for bound, moment in bounds.items() if moment]
        return " and ".join(written) or "at any time"


def criteria_of(
    *,
    now: datetime,
    name: Any = None,
    name_pattern: Any = None,
    exclude_pattern: Any = None,
    older_than: Any = None,
    newer_than: Any = None,
    as_of: Any = None,
    types: Any = None,
    sources: Any = None,
    limit: Any = None,
) -> Criteria:
    """
    Read what a user asks for, and find what cannot work before anything is sent.

    Ages are half-open, as Airflow's data intervals are: ``older_than`` means created before ``as_of - older_than``, so
    that a segment of exactly that age is not old enough, and ``newer_than`` means created at ``as_of - newer_than`` or
    later. Of two runs whose ``as_of`` are a week apart, ``newer_than="P7D"`` selects each segment once. For that,
    an ``as_of`` that is given also leaves out what was created at that moment or later; without one, nothing is
    too new, so that a server's clock a second ahead hides no segment.

    :param now: what time it is.
    :param name: the exact name.
    :param name_pattern: a glob for the name, such as ``camp_*``: ``*``, ``?`` and ``[abc]``; case-sensitive.
    :param exclude_pattern: a glob for names that are never selected; case-sensitive.
    :param older_than: a timedelta, a pendulum Duration (of pendulum 3.2 or newer) or an ISO 8601 duration of whole
        numbers, such as ``P90D`` or ``PT12H``. Months and years are those of the calendar, in UTC: three months before
        May 31 is the last day of February.
    :param newer_than: likewise; longer than ``older_than``.
    :param as_of: a datetime or an ISO 8601 string; without a zone it is in UTC, without a time it is midnight. ``now``
        by default, and at most a minute after it.
    :param types: a list of types.
    :param sources: a list of sources.
    :param limit: how many at most, a whole number from 1 on, or its text.
    :return: the criteria.
    :raises InvalidInputError: when one of them cannot be read, or together they can select nothing.
    """
    present = pendulum.instance(now).in_timezone("UTC")
    moment = present if as_of is None else _as_of(as_of, present)
    before = None if older_than is None else _ago("older_than", older_than, moment)
    since = None if newer_than is None else _ago("newer_than", newer_than, moment)
    if since is not None and since >= (before or moment):
        raise InvalidInputError(
            f"newer_than asks for segments created since {format_moment(since)}, but older_than or as_of for segments "
            f"created before {format_moment(before or moment)}: newer_than must be longer than older_than."
        )
    return Criteria(
        as_of=moment,
        name=None if name is None else check_text("name", name),
        name_pattern=None if name_pattern is None else check_pattern("name_pattern", name_pattern),
        exclude_pattern=None if exclude_pattern is None else check_pattern("exclude_pattern", exclude_pattern),
        since=since,
        before=moment if before is None and as_of is not None else before,
        types=None if types is None else _texts("types", types),
        sources=None if sources is None else _texts("sources", sources),
        limit=None if limit is None else _limit(limit),
    )


def check_pattern(parameter: str, value: Any) -> str:
    """
    Check a glob for names.

    :param parameter: how the caller named it.
    :param value: what the caller gave.
    :return: the glob, unchanged.
    :raises InvalidInputError: when it is no text, blank, too long, or has a blank at its beginning or end.
    """
    pattern = check_text(parameter, value)
    if len(pattern) > _PATTERN_CHARACTERS:
        raise InvalidInputError(f"{parameter} has {len(pattern):,} characters; {_PATTERN_CHARACTERS:,} are the most.")
    if pattern != pattern.strip():
        raise InvalidInputError(
            f"{parameter} has a blank at its end or beginning, so that it would not match what it seems to: "
            f"{pattern!r:.60}. Take it away; write [ ] for one that is meant."
        )
    return pattern


def hints_of_name(name: str) -> list[str]:
    """
    Say what may be wrong with an exact name that no segment has.

    :param name: the name, as it was given.
    :return: a sentence for each; none for a name like any other.
    """
    hints = []
    if any(character in name for character in "*?["):
        hints.append(
            f"name is an exact name, and {name!r:.60} reads like a glob: name_pattern of ListSegmentsOperator is one."
        )
    if name != name.strip():
        hints.append(f"name has a blank at its beginning or end: {name!r:.60}.")
    return hints


def hints_of_pattern(parameter: str, pattern: str) -> list[str]:
    """
    Say what may be wrong with a glob that no name matches.

    :param parameter: how the caller named it.
    :param pattern: the glob.
    :return: a sentence, or none.
    """
    if not _REGULAR_EXPRESSION.search(pattern):
        return []
    hint = (
        f"{parameter} is a glob, and {pattern!r:.60} reads like a regular expression: in a glob * stands for any "
        'characters, as in "promo_*", and the whole name has to match.'
    )
    return [hint]


def parse_moment(value: Any) -> pendulum.DateTime | None:
    """
    Read a moment.

    :param value: a datetime or an ISO 8601 string; without a zone it is in UTC.
    :return: the moment in UTC; None when it cannot be read.
    """
    try:
        if isinstance(value, str):
            parsed = pendulum.parse(value) if _MOMENT.fullmatch(value) else None
        else:
            parsed = pendulum.instance(value) if isinstance(value, datetime) else None
        return parsed.in_timezone("UTC") if isinstance(parsed, pendulum.DateTime) else None
    except (ValueError, OverflowError):  # a thirteenth month, or a year that UTC does not have
        return None


def format_moment(moment: pendulum.DateTime) -> str:
    """
    Write a moment.

    :param moment: in UTC.
    :return: its ISO 8601 text, to the second.
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_of(value: Any, now: pendulum.DateTime) -> pendulum.DateTime:
    moment = parse_moment(value.strip() if isinstance(value, str) else value)
    if moment is None:
        raise InvalidInputError(
            f"as_of must be a datetime or an ISO 8601 string such as 2026-11-02T00:00:00Z, not {kind_of(value)}. "
            "If it comes from a template, look at what the template renders to."
        )
    if moment > now + _CLOCK_DIFFERENCE:
        raise InvalidInputError(
            f"as_of ({format_moment(moment)}) is in the future; it is {format_moment(now)} now. Give a moment that has "
            "passed, or leave as_of out."
        )
    return moment


def _ago(parameter: str, value: Any, as_of: pendulum.DateTime) -> pendulum.DateTime:
    """Count an age back from a moment, months and years as the calendar has them."""
    duration = _duration(parameter, value)
    if isinstance(duration, pendulum.Interval):
        # It is so many days long; pendulum would count its months back, and then those days again.
        duration = duration.as_timedelta()
    if duration < timedelta():
        raise InvalidInputError(f"{parameter} must not be negative, unlike {kind_of(value)}.")
    try:
        return as_of - duration
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"{parameter} reaches back to before the year 1: give a shorter one than {kind_of(value)}."
        ) from None


def _duration(parameter: str, value: Any) -> timedelta:
    check_survives_copies(parameter, value)
    duration = value
    if isinstance(value, str):
        try:
            duration = pendulum.parse(value) if _DURATION.fullmatch(value) else None
        except (ValueError, OverflowError):  # units in a wrong order, or more than a timedelta has
            duration = None
    if not isinstance(duration, timedelta):
        raise InvalidInputError(
            f"{parameter} must be a timedelta, a pendulum Duration or an ISO 8601 duration of whole numbers such as "
            f'"P90D", "P3M" or "PT12H", not {kind_of(value)}. If it comes from a template, look at what the template '
            "renders to."
        )
    return duration


def _texts(parameter: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidInputError(
            f"{parameter} must be a list of strings, not {kind_of(value)}. If it comes from a template, set "
            "render_template_as_native_obj=True on the DAG."
        )
    if not value:
        raise InvalidInputError(
            f"{parameter} is an empty list, so that no segment could be selected: leave it out to select them all."
        )
    return tuple(check_text(f"each of {parameter}", text) for text in value)


def _limit(value: Any) -> int:
    # A template renders to text.
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidInputError(f"limit must be a whole number from 1 on, not {kind_of(value)}.")
    return number
