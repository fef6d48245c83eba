"""
Whether two definitions of a segment are the same: pure.

A server gives a definition back in its own spelling: keys in another order, some added, some left out. What is the same
here selects the same people as far as the published language of filters says. In doubt two definitions differ, which
costs an update too many at most, while a wrong "same" would take another segment for one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the language of filters knows, and what therefore means something wherever it stands. A key that no document
# lists is the server's own when only the server has it: dashboards add names for their lists.
_MEANINGFUL = frozenset(
    {
        "action_name",
        "aggregation_attributes",
        "array_filter_type",
        "attributes",
        "base_time_range",
        "case_sensitive",
        "comparator",
        "count",
        "data_type",
        "days",
        "days1",
        "dynamic_attribute_type",
        "executed",
        "execution",
        "extract_type",
        "filter_operator",
        "filters",
        "id",
        "is_dynamic_value",
        "name",
        "negate",
        "operator",
        "operator_type",
        "percent_of_times",
        "percent_of_users",
        "period_unit",
        "primary_time_range",
        "project_name",
        "psychographic_attributes",
        "radius",
        "type",
        "value",
        "value1",
        "value_type",
    }
)

# These are off unless they are there.
_OFF_BY_DEFAULT = frozenset({"case_sensitive", "is_dynamic_value", "negate"})

# One and the same, by the description and by public programs; answers leave it out.
_OF_EVENT_ATTRIBUTES = ("action_attributes", "event_attributes", None)

_UNORDERED = ("filters", "value")

_DAYS = {"days": 1, "weeks": 7}


def is_definition_shown(segment: Mapping[str, Any]) -> bool:
    """
    Tell whether a server's answer has the definition of the segment: file segments and older servers show none.

    :param segment: as :meth:`~airflow_provider_moengage.client.client.MoEngageClient.get_segment` gives it.
    :return: True when its ``included_filters`` are a group.
    """
    return isinstance(segment.get("included_filters"), dict)


def is_same_definition(sent: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """
    Compare what was, or is to be, sent with what a server shows.

    :param sent: ``included_filters`` and, where given, ``excluded_filters``; other keys do not count.
    :param found: the segment as the server shows it, with the same keys.
    :return: True when both select the same people: in whichever order keys, filters and listed values stand, and
        whatever else the server has added to a filter. False when the server does not show the definition.
    """
    return is_definition_shown(found) and all(
        _is_same(_group(sent.get(key)), _group(found.get(key))) for key in ("included_filters", "excluded_filters")
    )


def _group(value: Any) -> Any:
    """Take a group without filters for none."""
    return None if isinstance(value, Mapping) and not value.get("filters") else value


def _is_same(sent: Any, found: Any, key: str = "") -> bool:
    if isinstance(sent, Mapping) and isinstance(found, Mapping):
        return _is_same_object(_in_days(sent), _in_days(found))
    if isinstance(sent, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(sent) != len(found):
            return False
        if key in _UNORDERED:
            return _is_same_set(sent, found)
        return all(_is_same(one, other) for one, other in zip(sent, found, strict=True))
    # True is 1 to Python, and nothing like it to a filter.
    return isinstance(sent, bool) == isinstance(found, bool) and bool(sent == found)


def _is_same_object(sent: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    if not _is_same_filter_type(sent.get("filter_type"), found.get("filter_type")):
        return False
    ignored = {"filter_type"}
    if sent.get("filter_type") == "custom_segments" and sent.get("id"):
        ignored.add("name")  # for people, and the one that is referred to can have been renamed
    for key in {**sent, **found}.keys() - ignored:
        one, other = (_group(value) if key == "attributes" else value for value in (sent.get(key), found.get(key)))
        if key in _OFF_BY_DEFAULT:
            one, other = one or False, other or False
        if one is None and key not in _MEANINGFUL:
            continue
        if key == "category" and (one is None or other is None):
            continue
        if not _is_same(one, other, key):
            return False
    return True


def _is_same_filter_type(sent: Any, found: Any) -> bool:
    return sent == found or (sent in _OF_EVENT_ATTRIBUTES and found in _OF_EVENT_ATTRIBUTES)


def _is_same_set(sent: Any, found: Any) -> bool:
    left = list(found)
    for one in sent:
        position = next((position for position, other in enumerate(left) if _is_same(one, other)), None)
        if position is None:
            return False
        del left[position]
    return True


def _in_days(range_or_filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write a time range as dashboards do, in ``days`` and ``days1`` in place of a value and its unit, where it can."""
    factor = _DAYS.get(str(range_or_filter.get("period_unit")))
    numbers = [range_or_filter.get(key) for key in ("value", "value1") if key in range_or_filter]
    if factor is None or not numbers or not all(type(number) in {int, float} for number in numbers):
        return range_or_filter
    written = {key: value for key, value in range_or_filter.items() if key not in {"value", "value1", "period_unit"}}
    in_days = {"value": "days", "value1": "days1"}
    return {
        **written,
        **{days: range_or_filter[key] * factor for key, days in in_days.items() if key in range_or_filter},
    }
