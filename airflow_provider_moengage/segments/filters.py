"""
MoEngage's language of filters, as Python: what is built here is a plain dictionary, made of what MoEngage documents.

``all_of(user("City").is_in(["Pune"]), event("Purchase").at_least(2).in_the_last(days=14))`` is what operators take
as ``included_filters``. It can be printed, templated, and mixed with filters that were pasted from the dashboard. What
is not finished, such as ``event("Purchase").at_least(2)`` without a time, is no dictionary and is not taken.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from airflow_provider_moengage.segments.filter_attributes import (
    DateAttribute,
    FlagAttribute,
    NumberAttribute,
    NumbersAttribute,
    TextAttribute,
    TextsAttribute,
    _DateQuestions,
    _NumberQuestions,
    _TextQuestions,
)
from airflow_provider_moengage.segments.filter_values import (
    AttributeValue,
    ComesLater,
    EventAttributeFilter,
    EventAttributeGroup,
    FilterGroup,
    Moment,
    Number,
    RelativeDays,
    SegmentFilter,
    Text,
    UserFilter,
    comes_later,
    days_ago,
    days_from_now,
    kind_of,
    name_of,
    number_of,
    plain,
    value_of,
)

if TYPE_CHECKING:
    from airflow_provider_moengage.segments.filter_events import AffinityStart, CountedEventFilter, Event, EventFilter

__all__ = [
    "EventAttributeFilter",
    "EventAttributeGroup",
    "FilterGroup",
    "SegmentFilter",
    "UserFilter",
    "affinity",
    "all_of",
    "any_of",
    "check_filters",
    "days_ago",
    "days_from_now",
    "event",
    "event_attribute",
    "in_segment",
    "not_",
    "user",
    "value_of",
]

F = TypeVar("F")


class Attribute(_TextQuestions[F], _NumberQuestions[F], _DateQuestions[F]):
    """
    An attribute whose type is told by the value that it is compared with.

    Where no value tells it, :attr:`text`, :attr:`number`, :attr:`flag`, :attr:`date`, :attr:`texts` and :attr:`numbers`
    say it: before ``exists()``, for lists, and where both ends of a range are templates.
    """

    @property
    def text(self) -> TextAttribute[F]:
        """The attribute, as text."""
        return TextAttribute(f"{self._call}.text", self._head)

    @property
    def number(self) -> NumberAttribute[F]:
        """The attribute, as a number."""
        return NumberAttribute(f"{self._call}.number", self._head)

    @property
    def flag(self) -> FlagAttribute[F]:
        """The attribute, as true or false."""
        return FlagAttribute(f"{self._call}.flag", self._head)

    @property
    def date(self) -> DateAttribute[F]:
        """The attribute, as a date or a time."""
        return DateAttribute(f"{self._call}.date", self._head)

    @property
    def texts(self) -> TextsAttribute[F]:
        """The attribute, as a list of texts."""
        return TextsAttribute(f"{self._call}.texts", self._head)

    @property
    def numbers(self) -> NumbersAttribute[F]:
        """The attribute, as a list of numbers."""
        return NumbersAttribute(f"{self._call}.numbers", self._head)

    def is_(self, value: bool | Number) -> F:
        """Ask for this text, number, or truth; what comes later is text."""
        if isinstance(value, bool):
            return self.flag.is_(value)
        if isinstance(value, int | float | Decimal):
            return self.number.is_(value)
        if isinstance(value, AttributeValue):
            raise TypeError(f"{self._call}.is_: say .text, .number or .flag before is_(value_of(...)).")
        return self.text.is_(value)

    def is_in(self, values: list[str] | list[int] | list[float] | tuple[float | str, ...] | set[Any] | Text) -> F:
        """Ask for one of these texts or numbers; what comes later is text."""
        first = next(iter(values), None) if isinstance(values, list | tuple | set | frozenset) else None
        if first is None or isinstance(first, str):
            return self.text.is_in(cast("Any", values))
        return self.number.is_in(cast("Any", values))

    def between(self, lowest: Number | Moment | RelativeDays, highest: Number | Moment | RelativeDays) -> F:
        """Ask for a number, or a time, from the one to the other; a date is meant with all of its day."""
        if isinstance(lowest, date | RelativeDays) or isinstance(highest, date | RelativeDays):
            return self.date.between(cast("Any", lowest), cast("Any", highest))
        if comes_later(lowest) and comes_later(highest):
            raise TypeError(f"{self._call}.between: say .number or .date before, since no value tells which it is.")
        return self.number.between(cast("Any", lowest), cast("Any", highest))

    def within(self, metres: Number, *, latitude: Number, longitude: Number) -> F:
        """
        Ask for a place that is near another.

        :param metres: how near.
        :param latitude: in degrees, -90 to 90.
        :param longitude: in degrees, -180 to 180.
        """
        call = f"{self._call}.within"
        radius, lat, long = number_of(call, metres), number_of(call, latitude), number_of(call, longitude)
        if not comes_later(radius) and radius <= 0:
            raise ValueError(f"{call} takes more than 0 metres.")
        for degrees, most, axis in ((lat, 90, "latitude"), (long, 180, "longitude")):
            if not comes_later(degrees) and abs(degrees) > most:
                raise ValueError(f"{call}: a {axis} is from -{most} to {most}.")
        return self._filter("geopoint", value=lat, value1=long, radius=radius, negate=False)

    def object_where(self, first: F, *others: F, match: str = "all_of") -> F:
        """
        Ask for what the attribute, an object, holds.

        :param first: a filter on one of its children.
        :param others: more filters on its children.
        :param match: whether ``all_of`` them have to hold, or ``any_of`` them.
        """
        return self._children("object", (first, *others), match)

    def any_object_where(self, first: F, *others: F, match: str = "all_of") -> F:
        """
        Ask for what at least one entry of the attribute, a list of objects, holds.

        :param first: a filter on one of its children.
        :param others: more filters on its children.
        :param match: whether ``all_of`` them have to hold in one entry, or ``any_of`` them.
        """
        return self._children("array_object", (first, *others), match)

    def _children(self, data_type: str, filters: tuple[Any, ...], match: str) -> F:
        if match not in {"all_of", "any_of"}:
            raise ValueError(f'{self._call}: match is "all_of" or "any_of".')
        for each in filters:
            if not isinstance(each, dict) or each.get("filter_type") != self._head["filter_type"]:
                builder = self._call.partition("(")[0]
                raise TypeError(f"{self._call}: what an object holds is asked by {builder}(...) filters.")
        operator = "and" if match == "all_of" else "or"
        return self._filter(data_type, filter_operator=operator, filters=plain(filters))


def user(name: str, *, category: str | None = None, project: str | None = None) -> Attribute[UserFilter]:
    """
    Ask for an attribute of users.

    :param name: its internal name, which is not always the one that the dashboard displays.
    :param category: the group that the dashboard shows it in, such as ``Tracked Custom Attribute``.
    :param project: the project, in a workspace with several of them.
    """
    more = {"category": category, "project_name": project}
    return _attribute("user", "user_attributes", name, more)


def event_attribute(name: str) -> Attribute[EventAttributeFilter]:
    """
    Ask for an attribute of an event, within ``where(...)``.

    :param name: its internal name. MoEngage does not check it: with a wrong one the segment's count fails later.
    """
    return _attribute("event_attribute", "action_attributes", name, {"category": "default"})


def _attribute(builder: str, filter_type: str, name: str, more: dict[str, str | None]) -> Attribute[Any]:
    head = {"filter_type": filter_type, "name": name_of(builder, name)}
    given = {key: name_of(f"{builder}({key}=...)", value) for key, value in more.items() if value is not None}
    return Attribute(f'{builder}("{name}")', {**head, **given})


def event(name: str, *, project: str | None = None) -> Event:
    """
    Ask for an event that users have executed, or, with :func:`not_`, have not.

    :param name: its internal name. MoEngage does not check it: with a wrong one the segment's count fails later.
    :param project: the project, in a workspace with several of them.
    """
    # Imported here, as a DAG file without events needs none of it.
    from airflow_provider_moengage.segments.filter_events import Event

    return Event(f'event("{name}")', _event_head("event", "actions", name, project))


def affinity(event_name: str, *, project: str | None = None) -> AffinityStart:
    """
    Ask for users by what they do most.

    :param event_name: the internal name of the event.
    :param project: the project, in a workspace with several of them.
    """
    from airflow_provider_moengage.segments.filter_events import AffinityStart

    return AffinityStart(
        f'affinity("{event_name}")', _event_head("affinity", "psychographic_event", event_name, project)
    )


def _event_head(builder: str, filter_type: str, name: str, project: str | None) -> dict[str, Any]:
    head = {"filter_type": filter_type, "action_name": name_of(builder, name)}
    return head if project is None else {**head, "project_name": name_of(f"{builder}(project=...)", project)}


def in_segment(segment_id: str | ComesLater, name: str | ComesLater | None = None) -> SegmentFilter:
    """
    Ask for the users of another segment.

    :param segment_id: its id.
    :param name: its name, for those who read the definition; MoEngage goes by the id.
    """
    reference = {"filter_type": "custom_segments", "id": name_of("in_segment", segment_id)}
    return SegmentFilter(reference if name is None else {**reference, "name": name_of("in_segment", name)})


@overload
def all_of(first: EventAttributeFilter, /, *others: EventAttributeFilter) -> EventAttributeGroup: ...
@overload
def all_of(first: dict[str, Any], /, *others: dict[str, Any]) -> FilterGroup: ...
def all_of(*filters: Any) -> Any:
    """
    Join filters all of which have to hold. What it gives is what operators take, and can be joined again.

    :param filters: what the builders give, groups, and filters that were pasted.
    :raises TypeError: when something is no filter, or not yet one.
    :raises ValueError: when there is none.
    """
    return _group("all_of", "and", filters)


@overload
def any_of(first: EventAttributeFilter, /, *others: EventAttributeFilter) -> EventAttributeGroup: ...
@overload
def any_of(first: dict[str, Any], /, *others: dict[str, Any]) -> FilterGroup: ...
def any_of(*filters: Any) -> Any:
    """
    Join filters one of which has to hold. What it gives is what operators take, and can be joined again.

    :param filters: what the builders give, groups, and filters that were pasted.
    :raises TypeError: when something is no filter, or not yet one.
    :raises ValueError: when there is none.
    """
    return _group("any_of", "or", filters)


def _group(call: str, operator: str, filters: tuple[Any, ...]) -> dict[str, Any]:
    if not filters:
        raise ValueError(f"{call} takes at least one filter: MoEngage may select nobody, or everybody, without any.")
    entries = []
    for each in filters:
        if not isinstance(each, dict):
            raise TypeError(f"{call} takes finished filters. {_what_is_missing(call, each)}")
        is_group = "filter_operator" in each and "filter_type" not in each
        entries.append({"filter_type": "nested_filters", **each} if is_group else each)
    of_events = [entry.get("filter_type") == "action_attributes" for entry in entries]
    if any(of_events) and not all(of_events):
        raise TypeError(f'{call}: event_attribute(...) filters belong into where(...), as in event("...").where(...).')
    group: dict[str, Any] = plain({"filter_operator": operator, "filters": entries})
    return group


def _what_is_missing(call: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"Write {call}(*filters) for a list of them."
    builder = type(value).__module__.startswith(f"{__package__}.filter")
    missing = {
        "Event": "An event lacks a time, such as .in_the_last(days=14).",
        "_Occurrences": "An event lacks a time, such as .in_the_last(days=14).",
        "AffinityStart": "An affinity lacks what users are drawn to, such as .predominantly(...).",
        "AffinityTime": "An affinity lacks a time, such as .in_the_last(days=90).",
        "Aggregation": "An aggregation lacks a comparison, such as .greater_than(1_000).",
    }
    otherwise = "An attribute lacks a comparison, such as .is_in([...])." if builder else f"This is {kind_of(value)}."
    return missing.get(type(value).__name__, otherwise)


@overload
def not_(filter_: EventAttributeFilter) -> EventAttributeFilter: ...
@overload
def not_(filter_: UserFilter) -> UserFilter: ...
@overload
def not_(filter_: CountedEventFilter) -> EventFilter: ...
def not_(filter_: Any) -> Any:
    """
    Ask for the opposite: an attribute that is not so, an event that has not been executed.

    :param filter_: a filter on an attribute of users or of an event, or on an event executed at least once.
    :raises TypeError: when it is something else.
    :raises ValueError: when MoEngage has no opposite of it.
    """
    kind = filter_.get("filter_type") if isinstance(filter_, dict) else None
    if kind in {"user_attributes", "action_attributes"}:
        if filter_.get("data_type") in {"object", "array_object"}:
            raise ValueError("MoEngage negates no object: use not_(...) on the filters within it, or excluded_filters.")
        return {**filter_, "negate": not filter_.get("negate", False)}
    if kind == "actions":
        if not filter_["executed"] or filter_["execution"] != {"type": "atleast", "count": 1}:
            raise ValueError(
                "The opposite of an event is that it was never executed, so not_(...) takes an event without at_least "
                "and the like: fewer than 3 times is at_most(2)."
            )
        if "aggregation_attributes" in filter_:
            raise ValueError("MoEngage adds up nothing of events that were not executed: compare the other way round.")
        return type(filter_)({**filter_, "executed": False, "execution": {"type": "exactly", "count": 0}})
    if kind in {"custom_segments", "psychographic_event"}:
        raise ValueError("MoEngage negates neither segments nor affinities: give it as excluded_filters.")
    raise TypeError(f"not_ takes a filter on an attribute or an event, not {kind_of(filter_)}: negate each of a group.")


def check_filters(
    group: Any, place: str = "included_filters", *, allow_empty_values: bool = False
) -> list[tuple[str, str]]:
    """
    Say what is surely wrong with filters, whoever made them; a kind or a key that is not known passes.

    :param group: what is to be sent as ``included_filters`` or ``excluded_filters``.
    :param place: what it is called in the places.
    :param allow_empty_values: whether a list of values may be empty.
    :return: places such as ``included_filters.filters[2].value1``, each with a sentence that shows no value; empty when
        nothing is wrong.
    """
    from airflow_provider_moengage.segments.filter_checks import mistakes_of

    return mistakes_of(group, place, allow_empty_values=allow_empty_values)
