"""One custom segment: what is known of it, and what the API shows of that."""

from __future__ import annotations

import copy
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox.clock import as_api_time

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import Definition, JsonObject

ARCHIVE_SHOWN_FOR = timedelta(days=180)
FILE_USERS_KEPT_FOR = timedelta(days=30)

FILTER_TYPE = "ELASTIC_SEARCH"
FILE_TYPE = "FILE"
OWN_SOURCES = frozenset({"API", "DASHBOARD", "SEGMENTATION", "CSV UPLOAD", "IMPORT USERS", "CUSTOM"})
"""Where the segments come from that people manage themselves; all others are managed elsewhere."""
COHORT_SYNC = "COHORT SYNC"
IMPORTED_SOURCES = frozenset({COHORT_SYNC, "AMPLITUDE", "MIXPANEL", "MPARTICLE", "SEGMENT IO"})
"""The partners whose sync imports segments. The others that manage some are features of MoEngage itself."""

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


def is_object_id(text: str) -> bool:
    """Say whether a text can be a segment's id: 24 hexadecimal digits."""
    return _OBJECT_ID.fullmatch(text) is not None


def new_id(created: datetime) -> str:
    """Make an id as MongoDB does: the second of creation first, so that ids of a workspace sort by age."""
    return f"{int(created.timestamp()) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}"


@dataclass
class Segment:
    """
    One custom segment. A file segment is one without a definition.

    :param user_count: how many users a file segment got from its files; None for a filter segment, whose users the
        sandbox does not have.
    :param expiry_time: when it is archived by itself; file segments alone.
    :param last_file: what became of its last file, in words.
    :param more: fields that the API does not document, which every answer shows.
    """

    name: str
    id: str
    type: str
    source: str
    created_time: datetime
    updated_time: datetime
    description: str = ""
    definition: Definition | None = None
    user_count: int | None = None
    updated_by: str | None = None
    archived_time: datetime | None = None
    expiry_time: datetime | None = None
    last_file: str = ""
    more: JsonObject = field(default_factory=dict)

    @property
    def archived(self) -> bool:
        """Whether the segment is archived."""
        return self.archived_time is not None

    @property
    def externally_managed(self) -> bool:
        """Whether something else than its users manages the segment, such as a campaign or a partner's sync."""
        return _plain(self.source) not in OWN_SOURCES

    @property
    def is_imported(self) -> bool:
        """Whether a partner's sync has imported the segment."""
        return _plain(self.source) in IMPORTED_SOURCES

    @property
    def is_cohort(self) -> bool:
        """Whether it holds whom a cohort sync has named, and no filters."""
        return _plain(self.source) == COHORT_SYNC

    def archive(self, now: datetime) -> None:
        """Archive it; when it is archived already, it stays so since it was."""
        self.archived_time = self.archived_time or now

    def unarchive(self, now: datetime) -> None:
        """Make it active again; users that it has lost meanwhile do not come back."""
        self.user_count = self.users_at(now)
        self.archived_time = None
        if self.expiry_time is not None and self.expiry_time <= now:
            self.expiry_time = None

    def is_shown(self, now: datetime) -> bool:
        """Say whether the API still shows the segment: one that was archived long ago, it does not."""
        return self.archived_time is None or now - self.archived_time <= ARCHIVE_SHOWN_FOR

    def users_at(self, now: datetime) -> int | None:
        """Count the users of a file segment: all are lost when it has been archived for more than 30 days."""
        if self.user_count is None or self.archived_time is None:
            return self.user_count
        return self.user_count if now - self.archived_time <= FILE_USERS_KEPT_FOR else 0

    def summary(self) -> JsonObject:
        """Show what get and list answer."""
        return {
            "name": self.name,
            "id": self.id,
            "created_time": as_api_time(self.created_time),
            "type": self.type,
            "source": self.source,
            **copy.deepcopy(self.more),
        }

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

    def everything(self, now: datetime) -> JsonObject:
        """Show what the workspace knows, which no API call answers."""
        known = {
            **self.detail(),
            "updated_by": self.updated_by,
            "archived": self.archived,
            "archived_time": as_api_time(self.archived_time) if self.archived_time else None,
        }
        if self.definition is None:
            known["user_count"] = self.users_at(now)
        if self.expiry_time is not None:
            known["expiry_time"] = as_api_time(self.expiry_time)
        return known


def _plain(source: str) -> str:
    return source.upper().replace("_", " ")
