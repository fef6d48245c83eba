"""What an update changes, by name and never by value."""

from __future__ import annotations

import json

from airflow_provider_moengage.segments.definition_changes import changes_between, outline_of


def group(*filters, operator="and"):
    return {"filter_operator": operator, "filters": list(filters)}


def user(name, operator="in", value="secret@example.com", **others):
    return {"filter_type": "user_attributes", "name": name, "operator": operator, "value": value, **others}


def event(name, *attributes, **others):
    execution = {"type": "atleast", "count": 424242}
    return {
        "filter_type": "actions", "action_name": name, "executed": True, "execution": execution,
        "attributes": group(*attributes), **others,
    }  # fmt: skip


NESTED = {"filter_type": "nested_filters", **group(user("City"), user("Plan", "is", negate=True))}
SEGMENT = {"filter_type": "custom_segments", "id": "63d8cec0c085939e6c1ab727", "name": "VIP"}
CHILDREN = {"filter_type": "user_attributes", "name": "Address", "data_type": "object", **group(user("Street"))}
EVERYTHING = group(
    NESTED, event("Purchase", user("Category")), event("Refund", executed=False), SEGMENT, CHILDREN
)  # fmt: skip


def test_an_outline():
    (sentence,) = outline_of({"included_filters": EVERYTHING})
    assert sentence == (
        "Included: 8 filters: City (in), Plan (not is), event Purchase (atleast), Category of event Purchase (in), "
        "event Refund (not executed), segment VIP, Address, Street of Address (in)."
    )


def test_what_came_and_went():
    before = {"included_filters": group(user("City"), user("LTV", "between"))}
    after = {"included_filters": group(user("City", value="other"), user("Age")), "excluded_filters": group(SEGMENT)}
    assert changes_between(before, after) == [
        (
            "Included: 2 filters before, 2 after; new: Age (in); gone: LTV (between); with other values or options: "
            "City (in)."
        ),
        "Excluded: 0 filters before, 1 after; new: segment VIP.",
    ]


def test_no_value_is_shown():
    said = json.dumps(
        [outline_of({"included_filters": EVERYTHING}), changes_between({"included_filters": EVERYTHING}, {})]
    )
    assert "secret" not in said
    assert "424242" not in said


def test_a_long_definition_is_cut():
    (sentence,) = outline_of({"included_filters": group(*(user(f"a{number}") for number in range(1_000)))})
    assert sentence.endswith("a19 (in) and 980 more.")


def test_what_is_no_filter_at_all():
    odd = group(None, 5, {"name": 3}, {"filter_type": "actions"}, user("x" * 500), user("a\nb"))
    (sentence,) = outline_of({"included_filters": odd})
    assert sentence.isprintable()
    assert len(sentence) < 400
    assert outline_of({"included_filters": "x"}) == ["Included: 0 filters."]
    assert changes_between({"included_filters": None}, {"included_filters": []}) == []
