"""The rules of a definition where a difference of one character or of an order counts: without a server."""

from __future__ import annotations

import json

import pytest

from airflow_provider_moengage.sandbox.definition_rules import (
    MAX_QUERY_LENGTH,
    Definition,
    check_limits,
    checked_definition,
    expanded_length,
)
from airflow_provider_moengage.sandbox.errors import ApiError
from tests.sandbox.calling import attribute, group, nested

COMPACT = '{"filter_operator":"and","filters":[{"data_type":"bool","filter_type":"user_attributes","name":"é"}]}'


def resolves_to_nothing(_: object) -> None:
    return None


def length_of(definition: Definition) -> int:
    return expanded_length(definition, resolves_to_nothing)


def test_the_length_is_that_of_compact_json() -> None:
    definition = json.loads(COMPACT)
    assert length_of(Definition(definition)) == len(COMPACT)
    assert length_of(Definition(definition, definition)) == 2 * len(COMPACT)


def test_the_longest_definition() -> None:
    shorter = length_of(Definition(group(attribute(""))))
    longest = group(attribute("x" * (MAX_QUERY_LENGTH - shorter)))
    check_limits(Definition(longest), resolves_to_nothing)
    with pytest.raises(ApiError, match="too large"):
        check_limits(Definition(group(attribute("x" * (MAX_QUERY_LENGTH - shorter + 1)))), resolves_to_nothing)


def test_filters_have_no_order_however_deep() -> None:
    first, second = attribute("a"), attribute("b")
    one = Definition(group(nested(first, nested(first, second)), second))
    other = Definition(group(second, nested(nested(second, first), first)))
    assert one.canonical == other.canonical
    assert one.canonical != Definition(group(nested(first, nested(first, first)), second)).canonical


def test_a_definition_does_not_change_with_what_it_was_made_of() -> None:
    included, excluded = group(attribute("a")), group(attribute("b"))
    definition = checked_definition(included, excluded)
    included["filters"].clear()
    excluded["filters"][0]["value"] = "c"
    assert definition == Definition(group(attribute("a")), group(attribute("b")))
