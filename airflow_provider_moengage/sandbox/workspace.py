"""The state and the rules of a workspace, without HTTP."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from airflow_provider_moengage.sandbox import definition_rules, errors
from airflow_provider_moengage.sandbox.clock import MAX_AHEAD, Clock, utc_now
from airflow_provider_moengage.sandbox.definition_rules import Definition, JsonObject, ReferencedSegment
from airflow_provider_moengage.sandbox.descriptions import describe
from airflow_provider_moengage.sandbox.seeding import make_segment, segment_of_shown
from airflow_provider_moengage.sandbox.segment import FILE_TYPE, FILTER_TYPE, Segment, new_id
from airflow_provider_moengage.sandbox.store import SegmentStore

ALL_USERS_ID = "moe_all_users"
"""The built-in segment that every workspace has and that definitions may refer to."""


@dataclass(frozen=True)
class Overview:
    """
    A workspace at a glance.

    :param latest: copies of the segments that were changed last, the last first, of those that were looked for.
    :param found: how many were looked for.
    :param active: how many segments are active.
    :param archived: how many are archived and still shown.
    :param gone: how many are archived for so long that the API no longer shows them.
    """

    latest: list[Segment]
    found: int
    active: int
    archived: int
    gone: int


class Workspace(SegmentStore):
    """
    The segments of one workspace, and what may be done with them.

    Every method is safe to call from several threads at once, and answers copies. When ``drops_forbidden_names`` is
    set, :meth:`create` keeps no segment whose name the newer rules forbid, and says nothing of it.

    :param clock: tells the time, as an aware datetime.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__(clock)
        self.drops_forbidden_names = False

    def archive(self, name: str, segment_id: str | None = None) -> JsonObject:
        """
        Archive a segment; one that is archived already stays so, since when it was.

        :param name: the segment's name.
        :param segment_id: its id, which wins over the name.
        :return: the segment's summary.
        :raises ApiError: 404 when there is none, 400 when it is externally managed.
        """
        with self._lock:
            segment = self._named(name, segment_id)
            if segment.externally_managed:
                raise errors.externally_managed(segment.name)
            segment.archive(self._now())
            self._record_change(segment)
            return segment.summary()

    def unarchive(self, name: str, segment_id: str | None = None) -> JsonObject:
        """
        Make a segment active again; one that is active already stays so.

        Those that a partner's sync has imported are unarchived too: where the dashboard refuses, the guide tells people
        to use this call.

        :param name: the segment's name.
        :param segment_id: its id, which wins over the name.
        :return: the segment's summary.
        :raises ApiError: 404 when there is none, 400 when a campaign or another feature manages it.
        """
        with self._lock:
            segment = self._named(name, segment_id)
            if segment.externally_managed and not segment.is_imported:
                raise errors.externally_managed(segment.name)
            segment.unarchive(self._now())
            self._record_change(segment)
            return segment.summary()

    def get(self, segment_id: str, *, with_definition: bool = False) -> JsonObject | None:
        """
        Fetch a segment.

        :param segment_id: its id.
        :param with_definition: whether to show it in full; the filters of a cohort are not shown in any case.
        :return: its summary, or all of it, or None when there is none.
        """
        with self._lock:
            segment = self._by_id(segment_id)
            if segment is None:
                return None
            if not with_definition:
                return segment.summary()
            shown = segment.detail()
            hidden = ("included_filters", "excluded_filters") if segment.is_cohort else ()
            return {key: value for key, value in shown.items() if key not in hidden}

    def find(self, name: str | None = None) -> list[JsonObject]:
        """
        List the segments, archived ones included.

        :param name: only the segment of exactly this name.
        :return: their summaries, the oldest first.
        """
        with self._lock:
            segments = self._shown() if name is None else self._by_name(name)
            return [segment.summary() for segment in segments]

    def update(
        self,
        segment_id: str,
        included_filters: JsonObject,
        *,
        name: str | None = None,
        updated_by: str | None = None,
        excluded_filters: JsonObject | None = None,
    ) -> JsonObject:
        """
        Give a filter segment another definition.

        :param included_filters: the new filter group.
        :param name: a new name; None keeps the present one.
        :param updated_by: who does it.
        :param excluded_filters: the new group of excluded filters; None keeps the present one.
        :return: the segment in full.
        :raises ApiError: 400, 403, 404, 409, 412 or 413, as the API documents.
        """
        definition = definition_rules.checked_definition(included_filters, excluded_filters)
        if name is not None:
            definition_rules.check_name(name)
        with self._lock:
            segment = self._by_id(segment_id)
            if segment is None:
                raise errors.id_not_found(segment_id)
            if segment.definition is None or segment.archived or segment.externally_managed:
                raise errors.update_forbidden()
            if excluded_filters is None:
                definition = replace(definition, excluded_filters=segment.definition.excluded_filters)
            if name is not None:
                self._check_name_is_free(name, own_id=segment.id)
            self._check_definition(definition, own_id=segment.id)

            self._redefine(segment, definition)
            self._rename(segment, name or segment.name)
            segment.updated_by = updated_by or segment.updated_by
            segment.updated_time = self._now()
            self._record_change(segment)
            return segment.detail()

    def create(
        self, name: str, included_filters: JsonObject, *, excluded_filters: JsonObject | None = None
    ) -> JsonObject:
        """
        Create a filter segment.

        :param name: a name that no other segment bears, archived ones included.
        :param included_filters: the filter group.
        :param excluded_filters: the group of excluded filters, if there is one.
        :return: the segment in full.
        :raises ApiError: 400, 409, 413, or 429 when the workspace is full.
        """
        definition_rules.check_name(name, forbidden_pass=self.drops_forbidden_names)
        definition = definition_rules.checked_definition(included_filters, excluded_filters)
        with self._lock:
            self._check_name_is_free(name)
            self._check_definition(definition)
            now = self._now()
            self._check_room()
            segment = Segment(
                name=name,
                id=new_id(now),
                type=FILTER_TYPE,
                source="API",
                created_time=now,
                updated_time=now,
                description=describe(definition),
                definition=definition,
            )
            if definition_rules.name_problem(name) is None:
                self._keep(segment)
                self._record_change(segment)
            return segment.detail()

    def create_file(self, name: str, days: int) -> JsonObject:
        """
        Create a file segment, without users.

        :param name: a name that no other segment bears, archived ones included.
        :param days: after how many days it is archived.
        :return: its summary.
        :raises ApiError: 409, or 429 when the workspace is full.
        """
        with self._lock:
            now = self._now()
            if name in self._names:
                raise errors.file_name_exists(name)
            self._check_room()
            segment = Segment(
                name=name,
                id=new_id(now),
                type=FILE_TYPE,
                source="API",
                created_time=now,
                updated_time=now,
                user_count=0,
                # No calendar goes on for as long as a number of days may be.
                expiry_time=now + timedelta(days=min(days, MAX_AHEAD.days)),
            )
            self._keep(segment)
            self._record_change(segment)
            return segment.summary()

    def file_segment(self, name: str, segment_id: str | None = None) -> JsonObject | None:
        """
        Find a file segment for a change of its users.

        :param name: its name.
        :param segment_id: its id, which wins over the name.
        :return: its summary; None when the segment is of another kind.
        :raises ApiError: 404 when there is none.
        """
        with self._lock:
            found = self._by_name(name)[:1] if segment_id is None else [self._by_id(segment_id)]
            segment = found[0] if found else None
            if segment is None:
                raise errors.file_segment_not_found(segment_id or name)
            if segment.definition is not None or segment.externally_managed:
                return None
            self._record_change(segment)
            return segment.summary()

    def set_user_count(self, segment_id: str, change: Callable[[int], int]) -> None:
        """
        Set how many users a file segment has.

        :param segment_id: its id; one that is gone stays gone.
        :param change: tells the number from the present one.
        """
        with self._lock:
            segment = self._segments.get(segment_id)
            if segment is not None:
                now = self._now()
                segment.user_count = change(segment.users_at(now) or 0)
                segment.updated_time = now
                self._record_change(segment)

    def record_file(self, segment_id: str, words: str) -> None:
        """
        Record what became of the last file of a segment, for the page.

        :param segment_id: its id; one that is gone stays gone.
        :param words: what has become of it.
        """
        with self._lock:
            if segment := self._segments.get(segment_id):
                segment.last_file = words
                self._record_change(segment)

    def add(self, name: str, /, **fields: Any) -> JsonObject:
        """
        Put a segment into the workspace that was always there, past the limits and the duplicate check.

        :param name: its name.
        :param fields: as of :func:`make_segment`.
        :return: everything about the segment.
        :raises ValueError: when the arguments contradict each other, or the name or id is taken.
        """
        with self._lock:
            now = self._now()
            segment = make_segment(name, now, **fields)
            self._keep_new(segment)
            return segment.everything(now)

    def replace_all(self, segments: Iterable[JsonObject]) -> None:
        """
        Put other segments in the place of all present ones.

        :param segments: as :meth:`everything` shows them.
        :raises ValueError: when one of them cannot be; then nothing has changed.
        """
        others = Workspace(self._clock)
        for fields in segments:
            others._load(fields)
        with self._lock:
            self._segments, self._names, self._defined = others._segments, others._names, others._defined
            self._changes = {}
            self._expiring = others._expiring

    def overview(self, limit: int, search: str = "") -> Overview:
        """
        Look at the workspace in passing, without a copy of every definition.

        :param limit: how many of the segments to show.
        :param search: a part of a name or an id, or ``archived`` or ``active``; all by default.
        """
        with self._lock:
            now = self._now()
            found = [segment for segment in self._segments.values() if _matches(segment, search.strip().casefold())]
            shown = sum(segment.is_shown(now) for segment in self._segments.values())
            active = sum(not segment.archived for segment in self._segments.values())
            return Overview(
                latest=[replace(segment) for segment in heapq.nlargest(limit, found, key=self._last_change)],
                found=len(found),
                active=active,
                archived=shown - active,
                gone=len(self._segments) - shown,
            )

    def everything(self) -> list[JsonObject]:
        """
        Show all segments with all that is known of them, those that the API no longer shows included.

        :return: copies, the oldest first.
        """
        with self._lock:
            now = self._now()
            return [segment.everything(now) for segment in self._by_age()]

    def _load(self, fields: JsonObject) -> None:
        try:
            self._keep_new(segment_of_shown(fields, self._now()))
        except ValueError as error:
            raise ValueError(f"has a segment {fields.get('name')!r} that cannot be: {error}") from None

    def _keep_new(self, segment: Segment) -> None:
        if segment.id in self._segments or segment.name in self._names:
            raise ValueError(f"there already is a segment named {segment.name!r}, or one with the id {segment.id}")
        self._keep(segment)

    def _named(self, name: str, segment_id: str | None) -> Segment:
        segment = next(iter(self._by_name(name)), None) if segment_id is None else self._by_id(segment_id)
        if segment is None:
            raise errors.name_or_id_not_found(segment_id or name)
        return segment

    def _check_name_is_free(self, name: str, own_id: str | None = None) -> None:
        # A name is never free again, so this looks at what the API no longer shows too.
        other = self._names.get(name)
        if other and other.id != own_id:
            raise errors.name_exists(name)

    def _check_definition(self, definition: Definition, own_id: str | None = None) -> None:
        definition_rules.check_limits(definition, self._resolve, own_id=own_id)
        now = self._now()
        defined = self._defined.get(definition.canonical, ())
        same = [segment for segment in defined if segment.id != own_id and segment.is_shown(now)]
        if same:
            oldest = min(same, key=lambda segment: segment.created_time)
            raise errors.filters_exist(oldest.name, oldest.id)

    def _resolve(self, reference: JsonObject) -> ReferencedSegment | None:
        segment_id, name = reference.get("id"), reference.get("name")
        if segment_id == ALL_USERS_ID:
            return None
        segment = self._names.get(str(name)) if segment_id is None else self._segments.get(segment_id.lower())
        if segment is None:
            raise errors.invalid_definition(
                explanation=f"There is no segment {name if segment_id is None else segment_id}."
            )
        return ReferencedSegment(segment.id, segment.definition) if segment.definition else None


def _matches(segment: Segment, search: str) -> bool:
    if search in ("archived", "active"):
        return segment.archived == (search == "archived")
    return search in segment.name.casefold() or search in segment.id
