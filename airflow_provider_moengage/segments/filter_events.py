"""What is asked of the events of a user. Start at ``event`` and ``affinity``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_moengage.segments.filter_attributes import moments_between
from airflow_provider_moengage.segments.filter_values import (
    Count,
    EventAttributeFilter,
    EventAttributeGroup,
    Moment,
    Number,
    RelativeDays,
    Unfinished,
    comes_later,
    count_of,
    kind_of,
    moment_of,
    name_of,
    number_of,
    plain,
)

if TYPE_CHECKING:
    from typing_extensions import Self

E = TypeVar("E", bound="EventFilter")
_AFFINITY_OPERATORS = frozenset(
    {"is", "in", "contains", "startsWith", "endsWith", "exists", "lessThan", "greaterThan", "between"}
)


class EventFilter(dict[str, Any]):
    """A finished filter on an event: a dictionary that can be narrowed further."""

    def where(self, first: EventAttributeFilter | EventAttributeGroup, *others: EventAttributeFilter) -> Self:
        """
        Count only events whose attributes are so.

        :param first: a filter on an attribute of the event, or several of them joined by ``any_of(...)``.
        :param others: more filters, all of which have to hold.
        :raises TypeError: when something else is given.
        :raises ValueError: when the filter is narrowed already.
        """
        if self["attributes"]["filters"]:
            raise ValueError("where(...) is there already: give it all filters at once.")
        return type(self)({**self, "attributes": joined("where", (first, *others))})


class CountedEventFilter(EventFilter):
    """A finished filter on an event within a bounded time, whose numbers can be added up."""

    def sum_of(self, attribute: str) -> Aggregation:
        """Add up a number that the events have."""
        return self._aggregated("sum", attribute)

    def average_of(self, attribute: str) -> Aggregation:
        """Take the average of a number that the events have."""
        return self._aggregated("avg", attribute)

    def minimum_of(self, attribute: str) -> Aggregation:
        """Take the smallest of a number that the events have."""
        return self._aggregated("min", attribute)

    def maximum_of(self, attribute: str) -> Aggregation:
        """Take the largest of a number that the events have."""
        return self._aggregated("max", attribute)

    def median_of(self, attribute: str) -> Aggregation:
        """Take the median of a number that the events have."""
        return self._aggregated("median", attribute)

    def _aggregated(self, aggregation_type: str, attribute: str) -> Aggregation:
        if not self["executed"]:
            raise ValueError("MoEngage adds up nothing of events that were not executed.")
        return Aggregation(
            self,
            {
                "attribute_name": name_of("an aggregation", attribute),
                "data_type": "double",
                "aggregation_type": aggregation_type,
            },
        )


class Aggregation(Unfinished):
    """A number made of all events, yet to be compared."""

    _comparisons = ".is_(...), .less_than(...), .greater_than(...) and the like"

    def __init__(self, event: EventFilter, condition: dict[str, Any]) -> None:
        self._event = event
        self._condition = condition
        self._compared: dict[str, Any] = {}

    def is_(self, number: Number) -> EventFilter:
        """Ask for this number."""
        return self._than("is", number)

    def is_not(self, number: Number) -> EventFilter:
        """Ask for any other number."""
        return self._than("is", number, negate=True)

    def less_than(self, number: Number) -> EventFilter:
        """Ask for a smaller number."""
        return self._than("lessThan", number)

    def greater_than(self, number: Number) -> EventFilter:
        """Ask for a larger number."""
        return self._than("greaterThan", number)

    def between(self, lowest: Number, highest: Number) -> EventFilter:
        """Ask for a number from the one to the other."""
        return self._than("between", lowest, highest)

    def not_between(self, lowest: Number, highest: Number) -> EventFilter:
        """Ask for a number that is not from the one to the other."""
        return self._than("between", lowest, highest, negate=True)

    def change(self, first: Moment | None = None, last: Moment | None = None) -> Aggregation:
        """
        Compare the difference to an earlier time.

        :param first: where that time begins; without it, it is the same span just before.
        :param last: where it ends.
        """
        return self._changed("change", first, last)

    def percentage_change(self, first: Moment | None = None, last: Moment | None = None) -> Aggregation:
        """
        Compare the difference to an earlier time, in percent.

        :param first: where that time begins; without it, it is the same span just before.
        :param last: where it ends.
        """
        return self._changed("percentageChange", first, last)

    def _changed(self, comparator: str, first: Any, last: Any) -> Aggregation:
        if (first is None) != (last is None):
            raise TypeError(f"{comparator} takes both ends of the earlier time, or neither.")
        base: dict[str, Any] = {"type": "previousPeriod"}
        if first is not None:
            value_type, value, value1 = moments_between(comparator, first, last)
            if value_type != "absolute":
                raise TypeError(f"{comparator} takes two dates: MoEngage counts no days here.")
            base = {"type": "between", "value": value, "value1": value1}
        made = Aggregation(self._event, self._condition)
        made._compared = {"comparator": comparator, "base_time_range": base}
        return made

    def _than(self, operator: str, number: Any, highest: Any = None, *, negate: bool = False) -> EventFilter:
        condition = {**self._condition, "operator": operator, "value": number_of("an aggregation", number)}
        if operator == "between":
            value, value1 = condition["value"], number_of("an aggregation", highest)
            if not (comes_later(value) or comes_later(value1)) and value > value1:
                raise ValueError("between takes the smaller number first.")
            condition["value1"] = value1
        condition.update(negate=negate, is_dynamic_value=False, **self._compared)
        group = {"filter_operator": "and", "filters": [condition]}
        return EventFilter({**self._event, "aggregation_attributes": group})


B = TypeVar("B", bound=EventFilter)


class _Occurrences(Unfinished, Generic[B]):
    """An event and how often, yet without a time. B is what a bounded time makes of it."""

    _comparisons = ".exactly(...), .at_least(...) or .at_most(...), and then a time such as .in_the_last(days=14)"

    def __init__(self, call: str, head: dict[str, Any], execution: dict[str, Any], bounded: type[B]) -> None:
        self._call = call
        self._head = head
        self._execution = execution
        self._bounded = bounded

    def in_the_last(
        self,
        *,
        hours: Count | None = None,
        days: Count | None = None,
        weeks: Count | None = None,
        months: Count | None = None,
    ) -> B:
        """Ask for the time before now: exactly one of the parameters."""
        units = {"hours": hours, "days": days, "weeks": weeks, "months": months}
        given = [(unit, value) for unit, value in units.items() if value is not None]
        if len(given) != 1:
            raise TypeError(f"{self._call}.in_the_last takes exactly one of hours, days, weeks and months.")
        ((unit, value),) = given
        count = count_of(f"{self._call}.in_the_last({unit}=...)", value)
        return self._in(self._bounded, type="inTheLast", value=count, value_type="relative_past", period_unit=unit)

    def between(self, first: Moment | RelativeDays, last: Moment | RelativeDays) -> B:
        """Ask for the time from the one to the other; a date is meant with all of its day."""
        value_type, value, value1 = moments_between(f"{self._call}.between", first, last)
        span = {"value": value, "value1": value1, "value_type": value_type}
        return self._in(self._bounded, type="between", **span, period_unit="days")

    def on(self, moment: Moment | RelativeDays) -> B:
        """Ask for this day."""
        return self._in(self._bounded, type="on", **self._moment("on", moment))

    def before(self, moment: Moment | RelativeDays) -> EventFilter:
        """Ask for what is before."""
        return self._in(EventFilter, type="before", **self._moment("before", moment))

    def after(self, moment: Moment) -> EventFilter:
        """Ask for what is after."""
        if isinstance(moment, RelativeDays):
            raise TypeError(f"{self._call}.after takes a date: in_the_last(...) counts from today.")
        return self._in(EventFilter, type="after", **self._moment("after", moment))

    def today(self) -> B:
        """Ask for today."""
        return self._calendar(0, "days")

    def yesterday(self) -> B:
        """Ask for yesterday."""
        return self._calendar(1, "days")

    def this_week(self) -> B:
        """Ask for this week."""
        return self._calendar(0, "weeks")

    def last_week(self) -> B:
        """Ask for last week."""
        return self._calendar(1, "weeks")

    def this_month(self) -> B:
        """Ask for this month."""
        return self._calendar(0, "months")

    def last_month(self) -> B:
        """Ask for last month."""
        return self._calendar(1, "months")

    def _calendar(self, value: int, unit: str) -> B:
        return self._in(self._bounded, type="on", value=value, value_type="relative_past", period_unit=unit)

    def _moment(self, method: str, moment: Any) -> dict[str, Any]:
        call = f"{self._call}.{method}"
        if not isinstance(moment, RelativeDays):
            return {"value": moment_of(call, moment), "value_type": "absolute", "period_unit": "days"}
        if moment.value_type == "relative_future":
            raise ValueError(f"{call} takes days_ago(...): events are in the past.")
        return {"value": moment.days, "value_type": "relative_past", "period_unit": "days"}

    def _in(self, kind: type[E], **time_range: Any) -> E:
        nothing: dict[str, Any] = {"filter_operator": "and", "filters": []}
        happened = {"executed": True, "execution": self._execution, "primary_time_range": time_range}
        return kind({**self._head, **happened, "attributes": nothing})


class Event(_Occurrences[CountedEventFilter]):
    """An event that a user has executed, at least once unless something else is said."""

    def __init__(self, call: str, head: dict[str, Any]) -> None:
        super().__init__(call, head, {"type": "atleast", "count": 1}, CountedEventFilter)

    def at_least(self, times: Count) -> _Occurrences[CountedEventFilter]:
        """Ask for so many events, or more."""
        return self._times("at_least", "atleast", times)

    def exactly(self, times: Count) -> _Occurrences[CountedEventFilter]:
        """Ask for so many events; ``not_(...)`` asks for none."""
        return self._times("exactly", "exactly", times)

    def at_most(self, times: Count) -> _Occurrences[CountedEventFilter]:
        """Ask for so many events, or fewer."""
        return self._times("at_most", "atmost", times)

    def first_time(self) -> _Occurrences[EventFilter]:
        """Ask for the first event of a user."""
        return _Occurrences(f"{self._call}.first_time()", self._head, {"type": "firstTime"}, EventFilter)

    def last_time(self) -> _Occurrences[EventFilter]:
        """Ask for the last event of a user."""
        return _Occurrences(f"{self._call}.last_time()", self._head, {"type": "lastTime"}, EventFilter)

    def _times(self, method: str, kind: str, times: Any) -> _Occurrences[CountedEventFilter]:
        count = count_of(f"{self._call}.{method}", times)
        call = f"{self._call}.{method}(...)"
        return _Occurrences(call, self._head, {"type": kind, "count": count}, CountedEventFilter)


class AffinityFilter(EventFilter):
    """A finished filter on what a user does most."""


class AffinityStart(Unfinished):
    """An event, yet without what users are drawn to."""

    _comparisons = ".predominantly(...) and the like, and then .in_the_last(days=90)"

    def __init__(self, call: str, head: dict[str, Any]) -> None:
        self._call = call
        self._head = head

    def predominantly(
        self, first: EventAttributeFilter | EventAttributeGroup, *others: EventAttributeFilter
    ) -> AffinityTime:
        """Ask for users most of whose events are so."""
        return self._drawn("predominantly", (first, *others), operator_type="predominant")

    def at_least_percent_of_times(
        self, percent: Count, first: EventAttributeFilter | EventAttributeGroup, *others: EventAttributeFilter
    ) -> AffinityTime:
        """Ask for users of whose events so many percent, 1 to 100, are so."""
        percent = count_of(f"{self._call}.at_least_percent_of_times", percent, most=100)
        filters = (first, *others)
        return self._drawn("at_least_percent_of_times", filters, operator_type="minimum", percent_of_times=percent)

    def top_percent_of_users(
        self, percent: Count, first: EventAttributeFilter | EventAttributeGroup, *others: EventAttributeFilter
    ) -> AffinityTime:
        """Ask for the 1 to 100 percent of users who do so most."""
        percent = count_of(f"{self._call}.top_percent_of_users", percent, most=100)
        return self._drawn("top_percent_of_users", (first, *others), operator_type="top", percent_of_users=percent)

    def bottom_percent_of_users(
        self, percent: Count, first: EventAttributeFilter | EventAttributeGroup, *others: EventAttributeFilter
    ) -> AffinityTime:
        """Ask for the 1 to 100 percent of users who do so least."""
        percent = count_of(f"{self._call}.bottom_percent_of_users", percent, most=100)
        filters = (first, *others)
        return self._drawn("bottom_percent_of_users", filters, operator_type="bottom", percent_of_users=percent)

    def _drawn(self, method: str, filters: tuple[Any, ...], **fields: Any) -> AffinityTime:
        group = joined(f"{self._call}.{method}", filters)
        for each in group["filters"]:
            # MoEngage has affinities to few types, and wants these filters without their own type.
            if each.get("data_type") not in {"string", "double"} or each.get("operator") not in _AFFINITY_OPERATORS:
                raise ValueError(
                    f"{self._call}.{method} takes text and numbers, compared by is_, is_in, contains, starts_with, "
                    "ends_with, less_than, greater_than, between or exists."
                )
            each.pop("filter_type", None)
            if each.get("category") == "default":
                each["category"] = "Event Attributes"
        return AffinityTime(f"{self._call}.{method}(...)", {**self._head, **fields, "psychographic_attributes": group})


class AffinityTime(Unfinished):
    """What users are drawn to, yet without a time."""

    def __init__(self, call: str, head: dict[str, Any]) -> None:
        self._call = call
        self._head = head

    def in_the_last(self, *, days: Count) -> AffinityFilter:
        """Ask for the days before now."""
        count = count_of(f"{self._call}.in_the_last(days=...)", days)
        return self._in(type="inTheLast", value_type="relative_past", days=count)

    def between(self, first: Moment | RelativeDays, last: Moment | RelativeDays) -> AffinityFilter:
        """Ask for the time from the one to the other; a date is meant with all of its day."""
        value_type, value, value1 = moments_between(f"{self._call}.between", first, last)
        # Affinities name the ends of a time differently than events do.
        lower, upper = ("from", "to") if value_type == "absolute" else ("days", "days1")
        return self._in(type="between", value_type=value_type, **{lower: value, upper: value1})

    def _in(self, **time_range: Any) -> AffinityFilter:
        happened: dict[str, Any] = {"executed": True, "execution": {"type": "atleast", "count": 1}}
        nothing: dict[str, Any] = {"filter_operator": "and", "filters": []}
        return AffinityFilter({**self._head, **happened, "primary_time_range": time_range, "attributes": nothing})


def joined(call: str, filters: tuple[Any, ...]) -> dict[str, Any]:
    """
    Join filters on attributes of an event, or take the group that they are in already.

    :param call: how the caller wrote it, for the message.
    :param filters: what the caller gave.
    :raises TypeError: when something else is among them.
    """
    if len(filters) == 1 and isinstance(filters[0], Mapping) and "filter_type" not in filters[0]:
        group = filters[0]
        if isinstance(group.get("filters"), list) and group["filters"] and "filter_operator" in group:
            joined(call, tuple(group["filters"]))
            copied: dict[str, Any] = plain(group)
            return copied
    for each in filters:
        if not isinstance(each, dict):
            raise TypeError(f"{call} takes filters such as event_attribute(...).is_(...), not {kind_of(each)}.")
        if each.get("filter_type", "action_attributes") not in {"action_attributes", "event_attributes"}:
            raise TypeError(f"{call} takes event_attribute(...) filters: others stand beside the event, in all_of().")
        if "name" not in each:
            raise TypeError(f"{call} takes one group, any_of(...) or all_of(...), or filters without a group.")
    return {"filter_operator": "and", "filters": plain(filters)}
