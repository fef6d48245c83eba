"""What is asked of one attribute of a user or of an event. Start at ``user`` and ``event_attribute``."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

from airflow_provider_moengage.segments.filter_values import (
    AttributeValue,
    Count,
    Moment,
    Number,
    RelativeDays,
    Text,
    Unfinished,
    comes_later,
    count_of,
    kind_of,
    list_of,
    moment_of,
    number_of,
    text_of,
)

F = TypeVar("F")
Texts: TypeAlias = list[str] | tuple[str, ...] | set[str] | Text
Numbers: TypeAlias = list[int] | list[float] | tuple[float, ...] | set[int] | set[float] | Text
Match: TypeAlias = Literal["any_of", "all_of"]
Range: TypeAlias = tuple[int, int | None]


class _Attribute(Unfinished, Generic[F]):
    """An attribute whose filters are of the kind F."""

    _comparisons = ".is_(...), .is_in([...]), .less_than(...), .greater_than(...) and the like"

    data_type = ""

    def __init__(self, call: str, head: dict[str, Any]) -> None:
        self._call = call
        self._head = head

    def _filter(self, data_type: str, operator: str | None = None, **fields: Any) -> F:
        head = self._head
        made = {"filter_type": head["filter_type"], "name": head["name"], "data_type": data_type, **head}
        if operator is not None:
            made["operator"] = operator
        made.update(fields)
        return cast("F", made)

    def _compared(self, data_type: str, operator: str, value: Any, **fields: Any) -> F:
        """Compare with a value, or with another attribute of the same user."""
        if isinstance(value, AttributeValue):
            fields = {**fields, "is_dynamic_value": True, "dynamic_attribute_type": data_type.removeprefix("array_")}
            value = f"{{{{MoeUserAttribute['{value.name}']}}}}"
        return self._filter(data_type, operator, value=value, negate=False, **fields)

    def _list(self, method: str, values: Any, convert: Any) -> Any:
        return list_of(f"{self._call}.{method}", values, convert)

    def _text(self, method: str, value: Any) -> Any:
        return value if isinstance(value, AttributeValue) else text_of(f"{self._call}.{method}", value)

    def _number(self, method: str, value: Any) -> Any:
        return value if isinstance(value, AttributeValue) else number_of(f"{self._call}.{method}", value)

    def _between(self, data_type: str, lowest: Any, highest: Any, **fields: Any) -> F:
        call = f"{self._call}.between"
        value, value1 = number_of(call, lowest), number_of(call, highest)
        if not (comes_later(value) or comes_later(value1)) and value > value1:
            raise ValueError(f"{call} takes the smaller number first.")
        return self._filter(data_type, "between", value=value, value1=value1, negate=False, **fields)


class _Existence(_Attribute[F]):
    def exists(self) -> F:
        """Ask that the attribute is set at all; ``not_(...)`` asks that it is not."""
        return self._filter(self.data_type, "exists", negate=False)


class _TextQuestions(_Attribute[F]):
    """What only text can be asked."""

    def _asked(self, method: str, operator: str, value: Any, case_sensitive: bool) -> F:
        return self._compared("string", operator, self._text(method, value), case_sensitive=case_sensitive)

    def _asked_any(self, method: str, operator: str, values: Any, case_sensitive: bool) -> F:
        values = self._list(method, values, text_of)
        return self._compared("string", operator, values, case_sensitive=case_sensitive)

    def contains(self, text: Text | AttributeValue, *, case_sensitive: bool = False) -> F:
        """Ask for text that contains this one."""
        return self._asked("contains", "contains", text, case_sensitive)

    def starts_with(self, text: Text | AttributeValue, *, case_sensitive: bool = False) -> F:
        """Ask for text that starts so."""
        return self._asked("starts_with", "startsWith", text, case_sensitive)

    def ends_with(self, text: Text | AttributeValue, *, case_sensitive: bool = False) -> F:
        """Ask for text that ends so."""
        return self._asked("ends_with", "endsWith", text, case_sensitive)

    def contains_any(self, texts: Texts, *, case_sensitive: bool = False) -> F:
        """Ask for text that contains one of these: "contains in the following"."""
        return self._asked_any("contains_any", "containsInTheFollowing", texts, case_sensitive)

    def starts_with_any(self, texts: Texts, *, case_sensitive: bool = False) -> F:
        """Ask for text that starts with one of these: "starts with in the following"."""
        return self._asked_any("starts_with_any", "startsWithInTheFollowing", texts, case_sensitive)

    def ends_with_any(self, texts: Texts, *, case_sensitive: bool = False) -> F:
        """Ask for text that ends with one of these: "ends with in the following"."""
        return self._asked_any("ends_with_any", "endsWithInTheFollowing", texts, case_sensitive)

    def is_empty(self) -> F:
        """Ask for the empty text."""
        return self._compared("string", "is", "", case_sensitive=False)


class TextAttribute(_TextQuestions[F], _Existence[F]):
    """An attribute that holds text."""

    data_type = "string"

    def is_(self, text: Text | AttributeValue, *, case_sensitive: bool = False) -> F:
        """Ask for this text; ``not_(...)`` is "is not"."""
        if isinstance(text, str) and not text:
            return self.is_empty()
        value = self._text("is_", text)
        value = value if isinstance(value, AttributeValue) else [value]
        return self._compared("string", "in", value, case_sensitive=case_sensitive)

    def is_in(self, texts: Texts, *, case_sensitive: bool = False) -> F:
        """Ask for one of these texts."""
        return self._asked_any("is_in", "in", texts, case_sensitive)


class _NumberQuestions(_Attribute[F]):
    """What only numbers can be asked."""

    def less_than(self, number: Number | AttributeValue) -> F:
        """Ask for a smaller number."""
        return self._compared("double", "lessThan", self._number("less_than", number))

    def greater_than(self, number: Number | AttributeValue) -> F:
        """Ask for a larger number."""
        return self._compared("double", "greaterThan", self._number("greater_than", number))


class NumberAttribute(_NumberQuestions[F], _Existence[F]):
    """An attribute that holds a number."""

    data_type = "double"

    def is_(self, number: Number | AttributeValue) -> F:
        """Ask for this number."""
        value = self._number("is_", number)
        return self._compared("double", "in", value if isinstance(value, AttributeValue) else [value])

    def is_in(self, numbers: Numbers) -> F:
        """Ask for one of these numbers."""
        return self._compared("double", "in", self._list("is_in", numbers, number_of))

    def between(self, lowest: Number, highest: Number) -> F:
        """Ask for a number from the one to the other."""
        return self._between("double", lowest, highest)


class FlagAttribute(_Existence[F]):
    """An attribute that is true or false."""

    data_type = "bool"

    def is_(self, value: bool | Text | AttributeValue) -> F:
        """Ask for true or false; text only as a template that Airflow renders to one of them."""
        if not (isinstance(value, bool | AttributeValue) or comes_later(value)):
            raise TypeError(f"{self._call}.is_ takes True or False, not {kind_of(value)}.")
        return self._compared("bool", "is", value)


class _DateQuestions(_Attribute[F]):
    """What only dates can be asked."""

    def _when(self, method: str, operator: str, moment: Any) -> F:
        call = f"{self._call}.{method}"
        if isinstance(moment, RelativeDays):
            if moment.value_type == "relative_future" and operator != "after":
                raise ValueError(f"{call} takes no days_from_now(...): MoEngage has it for after(...) alone.")
            return self._filter("datetime", operator, value_type=moment.value_type, value=moment.days, negate=False)
        value = moment if isinstance(moment, AttributeValue) else moment_of(call, moment)
        return self._compared("datetime", operator, value, value_type="absolute")

    def on(self, moment: Moment | RelativeDays | AttributeValue) -> F:
        """Ask for this day."""
        return self._when("on", "on", moment)

    def before(self, moment: Moment | RelativeDays | AttributeValue) -> F:
        """Ask for what is before."""
        return self._when("before", "before", moment)

    def after(self, moment: Moment | RelativeDays | AttributeValue) -> F:
        """Ask for what is after."""
        return self._when("after", "after", moment)

    def in_the_last(self, *, days: Count) -> F:
        """Ask for the days before now."""
        value = count_of(f"{self._call}.in_the_last(days=...)", days)
        return self._filter("datetime", "inTheLast", value_type="relative_past", value=value, negate=False)

    def in_the_next(self, *, days: Count) -> F:
        """Ask for the days after now."""
        value = count_of(f"{self._call}.in_the_next(days=...)", days)
        return self._filter("datetime", "inTheNext", value_type="relative_future", value=value, negate=False)

    def today(self) -> F:
        """Ask for the day on which MoEngage looks."""
        return self._filter("datetime", "today", negate=False)

    def _between_moments(self, first: Any, last: Any) -> F:
        value_type, value, value1 = moments_between(f"{self._call}.between", first, last)
        return self._filter("datetime", "between", value_type=value_type, value=value, value1=value1, negate=False)


def moments_between(call: str, first: Any, last: Any) -> tuple[str, Any, Any]:
    """
    Give the value type and the two bounds of a time between two others.

    :param call: how the caller wrote it, for the message.
    :param first: where it begins.
    :param last: where it ends: a date with all of its day.
    :raises TypeError: when the one is counted from today, and the other is not.
    :raises ValueError: when they stand the wrong way round.
    """
    if isinstance(first, RelativeDays) or isinstance(last, RelativeDays):
        if not (isinstance(first, RelativeDays) and isinstance(last, RelativeDays)):
            raise TypeError(f"{call} takes two dates, or days_ago(...) twice.")
        if "relative_future" in {first.value_type, last.value_type}:
            raise ValueError(f"{call} takes no days_from_now(...): MoEngage has it for after(...) alone.")
        # MoEngage wants the larger count second, which is the earlier day.
        value_type, value, value1 = "relative_past", last.days, first.days
    else:
        value_type, value, value1 = "absolute", moment_of(call, first), moment_of(call, last, end=True)
    known: list[Any] = [bound for bound in (value, value1) if not comes_later(bound)]
    if len(known) == 2 and known[0] >= known[1]:
        raise ValueError(f"{call} takes the earlier of two times first.")
    return value_type, value, value1


class DatePart(_Attribute[F]):
    """One part of a date: the hour, the day or the month."""

    def __init__(self, call: str, head: dict[str, Any], extract_type: str, bounds: Range) -> None:
        super().__init__(call, head)
        self._fields = {"value_type": "absolute", "extract_type": extract_type}
        self._bounds = bounds

    def _part(self, call: str, value: Any) -> Any:
        return count_of(call, value, least=self._bounds[0], most=self._bounds[1])

    def is_(self, part: Count) -> F:
        """Ask for this hour, day or month."""
        value = self._part(f"{self._call}.is_", part)
        return self._filter("datetime", "is", value=value, negate=False, **self._fields)

    def is_in(self, parts: list[int] | tuple[int, ...] | set[int] | Text) -> F:
        """Ask for one of these hours, days or months."""
        value = self._list("is_in", parts, self._part)
        return self._filter("datetime", "in", value=value, negate=False, **self._fields)

    def between(self, first: Count, last: Count) -> F:
        """Ask for the hours, days or months from the one to the other."""
        call = f"{self._call}.between"
        value, value1 = self._part(call, first), self._part(call, last)
        if not (comes_later(value) or comes_later(value1)) and value > value1:
            raise ValueError(f"{call} takes the smaller number first.")
        return self._filter("datetime", "between", value=value, value1=value1, negate=False, **self._fields)


class DateAttribute(_DateQuestions[F], _Existence[F]):
    """An attribute that holds a date or a time."""

    data_type = "datetime"

    def between(self, first: Moment | RelativeDays, last: Moment | RelativeDays) -> F:
        """Ask for the time from the one to the other; a date is meant with all of its day."""
        return self._between_moments(first, last)

    def _date_part(self, name: str, extract_type: str, least: int, most: int) -> DatePart[F]:
        return DatePart(f"{self._call}.{name}", self._head, extract_type, (least, most))

    @property
    def hour(self) -> DatePart[F]:
        """The hour of the day, 0 to 23."""
        return self._date_part("hour", "time_of_the_day", 0, 23)

    @property
    def day_of_week(self) -> DatePart[F]:
        """The day of the week, 0 to 6 as MoEngage counts."""
        return self._date_part("day_of_week", "day_of_the_week", 0, 6)

    @property
    def day_of_month(self) -> DatePart[F]:
        """The day of the month, 1 to 31."""
        return self._date_part("day_of_month", "day_of_the_month", 1, 31)

    @property
    def month(self) -> DatePart[F]:
        """The month of the year, 1 to 12."""
        return self._date_part("month", "month_of_the_year", 1, 12)

    def is_each_year_on(self, month: int, day: int) -> F:
        """Ask for a day of any year, such as a birthday."""
        call = f"{self._call}.is_each_year_on"
        count_of(call, month, most=12)
        count_of(call, day, most=29 if month == 2 else 30 if month in {4, 6, 9, 11} else 31)
        extract = {"value_type": "absolute", "extract_type": "date_month_of_the_year"}
        return self._filter("datetime", "is", value=f"{month:02}-{day:02}", negate=False, **extract)


class TextsAttribute(_Existence[F]):
    """An attribute that holds a list of texts."""

    data_type = "array_string"

    def _asked(self, method: str, operator: str, value: Any, case_sensitive: bool, match: Match) -> F:
        value = self._text(method, value)
        return self._compared(
            "array_string", operator, value, case_sensitive=case_sensitive, array_filter_type=_match(self._call, match)
        )

    def is_(self, text: Text | AttributeValue, *, case_sensitive: bool = False, match: Match = "any_of") -> F:
        """Ask for entries that are this text."""
        return self._asked("is_", "is", text, case_sensitive, match)

    def contains(self, text: Text | AttributeValue, *, case_sensitive: bool = False, match: Match = "any_of") -> F:
        """Ask for entries that contain this text."""
        return self._asked("contains", "contains", text, case_sensitive, match)

    def starts_with(self, text: Text | AttributeValue, *, case_sensitive: bool = False, match: Match = "any_of") -> F:
        """Ask for entries that start so."""
        return self._asked("starts_with", "startsWith", text, case_sensitive, match)

    def ends_with(self, text: Text | AttributeValue, *, case_sensitive: bool = False, match: Match = "any_of") -> F:
        """Ask for entries that end so."""
        return self._asked("ends_with", "endsWith", text, case_sensitive, match)

    def is_in(self, texts: Texts, *, case_sensitive: bool = False, match: Match = "any_of") -> F:
        """Ask for any, or all, of these texts among the entries."""
        value = self._list("is_in", texts, text_of)
        fields = {"case_sensitive": case_sensitive, "array_filter_type": _match(self._call, match)}
        return self._compared("array_string", "in", value, **fields)


class NumbersAttribute(_Existence[F]):
    """An attribute that holds a list of numbers."""

    data_type = "array_double"

    def _asked(self, operator: str, value: Any, match: Match) -> F:
        return self._compared("array_double", operator, value, array_filter_type=_match(self._call, match))

    def is_in(self, numbers: Numbers, *, match: Match = "any_of") -> F:
        """Ask for any, or all, of these numbers among the entries."""
        return self._asked("in", self._list("is_in", numbers, number_of), match)

    def less_than(self, number: Number | AttributeValue, *, match: Match = "any_of") -> F:
        """Ask for smaller entries."""
        return self._asked("lessThan", self._number("less_than", number), match)

    def greater_than(self, number: Number | AttributeValue, *, match: Match = "any_of") -> F:
        """Ask for larger entries."""
        return self._asked("greaterThan", self._number("greater_than", number), match)

    def between(self, lowest: Number, highest: Number, *, match: Match = "any_of") -> F:
        """Ask for entries from the one to the other."""
        return self._between("array_double", lowest, highest, array_filter_type=_match(self._call, match))


def _match(call: str, match: Match) -> Match:
    if match not in {"any_of", "all_of"}:
        raise ValueError(f'{call}: match is "any_of" or "all_of".')
    return match
