"""Segments that were always there: how those are made that no request has created."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from airflow_provider_moengage.sandbox.clock import as_utc
from airflow_provider_moengage.sandbox.definition_rules import (
    Definition,
    JsonObject,
    checked_definition,
    kept_definition,
)
from airflow_provider_moengage.sandbox.descriptions import describe
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.json_body import MAX_JSON_DEPTH, depth_exceeds
from airflow_provider_moengage.sandbox.segment import FILE_TYPE, FILTER_TYPE, Segment, is_object_id, new_id

SegmentKind = Literal["filter", "file"]

USERS_OF_A_FILE = 1_000
"""How many users a file segment has when nobody says: enough to see that it loses them."""

Age = timedelta | float | str
"""A duration, a number of days, or a text of ISO 8601 such as ``P90D``."""

# Without years and months, which have no fixed length.
_ISO_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)

_FURTHER = frozenset({"id", "type", "description", "updated_time", "archived_time", "updated_by", "expiry_time"})
_ARGUMENTS = _FURTHER | {
    "name",
    "age",
    "created_time",
    "kind",
    "source",
    "archived",
    "included_filters",
    "excluded_filters",
    "user_count",
    "more",
}

_TIMES = ("created_time", "updated_time", "archived_time", "expiry_time")
_NULLABLE = frozenset({*_TIMES, "age", "excluded_filters", "id", "included_filters", "updated_by", "user_count"})
_TEXTS = ("name", "type", "source", "description")


def make_segment(
    name: str,
    now: datetime,
    define: Callable[[JsonObject, JsonObject | None], Definition] = checked_definition,
    /,
    *,
    age: Age | None = None,
    created_time: datetime | None = None,
    kind: SegmentKind = "filter",
    source: str = "API",
    archived: bool = False,
    included_filters: JsonObject | None = None,
    excluded_filters: JsonObject | None = None,
    user_count: int | None = None,
    more: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Segment:
    """
    Make a segment; see :meth:`Sandbox.add_segment` for the parameters.

    :param now: what time it is.
    :param define: makes its definition of its two groups of filters.
    :raises ValueError: when the arguments contradict each other or are not what they should be.
    """
    if unknown := fields.keys() - _FURTHER:
        known = ", ".join(sorted(_ARGUMENTS))
        raise ValueError(
            f"a segment has no {', '.join(sorted(unknown))}; it takes {known}. What no document knows goes into more."
        )
    if age is not None and created_time is not None:
        raise ValueError("give either age or created_time, not both")
    if kind not in get_args(SegmentKind):
        raise ValueError(f"kind must be 'filter' or 'file', not {kind!r}")
    if not isinstance(archived, bool):
        raise ValueError(f"archived must be true or false, not {archived!r}")  # noqa: TRY004 - one error for all
    if kind == "file" and (included_filters is not None or excluded_filters is not None):
        raise ValueError("a file segment has no filters")
    if kind == "filter" and user_count is not None:
        raise ValueError("a filter segment has no user_count: the sandbox has no users to filter")

    definition = None
    if kind == "filter":
        included = _filters_for(str(name)) if included_filters is None else included_filters
        definition = _definition(define, included, excluded_filters)
    elif user_count is None:
        user_count = USERS_OF_A_FILE
    created = _moment("created_time", created_time) if created_time is not None else _before(now, _age(age))
    archived_time, expiry_time = fields.pop("archived_time", None), fields.pop("expiry_time", None)
    if kind == "filter" and expiry_time is not None:
        raise ValueError("a filter segment has no expiry_time")
    segment = Segment(
        name=name,
        id=str(fields.pop("id", None) or new_id(created)).lower(),
        type=fields.pop("type", FILTER_TYPE if kind == "filter" else FILE_TYPE),
        source=source,
        created_time=created,
        updated_time=_moment("updated_time", fields.pop("updated_time", created)),
        description=fields.pop("description") if "description" in fields else _described(definition),
        definition=definition,
        user_count=user_count,
        updated_by=fields.pop("updated_by", None),
        archived_time=_moment("archived_time", archived_time or now) if archived or archived_time else None,
        expiry_time=_moment("expiry_time", expiry_time) if expiry_time is not None else None,
        more=_more(more),
    )
    _check(segment)
    return segment


def arguments_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    Turn the arguments of :func:`make_segment` from JSON into Python.

    :param fields: times as ISO 8601, the age as an object such as ``{"days": 90}`` too; a null that cannot be a value
        counts as not given. A segment with a ``user_count`` is a file.
    :raises ValueError: when a time or the age is malformed.
    """
    arguments = {key: value for key, value in fields.items() if value is not None or key not in _NULLABLE}
    for key in _TIMES:
        if key in arguments:
            arguments[key] = _parsed_time(key, arguments[key])
    if isinstance(arguments.get("age"), dict):
        arguments["age"] = duration_of(arguments["age"])
    if "user_count" in arguments:
        arguments.setdefault("kind", "file")
    return arguments


def segment_of_shown(fields: Mapping[str, Any], now: datetime) -> Segment:
    """
    Make a segment of what ``Sandbox.segments`` has shown, of this version's sandbox or of a former one's.

    :param fields: the segment; what no document knows stands among its fields.
    :param now: what time it is.
    :raises ValueError: when it cannot be one.
    """
    more = {key: value for key, value in fields.items() if key not in _ARGUMENTS}
    arguments = arguments_of({key: value for key, value in fields.items() if key in _ARGUMENTS})
    # A description is not made anew: the filters may be in words that nothing describes.
    arguments = {"name": None, "description": "", **arguments, "more": more}
    return make_segment(arguments.pop("name"), now, kept_definition, **arguments)


def duration_of(fields: object) -> timedelta:
    """
    Read a duration.

    :param fields: an object such as ``{"days": 31, "hours": 12}``, with the units of Python's ``timedelta``.
    :raises ValueError: when it is none.
    """
    units = ("weeks", "days", "hours", "minutes", "seconds")
    if not isinstance(fields, dict) or not fields or not set(fields) <= set(units):
        raise ValueError(f'a duration is an object such as {{"days": 31}}, its units {", ".join(units)}')
    try:
        return timedelta(**fields)
    except (TypeError, OverflowError, ValueError):
        raise ValueError(f"a duration's values are numbers that are not too large, unlike {fields!r}") from None


def _check(segment: Segment) -> None:
    for key in _TEXTS:
        value = getattr(segment, key)
        if not isinstance(value, str):
            raise ValueError(f"{key} must be a text, not {value!r}")  # noqa: TRY004 - one error for all bad arguments
    if not segment.name.strip():
        raise ValueError("name must not be blank")
    if not is_object_id(segment.id):
        raise ValueError(f"a segment's id is 24 hexadecimal digits, not {segment.id!r}")
    if segment.updated_by is not None and not isinstance(segment.updated_by, str):
        raise ValueError(f"updated_by must be a text, not {segment.updated_by!r}")
    count = segment.user_count
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
        raise ValueError(f"user_count must be a whole number, zero or more, not {count!r}")
    try:
        json.dumps(segment.more, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("further fields must be what JSON can express") from None
    if depth_exceeds(segment.more, MAX_JSON_DEPTH):
        raise ValueError("further fields are nested too deeply")


def _described(definition: Definition | None) -> str:
    return "" if definition is None else describe(definition)


def _definition(
    define: Callable[[JsonObject, JsonObject | None], Definition],
    included_filters: JsonObject,
    excluded_filters: JsonObject | None,
) -> Definition:
    try:
        return define(included_filters, excluded_filters)
    except ApiError as error:
        raise ValueError(f"the filters are not valid: {error.explanation or error}") from error


def _age(age: Age | None) -> timedelta:
    if age is None or isinstance(age, timedelta):
        return age or timedelta()
    match = _ISO_DURATION.fullmatch(age) if isinstance(age, str) else None
    if match and any(match.groups()):
        return duration_of({unit: float(count) for unit, count in match.groupdict(default="0").items()})
    if isinstance(age, int | float) and not isinstance(age, bool):
        return duration_of({"days": age})
    raise ValueError(f'age must be a timedelta, a number of days, or a text such as "P90D" or "PT12H", not {age!r}')


def _more(more: Mapping[str, Any] | None) -> JsonObject:
    if not isinstance(more, Mapping | None):
        raise ValueError(f"more must be a mapping of fields, not {more!r}")  # noqa: TRY004 - one error for all
    if taken := sorted(_ARGUMENTS & (more or {}).keys()):
        raise ValueError(f"more is for what no document knows, and {', '.join(taken)} is an argument of its own")
    return copy.deepcopy(dict(more or {}))


def _before(now: datetime, age: timedelta) -> datetime:
    try:
        return now - age
    except OverflowError:
        raise ValueError(f"no calendar goes back by {age.days} days") from None


def _moment(key: str, moment: object) -> datetime:
    if not isinstance(moment, datetime):
        raise ValueError(f"{key} must be a datetime, not {moment!r}")  # noqa: TRY004 - one error for all bad arguments
    try:
        return as_utc(moment)
    except OverflowError:
        raise ValueError(f"{key} is in no year that UTC has") from None


def _parsed_time(key: str, text: object) -> datetime:
    # Python 3.10 does not read the Z that stands for UTC.
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        raise ValueError(f"{key} must be a time such as 2026-03-01T12:00:00, not {text!r}") from None


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
