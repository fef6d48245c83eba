"""The segments of the demo: what some months of campaigns leave in a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox import Sandbox
    from airflow_provider_moengage.sandbox.seeding import SegmentKind


@dataclass(frozen=True)
class Group:
    """
    Segments of a kind.

    :param title: what they are.
    :param name: their name, with a place for a number.
    :param count: how many they are.
    :param youngest: the age of the youngest in days; each of the others is a day older than the one before.
    :param kind: filter or file.
    """

    title: str
    name: str
    count: int
    youngest: int
    kind: SegmentKind = "filter"

    def names(self) -> list[str]:
        """Make their names."""
        return [self.name.format(f"{number:03}") for number in range(self.count)]


GROUPS = (
    # As many as may be archived within a minute, with some requests to spare that are sent again.
    Group("campaign segments, 91 to 130 days old", "camp_old_{}", 40, 91),
    Group("campaign segments, 1 to 40 days old", "camp_new_{}", 40, 1),
    Group("file segments of campaigns that are over", "camp_upload_{}", 30, 91, "file"),
    Group("segments named *_evergreen", "camp_{}_evergreen", 30, 91),
    Group("segments of other teams", "report_{}", 160, 91),
)


def fill(sandbox: Sandbox) -> None:
    """Put the segments of all groups into a workspace."""
    for group in GROUPS:
        for days, name in enumerate(group.names(), group.youngest):
            sandbox.add_segment(name=name, kind=group.kind, age=timedelta(days=days))
