"""What hypothesis feeds to the client, the hook and the operators."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from datetime import datetime, timezone
from functools import cache
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.client.errors import MoEngageError
from airflow_provider_moengage.client.retry import NO_RETRIES
from tests.figures import FIGURES
from tests.support import UNKNOWN_ID

SHARE = 150


def many(share: float = 1.0) -> settings:
    """Try so many examples, the same in every run."""
    return settings(
        max_examples=int(SHARE * share),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def outcome_of(call: Callable[[], Any]) -> Any:
    """Give what a call returns, or the MoEngageError that it raises; anything else that it raises fails the test."""
    FIGURES.add("bad inputs tried")
    try:
        return call()
    except MoEngageError as error:
        return error


def executed(operator: Any) -> Any:
    """Give what an operator returns, or its AirflowFailException, which has to say in a line what is wrong."""

    def execute() -> Any:
        try:
            return operator.execute({})
        except AirflowFailException as error:
            return error

    outcome = outcome_of(execute)
    if isinstance(outcome, AirflowFailException):
        assert isinstance(outcome.__cause__, MoEngageError)
        assert str(outcome).isprintable()
        assert len(str(outcome)) <= 2_500
    return outcome


def new_client(**changed: Any) -> MoEngageClient:
    """Make a client with credentials that a sandbox takes; what it is given counts more."""
    return MoEngageClient(
        **{"workspace_id": "SANDBOXWORKSPACE", "api_key": "sandbox-data-api-key", "retry": NO_RETRIES, **changed}
    )


class Case(SimpleNamespace):
    """What one example gives, shown in a few words: some of it has a megabyte, or more levels than repr() takes."""

    def __repr__(self) -> str:
        return f"Case({', '.join(f'{name}={_in_short(value)}' for name, value in vars(self).items())})"


def _in_short(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:
        return "..."  # an integer of more digits than Python writes


@st.composite
def cases(draw: st.DrawFn, **values: st.SearchStrategy[Any]) -> Case:
    """Draw examples that a failing test can show."""
    return Case(**{name: draw(strategy) for name, strategy in values.items()})


def nested(depth: int, container: str = "list", core: Any = 1) -> Any:
    """Put a value into so many lists or objects, one in the other."""
    value = core
    for _ in range(depth):
        value = [value] if container == "list" else {"a": value}
    return value


def repeated(text: str, size: int) -> str:
    """Write a text again and again until it has a size."""
    return (text * size)[:size]


ANY_CHARACTERS = st.text(st.characters())  # lone surrogates too, which text() by itself leaves out
LONG_TEXTS = st.builds(
    repeated,
    st.sampled_from(["a", "ü", "\ud800", "../", "%00", "\x00", "{{"]),
    st.sampled_from([2_000, 2_000, 70_000, 10**6]),
)
PLACES = [".", "..", "../..", "%2e%2e", "../v2/custom-segments/archive", "archive", "a/b", "//a", "@b", ":80", "\\..\\"]
DELIMITERS = [
    "a?name=b",
    "a#b",
    "a;b",
    "a&name=b",
    "a=b",
    "a+b",
    "a%20b",
    "a\r\nHost: b",
    "%",
    "%zz",
    "{{ ds }}",
    "<b>",
]
ODD_CHARACTERS = ["\x00", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "\ufffe", "\ud800", "🙂", "\x80", "İ"]
WORDS = ["", " ", "None", "null", "0", UNKNOWN_ID]
TREACHEROUS_TEXTS = st.sampled_from([*PLACES, *DELIMITERS, *ODD_CHARACTERS, *WORDS])
TEXTS = ANY_CHARACTERS | TREACHEROUS_TEXTS | LONG_TEXTS

# Made once: a hundred thousand levels take longer to make than all else that an example takes.
DEEP = st.builds(cache(nested), st.sampled_from([20, 250, 5_000, 100_000]), st.sampled_from(["list", "object"]))
HUGE_NUMBERS = st.sampled_from([2**63, -(2**64), 10**400, -(10**5_000), 1e300, -1e300])
NO_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
NO_JSON = st.sampled_from(
    [b"bytes", frozenset(), object(), type, datetime(2026, 1, 1, tzinfo=timezone.utc), {1, 2}, 1j, range(3), "a".upper]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_CHARACTERS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(ANY_CHARACTERS, children, max_size=3),
    max_leaves=8,
)
ANYTHING = TEXTS | JSON_VALUES | DEEP | HUGE_NUMBERS | NO_NUMBERS | NO_JSON
