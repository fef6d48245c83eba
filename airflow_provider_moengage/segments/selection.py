"""
Which segments of a workspace are meant: by name, by age, by type and source. Pure: no request, no clock, no log.

A selection often decides about what is archived. Whatever is not certain is therefore left out, and said to be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_provider_moengage.client.inputs import kind_of
from airflow_provider_moengage.segments.selection_criteria import (
    Criteria,
    format_moment,
    hints_of_name,
    hints_of_pattern,
    parse_moment,
)

if TYPE_CHECKING:
    import pendulum

MOST_ROWS = 100
"""How many segments a log shows: as many as one may archive at once without being asked."""

_CELL_CHARACTERS = 60
_MOST_HINTED_VALUES = 10
_KEYS = {"types": "type", "sources": "source"}
_HEAD = ("name", "id", "created (UTC)", "age in days", "type", "source")

Entry = TypeVar("Entry")


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
    :param left_out: how many each criterion has left out of those that met the criteria before it. The last one is
        ``exclude_pattern``: what it has left out would have been selected but for it.
    :param hints: what may be wrong with criteria that nothing meets, a sentence each.
    """

    criteria: Criteria
    segments: list[ListedSegment]
    unreadable: list[dict[str, Any]]
    matching: int
    listed: int
    left_out: dict[str, int] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """
        Write the selection as a table for a log.

        :return: a summary; then, if anything is selected, the table's head and at most 100 rows, and otherwise what
            has left out how many. Whatever the server has sent stays within its line and column.
        """
        cut = (
            f"; {self.matching} match, the limit is {self.criteria.limit}" if self.matching > len(self.segments) else ""
        )
        # A pattern that protects nothing may be a mistake.
        excluded = self.left_out.get("exclude_pattern")
        kept = "" if excluded is None else f"; exclude_pattern has left out {excluded}"
        yield f"Selected {len(self.segments)} of {self.listed} segments, created {self.criteria}{cut}{kept}."
        if self.segments:
            yield from _aligned([_HEAD, *(self._row(segment) for segment in self.segments[:MOST_ROWS])])
        elif self.listed and self.left_out:
            counted = ", ".join(f"{criterion} {count}" for criterion, count in self.left_out.items())
            unreadable = f"; unreadable {len(self.unreadable)}" if self.unreadable else ""
            yield f"Left out, by one criterion after the other: {counted}{unreadable}."
        if len(self.segments) > MOST_ROWS:
            yield f"... and {len(self.segments) - MOST_ROWS} more."

    def warnings(self) -> Iterator[str]:
        """
        Name what is hardly meant: criteria that nothing meets or everything will meet again, unreadable segments.

        :return: a sentence for each.
        """
        yield from self.hints
        # What as_of alone has left out is not of an age.
        is_by_age = self.criteria.before is not None and self.criteria.before < self.criteria.as_of
        if self.segments and is_by_age and self.criteria.since is None:
            yield (
                "The selection has no newer_than: the next run selects the same segments again, since archived ones "
                "are listed for 180 days. For a job that is repeated, add a newer_than that is longer than older_than "
                "by the schedule's interval and a day."
            )
        for segment in self.unreadable:
            yield (
                f"The segment {_cell(segment.get('name'))} (id {_cell(segment.get('id'))}) is not selected, since its "
                f"name, its id or its created_time cannot be read: {_cell(segment.get('created_time'))}."
            )

    def _row(self, segment: ListedSegment) -> tuple[str, ...]:
        return (
            _cell(segment.name),
            _cell(segment.segment_id),
            format_moment(segment.created),
            # Cut towards zero: where the server's clock is a second ahead, a new segment is 0 days old and not -1.
            str(int((self.criteria.as_of - segment.created).total_seconds() / 86_400)),
            _cell(segment.type),
            _cell(segment.source),
        )


def select(segments: Iterable[dict[str, Any]], criteria: Criteria) -> Selection:
    """
    Select segments.

    Age counts from ``created_time``, never from ``updated_time``, which MoEngage's own services move too.
    API document: get by id, which shows the fields of a listed segment. Nothing in it tells an archived segment
    from an active one.

    :param segments: as the client lists them.
    :param criteria: what they must be.
    :return: the selected ones, the oldest first and those of the same moment by name; and apart from them those that
        cannot be read.
    """
    everything = list(segments)
    meant, left_out = _sift(everything, _conditions_of_a_listed_one(criteria))
    readings = [(segment, _read(segment)) for segment in meant]
    matching, left_out_later = _sift([read for _, read in readings if read], _conditions_of_a_read_one(criteria))
    matching.sort(key=lambda read: (read.created, read.name, read.segment_id))
    left_out |= left_out_later
    return Selection(
        criteria=criteria,
        segments=matching[: criteria.limit],
        unreadable=[
            segment for segment, read in readings if read is None and not _is_excluded(segment.get("name"), criteria)
        ],
        matching=len(matching),
        listed=len(everything),
        left_out=left_out,
        hints=_hints(everything, criteria, left_out, is_any_selected=bool(matching)),
    )


def _sift(entries: list[Entry], conditions: dict[str, Callable[[Entry], bool]]) -> tuple[list[Entry], dict[str, int]]:
    """Leave out what does not meet the conditions, and count how many each has left out after those before it."""
    left_out = {}
    for name, is_met in conditions.items():
        left = [entry for entry in entries if is_met(entry)]
        left_out[name] = len(entries) - len(left)
        entries = left
    return entries, left_out


def _conditions_of_a_listed_one(criteria: Criteria) -> dict[str, Callable[[dict[str, Any]], bool]]:
    """Give what is asked for but the age and what is excluded; a segment whose name cannot be read may be meant."""
    name, pattern, types, sources = criteria.name, criteria.name_pattern, criteria.types, criteria.sources
    conditions: dict[str, Callable[[dict[str, Any]], bool]] = {}
    if name is not None:
        conditions["name"] = lambda segment: not _has_name(segment) or segment["name"] == name
    if pattern is not None:
        conditions["name_pattern"] = lambda segment: not _has_name(segment) or _matches(segment["name"], pattern)
    if types is not None:
        conditions["types"] = lambda segment: segment.get("type") in types
    if sources is not None:
        conditions["sources"] = lambda segment: segment.get("source") in sources
    return conditions


def _conditions_of_a_read_one(criteria: Criteria) -> dict[str, Callable[[ListedSegment], bool]]:
    since, before = criteria.since, criteria.before
    conditions: dict[str, Callable[[ListedSegment], bool]] = {}
    if before is not None:
        conditions["older_than or as_of"] = lambda segment: segment.created < before
    if since is not None:
        conditions["newer_than"] = lambda segment: segment.created >= since
    if criteria.exclude_pattern is not None:
        conditions["exclude_pattern"] = lambda segment: not _is_excluded(segment.name, criteria)
    return conditions


def _hints(
    listed: list[dict[str, Any]], criteria: Criteria, left_out: dict[str, int], *, is_any_selected: bool
) -> list[str]:
    """Say what may be wrong with a pattern that excludes nothing, and with the first criterion that nothing meets."""
    excluding = criteria.exclude_pattern
    hints = hints_of_pattern("exclude_pattern", excluding) if excluding and not left_out["exclude_pattern"] else []
    if is_any_selected:
        return hints
    hints += hints_of_name(criteria.name) if criteria.name is not None else []
    left = len(listed)
    for criterion, count in left_out.items():
        left -= count
        if left == 0 and count and criterion == "name_pattern":
            hints += hints_of_pattern(criterion, criteria.name_pattern or "")
        if left == 0 and count and criterion in _KEYS:
            values = sorted({_cell(segment.get(_KEYS[criterion])) for segment in listed})
            shown = ", ".join(values[:_MOST_HINTED_VALUES]) + (", ..." if len(values) > _MOST_HINTED_VALUES else "")
            hints.append(f"No segment meets {criterion}: those that are listed have {shown}.")
    return hints


def _has_name(segment: dict[str, Any]) -> bool:
    return isinstance(segment.get("name"), str)


def _is_excluded(name: Any, criteria: Criteria) -> bool:
    return criteria.exclude_pattern is not None and isinstance(name, str) and _matches(name, criteria.exclude_pattern)


def _matches(name: str, pattern: str) -> bool:
    """Compare what people see: an accent can be written as a part of its letter or after it."""
    return fnmatchcase(unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", pattern))


def _read(segment: dict[str, Any]) -> ListedSegment | None:
    values = [segment.get(key) for key in ("name", "id", "created_time")]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(values):
        return None
    name, segment_id, created_time = texts
    # A day without its time leaves the age open by a day.
    created = parse_moment(created_time) if "T" in created_time or " " in created_time else None
    if created is None:
        return None
    return ListedSegment(created, name, segment_id, created_time, segment.get("type"), segment.get("source"))


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
