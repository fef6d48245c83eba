"""What is found in a filter group before anything is sent: whole sentences, since they are all that a user sees."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.filter_group import check_filter_group

EXAMPLE = '{"filter_operator": "and", "filters": [...]}'
NO_OBJECT = f"included_filters must be a JSON object such as {EXAMPLE}, not"
HINT = (
    " JSON text needs json.loads(); a template renders to text unless the DAG has render_template_as_native_obj=True; "
    "another task's result is its .output."
)
OPERATOR = 'included_filters needs the key "filter_operator" with the value "and" or "or", not'
FILTERS = 'included_filters needs the key "filters" with a list of filters, not'
LOOKS_LIKE = f": included_filters looks like {EXAMPLE}."


@pytest.mark.parametrize(
    "group",
    [
        {"filter_operator": "and", "filters": []},
        {"filter_operator": "or", "filters": [{"filter_type": "not in any document"}], "filter_name": "as well"},
    ],
)
def test_a_filter_group(group):
    check_filter_group("included_filters", group)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, f"{NO_OBJECT} nothing."),
        ([], f"{NO_OBJECT} an empty list."),
        ("{}", f"{NO_OBJECT} str of length 2.{HINT}"),
        ({"filters": []}, f"{OPERATOR} nothing{LOOKS_LIKE}"),
        ({"filter_operator": "AND", "filters": []}, f"{OPERATOR} str of length 3{LOOKS_LIKE}"),
        ({"filter_operator": ["or"], "filters": []}, f"{OPERATOR} list of length 1{LOOKS_LIKE}"),
        ({"filter_operator": "and"}, f"{FILTERS} nothing{LOOKS_LIKE}"),
        ({"filter_operator": "or", "filters": {}}, f"{FILTERS} an empty dict{LOOKS_LIKE}"),
    ],
)
def test_anything_else(value, sentence):
    with pytest.raises(InvalidInputError) as caught:
        check_filter_group("included_filters", value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "group",
    [
        "a@b.example",
        ["a@b.example"],
        {"filter_operator": "a@b.example", "filters": []},
        {"filter_operator": "and", "filters": "a@b.example"},
        {"filter_operator": "and", "filters": {"a@b.example": 1}},
    ],
)
def test_no_value_is_shown(group):
    with pytest.raises(InvalidInputError) as caught:
        check_filter_group("included_filters", group)
    assert "a@b" not in f"{caught.value} {caught.value!r}"
