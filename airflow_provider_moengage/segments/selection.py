"""
Which segments of a workspace are meant: by name, by age, by type and source. Pure: no request, no clock, no log.

A selection often decides about what is archived. Whatever is not certain is therefore left out, and said to be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_moengage.client.inputs import kind_of
from airflow_provider_moengage.segments.criteria import Criteria, format_moment, parse_moment

if TYPE_CHECKING:
    import pendulum

MOST_ROWS = 100
"""How many segments a log shows: as many as one may archive at once without being asked."""

_CELL_CHARACTERS = 60
_HEAD = ("name", "id", "created (UTC)", "age in days", "type", "source")


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
