"""What hypothesis makes with the builders of filters: any of their methods, with any values that they take."""

from __future__ import annotations

from datetime import date, datetime

from hypothesis import strategies as st

from airflow_provider_moengage.segments.filters import (
    affinity,
    all_of,
    any_of,
    days_ago,
    event,
    event_attribute,
    not_,
    user,
)

NAMES = st.text("abc {}'é", min_size=1, max_size=8).filter(str.strip)
TEXTS = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.decimals(-1_000, 1_000, places=2)
COUNTS = st.integers(1, 1_000)
DATES = st.dates(date(1990, 1, 1), date(2090, 1, 1))
MOMENTS = DATES | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.timezones())  # noqa: DTZ001
PAST = st.integers(0, 500).map(days_ago)
PAIRS = st.tuples(NUMBERS, NUMBERS).map(sorted)
SPANS = st.lists(DATES, min_size=2, max_size=2).map(sorted) | st.tuples(
    st.integers(101, 200).map(days_ago), st.integers(0, 100).map(days_ago)
)
MATCHES = st.sampled_from(["any_of", "all_of"])


def some(values):
    return st.lists(values, min_size=1, max_size=3)


def asked(attribute):
    """Draw a filter on an attribute."""
    return st.one_of(
        st.builds(attribute.is_, TEXTS | NUMBERS | st.booleans()),
        st.builds(attribute.is_in, some(TEXTS) | some(NUMBERS)),
        st.sampled_from(
            [attribute.contains, attribute.starts_with, attribute.ends_with, attribute.text.is_, attribute.texts.is_]
        ).flatmap(lambda method: st.builds(method, TEXTS, case_sensitive=st.booleans())),
        st.sampled_from([attribute.contains_any, attribute.starts_with_any, attribute.ends_with_any]).flatmap(
            lambda method: st.builds(method, some(TEXTS))
        ),
        st.sampled_from([attribute.less_than, attribute.greater_than, attribute.numbers.less_than]).flatmap(
            lambda method: st.builds(method, NUMBERS)
        ),
        PAIRS.map(lambda pair: attribute.between(*pair)),
        PAIRS.map(lambda pair: attribute.numbers.between(*pair)),
        SPANS.map(lambda span: attribute.between(*span)),
        st.sampled_from([attribute.on, attribute.before, attribute.after]).flatmap(
            lambda method: st.builds(method, MOMENTS | PAST)
        ),
        st.builds(attribute.in_the_last, days=COUNTS),
        st.builds(attribute.in_the_next, days=COUNTS),
        st.builds(attribute.date.hour.is_in, some(st.integers(0, 23))),
        st.builds(attribute.date.day_of_month.is_, st.integers(1, 31)),
        st.builds(attribute.date.is_each_year_on, st.integers(1, 12), st.integers(1, 28)),
        st.builds(attribute.within, st.integers(1, 9_999), latitude=st.floats(-90, 90), longitude=st.floats(-180, 180)),
        st.builds(attribute.texts.is_in, some(TEXTS), match=MATCHES),
        st.builds(attribute.numbers.is_in, some(NUMBERS), match=MATCHES),
        st.sampled_from(
            [
                attribute.today,
                attribute.is_empty,
                attribute.text.exists,
                attribute.number.exists,
                attribute.flag.exists,
                attribute.date.exists,
                attribute.texts.exists,
                attribute.numbers.exists,
            ]
        ).map(lambda method: method()),
    )


def negated(filters):
    return filters | filters.map(not_)


ON_USERS = negated(NAMES.map(user).flatmap(asked))
ON_EVENT_ATTRIBUTES = negated(NAMES.map(event_attribute).flatmap(asked))
OBJECTS = st.builds(
    lambda name, children, match: user(name).object_where(*children, match=match), NAMES, some(ON_USERS), MATCHES
)
FREQUENCIES = st.one_of(
    NAMES.map(event),
    *(
        st.builds(lambda name, count, how=how: getattr(event(name), how)(count), NAMES, COUNTS)
        for how in ("at_least", "exactly", "at_most")
    ),
)
OCCURRENCES = FREQUENCIES | NAMES.map(lambda name: event(name).first_time())


def within_a_time(occurrences):
    return st.one_of(
        st.builds(lambda start, count: start.in_the_last(weeks=count), occurrences, COUNTS),
        st.builds(lambda start, span: start.between(*span), occurrences, SPANS),
        st.builds(lambda start, moment: start.on(moment), occurrences, MOMENTS | PAST),
        occurrences.map(lambda start: start.last_month()),
    )


EVENTS_IN_TIME = within_a_time(OCCURRENCES) | st.builds(lambda start, day: start.after(day), OCCURRENCES, MOMENTS)
NARROWED = st.builds(lambda made, filters: made.where(*filters), EVENTS_IN_TIME, some(ON_EVENT_ATTRIBUTES))
NEVER = NAMES.map(lambda name: not_(event(name).yesterday()))
AGGREGATED = st.builds(
    lambda made, name, pair: made.sum_of(name).between(*pair), within_a_time(FREQUENCIES), NAMES, PAIRS
)
AFFINITIES = st.builds(
    lambda name, percent, texts, days: (
        affinity(name).top_percent_of_users(percent, event_attribute(name).is_in(texts)).in_the_last(days=days)
    ),
    NAMES,
    st.integers(1, 100),
    some(TEXTS),
    COUNTS,
)
FILTERS = st.one_of(ON_USERS, OBJECTS, EVENTS_IN_TIME, NARROWED, NEVER, AGGREGATED, AFFINITIES)
GROUPS = st.recursive(
    some(FILTERS).map(lambda filters: all_of(*filters)),
    lambda groups: st.builds(lambda group, filters: any_of(group, *filters), groups, some(FILTERS)),
    max_leaves=4,
)
