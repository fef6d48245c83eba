"""
Which segments of a workspace are meant: by name, by age, by type and source. Pure: no request, no clock, no log.

A selection often decides about what is archived. Whatever is not certain is therefore left out, and said to be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pendulum

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text, kind_of

MOST_ROWS = 100
"""How many segments a log shows: as many as one may archive at once without being asked."""

_CELL_CHARACTERS = 60
_HEAD = ("name", "id", "created (UTC)", "age in days", "type", "source")

# Scheduler and worker may be two machines: a run that starts at the end of its data interval can be a moment early.
_CLOCK_DIFFERENCE = timedelta(minutes=1)

# Compiling a glob takes time that grows with the square of its length.
_PATTERN_CHARACTERS = 1_000

# Pendulum also takes "now", a time of today and an interval for a moment, and 4,294,967,297 days for one.
_MOMENT = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ][0-9:.,Z+-]{1,30})?")
_DURATION = re.compile(r"P(?=[0-9T])([0-9]{1,8}[YMWD])*(T([0-9]{1,8}[HMS])+)?")


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
        written = [f"{bound} {_written(moment)}" for bound, moment in bounds.items() if moment]
        return " and ".join(written) or "at any time"


class ListedSegment(NamedTuple):
    """
    A segment that is selected.

    :param created: when it was created, in UTC.
    :param name: its name.
    :param segment_id: its id.
    :param created_time: when it was created, as MoEngage writes it.
    :param type: its type, such as ``ELASTIC_SEARCH``.
    :param source: where it comes from, such as ``API``.
    """

    created: pendulum.DateTime
    name: str
    segment_id: str
    created_time: str
    type: Any
    source: Any

    def as_arguments(self) -> dict[str, Any]:
        """
        Write it as what the operators for one segment take.

        :return: ``{"name", "segment_id", "created_time", "type", "source"}``, of JSON values.
        """
        arguments = self._asdict()
        del arguments["created"]
        return arguments


@dataclass(frozen=True)
class Selection:
    """
    What was selected, and what was left out.

    :param criteria: what was asked for.
    :param segments: the selected ones, the oldest first.
    :param unreadable: those that may be meant, but lack a name, an id or a time of creation that can be read; as the
        client has listed them.
    :param matching: how many match, those included that the limit has cut off.
    :param listed: how many there were to choose from.
    :param excluded: how many would have been selected but for ``exclude_pattern``.
    """

    criteria: Criteria
    segments: list[ListedSegment]
    unreadable: list[dict[str, Any]]
    matching: int
    listed: int
    excluded: int

    def lines(self) -> Iterator[str]:
        """
        Write the selection as a table for a log.

        :return: a summary; then, if anything is selected, the table's head and at most 100 rows. Whatever the server
            has sent stays within its line and column.
        """
        cut = (
            f"; {self.matching} match, the limit is {self.criteria.limit}" if self.matching > len(self.segments) else ""
        )
        # A pattern that protects nothing may be a mistake.
        kept = "" if self.criteria.exclude_pattern is None else f"; exclude_pattern has left out {self.excluded}"
        yield f"Selected {len(self.segments)} of {self.listed} segments, created {self.criteria}{cut}{kept}."
        if self.segments:
            yield from _aligned([_HEAD, *(self._row(segment) for segment in self.segments[:MOST_ROWS])])
        if len(self.segments) > MOST_ROWS:
            yield f"... and {len(self.segments) - MOST_ROWS} more."

    def warnings(self) -> Iterator[str]:
        """
        Name the segments that cannot be read.

        :return: a sentence for each.
        """
        for segment in self.unreadable:
            yield (
                f"The segment {_cell(segment.get('name'))} (id {_cell(segment.get('id'))}) is not selected, since its "
                f"name, its id or its created_time cannot be read: {_cell(segment.get('created_time'))}."
            )

    def _row(self, segment: ListedSegment) -> tuple[str, ...]:
        return (
            _cell(segment.name),
            _cell(segment.segment_id),
            _written(segment.created),
            # Cut towards zero: where the server's clock is a second ahead, a new segment is 0 days old and not -1.
            str(int((self.criteria.as_of - segment.created).total_seconds() / 86_400)),
            _cell(segment.type),
            _cell(segment.source),
        )


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
    :param older_than: a timedelta, a pendulum Duration or an ISO 8601 duration of whole numbers, such as ``P90D`` or
        ``PT12H``. Months and years are those of the calendar, in UTC: three months before May 31 is the last day of
        February.
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
            f"newer_than asks for segments created since {_written(since)}, but older_than or as_of for segments "
            f"created before {_written(before or moment)}: newer_than must be longer than older_than."
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


def select(segments: Iterable[dict[str, Any]], criteria: Criteria) -> Selection:
    """
    Select segments.

    Age counts from ``created_time``, never from ``updated_time``, which MoEngage's own services move too.
    API document: get by id, which shows what is known of a listed segment. Nothing in it tells an archived segment
    from an active one.

    :param segments: as the client lists them.
    :param criteria: what they must be.
    :return: the selected ones, the oldest first and those of the same moment by name; and apart from them those that
        cannot be read.
    """
    everything = list(segments)
    meant = [segment for segment in everything if _is_meant(segment, criteria)]
    readings = [(segment, _read(segment)) for segment in meant]
    of_age = [read for _, read in readings if read and _is_of_age(read, criteria)]
    matching = sorted(
        (read for read in of_age if not _is_excluded(read.name, criteria)),
        key=lambda read: (read.created, read.name, read.segment_id),
    )
    return Selection(
        criteria=criteria,
        segments=matching[: criteria.limit],
        unreadable=[
            segment for segment, read in readings if read is None and not _is_excluded(segment.get("name"), criteria)
        ],
        matching=len(matching),
        listed=len(everything),
        excluded=len(of_age) - len(matching),
    )


def _is_meant(segment: dict[str, Any], criteria: Criteria) -> bool:
    """Say whether a segment is meant by all but its age and what is excluded; one whose name cannot be read may be."""
    if criteria.types is not None and segment.get("type") not in criteria.types:
        return False
    if criteria.sources is not None and segment.get("source") not in criteria.sources:
        return False
    name = segment.get("name")
    if not isinstance(name, str):
        return True
    return criteria.name in (None, name) and (criteria.name_pattern is None or _matches(name, criteria.name_pattern))


def _is_excluded(name: Any, criteria: Criteria) -> bool:
    return criteria.exclude_pattern is not None and isinstance(name, str) and _matches(name, criteria.exclude_pattern)


def _matches(name: str, pattern: str) -> bool:
    """Compare what people see: an accent can be written as a part of its letter or after it."""
    return fnmatchcase(unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", pattern))


def _is_of_age(segment: ListedSegment, criteria: Criteria) -> bool:
    return (criteria.since is None or segment.created >= criteria.since) and (
        criteria.before is None or segment.created < criteria.before
    )


def _read(segment: dict[str, Any]) -> ListedSegment | None:
    values = [segment.get(key) for key in ("name", "id", "created_time")]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(values):
        return None
    name, segment_id, created_time = texts
    # A day without its time leaves the age open by a day.
    created = _moment(created_time) if "T" in created_time or " " in created_time else None
    if created is None:
        return None
    return ListedSegment(created, name, segment_id, created_time, segment.get("type"), segment.get("source"))


def _moment(value: Any) -> pendulum.DateTime | None:
    """Read a moment, in UTC; None when it cannot be read."""
    try:
        if isinstance(value, str):
            parsed = pendulum.parse(value) if _MOMENT.fullmatch(value) else None
        else:
            parsed = pendulum.instance(value) if isinstance(value, datetime) else None
        return parsed.in_timezone("UTC") if isinstance(parsed, pendulum.DateTime) else None
    except (ValueError, OverflowError):  # a thirteenth month, or a year that UTC does not have
        return None


def _as_of(value: Any, now: pendulum.DateTime) -> pendulum.DateTime:
    moment = _moment(value.strip() if isinstance(value, str) else value)
    if moment is None:
        raise InvalidInputError(
            f"as_of must be a datetime or an ISO 8601 string such as 2026-11-02T00:00:00Z, not {kind_of(value)}. "
            "If it comes from a template, look at what the template renders to."
        )
    if moment > now + _CLOCK_DIFFERENCE:
        raise InvalidInputError(
            f"as_of ({_written(moment)}) is in the future; it is {_written(now)} now. Give a moment that has passed, "
            "or leave as_of out."
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


def _written(moment: pendulum.DateTime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: Any) -> str:
    """Show what a server has sent: quoted, unless it is a plain word that can be mistaken for nothing else."""
    text = value if isinstance(value, str) else kind_of(value)
    if len(text) > _CELL_CHARACTERS:
        return repr(text[:_CELL_CHARACTERS]) + "..."
    return text if re.fullmatch(r"[\w.-]+", text, re.ASCII) else repr(text)


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
