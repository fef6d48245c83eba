"""Update and create: what a definition may be, and each refusal reached by what causes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.calling import UNKNOWN_ID, Caller, MovableClock, action, attribute, group, nested, reference

INVALID_FORMAT = {
    "code": "Invalid request",
    "message": "Invalid request format. Please check the documentation to ensure that the request has been formed "
    "correctly.",
}
INVALID_DEFINITION = {
    "code": "Invalid Request",
    "message": "Invalid request. Please ensure that the filters are correct and the custom-segment name doesn't "
    "contain HTML characters/only whitespaces.",
}
FORBIDDEN = {
    "code": "Forbidden operation",
    "message": "Update isn't supported for file-segments, internally created custom-segments, custom-segments imported "
    "from Analyze and archived custom-segments.",
}

MISSHAPEN = [
    None,
    "and",
    [],
    {},
    {"filter_operator": "and"},
    {"filter_operator": "and", "filters": {}},
    {"filter_operator": "xor", "filters": [attribute()]},
    {"filter_operator": ["and"], "filters": [attribute()]},
    {"filters": [attribute()]},
    group("x"),  # type: ignore[arg-type]
    group({}),
    group({"filter_type": 7}),
    group(attribute(name="")),
    group(attribute(data_type=None)),
    group({"filter_type": "user_attributes", "name": "Tier", "data_type": "string"}),
    group(action(action_name=None)),
    group(action(executed="yes")),
    group(action(execution=1)),
    group(action(primary_time_range=[])),
    group(action(attributes=[])),
    group({"filter_type": "nested_filters", "filters": []}),
    group({"filter_type": "custom_segments"}),
    group({"filter_type": "custom_segments", "id": 7, "name": "x"}),
]
MEANINGLESS = [
    group(),
    group(nested()),
    group({"filter_type": "user_attribute", "name": "Tier", "data_type": "string", "operator": "in"}),
    group(attribute(data_type="text")),
    group({"filter_type": "custom_segments", "id": UNKNOWN_ID, "name": "gone"}),
    group({"filter_type": "custom_segments", "name": "gone"}),
]


def test_update_answers_the_segment_in_full(spoken: Caller, clock: MovableClock) -> None:
    segment = spoken.sandbox.add_segment(name="Spring", age=timedelta(days=90))
    filters = group(attribute("active", undocumented={"kept": [1.0, None]}), action(), operator="or")
    clock.move(seconds=5)

    answer = spoken.update(segment["id"], filters, name="Summer", updated_by="admin@example.com")

    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "name": "Summer",
        "id": segment["id"],
        "created_time": "2025-12-01T12:00:00.409000",
        "updated_time": "2026-03-01T12:00:05.409000",
        "type": "ELASTIC_SEARCH",
        "source": "API",
        "description": "Tier is active (case insensitive) OR Has executed MOE_EMAIL_SENT atleast 1 time",
        "included_filters": filters,
    }
    known = spoken.sandbox.segments[0]
    assert (known["name"], known["updated_by"]) == ("Summer", "admin@example.com")
    assert known["included_filters"] == filters


def test_update_keeps_the_order_of_keys_and_filters(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    filters = {"zebra": 1, "filters": [action(), attribute()], "filter_operator": "and", "apple": 2}
    shown = api.update(segment["id"], filters).json()["data"]["included_filters"]
    assert repr(shown) == repr(filters)


def test_update_without_a_name_keeps_it(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    assert api.update(segment["id"], group(attribute())).json()["data"]["name"] == "Spring"


def test_a_renamed_segment_is_found_by_its_new_name_alone(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    api.update(segment["id"], group(attribute()), name="Summer")
    assert api.list("?name=Spring").json()["data"] == []
    assert api.archive("Spring").status_code == 404
    assert api.archive("Summer").ok
    assert api.create("Spring", group(action())).status_code == 201


def test_filters_that_a_segment_no_longer_has_are_free(api: Caller) -> None:
    first, second = (api.sandbox.add_segment(name=name, included_filters=group(attribute())) for name in ("a", "b"))
    assert api.update(first["id"], group(attribute("silver"))).ok
    assert api.create("c", group(attribute())).json()["error"]["existing_cs_name"] == "b"
    assert api.update(second["id"], group(attribute("bronze"))).ok
    assert api.create("c", group(attribute())).status_code == 201


def test_excluded_filters_are_shown_and_stay_until_replaced(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    excluded = group(attribute("bronze"))
    api.update(segment["id"], group(attribute("gold")), excluded_filters=excluded)

    data = api.update(segment["id"], group(attribute("silver"))).json()["data"]
    assert data["excluded_filters"] == excluded
    assert data["description"].endswith("EXCLUDING Tier is bronze (case insensitive)")

    data = api.update(segment["id"], group(attribute("silver")), excluded_filters=group()).json()["data"]
    assert data["excluded_filters"] == group()


@pytest.mark.parametrize(
    "accepted",
    [
        group(attribute("chandan")),
        group(attribute(value=True, data_type="bool", operator="is")),
        group(attribute("{{MoeUserAttribute['lifetime_value']}}", is_dynamic_value=True)),
        group(nested(attribute(), action()), attribute([9], data_type="double")),
        group({"filter_type": "custom_segments", "id": "moe_all_users", "name": "All Users"}),
        group(action(undocumented={"kept": [1.0, None]})),
    ],
)
def test_documented_filters_are_accepted(api: Caller, accepted: dict[str, Any]) -> None:
    answer = api.create("Spring", accepted)
    assert answer.status_code == 201
    assert answer.json()["data"]["included_filters"] == accepted


@pytest.mark.parametrize("filters", MISSHAPEN)
def test_a_misshapen_definition_is_an_invalid_request(spoken: Caller, filters: Any) -> None:
    segment = spoken.sandbox.add_segment(name="Spring")
    for answer in (spoken.update(segment["id"], filters), spoken.create("Summer", filters)):
        assert answer.status_code == 400
        assert answer.json()["error"] == INVALID_FORMAT
    assert spoken.sandbox.segments == [segment]


@pytest.mark.parametrize("filters", MEANINGLESS)
def test_a_meaningless_definition_is_an_invalid_request(api: Caller, filters: Any) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    for answer in (api.update(segment["id"], filters), api.create("Summer", filters)):
        assert answer.status_code == 400
        assert answer.json()["error"] == INVALID_DEFINITION


FORBIDDEN_NAMES = {
    "": "name is blank.",
    " \n": "name is blank.",
    "<b>Spring</b>": "name has < at character 1;",
    "a > b": "name has > at character 3;",
    **{f"Spring {character}": f"name has {character} at character 8;" for character in ':|*?\\<>=$"'},
    ".Spring": "name begins with a period.",
    "x" * 201: "name has 201 characters; 200 are the most.",
}


@pytest.mark.parametrize(("name", "explanation"), FORBIDDEN_NAMES.items())
def test_a_forbidden_name_is_refused(spoken: Caller, name: str, explanation: str) -> None:
    segment = spoken.sandbox.add_segment(name="Spring")
    for answer in (spoken.update(segment["id"], group(attribute()), name=name), spoken.create(name, group(action()))):
        assert answer.status_code == 400
        assert answer.json()["error"] == INVALID_DEFINITION
        found = spoken.sandbox.requests[-1].explanation
        assert found is not None
        assert found.startswith(explanation)


@pytest.mark.parametrize("name", ["Sale: Pune", ".hidden", "x" * 201])
def test_a_forbidden_name_is_dropped_without_an_error_when_asked_for(spoken: Caller, name: str) -> None:
    spoken.sandbox.drops_forbidden_names = True

    answer = spoken.create(name, group(attribute()))

    assert (answer.status_code, answer.json()["data"]["name"]) == (201, name)
    assert "explanation" not in answer.text
    assert str(spoken.sandbox.requests[-1].explanation).startswith("No segment was made: name ")
    assert spoken.sandbox.segments == []
    assert spoken.create("Sale. Pune", group(attribute())).status_code == 201


@pytest.mark.parametrize("name", ["", "<b>Spring</b>"])
def test_the_names_that_the_seeds_refuse_are_never_dropped(spoken: Caller, name: str) -> None:
    spoken.sandbox.drops_forbidden_names = True
    answer = spoken.create(name, group(attribute()))
    assert (answer.status_code, answer.json()["error"]) == (400, INVALID_DEFINITION)


@pytest.mark.parametrize("name", ["x" * 200, "50% & more, {50}", "Größe 🙂", "a.b"])
def test_an_unusual_name_is_taken(spoken: Caller, name: str) -> None:
    assert spoken.create(name, group(action())).status_code == 201


def test_the_name_of_all_users_is_taken(spoken: Caller) -> None:
    answer = spoken.create("All Users", group(action()))
    assert answer.status_code == 409
    assert answer.json()["error"]["message"].startswith("Another custom-segment already exists with the same name")


def test_a_segment_that_has_a_forbidden_name_already_is_still_archived(spoken: Caller) -> None:
    spoken.sandbox.add_segment(name="Spring: 50% off?")
    assert spoken.archive("Spring: 50% off?").ok
    assert spoken.unarchive("Spring: 50% off?").ok


@pytest.mark.parametrize("fields", [{"name": 7}, {"name": None}, {"updated_by": 7}, {"excluded_filters": None}])
def test_mistyped_fields_are_refused(api: Caller, fields: dict[str, Any]) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    answer = api.update(segment["id"], group(attribute()), **fields)
    assert answer.status_code == 400
    assert answer.json()["error"] == INVALID_FORMAT


@pytest.mark.parametrize("fields", [{}, {"name": "Spring"}])
def test_included_filters_are_required(api: Caller, fields: dict[str, Any]) -> None:
    segment = api.sandbox.add_segment(name="Spring")
    answer = api("PATCH", f"/v3/custom-segments/{segment['id']}", fields)
    assert (answer.status_code, answer.json()["error"]) == (400, INVALID_FORMAT)
    assert api("POST", "/v3/custom-segments", fields).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [{"kind": "file"}, {"archived": True}, {"source": "CAMPAIGN"}, {"source": "ANALYTICS"}, {"source": "COHORT_SYNC"}],
)
def test_some_segments_cannot_be_updated(spoken: Caller, fields: dict[str, Any]) -> None:
    segment = spoken.sandbox.add_segment(name="theirs", **fields)
    answer = spoken.update(segment["id"], group(attribute()))
    assert answer.status_code == 403
    assert answer.json()["error"] == FORBIDDEN


def test_a_segment_from_the_dashboard_can_be_updated(api: Caller) -> None:
    segment = api.sandbox.add_segment(name="ours", source="DASHBOARD")
    assert api.update(segment["id"], group(attribute())).ok


@pytest.mark.parametrize("segment_id", [UNKNOWN_ID, "638a051185b6b50a018cacc"])
def test_update_of_an_unknown_id_is_not_found(spoken: Caller, segment_id: str) -> None:
    answer = spoken.update(segment_id, group(attribute()))
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "Entity Not Found",
        "message": f"Custom segment not found with the given id: {segment_id}",
    }


def test_a_name_is_unique_and_never_free_again(spoken: Caller, clock: MovableClock) -> None:
    spoken.sandbox.add_segment(name="api_test_8", archived=True)
    segment = spoken.sandbox.add_segment(name="Spring")
    clock.move(days=200)

    for answer in (
        spoken.update(segment["id"], group(attribute()), name="api_test_8"),
        spoken.create("api_test_8", group(attribute())),
    ):
        assert answer.status_code == 409
        assert answer.json()["error"] == {
            "code": "Resource not created",
            "message": "Another custom-segment already exists with the same name: api_test_8. Please change the "
            "custom-segment name.",
        }
    assert spoken.update(segment["id"], group(attribute()), name="Spring").ok


def test_two_segments_cannot_have_the_same_filters(spoken: Caller) -> None:
    first = spoken.sandbox.add_segment(name="api_cycle_1", included_filters=group(attribute("a"), nested(action())))
    second = spoken.sandbox.add_segment(name="Spring")
    again = {"filters": [nested(action()), attribute("a")], "filter_operator": "and"}

    for answer in (spoken.update(second["id"], again), spoken.create("Summer", again, excluded_filters=group())):
        assert answer.status_code == 409
        assert answer.json()["error"] == {
            "code": "Resource not created",
            "message": "Another custom-segment already exists containing the given filters: api_cycle_1. Please reuse "
            "the same or update the filters",
            "existing_cs_name": "api_cycle_1",
            "existing_cs_id": first["id"],
        }
    assert spoken.update(first["id"], again).ok


def test_other_filters_are_not_the_same(api: Caller) -> None:
    api.sandbox.add_segment(name="one", included_filters=group(attribute([1])))
    for position, other in enumerate([group(attribute([True])), group(attribute([1.5])), group(action())]):
        assert api.create(f"other {position}", other).status_code == 201
    excluding = group(attribute([1]))
    assert api.create("last", excluding, excluded_filters=group(action())).status_code == 201


def test_a_circle_of_segments_is_refused(spoken: Caller) -> None:
    first = spoken.sandbox.add_segment(name="first")
    second = spoken.sandbox.add_segment(name="second", included_filters=group(reference(first)))
    third = spoken.sandbox.add_segment(name="third", included_filters=group(nested(reference(second))))

    for circle in (group(reference(third)), group(reference(first))):
        answer = spoken.update(first["id"], circle)
        assert answer.status_code == 412
        assert answer.json()["error"] == {
            "code": "Cyclic Entity",
            "message": "Circular reference detected in the custom segment definition.",
        }
    by_name = group({"filter_type": "custom_segments", "name": "third"})
    assert spoken.update(first["id"], by_name).status_code == 412
    excluded = spoken.update(first["id"], group(attribute()), excluded_filters=group(reference(second)))
    assert excluded.status_code == 412


def chain(api: Caller, length: int) -> dict[str, Any]:
    """Make segments that each refer to the one before."""
    segment = api.sandbox.add_segment(name="level 1")
    for level in range(2, length + 1):
        segment = api.sandbox.add_segment(name=f"level {level}", included_filters=group(reference(segment)))
    return segment


def test_six_levels_are_allowed_and_seven_are_not(spoken: Caller) -> None:
    fifth = chain(spoken, 5)
    sixth = spoken.create("six levels", group(reference(fifth), attribute("a")))
    assert sixth.status_code == 201

    nested_too = group(reference(fifth), nested(attribute("a")), nested(nested(action())))
    for answer in (
        spoken.create("six and nested", nested_too),
        spoken.create("seven levels", group(reference(sixth.json()["data"]))),
    ):
        assert answer.status_code == 413
        assert answer.json()["error"] == {
            "code": "Query has too many nesting levels",
            "message": "The query has more than 6 levels of nesting. Please reduce the segment nesting.",
        }


def test_nested_filters_without_references_are_one_level(api: Caller) -> None:
    filters = attribute("a")
    for _ in range(20):
        filters = nested(filters, action())
    segment = api.create("one level", group(filters)).json()["data"]
    for level in range(2, 7):
        answer = api.create(f"level {level}", group(reference(segment)))
        assert answer.status_code == 201
        segment = answer.json()["data"]
    assert api.create("level 7", group(reference(segment))).status_code == 413


def test_nested_filters_beside_a_file_segment_are_one_level(api: Caller) -> None:
    file = api.sandbox.add_segment(name="file", kind="file")
    segment = api.create("level 1", group(nested(reference(file), attribute()))).json()["data"]
    for level in range(2, 7):
        segment = api.create(f"level {level}", group(reference(segment))).json()["data"]
    assert segment["name"] == "level 6"


def test_nested_filters_add_one_level_in_all(api: Caller) -> None:
    fourth = chain(api, 4)
    deep = nested(attribute())
    for _ in range(20):
        deep = nested(deep, reference(fourth))
    assert api.create("deep", group(deep, nested(action()))).status_code == 201


def test_file_segments_count_toward_nothing(api: Caller) -> None:
    files = [api.sandbox.add_segment(name=f"file {number}", kind="file") for number in range(20)]
    fifth = chain(api, 5)
    assert api.create("many files", group(*map(reference, files), reference(fifth))).status_code == 201


def test_ten_references_are_allowed_and_eleven_are_not(spoken: Caller) -> None:
    segments = [spoken.sandbox.add_segment(name=f"segment {number}") for number in range(11)]
    ten = group(*map(reference, segments[:10]), reference(segments[0]))
    assert spoken.create("ten", ten).status_code == 201

    answer = spoken.create("eleven", group(*map(reference, segments)))

    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "Too many segments in a query",
        "message": "The query has more than 10 custom segments. Please reduce the custom segments.",
    }


@pytest.mark.parametrize("by_reference", [False, True])
def test_an_expanded_query_has_a_length_limit(spoken: Caller, by_reference: bool) -> None:
    long = group(attribute("x" * 131_000))
    if by_reference:
        first = spoken.sandbox.add_segment(name="long", included_filters=long)
        filters = group(reference(first), nested(reference(first)))
    else:
        filters = group(attribute("x" * 262_144))
    assert spoken.create("short enough", group(attribute("y" * 261_000))).status_code == 201

    answer = spoken.create("too long", filters)

    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "Query length limit exceeded",
        "message": "The query is too large to execute. Please reduce the filters.",
    }


def test_a_circle_that_was_put_into_the_workspace_ends(api: Caller) -> None:
    one, two = "a" * 24, "b" * 24
    api.sandbox.add_segment(name="one", id=one, included_filters=group({"filter_type": "custom_segments", "id": two}))
    api.sandbox.add_segment(name="two", id=two, included_filters=group({"filter_type": "custom_segments", "id": one}))
    leading_there = group({"filter_type": "custom_segments", "id": one})
    assert api.create("three", leading_there).status_code == 413
    fourth = api.sandbox.add_segment(name="four")
    assert api.update(fourth["id"], leading_there).status_code == 413


def test_a_segment_that_two_others_refer_to_makes_no_circle(api: Caller) -> None:
    first = api.sandbox.add_segment(name="first")
    others = [
        api.sandbox.add_segment(name=f"other {number}", included_filters=group(reference(first), attribute(number)))
        for number in range(2)
    ]
    assert api.update(api.sandbox.add_segment(name="last")["id"], group(*map(reference, others))).ok


def test_create_answers_the_segment_in_full(spoken: Caller) -> None:
    answer = spoken.create("Spring", group(attribute()), excluded_filters=group(action()))

    assert answer.status_code == 201
    assert answer.json()["type"] == "custom_segment"
    data = answer.json()["data"]
    assert data == {
        "name": "Spring",
        "id": data["id"],
        "created_time": "2026-03-01T12:00:00.409000",
        "updated_time": "2026-03-01T12:00:00.409000",
        "type": "ELASTIC_SEARCH",
        "source": "API",
        "description": data["description"],
        "included_filters": group(attribute()),
        "excluded_filters": group(action()),
    }
    assert spoken.get(data["id"]).ok


def test_a_full_workspace_takes_no_more(spoken: Caller) -> None:
    for number in range(1_000):
        spoken.sandbox.add_segment(name=f"segment {number}", kind="file")

    answer = spoken.create("one more", group(attribute()))

    assert answer.status_code == 429
    assert answer.json()["error"] == {
        "code": "Too Many Requests",
        "message": "Total active segments limit breached. Request rejected!",
        "actual_count": 1001,
        "limit": 1000,
    }
    spoken.archive("segment 0")
    assert spoken.create("one more", group(attribute())).status_code == 201
