"""What is to be done to many segments, and the guards before anything is sent. Pure: functions of their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text, kind_of
from airflow_provider_moengage.segments.log_lines import short

MOST_CALLS_AT_ONCE = 16
"""What ``concurrency`` may be at most, and how many connections a client keeps alive."""

# The one type of a segment that is made of filters (API document: get by id); no document names that of a file.
_FILTER_TYPE = "elastic_search"

# What a list shows of a segment beside its name and id.
_LISTED = ("created_time", "type", "source")

# How long MoEngage keeps the users of an archived file segment.
_FILE_USERS_KEPT = timedelta(days=30)

_SHOWN_NAMES = 5


@dataclass(frozen=True)
class Segment:
    """
    One of the segments to be changed.

    :param name: its name.
    :param segment_id: its id, which wins over the name; None when it is not known.
    :param type: as the API shows it, ``ELASTIC_SEARCH`` for a filter segment; None when it is not known.
    :param listed: what else a list has shown of it. Whoever takes the segment from the XCom needs that again: with
        ``created_time`` its name is rendered as no template, without ``type`` no file segment is refused.
    """

    name: str
    segment_id: str | None = None
    type: str | None = None
    listed: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        """What tells it from others, and what is kept of it between two tries."""
        return f"name:{self.name}" if self.segment_id is None else f"id:{self.segment_id.casefold()}"

    @property
    def is_given_by_hand(self) -> bool:
        """Whether its name and id may be those of two segments: only a list shows ``created_time`` beside them."""
        return self.segment_id is not None and "created_time" not in self.listed

    @property
    def has_non_filter_type(self) -> bool:
        """Whether it may be a file segment: its type is known, and it is another one than that of filters."""
        return self.type is not None and str(self.type).casefold() != _FILTER_TYPE


@dataclass(frozen=True)
class Plan:
    """
    What is to be done.

    :param segments: each segment once, in the order in which they were given.
    :param duplicates: how many entries are left out, since they name one of these again.
    :param file_segments: those of them that are, or may be, file segments.
    """

    segments: tuple[Segment, ...]
    duplicates: int = 0
    file_segments: tuple[Segment, ...] = ()

    @property
    def of_unknown_type(self) -> int:
        """How many there are of which nothing tells what they are."""
        return sum(segment.type is None for segment in self.segments)

    def file_segment_warnings(self, today: date) -> list[str]:
        """
        Say what an archive may cost for good.

        :param today: the date, in UTC.
        :return: a sentence for the file segments, and one for those that may be some.
        """
        files, unknown = len(self.file_segments), self.of_unknown_type
        doubtful = (
            (files, "is, or may be, a file segment" if files == 1 else "are, or may be, file segments"),
            (
                unknown,
                "has no type, and may be a file segment" if unknown == 1 else "have no type, and may be file segments",
            ),
        )
        return [file_segment_warning(f"{count:,} of the segments {what}", today) for count, what in doubtful if count]


def check_options(*, concurrency: Any, max_segments: Any, on_error: Any, include_file_segments: Any) -> None:
    """
    Check what says how to do it.

    :param concurrency: how many calls at once.
    :param max_segments: how many segments at most.
    :param on_error: what failures mean for the task.
    :param include_file_segments: whether file segments may be among them.
    :raises InvalidInputError: when one of them cannot be meant; the message says which.
    """
    if not _is_whole_number(concurrency) or not 1 <= concurrency <= MOST_CALLS_AT_ONCE:
        raise InvalidInputError(
            f"concurrency must be a whole number of calls at once, from 1 to {MOST_CALLS_AT_ONCE}, "
            f"not {kind_of(concurrency)}."
        )
    if not _is_whole_number(max_segments) or max_segments < 1:
        raise InvalidInputError(
            f"max_segments must be a whole number of segments, 1 or more, not {kind_of(max_segments)}."
        )
    if on_error not in ("fail", "warn"):
        raise InvalidInputError(f'on_error must be "fail" or "warn", not {kind_of(on_error)}.')
    if not isinstance(include_file_segments, bool):
        raise InvalidInputError(f"include_file_segments must be True or False, not {kind_of(include_file_segments)}.")


def plan_of(segments: Any, *, max_segments: int, include_file_segments: bool) -> Plan:
    """
    Decide what is to be done.

    :param segments: objects with a ``name`` and perhaps a ``segment_id`` and a ``type``; other keys mean nothing here.
    :param max_segments: how many different ones there may be.
    :param include_file_segments: whether there may be file segments among them.
    :return: each segment once, in their order.
    :raises InvalidInputError: when they are no such list, too many, or file segments that nobody asked for.
    """
    # Not only lists: the output of mapped tasks is a sequence that Airflow fetches piece by piece.
    if not isinstance(segments, Sequence) or isinstance(segments, (str, bytes, bytearray)):
        raise InvalidInputError(
            f"segments must be a list of objects with a name, not {kind_of(segments)}. Pass the output of a task as it "
            "is (find.output): a template in quotes renders to text, unless the DAG has render_template_as_native_obj."
        )
    given = [_segment_of(f"segments[{index}]", entry) for index, entry in enumerate(segments)]
    plan = _planned(given)
    if len(plan.segments) > max_segments:
        raise InvalidInputError(
            f"There are {len(plan.segments):,} segments to change, and max_segments allows {max_segments:,}. Nothing "
            f"was sent. Look at what has selected them; if that is right, set max_segments={len(plan.segments)} "
            "or more."
        )
    if plan.file_segments and not include_file_segments:
        raise InvalidInputError(
            f"{_names_of(plan.file_segments)}: not a filter segment (type ELASTIC_SEARCH), so it may be a file "
            "segment, whose users are deleted for good after 30 days in the archive. Nothing was sent. Take such "
            "segments out of the list, or set include_file_segments=True."
        )
    return plan


def _segment_of(place: str, entry: Any) -> Segment:
    if not isinstance(entry, Mapping):
        hint = " Outputs of mapped tasks are lists of lists: flatten them." if isinstance(entry, (list, tuple)) else ""
        raise InvalidInputError(
            f'{place} must be an object such as {{"name": "camp_diwali"}}, not {kind_of(entry)}.{hint}'
        )
    if entry.get("name") is None:
        raise InvalidInputError(f"{place} has no name: give every segment one, with its segment_id or without.")
    name = check_text(f"the name of {place}", entry["name"])
    segment_id = entry.get("segment_id")
    if segment_id is not None:
        check_text(f"the segment_id of {place}", segment_id)
    kind = entry.get("type")
    listed = {key: entry[key] for key in _LISTED if isinstance(entry.get(key), str)}
    return Segment(name, segment_id, kind if kind is None or isinstance(kind, str) else kind_of(kind), listed)


def _planned(given: Sequence[Segment]) -> Plan:
    given = _with_known_ids(given)
    # The entry that comes first counts; but one that says "file" anywhere is heard.
    segments = {segment.key: segment for segment in reversed(given)}
    files = {segment.key: segment for segment in reversed(given) if segment.has_non_filter_type}
    keys = list(dict.fromkeys(segment.key for segment in given))
    return Plan(
        segments=tuple(segments[key] for key in keys),
        duplicates=len(given) - len(keys),
        file_segments=tuple(files[key] for key in keys if key in files),
    )


def _with_known_ids(given: Sequence[Segment]) -> list[Segment]:
    """Give a segment that is named without its id the one that another entry of this name has: both are the same."""
    ids = {segment.name: segment.segment_id for segment in reversed(given) if segment.segment_id is not None}
    return [replace(segment, segment_id=segment.segment_id or ids.get(segment.name)) for segment in given]


def _names_of(segments: Sequence[Segment]) -> str:
    names = ", ".join(f"{short(segment.name)} ({short(segment.type or '')})" for segment in segments[:_SHOWN_NAMES])
    return names if len(segments) <= _SHOWN_NAMES else f"{names} and {len(segments) - _SHOWN_NAMES} more"


def file_segment_warning(which: str, today: date) -> str:
    """
    Say what an archive costs for good.

    :param which: a clause that says what is, or may be, a file segment.
    :param today: the date, in UTC.
    :return: what is lost, and until when it can be saved.
    """
    return (
        f"{which}. MoEngage deletes the users of a file segment for good on {today + _FILE_USERS_KEPT}, after 30 days "
        "in the archive: unarchive before that what is needed again."
    )


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
