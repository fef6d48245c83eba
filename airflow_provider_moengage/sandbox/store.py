"""The segments of a workspace, by id, name and definition: what every call looks them up in. Nothing here locks."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox import errors
from airflow_provider_moengage.sandbox.clock import Clock, as_utc
from airflow_provider_moengage.sandbox.descriptions import describe
from airflow_provider_moengage.sandbox.limits import MAX_ACTIVE_SEGMENTS

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import Definition
    from airflow_provider_moengage.sandbox.segment import Segment


class SegmentStore:
    """
    Keeps segments, and archives those whose time is over. Who calls its methods holds its lock.

    :param clock: tells the time, as an aware datetime.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}
        # Without these two, every call would walk through all segments.
        self._names: dict[str, Segment] = {}
        self._defined: dict[str, list[Segment]] = {}
        # When a call last changed a segment, and which change that was: several share a moment.
        self._changes: dict[str, tuple[datetime, int]] = {}
        self._counter = itertools.count(1)
        # Those that a time archives; looked at whenever the time is told.
        self._expiring: dict[str, Segment] = {}

    def _record_change(self, segment: Segment) -> None:
        self._changes[segment.id] = (self._now(), next(self._counter))

    def _last_change(self, segment: Segment) -> tuple[datetime, int]:
        seeded = max(segment.created_time, segment.updated_time, segment.archived_time or segment.created_time)
        return max((seeded, 0), self._changes.get(segment.id, (seeded, 0)))

    def _now(self) -> datetime:
        """Tell the time, and archive what has expired by it."""
        now = as_utc(self._clock())
        for segment in [segment for segment in self._expiring.values() if _expires(segment) <= now]:
            del self._expiring[segment.id]
            segment.archive(_expires(segment))
        return now

    def _check_room(self) -> None:
        active = sum(not segment.archived for segment in self._segments.values())
        if active >= MAX_ACTIVE_SEGMENTS:
            raise errors.too_many_active_segments(active + 1, MAX_ACTIVE_SEGMENTS)

    def _keep(self, segment: Segment) -> None:
        self._segments[segment.id] = segment
        self._names[segment.name] = segment
        if segment.definition is not None:
            self._defined.setdefault(segment.definition.canonical, []).append(segment)
        if segment.expiry_time is not None:
            self._expiring[segment.id] = segment

    def _redefine(self, segment: Segment, definition: Definition) -> None:
        if segment.definition is not None:
            same = self._defined.pop(segment.definition.canonical)
            if others := [other for other in same if other is not segment]:
                self._defined[segment.definition.canonical] = others
        segment.definition = definition
        segment.description = describe(definition)
        self._defined.setdefault(definition.canonical, []).append(segment)

    def _rename(self, segment: Segment, name: str) -> None:
        del self._names[segment.name]
        segment.name = name
        self._names[name] = segment

    def _by_age(self) -> list[Segment]:
        return sorted(self._segments.values(), key=lambda segment: segment.created_time)

    def _shown(self) -> list[Segment]:
        now = self._now()
        return [segment for segment in self._by_age() if segment.is_shown(now)]

    def _by_id(self, segment_id: str) -> Segment | None:
        segment = self._segments.get(segment_id.lower())
        return segment if segment and segment.is_shown(self._now()) else None

    def _by_name(self, name: str) -> list[Segment]:
        segment = self._names.get(name)
        return [segment] if segment and segment.is_shown(self._now()) else []


def _expires(segment: Segment) -> datetime:
    return segment.expiry_time or datetime.max.replace(tzinfo=timezone.utc)
