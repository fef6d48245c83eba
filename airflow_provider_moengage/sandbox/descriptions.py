"""The sentence that describes a filter segment, as the dashboard shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.sandbox.attribute_filters import OBJECT_TYPES
from airflow_provider_moengage.sandbox.event_filters import UNCOUNTED
from airflow_provider_moengage.sandbox.filter_parts import is_given

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import Definition, JsonObject


def describe(definition: Definition) -> str:
    """
    Put a definition into words.

    :param definition: one that the language of filters allows.
    :return: for example ``Plan is gold (case insensitive) AND Has executed Purchase atleast 1 time``.
    """
    sentence = _group(definition.included_filters)
    excluded = definition.excluded_filters
    return f"{sentence} EXCLUDING {_group(excluded)}" if excluded and excluded["filters"] else sentence


def _group(group: JsonObject) -> str:
    # Filters on the attributes of an event have no type when the dashboard has made them.
    words = (_DESCRIBED.get(item.get("filter_type"), _attribute)(item) for item in group["filters"])
    return f" {group['filter_operator'].upper()} ".join(words)


def _attribute(item: JsonObject) -> str:
    if item["data_type"] in OBJECT_TYPES:
        return f"{item['name']} with ({_group(item)})"
    if item["data_type"] == "geopoint":
        near = "not within" if item.get("negate") is True else "within"
        return f"{item['name']} {near} {item['radius']} m of {item['value']}, {item['value1']}"
    operator = "is" if item["operator"] == "in" else item["operator"]
    words = [item["name"], "not" if item.get("negate") is True else "", operator, _values(item)]
    if item["data_type"] == "string" and operator != "exists" and item.get("case_sensitive") is not True:
        words.append("(case insensitive)")
    return " ".join(word for word in words if word)


def _action(item: JsonObject) -> str:
    if item["executed"]:
        execution = item["execution"]
        # The first time and the last time have no count.
        often = "" if execution["type"] in UNCOUNTED else f"{execution['count']} time"
        words = ["Has executed", item["action_name"], execution["type"], often]
    else:
        words = ["Has not executed", item["action_name"]]
    return " ".join(word for word in words if word) + _with(item["attributes"])


def _affinity(item: JsonObject) -> str:
    percentage = _given(item, "percent_of_times", "percent_of_users")
    share = "" if percentage is None else f" {percentage}%"
    return f"Executes {item['action_name']} {item['operator_type']}{share}{_with(item['psychographic_attributes'])}"


def _with(attributes: JsonObject) -> str:
    return f" with {_group(attributes)}" if attributes["filters"] else ""


def _values(item: JsonObject) -> str:
    value, value1 = _given(item, "value", "days"), _given(item, "value1", "days1")
    return _value(value) if value1 is None else f"{_value(value)} and {_value(value1)}"


def _given(item: JsonObject, *keys: str) -> Any:
    """Find the first of these keys that is there; null counts as left out."""
    return next((item[key] for key in keys if is_given(item, key)), None)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "" if value is None else str(value)


_DESCRIBED: dict[str | None, Callable[[JsonObject], str]] = {
    "actions": _action,
    "psychographic_event": _affinity,
    "nested_filters": lambda item: f"({_group(item)})",
    "custom_segments": lambda item: f"In segment {_given(item, 'name', 'id')}",
}
