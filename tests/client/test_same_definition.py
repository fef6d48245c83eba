"""When two definitions of a segment are the same, whatever the server has made of the one that was sent."""

from __future__ import annotations

import copy

import pytest

from airflow_provider_moengage.client.same_definition import is_definition_shown, is_same_definition

CITY = {
    "filter_type": "user_attributes",
    "name": "City",
    "category": "default",
    "data_type": "string",
    "operator": "in",
    "value": ["Pune", "Agra"],
    "negate": False,
}
PRICE = {"filter_type": "action_attributes", "name": "Price", "data_type": "double", "operator": "between", "value": 1}
PURCHASE = {
    "filter_type": "actions",
    "action_name": "Purchase",
    "executed": True,
    "execution": {"type": "atleast", "count": 2},
    "primary_time_range": {"type": "inTheLast", "value_type": "relative_past", "value": 2, "period_unit": "weeks"},
    "attributes": {"filter_operator": "and", "filters": [{**PRICE, "value1": 9}]},
}
OTHER = {"filter_type": "custom_segments", "id": "63d8cec0c085939e6c1ab727", "name": "vips"}


def definition(*filters, operator="and", **more):
    return {"included_filters": {"filter_operator": operator, "filters": list(filters)}, **more}


SENT = definition(CITY, PURCHASE, OTHER)


def changed(entry, **keys):
    return {**copy.deepcopy(entry), **keys}


def without(entry, *keys):
    return {key: value for key, value in entry.items() if key not in keys}


IN_DAYS = {"type": "inTheLast", "value_type": "relative_past", "days": 14}
EVENT_PRICE = {**PRICE, "value1": 9, "filter_type": "event_attributes"}
NO_TYPE = without(EVENT_PRICE, "filter_type")

SAME = [
    SENT,
    definition(OTHER, CITY, PURCHASE),
    definition(dict(reversed(CITY.items())), PURCHASE, OTHER),
    definition(changed(CITY, value=["Agra", "Pune"]), PURCHASE, OTHER),
    definition(without(CITY, "negate"), PURCHASE, OTHER),
    definition(without(CITY, "category"), PURCHASE, OTHER),
    definition(changed(CITY, case_sensitive=False, value1=None), PURCHASE, OTHER),
    definition(CITY, changed(PURCHASE, primary_time_range=IN_DAYS), OTHER),
    definition(CITY, changed(PURCHASE, attributes={"filter_operator": "and", "filters": [EVENT_PRICE]}), OTHER),
    definition(CITY, changed(PURCHASE, attributes={"filter_operator": "and", "filters": [NO_TYPE]}), OTHER),
    definition(CITY, PURCHASE, changed(OTHER, name="vips, renamed")),
    definition(CITY, PURCHASE, OTHER, excluded_filters=None),
    definition(CITY, PURCHASE, OTHER, excluded_filters={"filter_operator": "and", "filters": []}),
    definition(CITY, PURCHASE, OTHER, id="x", name="camp", created_time="2026-01-01T00:00:00"),
]

ANOTHER = [
    {},
    {"included_filters": None},
    {"included_filters": []},
    definition(),
    definition(CITY, PURCHASE),
    definition(CITY, CITY, PURCHASE),
    definition(CITY, PURCHASE, OTHER, operator="or"),
    definition(CITY, PURCHASE, OTHER, excluded_filters={"filter_operator": "and", "filters": [CITY]}),
    *(
        definition(changed(CITY, **{key: value}), PURCHASE, OTHER)
        for key, value in {
            "name": "Town",
            "category": "lifecycle",
            "data_type": "array_string",
            "operator": "contains",
            "value": ["Pune"],
            "negate": True,
            "case_sensitive": True,
            "filter_type": "actions",
            "value1": "x",
            "array_filter_type": "all_of",
        }.items()
    ),
    definition(without(CITY, "value"), PURCHASE, OTHER),
    definition(without(CITY, "filter_type"), PURCHASE, OTHER),
    *(
        definition(CITY, changed(PURCHASE, **{key: value}), OTHER)
        for key, value in {
            "executed": 1,
            "execution": {"type": "exactly", "count": 2},
            "primary_time_range": {**IN_DAYS, "days": 15},
            "attributes": {"filter_operator": "and", "filters": []},
        }.items()
    ),
    definition(CITY, PURCHASE, changed(OTHER, id="638a051185b6b50a018cacc1")),
    definition(CITY, PURCHASE, changed(OTHER, negate=True)),
]


@pytest.mark.parametrize("found", SAME)
def test_the_same(found):
    assert is_same_definition(SENT, found)
    assert is_same_definition(found, SENT)


@pytest.mark.parametrize("found", ANOTHER)
def test_another(found):
    assert not is_same_definition(SENT, found)
    assert not is_same_definition(found, SENT)


def test_a_key_that_no_document_knows():
    """The server's own, when only it has one; one that was sent and is gone may have meant something."""
    labelled = definition(changed(CITY, display_name="Town"), PURCHASE, OTHER)
    assert is_same_definition(SENT, labelled)
    assert not is_same_definition(labelled, SENT)


def test_an_event_without_attributes():
    bare = changed(PURCHASE, attributes={"filter_operator": "and", "filters": []})
    assert is_same_definition(definition(bare), definition(without(bare, "attributes")))


def test_a_unit_that_is_no_number_of_days():
    """A month has no fixed length: in doubt it is another."""
    in_months = {"type": "inTheLast", "value": 1, "period_unit": "months"}
    in_days = {"type": "inTheLast", "days": 30}
    assert not is_same_definition(
        definition(changed(PURCHASE, primary_time_range=in_months)),
        definition(changed(PURCHASE, primary_time_range=in_days)),
    )


@pytest.mark.parametrize(
    ("one", "other", "same"), [(1, 1.0, True), (True, 1, False), ("1", 1, False), (None, False, False), (0, "", False)]
)
def test_values(one, other, same):
    assert is_same_definition(definition(changed(CITY, value=one)), definition(changed(CITY, value=other))) == same


def test_what_shows_a_definition():
    assert is_definition_shown(SENT)
    assert not is_definition_shown({"name": "a file segment", "included_filters": None})
