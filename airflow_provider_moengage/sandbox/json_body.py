"""JSON from outside: strict, and never deeper than the stack of a thread."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject

MAX_JSON_DEPTH = 100
"""Far more than any filter has, far less than what would exhaust the stack of a thread."""


def parse_object(body: bytes, *, max_depth: int = MAX_JSON_DEPTH) -> JsonObject:
    """
    Read a JSON object.

    :param body: UTF-8 without a byte order mark.
    :param max_depth: how many objects and lists may be inside each other.
    :raises ValueError: when it is none; the message goes on after the name of what was read.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - it is the text that is wrong
    if depth_exceeds(value, max_depth):
        raise ValueError("is nested too deeply")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def depth_exceeds(value: object, limit: int) -> bool:
    """Say whether there are more objects and lists inside each other than a limit."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
