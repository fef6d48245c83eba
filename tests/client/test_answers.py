from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.client.answers import parse, without_values

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
)


@settings(deadline=None)
@given(ANYTHING, st.booleans())
def test_what_is_parsed_fits_every_store(value, is_escaped):
    parsed = parse(json.dumps(value, ensure_ascii=is_escaped))
    msgspec.msgpack.encode(parsed)  # how a triggerer hands an event on
    json.dumps(parsed, allow_nan=False).encode()  # how a database keeps it


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, -2.5, "x", null, true]}', {"a": [1, -2.5, "x", None, True]}),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63) + 1), -(2**63) + 1),
        (str(2**63), str(2**63)),
        (str(-(2**63)), str(-(2**63))),
        ("9" * 10_000, "9" * 10_000),
        ("-" + "9" * 30, "-" + "9" * 30),
        ("1e999", "1e999"),
        ("[NaN, Infinity, -Infinity]", [None, None, None]),
        ('"\\ud800"', "?"),
        (r'"a\u0000b"', "a?b"),
        (r'{"\u0000": "é\u0000"}', {"?": "é?"}),
        ('{"\\udfff": "\\ud83d\\ude00"}', {"?": "\U0001f600"}),
    ],
)
def test_values(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_levels(opening, closing):
    """A hundred are read, whichever they are; the value in the innermost is none."""
    for levels in (100, 101, 500):
        text = f"{opening * levels}7{closing * levels}"
        if levels == 100:
            assert json.dumps(parse(text), separators=(",", ":")) == text
        else:
            with pytest.raises(ValueError, match="^the JSON is nested too deeply$"):
                parse(text)


def test_more_levels_than_python_reads():
    with pytest.raises(ValueError, match="^the JSON is nested too deeply$"):
        parse("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize("text", ["", "{", "<html>", "[" * 100_000, "{'a': 1}"])
def test_no_json(text):
    with pytest.raises(ValueError, match="."):
        parse(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            '{"data": [{"name": "camp", "n": 1.5e3, "b": true, "x": null}]}',
            '{"data": [{"name": ..., "n": ..., "b": ..., "x": null}]}',
        ),
        ('{"value": ["a@b.c", "d", -7]}', '{"value": [..., ..., ...]}'),
        ('{"value": "a \\" : b@c', '{"value": ...'),
        ('{"value": "a\\', '{"value": ...'),
        ('"a@b.c"', "..."),
        (' ["a', " [..."),
        ("<html>a@b.c</html>", "<html>a@b.c</html>"),
        ("", ""),
    ],
)
def test_values_are_taken_out(text, left):
    assert without_values(text) == left
