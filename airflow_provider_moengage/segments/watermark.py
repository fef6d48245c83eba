"""
Which segments are new since the last poll. Pure: no request, no log.

A watermark does not grow: a moment before which nothing is new, and the ids of what was created after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pendulum

from airflow_provider_moengage.segments.selection import ListedSegment, select
from airflow_provider_moengage.segments.selection_criteria import Criteria

# The clocks of Airflow and of MoEngage differ, and MoEngage may cut a time of creation to whole seconds.
_CLOCK_DIFFERENCE = timedelta(minutes=1)

# How much later than others of its time a segment may first be listed, by whichever clock and in whichever zone.
_LATEST = timedelta(days=1)


class NewSegments(NamedTuple):
    """
    What one poll has found.

    :param created: the new segments, the oldest first.
    :param watermark: the watermark once an event was fired for all of them.
    :param warnings: a sentence for each segment that may be new and cannot be read.
    """

    created: list[ListedSegment]
    watermark: Watermark
    warnings: list[str]


@dataclass(frozen=True)
class Watermark:
    """
    The segments that are not new.

    :param since: those that were created before.
    :param ids: of those that were created then or later, the ids, and when each was created.
    """

    since: pendulum.DateTime
    ids: Mapping[str, pendulum.DateTime]

    @classmethod
    def at_start(cls, now: float) -> Watermark:
        """
        Begin a watch: what exists by then is not new.

        :param now: when it begins, in epoch seconds.
        :return: all that was created before, a minute left for clocks that differ.
        """
        return cls(pendulum.from_timestamp(now) - _CLOCK_DIFFERENCE, {})

    @classmethod
    def from_json(cls, saved: Any) -> Watermark | None:
        """
        Undo :meth:`as_json`.

        :param saved: what was saved, perhaps by another version; None for nothing.
        :return: the watermark, or None when this version cannot read it.
        """
        try:
            match saved:
                case {"since": str(since), "ids": dict(ids)}:
                    return cls(_moment(since), {segment_id: _moment(created) for segment_id, created in ids.items()})
        except (TypeError, ValueError):
            pass
        return None

    def as_json(self) -> dict[str, Any]:
        """
        Write it down.

        :return: values that JSON has.
        """
        ids = {segment_id: created.isoformat() for segment_id, created in self.ids.items()}
        return {"since": self.since.isoformat(), "ids": ids}

    def new_among(self, segments: Iterable[dict[str, Any]], name_pattern: str, now: float) -> NewSegments:
        """
        Tell the new segments from the rest.

        A segment counts once, under the name that it has then: to rename it later does not create it. One that is
        missing for a while, or was archived, is not new when it is back.

        :param segments: all of the workspace, as the client lists them.
        :param name_pattern: a glob for the names of those that are wanted.
        :param now: the time, in epoch seconds.
        :return: what is new. The watermark stays the same when nothing has come.
        """
        everything = list(segments)
        moment = pendulum.from_timestamp(now)
        listed = select(everything, Criteria(as_of=moment, since=self.since)).segments
        new = {segment.segment_id: segment.created for segment in listed if segment.segment_id not in self.ids}
        wanted = select(everything, Criteria(as_of=moment, name_pattern=name_pattern))
        # An id that is listed twice is one segment.
        created = {segment.segment_id: segment for segment in wanted.segments if segment.segment_id in new}
        watermark = _shortened(Watermark(self.since, {**self.ids, **new}), moment) if new else self
        return NewSegments(list(created.values()), watermark, list(wanted.warnings()))

    def including(self, segment: ListedSegment) -> Watermark:
        """
        Count one more as not new.

        :param segment: one that was new.
        :return: the watermark with it.
        """
        return Watermark(self.since, {**self.ids, segment.segment_id: segment.created})


def _moment(text: str) -> pendulum.DateTime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return pendulum.instance(moment)


def _shortened(watermark: Watermark, now: pendulum.DateTime) -> Watermark:
    since = max(watermark.since, now - _LATEST)
    return Watermark(since, {segment_id: created for segment_id, created in watermark.ids.items() if created >= since})
