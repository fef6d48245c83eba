"""The state and the rules of a workspace, without HTTP."""

from __future__ import annotations

import copy
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from airflow_provider_moengage.sandbox import errors, rules
from airflow_provider_moengage.sandbox.descriptions import describe
from airflow_provider_moengage.sandbox.rules import Definition, JsonObject, ReferencedSegment

Clock = Callable[[], datetime]
SegmentKind = Literal["filter", "file"]

MAX_ACTIVE_SEGMENTS = 1_000
ARCHIVE_SHOWN_FOR = timedelta(days=180)

FILTER_TYPE = "ELASTIC_SEARCH"
FILE_TYPE = "FILE"
OWN_SOURCES = frozenset({"API", "DASHBOARD"})
"""Where the segments come from that people manage themselves; all others are managed elsewhere."""

ALL_USERS_ID = "moe_all_users"
"""The built-in segment that every workspace has and that definitions may refer to."""

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


def utc_now() -> datetime:
    """Tell the time: the clock of a workspace that is given no other."""
    return datetime.now(timezone.utc)


def as_api_time(moment: datetime) -> str:
    """Write a moment as the API does: ISO 8601 in UTC, with microseconds, without a zone."""
    return as_utc(moment).replace(tzinfo=None).isoformat(timespec="microseconds")


def as_utc(moment: datetime) -> datetime:
    """Move a moment to UTC; one without a zone is in UTC already."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def is_object_id(text: str) -> bool:
    """Say whether a text can be a segment's id: 24 hexadecimal digits."""
    return _OBJECT_ID.fullmatch(text) is not None


@dataclass
class Segment:
    """One custom segment. A file segment is one without a definition."""

    name: str
    id: str
    type: str
    source: str
    created_time: datetime
    updated_time: datetime
    description: str = ""
    definition: Definition | None = None
    updated_by: str | None = None
    archived_time: datetime | None = None
    more: JsonObject = field(default_factory=dict)

    @property
    def archived(self) -> bool:
        """Whether the segment is archived."""
        return self.archived_time is not None

    @property
    def externally_managed(self) -> bool:
        """Whether something else than its users manages the segment, such as a campaign or a partner's sync."""
        return self.source.upper() not in OWN_SOURCES

    def is_shown(self, now: datetime) -> bool:
        """Say whether the API still shows the segment: one that was archived long ago, it does not."""
        return self.archived_time is None or now - self.archived_time <= ARCHIVE_SHOWN_FOR

    def summary(self) -> JsonObject:
        """Show what get and list answer."""
        return copy.deepcopy(
            {
                "name": self.name,
                "id": self.id,
                "created_time": as_api_time(self.created_time),
                "type": self.type,
                "source": self.source,
                **self.more,
            }
        )

    def detail(self) -> JsonObject:
        """Show what create and update answer."""
        shown: JsonObject = {
            "name": self.name,
            "id": self.id,
            "created_time": as_api_time(self.created_time),
            "updated_time": as_api_time(self.updated_time),
            "type": self.type,
            "source": self.source,
            "description": self.description,
        }
        if self.definition is not None:
            shown["included_filters"] = self.definition.included_filters
            if self.definition.excluded_filters is not None:
                shown["excluded_filters"] = self.definition.excluded_filters
        return copy.deepcopy({**shown, **self.more})

    def everything(self) -> JsonObject:
        """Show what the workspace knows, which no API call answers."""
        return {
            **self.detail(),
            "updated_by": self.updated_by,
            "archived": self.archived,
            "archived_time": as_api_time(self.archived_time) if self.archived_time else None,
        }


class Workspace:
    """
    The segments of one workspace, and what may be done with them.

    Every method is safe to call from several threads at once, and answers copies.

    :param clock: tells the time, as an aware datetime.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}

    def archive(self, name: str, segment_id: str | None = None) -> JsonObject:
        """
        Archive a segment; one that is archived already stays so, since when it was.

        :param name: the segment's name.
        :param segment_id: its id, which wins over the name.
        :return: the segment's summary.
        :raises ApiError: 404 when there is none, 400 when it is externally managed.
        """
        with self._lock:
            segment = self._own_segment(name, segment_id)
            segment.archived_time = segment.archived_time or self._now()
            return segment.summary()

    def unarchive(self, name: str, segment_id: str | None = None) -> JsonObject:
        """
        Make a segment active again; one that is active already stays so.

        :param name: the segment's name.
        :param segment_id: its id, which wins over the name.
        :return: the segment's summary.
        :raises ApiError: 404 when there is none, 400 when it is externally managed.
        """
        with self._lock:
            segment = self._own_segment(name, segment_id)
            segment.archived_time = None
            return segment.summary()

    def get(self, segment_id: str) -> JsonObject | None:
        """
        Fetch a segment.

        :return: its summary, or None when there is none.
        """
        with self._lock:
            segment = self._by_id(segment_id)
            return segment.summary() if segment else None

    def find(self, name: str | None = None) -> list[JsonObject]:
        """
        List the segments, archived ones included.

        :param name: only the segment of exactly this name.
        :return: their summaries, the oldest first.
        """
        with self._lock:
            return [segment.summary() for segment in self._shown() if name is None or segment.name == name]

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
        definition = _checked_definition(included_filters, excluded_filters)
        if name is not None:
            rules.check_name(name)
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

            segment.definition = definition
            segment.description = describe(definition)
            segment.name = name or segment.name
            segment.updated_by = updated_by or segment.updated_by
            segment.updated_time = self._now()
            return segment.detail()

    def create(
        self, name: str, included_filters: JsonObject, *, excluded_filters: JsonObject | None = None
    ) -> JsonObject:
        """
        Create a filter segment.

        :param name: a name that no segment, active or archived, has ever had.
        :param included_filters: the filter group.
        :param excluded_filters: the group of excluded filters, if there is one.
        :return: the segment in full.
        :raises ApiError: 400, 409, 413, or 429 when the workspace is full.
        """
        rules.check_name(name)
        definition = _checked_definition(included_filters, excluded_filters)
        with self._lock:
            self._check_name_is_free(name)
            self._check_definition(definition)
            active = sum(not segment.archived for segment in self._segments.values())
            if active >= MAX_ACTIVE_SEGMENTS:
                raise errors.too_many_active_segments(active + 1, MAX_ACTIVE_SEGMENTS)

            now = self._now()
            segment = Segment(
                name=name,
                id=_new_id(now),
                type=FILTER_TYPE,
                source="API",
                created_time=now,
                updated_time=now,
                description=describe(definition),
                definition=definition,
            )
            self._segments[segment.id] = segment
            return segment.detail()

    def add(
        self,
        name: str,
        *,
        age: timedelta | None = None,
        created_time: datetime | None = None,
        kind: SegmentKind = "filter",
        source: str = "API",
        archived: bool = False,
        included_filters: JsonObject | None = None,
        excluded_filters: JsonObject | None = None,
        **fields: Any,
    ) -> JsonObject:
        """
        Put a segment into the workspace that was always there, past the limits and the duplicate check.

        :param name: its name.
        :param age: how long ago it was created; not together with ``created_time``.
        :param created_time: when it was created; now, when neither is given. Without a zone it is in UTC.
        :param kind: ``filter`` or ``file``.
        :param source: where it comes from; anything but ``API`` and ``DASHBOARD`` makes it externally managed.
        :param archived: whether it is archived, since now or since ``archived_time``.
        :param included_filters: its filter group; one of its own by default.
        :param excluded_filters: its group of excluded filters.
        :param fields: ``id``, ``updated_time``, ``archived_time``, ``type``, ``description``, ``updated_by``, and any
            field that the API does not document, which every answer about the segment then shows.
        :return: everything about the segment.
        :raises ValueError: when the arguments contradict each other, or the name or id is taken.
        """
        if age is not None and created_time is not None:
            raise ValueError("give either age or created_time, not both")
        if kind not in ("filter", "file"):
            raise ValueError(f"kind must be 'filter' or 'file', not {kind!r}")
        definition = None
        if kind == "filter":
            definition = _seeded_definition(included_filters or _filters_for(name), excluded_filters)
        elif included_filters is not None or excluded_filters is not None:
            raise ValueError("a file segment has no filters")

        with self._lock:
            now = self._now()
            created = as_utc(created_time) if created_time is not None else now - (age or timedelta())
            archived_time = fields.pop("archived_time", None)
            segment = Segment(
                name=name,
                id=_seeded_id(fields.pop("id", None) or _new_id(created)),
                type=fields.pop("type", FILTER_TYPE if kind == "filter" else FILE_TYPE),
                source=source,
                created_time=created,
                updated_time=as_utc(fields.pop("updated_time", created)),
                description=fields.pop("description", describe(definition) if definition else ""),
                definition=definition,
                updated_by=fields.pop("updated_by", None),
                archived_time=as_utc(archived_time or now) if archived or archived_time else None,
                more=copy.deepcopy(fields),
            )
            if segment.id in self._segments or any(name == other.name for other in self._segments.values()):
                raise ValueError(f"there already is a segment named {name!r}, or one with the id {segment.id}")
            self._segments[segment.id] = segment
            return segment.everything()

    def everything(self) -> list[JsonObject]:
        """
        Show all segments with all that is known of them, those that the API no longer shows included.

        :return: copies, the oldest first.
        """
        with self._lock:
            return [segment.everything() for segment in self._by_age()]

    def _now(self) -> datetime:
        return as_utc(self._clock())

    def _by_age(self) -> list[Segment]:
        return sorted(self._segments.values(), key=lambda segment: segment.created_time)

    def _shown(self) -> list[Segment]:
        now = self._now()
        return [segment for segment in self._by_age() if segment.is_shown(now)]

    def _by_id(self, segment_id: str) -> Segment | None:
        segment = self._segments.get(segment_id.lower())
        return segment if segment and segment.is_shown(self._now()) else None

    def _own_segment(self, name: str, segment_id: str | None) -> Segment:
        if segment_id is not None:
            segment = self._by_id(segment_id)
        else:
            segment = next((segment for segment in self._shown() if segment.name == name), None)
        if segment is None:
            raise errors.name_or_id_not_found(segment_id or name)
        if segment.externally_managed:
            raise errors.externally_managed(segment.name)
        return segment

    def _check_name_is_free(self, name: str, own_id: str | None = None) -> None:
        # A name is never free again, so this looks at what the API no longer shows too.
        if any(segment.name == name and segment.id != own_id for segment in self._segments.values()):
            raise errors.name_exists(name)

    def _check_definition(self, definition: Definition, own_id: str | None = None) -> None:
        rules.check_limits(definition, self._resolve, own_id=own_id)
        wanted = definition.canonical
        for segment in self._shown():
            if segment.definition and segment.id != own_id and segment.definition.canonical == wanted:
                raise errors.filters_exist(segment.name, segment.id)

    def _resolve(self, reference: JsonObject) -> ReferencedSegment | None:
        segment_id, name = reference.get("id"), reference.get("name")
        if segment_id == ALL_USERS_ID:
            return None
        if segment_id is not None:
            segment = self._segments.get(segment_id.lower())
        else:
            segment = next((segment for segment in self._segments.values() if segment.name == name), None)
        if segment is None:
            raise errors.invalid_definition()
        return ReferencedSegment(segment.id, segment.definition) if segment.definition else None


def _checked_definition(included_filters: JsonObject, excluded_filters: JsonObject | None) -> Definition:
    rules.check_group(included_filters)
    if excluded_filters is not None:
        rules.check_group(excluded_filters, may_be_empty=True)
    return copy.deepcopy(Definition(included_filters, excluded_filters))


def _seeded_definition(included_filters: JsonObject, excluded_filters: JsonObject | None) -> Definition:
    try:
        return _checked_definition(included_filters, excluded_filters)
    except errors.ApiError as error:
        raise ValueError(f"the filters are not valid: {error}") from error


def _seeded_id(segment_id: str) -> str:
    if not is_object_id(segment_id):
        raise ValueError(f"a segment's id is 24 hexadecimal digits, not {segment_id!r}")
    return segment_id.lower()


def _new_id(created: datetime) -> str:
    # As MongoDB makes them: the second of creation first, so that ids of a workspace sort by age.
    return f"{int(created.timestamp()) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"


def _filters_for(name: str) -> JsonObject:
    # Unlike any other segment's: two segments with the same filters could not both be updated.
    return {
        "filter_operator": "and",
        "filters": [
            {
                "filter_type": "user_attributes",
                "name": "Campaign",
                "data_type": "string",
                "operator": "in",
                "value": [name],
                "negate": False,
                "case_sensitive": False,
            }
        ],
    }
