"""How long an answer asks to wait: every spelling of it, and never less than asked."""

from __future__ import annotations

import email.utils
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from airflow_provider_moengage.client.wait_headers import RateLimit, asked_wait, rate_limit_of

NOW = 1_800_000_000.0
DAY = 86_400


def epoch(seconds_from_now):
    return str(int(NOW) + seconds_from_now)


SPELLINGS = [
    # Seconds
    ("2", 2),
    (" 0 ", 0),
    ("+7", 7),
    ("4.2", 5),
    ("4.0", 4),
    ("4.", 4),
    ("3600.0", 3_600),
    ("0.1", 1),
    ("4.0000000000000000001", 5),
    ("1800", 1_800),
    ("86400", DAY),
    ("1.5e2", 150),
    ("1.23456e2", 124),
    # The UTC epoch, in seconds and in milliseconds
    (epoch(60), 60),
    (epoch(60) + ".5", 61),
    (epoch(60) + ".000", 60),
    ("1.80000006e+09", 60),
    (epoch(60) + "000", 60),
    (epoch(60) + "001", 61),
    (epoch(60) + "000.1", 61),
    (epoch(DAY), DAY),
    (epoch(-60), 0),
    (epoch(-60) + "000", 0),
    # A machine whose own clock is half a day behind still waits for a window of a day.
    (epoch(DAY + 43_200), DAY),
    # Dates
    ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
    ("Fri, 15 Jan 2027 08:00:30 -0000", 30),
    ("Fri, 15 Jan 2027 09:00:30 +0100", 30),
    ("Friday, 15-Jan-27 08:00:30 GMT", 30),
    ("Fri Jan 15 08:00:30 2027", 30),
    ("15 Jan 2027 08:00:30 GMT", 30),
    ("Fri, 15 Jan 2021 08:00:30 GMT", 0),
    ("Fri, 15 Jan 9999 08:00:30 GMT", DAY),
    # Two headers, joined by a proxy
    ("4, 4", 4),
    ("4,9", 9),
    ("9, soon", 9),
    ("4, Fri, 15 Jan 2027 08:00:30 GMT", 30),
    ("Fri, 15 Jan 2027 08:00:30 GMT, Fri, 15 Jan 2027 08:00:40 GMT", 40),
    (f"30, {epoch(20)}", 30),
    ("30;w=60", 30),
    # What cannot be read
    ("", None),
    (",", None),
    ("soon", None),
    ("-1", None),
    ("-4.2", None),
    ("1e-3", None),
    ("0x1F", None),
    ("1_000", None),
    ("4 2", None),
    ("٢", None),
    ("²", None),
    ("nan", None),
    ("inf", None),
    ("9" * 5_000, None),
]


@pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
@pytest.mark.parametrize(("value", "seconds"), SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_spelling(header, value, seconds):
    assert asked_wait(429, CaseInsensitiveDict({header: value}), NOW) == seconds


@pytest.mark.parametrize("value", [epoch(3 * DAY), epoch(-2 * DAY), epoch(5) + "000000", "100000", "9" * 400, "1e99"])
def test_what_is_neither_up_to_a_day_nor_near_the_present(value):
    """``Retry-After`` is seconds by its standard, however many. A window longer than a day there is not."""
    assert asked_wait(429, {"Retry-After": value}, NOW) == DAY
    assert asked_wait(429, {"x-ratelimit-reset": value}, NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "5", "X-RateLimit-Reset": epoch(60)}, 5),
        ({"Retry-After": "soon", "X-RateLimit-Reset": epoch(60)}, 60),
        # The server's own clock counts, ten minutes behind ours: a reset is a minute away for both.
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "X-RateLimit-Reset": epoch(-540)}, 60),
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "Retry-After": "Fri, 15 Jan 2027 07:50:30 GMT"}, 30),
        ({"Date": "Fri, 15 Jan 2027 07:50:00 GMT", "Retry-After": "7"}, 7),
        # Years behind or ahead, both clocks of the server: an epoch is near its present, not ours.
        ({"Date": "Wed, 15 Jan 2020 08:00:00 GMT", "X-RateLimit-Reset": "1579075260"}, 60),
        ({"Date": "Wed, 15 Jan 2020 08:00:00 GMT", "Retry-After": "Wed, 15 Jan 2020 08:01:00 GMT"}, 60),
        # A date that has nothing to do with the reset: a proxy's clock that was never set.
        ({"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "X-RateLimit-Reset": epoch(60)}, 60),
        ({"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "X-RateLimit-Reset": epoch(60) + "000"}, 60),
        ({"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"Date": "today", "X-RateLimit-Reset": epoch(60)}, 60),
    ],
)
def test_what_a_refusal_asks(headers, seconds):
    assert asked_wait(429, CaseInsensitiveDict(headers), NOW) == seconds


def test_a_date_without_a_zone_is_in_utc_wherever_the_worker_stands(monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert asked_wait(429, {"Retry-After": "Fri, 15 Jan 2027 08:00:30 -0000"}, NOW) == 30
    time.tzset()


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        # The reset of a window that is not used up says nothing about when a failing server is well again.
        (503, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60)}, None),
        (503, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60), "Retry-After": "3"}, 3),
        (200, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": epoch(60)}, None),
        (200, {"x-ratelimit-remaining": "40", "x-ratelimit-reset": "30"}, None),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": epoch(60)}, 60),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800.5"}, 1_801),
        (200, {"x-ratelimit-remaining": "00", "x-ratelimit-reset": epoch(60)}, 60),
        (200, {"x-ratelimit-remaining": "40, 0", "x-ratelimit-reset": "60, 30"}, 60),
        (200, {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "30"}, 30),
        (200, {"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "30"}, 30),
        (200, {"x-ratelimit-remaining": "none", "x-ratelimit-reset": epoch(60)}, None),
        (200, {"x-ratelimit-remaining": "0"}, None),
        (200, {"Retry-After": "60"}, None),
        (399, {"Retry-After": "60"}, None),
        (400, {"Retry-After": "60"}, 60),
        (None, {"Retry-After": "60"}, None),
    ],
)
def test_what_other_answers_ask(status, headers, seconds):
    assert asked_wait(status, headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, RateLimit(None, None, None)),
        (
            {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "49", "x-ratelimit-reset": "30"},
            RateLimit(50, 49, 30.0),
        ),
        (
            {"x-ratelimit-limit": "200, 50", "x-ratelimit-remaining": "3, 2", "x-ratelimit-reset": epoch(60)},
            RateLimit(50, 2, 60.0),
        ),
        (
            {"x-ratelimit-limit": "50, 50;w=60", "x-ratelimit-remaining": "many", "x-ratelimit-reset": "soon"},
            RateLimit(50, None, None),
        ),
    ],
)
def test_the_three_headers(headers, said):
    assert rate_limit_of(headers, NOW) == said


# Every way to write a wait, with the least seconds that it asks for.
FRACTIONS = st.text("0123456789", max_size=25)
SECONDS = st.integers(0, DAY - 1)


def _as_date(seconds):
    return email.utils.formatdate(NOW + seconds, usegmt=True)


WRITTEN = st.one_of(
    SECONDS.map(lambda seconds: (str(seconds), seconds)),
    st.builds(lambda seconds, part: (f"{seconds}.{part}", seconds + _is_more(part)), SECONDS, FRACTIONS),
    SECONDS.map(lambda seconds: (epoch(seconds), seconds)),
    st.builds(lambda seconds, part: (f"{epoch(seconds)}.{part}", seconds + _is_more(part)), SECONDS, FRACTIONS),
    st.builds(
        lambda seconds, part: (f"{epoch(seconds)}{part:03}", seconds + part / 1_000), SECONDS, st.integers(0, 999)
    ),
    SECONDS.map(lambda seconds: (_as_date(seconds), seconds)),
)


def _is_more(fraction):
    return 1 if fraction.strip("0") else 0


@settings(max_examples=1_000, deadline=None)
@given(
    written=st.lists(WRITTEN, min_size=1, max_size=3),
    between=st.sampled_from([", ", ",", " , "]),
    header=st.sampled_from(["Retry-After", "x-ratelimit-reset"]),
    clock_is_off=st.integers(-3 * 3_600, 3 * 3_600),
    has_date=st.booleans(),
)
def test_no_spelling_leads_to_a_request_earlier_than_asked(figures, written, between, header, clock_is_off, has_date):
    """With the server's Date on any clock; without one, on a clock that is right."""
    headers = {header: between.join(value for value, _ in written)}
    if has_date:
        headers["Date"] = _as_date(0)
    own_clock = NOW + clock_is_off if has_date else NOW
    asked = max(seconds for _, seconds in written)
    figures.add("spellings of a wait tried")
    assert math.isclose(asked_wait(429, headers, own_clock), math.ceil(asked), abs_tol=1)
    assert asked_wait(429, headers, own_clock) >= asked


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["Retry-After", "x-ratelimit-reset", "x-ratelimit-remaining", "Date"]), st.text())
)
def test_any_text_at_all(headers):
    wait = asked_wait(429, headers, NOW)
    assert wait is None or 0 <= wait <= DAY
