"""A workspace as a marketing team leaves it: campaign segments of all ages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.sandbox.clock import Clock, utc_now

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject


def demo_segments(clock: Clock = utc_now) -> list[JsonObject]:
    """
    Make a dozen believable segments, each the arguments of one :meth:`Sandbox.add_segment`.

    :param clock: tells the time from which their ages count back.
    :return: the arguments, the oldest segment first.
    """
    now = clock()

    def days_ago(days: int, **fields: Any) -> JsonObject:
        return {"created_time": now - timedelta(days=days), **fields}

    return [
        days_ago(640, name="Newsletter subscribers", included_filters=_attribute("Newsletter", "yes")),
        days_ago(410, name="Black Friday 2025 buyers", included_filters=_event("Purchase", 30)),
        days_ago(
            395,
            name="Black Friday 2025 VIP upload",
            kind="file",
            archived=True,
            archived_time=now - timedelta(days=45),
        ),
        days_ago(
            300,
            name="Winter clearance 2026",
            included_filters=_attribute("Last category", "coats"),
            archived=True,
            archived_time=now - timedelta(days=120),
        ),
        days_ago(240, name="Spring sale, cart abandoners", included_filters=_event("Add To Cart", 14)),
        days_ago(180, name="Loyalty gold tier", included_filters=_attribute("Tier", "gold"), source="DASHBOARD"),
        days_ago(150, name="Trade fair leads", kind="file"),
        days_ago(110, name="camp_summer_app_openers", included_filters=_event("App Opened", 7)),
        days_ago(95, name="Recommendation holdout", source="Campaigns"),
        days_ago(60, name="Back to school, parents", included_filters=_attribute("Has children", "yes")),
        days_ago(21, name="Autumn launch waitlist", kind="file"),
        days_ago(3, name="Win-back, silent for 90 days", included_filters=_event("App Opened", 90, executed=False)),
    ]


def _attribute(name: str, value: str) -> JsonObject:
    item = {
        "filter_type": "user_attributes",
        "name": name,
        "data_type": "string",
        "operator": "in",
        "value": [value],
        "negate": False,
        "case_sensitive": False,
    }
    return {"filter_operator": "and", "filters": [item]}


def _event(action_name: str, days: int, *, executed: bool = True) -> JsonObject:
    item = {
        "filter_type": "actions",
        "action_name": action_name,
        "attributes": {"filter_operator": "and", "filters": []},
        "executed": executed,
        "execution": {"count": 1, "type": "atleast"} if executed else {"count": 0, "type": "exactly"},
        "primary_time_range": {
            "type": "inTheLast",
            "value_type": "relative_past",
            "value": str(days),
            "period_unit": "days",
        },
    }
    return {"filter_operator": "and", "filters": [item]}
