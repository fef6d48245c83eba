"""
How Python values become what MoEngage takes, for the builders of :mod:`airflow_provider_moengage.segments.filters`.

A mistake is a TypeError or a ValueError at the line that made it. No message shows a value: values are audiences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NewType, NoReturn, Protocol, TypeAlias, TypedDict, TypeVar

UserFilter = NewType("UserFilter", dict[str, Any])
"""A finished filter on a user attribute: at run time a plain dictionary."""

SegmentFilter = NewType("SegmentFilter", dict[str, Any])
"""A finished filter on another segment: at run time a plain dictionary."""

FilterGroup = NewType("FilterGroup", dict[str, Any])
"""What an operator takes as ``included_filters`` or ``excluded_filters``: at run time a plain dictionary."""


class EventAttributeFilter(TypedDict, total=False):
    """A finished filter on an attribute of an event. No dictionary for a type checker, since it stands in no group."""

    filter_type: Literal["action_attributes"]
    name: str
    data_type: str
    category: str
    operator: str
    value: Any
    value1: Any
    negate: bool


class EventAttributeGroup(TypedDict):
    """Several filters on attributes of one event."""

    filter_operator: Literal["and", "or"]
    filters: list[EventAttributeFilter]


class ComesLater(Protocol):
    """What Airflow puts in when the task runs: the output of another task."""

    def iter_references(self) -> Any:
        """Tell of the tasks that it comes from."""


@dataclass(frozen=True)
class AttributeValue:
    """What another attribute of the same user holds, see :func:`value_of`."""

    name: str


@dataclass(frozen=True)
class RelativeDays:
    """A day counted from the day on which MoEngage looks, see :func:`days_ago`."""

    days: int | str | ComesLater
    value_type: Literal["relative_past", "relative_future"]


# What people try for the lack of a list, and other languages have.
_GUESSED = "(is_?)?(not_?)?(eq|equals?|equals?_to|like|in)|is_not|ne|neq"


class Unfinished:
    """What is no filter yet. Python's own operators make none of it: ``==`` would be a mere False."""

    _comparisons = "in_the_last(...) and the like"
    """What makes a filter, or the next step to one."""

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(f"{what} makes no filter here: use {self._comparisons}; for the opposite, not_(...) around it.")

    def __eq__(self, other: object) -> NoReturn:
        self._refuse("==")

    def __ne__(self, other: object) -> NoReturn:
        self._refuse("!=")

    def __lt__(self, other: object) -> NoReturn:
        self._refuse("<")

    def __le__(self, other: object) -> NoReturn:
        self._refuse("<=")

    def __gt__(self, other: object) -> NoReturn:
        self._refuse(">")

    def __ge__(self, other: object) -> NoReturn:
        self._refuse(">=")

    __hash__ = object.__hash__

    if not TYPE_CHECKING:  # a type checker is to find the wrong name by itself

        def __getattr__(self, name: str) -> Any:
            if re.fullmatch(_GUESSED, name):
                self._refuse(f".{name}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)


Text: TypeAlias = str | ComesLater
Number: TypeAlias = int | float | Decimal | str | ComesLater
"""A number; text only as a template that Airflow renders to one."""
Moment: TypeAlias = date | str | ComesLater
"""A date, or a datetime with a zone; text only as a template that Airflow renders to one."""
Count: TypeAlias = int | str | ComesLater

V = TypeVar("V")

LISTS = (list, tuple)
"""What JSON has as a list."""

# The types of most values, so that a long definition takes no longer than it must.
_NEVER_LATER = frozenset({dict, list, bool, int, float, type(None)})
_NO_CONTAINER = frozenset({str, bool, int, float, type(None)})


def value_of(attribute_name: str) -> AttributeValue:
    """
    Compare with what another attribute of the same user holds, in place of a value.

    :param attribute_name: its internal name.
    :raises ValueError: when the name cannot stand in MoEngage's template.
    """
    name_of("value_of", attribute_name)
    if any(character in attribute_name for character in "'{}"):
        raise ValueError("value_of: MoEngage's template cannot carry an attribute name with ', { or }.")
    return AttributeValue(attribute_name)


def days_ago(days: Count) -> RelativeDays:
    """
    Name a day of the past that moves with time.

    :param days: how many days before the day on which MoEngage looks; 0 is that day.
    """
    return RelativeDays(count_of("days_ago", days, least=0), "relative_past")


def days_from_now(days: Count) -> RelativeDays:
    """
    Name a day of the future that moves with time.

    :param days: how many days after the day on which MoEngage looks.
    """
    return RelativeDays(count_of("days_from_now", days, least=0), "relative_future")


def is_template(value: Any) -> bool:
    """
    Tell whether a text is only known once something has rendered it, be it Airflow or MoEngage.

    :param value: anything.
    """
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def comes_later(value: Any) -> bool:
    """
    Tell whether a value is only known when the task runs: a template, or the output of another task.

    :param value: anything.
    """
    kind = type(value)
    if kind in _NEVER_LATER:
        return False
    # Airflow's own test asks for its class ResolveMixin, whose two methods these are in all of its versions.
    return is_template(value) or (hasattr(kind, "iter_references") and hasattr(kind, "resolve"))


def text_of(call: str, value: Any) -> Any:
    """
    Give text as it is sent.

    :param call: how the caller wrote it, for the message.
    :param value: what the caller gave.
    :raises TypeError: when it is no text.
    :raises ValueError: when it is blank.
    """
    if (type(value) is str and value) or comes_later(value):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{call} takes text, not {kind_of(value)}.")
    if not value:
        raise ValueError(f"{call} takes text that is not empty; is_empty() asks for the empty text.")
    return str.__str__(value)


def name_of(call: str, value: Any) -> Any:
    """
    Give the name or the id of something as it is sent.

    :param call: how the caller wrote it, for the message.
    :param value: what the caller gave.
    :raises TypeError: when it is no text.
    :raises ValueError: when it is blank.
    """
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"{call} takes a name or an id that is not blank.")
    return text_of(call, value)


def number_of(call: str, value: Any) -> Any:
    """
    Give a number as it is sent.

    :param call: how the caller wrote it, for the message.
    :param value: what the caller gave.
    :raises TypeError: when it is none; a bool is none.
    :raises ValueError: when it is infinite or NaN.
    """
    if type(value) is int or comes_later(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"{call} takes a number, not {kind_of(value)}.")
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"{call} takes a finite number: JSON has neither NaN nor infinity.")
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else float(value)


def count_of(call: str, value: Any, *, least: int = 1, most: int | None = None) -> Any:
    """
    Give a whole number as it is sent.

    :param call: how the caller wrote it, for the message.
    :param value: what the caller gave.
    :param least: the smallest that is taken.
    :param most: the largest that is taken, if there is one.
    :raises TypeError: when it is no whole number.
    :raises ValueError: when it is too small or too large.
    """
    if comes_later(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{call} takes a whole number, not {kind_of(value)}.")
    if value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{call} takes a whole number {bounds}.")
    return int(value)


def moment_of(call: str, value: Any, *, end: bool = False) -> Any:
    """
    Give a date or a datetime as it is sent: in UTC, to the millisecond.

    :param call: how the caller wrote it, for the message.
    :param value: what the caller gave. A date is that day in UTC.
    :param end: whether a date means its last millisecond, and not its first.
    :raises TypeError: when it is neither.
    :raises ValueError: when it is a datetime without a zone, or cannot be told in UTC.
    """
    if comes_later(value):
        return value
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(
                f"{call} takes a datetime with a zone, since MoEngage reads UTC: datetime(..., tzinfo=timezone.utc), "
                "pendulum.datetime(...), or a date, which is that day in UTC."
            )
        try:
            utc = value.astimezone(timezone.utc)
        except OverflowError:
            raise ValueError(f"{call} takes a datetime between the years 1 and 9999 in UTC.") from None
        # By hand: the isoformat() of subclasses differs.
        return (
            f"{utc.year:04}-{utc.month:02}-{utc.day:02}"
            f"T{utc.hour:02}:{utc.minute:02}:{utc.second:02}.{utc.microsecond // 1000:03}Z"
        )
    if isinstance(value, date):
        return f"{value.year:04}-{value.month:02}-{value.day:02}T{'23:59:59.999' if end else '00:00:00.000'}Z"
    hint = "; read text with date.fromisoformat(...)" if isinstance(value, str) else ""
    raise TypeError(f"{call} takes a date or a datetime, not {kind_of(value)}{hint}.")


def list_of(call: str, values: Any, convert: Callable[[str, Any], V]) -> Any:
    """
    Give a list of values as it is sent.

    :param call: how the caller wrote it, for the message.
    :param values: what the caller gave: a list, or what becomes one when the task runs.
    :param convert: what makes one of the values.
    :raises TypeError: when it is no list, or one of the values is of another type.
    :raises ValueError: when it is empty.
    """
    if comes_later(values):
        return values
    if isinstance(values, str) or not isinstance(values, (Sequence, set, frozenset)):
        raise TypeError(f"{call} takes a list, not {kind_of(values)}: [...] around one value, list(...) of several.")
    if not values:
        raise ValueError(f"{call} takes at least one value: MoEngage may select nobody, or everybody, without any.")
    # The order of a set changes from one process to the next, and with it the definition.
    ordered: Iterable[Any] = values if isinstance(values, Sequence) else sorted(values, key=repr)
    return [convert(call, value) for value in ordered]


def plain(value: Any) -> Any:
    """
    Copy a filter into dictionaries and lists proper, however deep it is.

    :param value: a filter, or what is in one.
    """
    top = [value]
    pending: list[Any] = [top]
    while pending:
        container = pending.pop()
        for key, entry in container.items() if isinstance(container, dict) else enumerate(container):
            if type(entry) in _NO_CONTAINER:
                continue
            if isinstance(entry, dict):
                container[key] = dict(entry)
                pending.append(container[key])
            elif isinstance(entry, LISTS):
                container[key] = list(entry)
                pending.append(container[key])
    return top[0]


def kind_of(value: Any) -> str:
    """
    Describe a wrong value by its type.

    :param value: anything.
    """
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
