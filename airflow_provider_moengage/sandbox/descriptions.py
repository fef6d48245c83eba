"""The sentence that describes a filter segment, as the dashboard shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.rules import Definition, JsonObject


def describe(definition: Definition) -> str:
    """
    Put a definition into words.

    :return: for example ``Plan is gold (case insensitive) AND Has executed Purchase atleast 1 time``.
    """
    sentence = _group(definition.included_filters)
    excluded = definition.excluded_filters
    return f"{sentence} EXCLUDING {_group(excluded)}" if excluded and excluded["filters"] else sentence


def _group(group: JsonObject) -> str:
    return f" {group['filter_operator'].upper()} ".join(_filter(item) for item in group["filters"])


def _filter(item: JsonObject) -> str:
    match item["filter_type"]:
        case "user_attributes":
            return _attribute(item)
        case "actions":
            return _action(item)
        case "nested_filters":
            return f"({_group(item)})"
        case "custom_segments":
            return f"In segment {item.get('name', item.get('id'))}"
        case other:
            return f"Matches {other}"


def _attribute(item: JsonObject) -> str:
    operator = "is" if item["operator"] == "in" else item["operator"]
    words = [item["name"], "not" if item.get("negate") is True else "", operator, _value(item.get("value"))]
    if item["data_type"] == "string" and item.get("case_sensitive") is not True:
        words.append("(case insensitive)")
    return " ".join(word for word in words if word)


def _action(item: JsonObject) -> str:
    has = "Has executed" if item["executed"] else "Has not executed"
    execution = item["execution"]
    return f"{has} {item['action_name']} {execution.get('type', 'atleast')} {execution.get('count', 1)} time"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return "" if value is None else str(value)
