"""Create a segment, or bring it up to date; what an update says of what it changes: without a DAG run."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import ClassVar

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.operators.segments import CreateSegmentOperator, UpdateSegmentOperator
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import UNKNOWN_ID, filters, new_dag

PUNE, AGRA = filters(["Pune"]), filters(["Agra"])


@pytest.fixture
def today(monkeypatch):
    """A server that shows definitions, as those of today do."""
    with Sandbox(dialect="today") as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        yield sandbox


def create(included=PUNE, **arguments):
    return CreateSegmentOperator(task_id="create", name="camp", included_filters=included, **arguments)


def methods(sandbox):
    return [request.method for request in sandbox.requests]


def refusal_of(operator, context=None):
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context or {})
    return str(caught.value)


class OneEvent:
    """The events of a task with one outlet; an asset of Airflow 3.0 cannot be the key of a dictionary."""

    def __init__(self, event):
        self.event = event

    def __getitem__(self, asset):
        return self.event


class TestCreate:
    def test_a_new_one(self, sandbox, log):
        operator = create(excluded_filters=AGRA)
        segment = operator.execute({})
        (made,) = sandbox.segments
        assert (segment["id"], segment["name"]) == (made["id"], "camp")
        assert (made["included_filters"], made["excluded_filters"]) == (PUNE, AGRA)
        assert methods(sandbox) == ["POST"]
        assert operator.segment_page.endswith(made["id"])
        said = log()
        assert f"Created the segment 'camp' ({made['id']})." in said
        assert "Included: 1 filter: City (in)." in said
        assert "Pune" not in said

    @pytest.mark.parametrize("if_exists", ["skip", "update"])
    def test_one_that_is_not_there_yet(self, sandbox, if_exists):
        create(if_exists=if_exists).execute({})
        assert methods(sandbox) == ["GET", "POST"]

    def test_a_taken_name_fails(self, sandbox):
        segment_id = sandbox.add_segment(name="camp", included_filters=PUNE)["id"]
        assert "The name is taken" in refusal_of(create())
        assert sandbox.segments[0]["id"] == segment_id
        assert len(sandbox.segments) == 1

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"name": "a:b"}, "name has the character : at position 2"),
            ({"if_exists": "replace"}, 'if_exists must be "fail", "skip" or "update", not str'),
            ({"included_filters": {"filters": []}}, 'included_filters needs the key "filter_operator"'),
            ({"validate_filters": "no"}, "validate_filters must be True or False"),
            ({"allow_empty_values": 1}, "allow_empty_values must be True or False"),
        ],
    )
    def test_bad_input(self, sandbox, arguments, sentence):
        operator = CreateSegmentOperator(**{"task_id": "it", "name": "camp", "included_filters": PUNE, **arguments})
        assert sentence in refusal_of(operator)
        assert sandbox.requests == []

    def test_a_long_limit_defers(self, sandbox):
        sandbox.fail_next(status=429, headers={"Retry-After": "600"})
        with pytest.raises(TaskDeferred):
            create(deferrable=True).execute({})

    def test_an_outlet_of_a_segment_that_is_not_there(self, sandbox):
        asset = create_asset(workspace_id=sandbox.connection["login"], segment_id=UNKNOWN_ID)
        assert "There is no segment 'camp' yet" in refusal_of(create(outlets=[asset]))
        assert "POST" not in methods(sandbox)

    def test_an_outlet_hears_what_was_done(self, today):
        segment_id = today.add_segment(name="camp", included_filters=AGRA)["id"]
        asset = create_asset(workspace_id=today.connection["login"], segment_id=segment_id)
        for action in ("update", "none"):
            event = SimpleNamespace(extra={})
            create(if_exists="update", outlets=[asset]).execute({"outlet_events": OneEvent(event)})
            assert (event.extra["action"], event.extra["segment_id"]) == (action, segment_id)

    def test_a_dry_run_says_so_to_its_outlet(self, today, log):
        segment_id = today.add_segment(name="camp", included_filters=AGRA)["id"]
        asset = create_asset(workspace_id=today.connection["login"], segment_id=segment_id)
        event = SimpleNamespace(extra={})
        create(if_exists="update", outlets=[asset], dry_run=True).execute({"outlet_events": OneEvent(event)})
        assert (event.extra["action"], event.extra["dry_run"]) == ("none", True)
        assert "Airflow makes the events of the task's outlets all the same" in log()

    def test_moengages_own_templates_pass(self):
        native = "{{MoeUserAttribute['lifetime_value']}}"
        with new_dag("native"):
            operator = create(filters([native, "{{ ds }}"]))
        operator.render_template_fields({"ds": "2026-11-02"})
        assert operator.included_filters == filters([native, "2026-11-02"])


class TestSkip:
    def test_the_same_definition(self, today, log):
        segment_id = today.add_segment(name="camp", included_filters=PUNE)["id"]
        assert create(if_exists="skip").execute({})["id"] == segment_id
        assert methods(today) == ["GET", "GET"]
        assert "Its definition is the one that was asked for" in log()

    def test_another_definition(self, today, log):
        today.add_segment(name="camp", included_filters=AGRA)
        assert create(if_exists="skip").execute({})["included_filters"] == AGRA
        said = log()
        assert "Its definition is another one than was asked for" in said
        assert "with other values or options: City (in)" in said
        assert "GET" in methods(today)
        assert len(today.requests) == 2

    def test_a_server_that_does_not_show_it(self, sandbox, log):
        sandbox.add_segment(name="camp", included_filters=PUNE)
        create(if_exists="skip").execute({})
        assert len(sandbox.requests) == 2
        assert "whether it is archived MoEngage does not show" in log()


class TestUpsert:
    def test_nothing_is_sent_when_it_is_the_same(self, today):
        today.add_segment(name="camp", included_filters=PUNE)
        create(if_exists="update").execute({})
        assert methods(today) == ["GET", "GET"]

    def test_another_definition(self, today, log):
        segment_id = today.add_segment(name="camp", included_filters=AGRA)["id"]
        assert create(if_exists="update").execute({})["id"] == segment_id
        assert today.segments[0]["included_filters"] == PUNE
        assert today.requests[-1].json == {"included_filters": PUNE}
        said = log()
        assert f"Updated the segment 'camp' ({segment_id}), which was there." in said
        assert "Agra" not in said
        assert "Pune" not in said

    def test_exclusions_that_are_not_wanted_any_more_go(self, today):
        today.add_segment(name="camp", included_filters=PUNE, excluded_filters=AGRA)
        create(if_exists="update").execute({})
        assert not (today.segments[0].get("excluded_filters") or {}).get("filters")
        create(if_exists="update").execute({})
        assert methods(today).count("PATCH") == 1

    def test_a_server_that_shows_no_definition(self, monkeypatch):
        with Sandbox(dialect="seeds") as sandbox:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
            sandbox.add_segment(name="camp", included_filters=AGRA)
            create(if_exists="update").execute({})
            assert sandbox.segments[0]["included_filters"] == PUNE

    def test_an_archived_one_says_so(self, sandbox):
        segment_id = sandbox.add_segment(name="camp", included_filters=AGRA, archived=True)["id"]
        message = refusal_of(create(if_exists="update"))
        assert f"The segment 'camp' is there ({segment_id}), and archived, or of a kind that cannot" in message
        assert "UnarchiveSegmentOperator" in message

    def test_one_that_is_made_meanwhile(self, today, monkeypatch):
        """After it was looked for, and before the call."""
        found = []
        find = CreateSegmentOperator.find_target

        def find_and_be_overtaken(operator, client):
            target = find(operator, client)
            if not found:
                today.add_segment(name="camp", included_filters=AGRA)
            found.append(target)
            return target

        monkeypatch.setattr(CreateSegmentOperator, "find_target", find_and_be_overtaken)
        create(if_exists="update").execute({})
        assert today.segments[0]["included_filters"] == PUNE
        assert len(today.segments) == 1


class TestRetry:
    """A task that was killed after MoEngage has created the segment meets it in its retry."""

    RETRY: ClassVar = {"ti": SimpleNamespace(try_number=2, task_id="create", xcom_push=lambda **_: None)}

    def test_it_is_taken_for_ours(self, today, log):
        segment_id = today.add_segment(name="camp", included_filters=PUNE)["id"]
        assert create().execute(self.RETRY)["id"] == segment_id
        assert "POST" not in methods(today)
        said = log()
        assert "An earlier try of this task has created the segment 'camp'" in said
        assert "by its time" not in said

    def test_another_one_is_not(self, today):
        today.add_segment(name="camp", included_filters=AGRA)
        assert "The name is taken" in refusal_of(create(), self.RETRY)

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_one_that_does_not_show_its_definition_is_taken_by_its_time(self, monkeypatch, hours, log):
        with Sandbox(dialect="seeds") as sandbox:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
            segment = sandbox.add_segment(name="camp", included_filters=AGRA)
            run = SimpleNamespace(start_date=sandbox.now + timedelta(hours=hours))
            if hours < 0:
                create().execute({**self.RETRY, "dag_run": run})
                assert "POST" not in methods(sandbox)
                said = log()
                assert f"The segment 'camp' ({segment['id']}) is taken for the one of an earlier try" in said
                assert "by its time alone" in said
                assert "To be sure, compare its filters" in said
            else:
                assert "It may be the one that an earlier try" in refusal_of(create(), {**self.RETRY, "dag_run": run})


class TestDryRun:
    def test_of_a_new_one(self, sandbox):
        assert create(dry_run=True).execute({}) == {
            "dry_run": True,
            "action": "create",
            "name": "camp",
            "segment_id": None,
            "changes": ["Included: 1 filter: City (in)."],
        }
        assert sandbox.segments == []

    @pytest.mark.parametrize(("if_exists", "there", "action"), [
        ("skip", AGRA, "none"), ("update", PUNE, "none"), ("update", AGRA, "update"),
    ])  # fmt: skip
    def test_of_one_that_is_there(self, today, if_exists, there, action):
        segment_id = today.add_segment(name="camp", included_filters=there)["id"]
        answer = create(if_exists=if_exists, dry_run=True).execute({})
        assert (answer["action"], answer["segment_id"]) == (action, segment_id)
        assert bool(answer["changes"]) == (there is AGRA)
        assert today.segments[0]["included_filters"] == there

    def test_of_a_taken_name(self, sandbox):
        sandbox.add_segment(name="camp")
        assert "The name is taken" in refusal_of(create(dry_run=True))


def create_or_update(kind, which):
    return lambda **arguments: kind(**{"task_id": "it", "included_filters": PUNE, **which, **arguments})


OPERATORS = (
    create_or_update(CreateSegmentOperator, {"name": "camp"}),
    create_or_update(CreateSegmentOperator, {"name": "camp", "if_exists": "update"}),
    create_or_update(UpdateSegmentOperator, {"segment_id": UNKNOWN_ID}),
)


def segments(first, end):
    """References to other segments."""
    return {
        "filter_operator": "or",
        "filters": [
            {"filter_type": "custom_segments", "id": f"{number:024x}", "name": f"other {number}"}
            for number in range(first, end)
        ],
    }


def nested(group, levels):
    for _ in range(levels):
        group = {"filter_operator": "and", "filters": [{"filter_type": "nested_filters", **group}]}
    return group


class TestFiltersAreChecked:
    WRONG: ClassVar = {
        "filter_operator": "and",
        "filters": [
            {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "equals", "value": 1},
            {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "in", "value": []},
        ],
    }  # fmt: skip

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_all_places_at_once(self, sandbox, operator):
        message = refusal_of(operator(excluded_filters=self.WRONG))
        assert "excluded_filters.filters[0].operator: " in message
        assert "excluded_filters.filters[1].value: The list is empty" in message
        assert sandbox.requests == []

    def test_there_is_room_for_as_many_as_there_are(self, sandbox, log):
        """The log has them all, the error as many as fit into its message."""
        wrong = {"filter_operator": "and", "filters": [self.WRONG["filters"][1]] * 40}
        message = refusal_of(create(wrong))
        assert message.startswith("MoEngage would refuse these filters, and nothing was sent")
        assert re.search(r" And \d+ more, in the log\.$", message)
        assert "included_filters.filters[39].value: The list is empty" in log()

    def test_no_filter_at_all(self, sandbox):
        """A query without rows, as the whole of who is in it."""
        message = refusal_of(create({"filter_operator": "and", "filters": []}))
        assert "included_filters.filters: The list is empty" in message
        assert sandbox.requests == []

    def test_an_empty_list_that_is_meant(self, sandbox):
        create(filters([]), allow_empty_values=True).execute({})
        assert len(sandbox.segments) == 1

    def test_not_at_all(self, sandbox):
        """MoEngage is asked then, whatever it says."""
        with suppress(AirflowFailException):
            create({**self.WRONG, "filters": self.WRONG["filters"][:1]}, validate_filters=False).execute({})
        assert methods(sandbox) == ["POST"]

    @pytest.mark.parametrize(
        ("filters_", "place"),
        [
            ([], "filters"),
            ([{"operator": "equals", "value": []}], "filters[0].value"),
            ([{"filter_type": "nested_filters", "filter_operator": "or", "filters": []}], "filters[0].filters"),
            (
                [{"filter_type": "nested_filters", "filter_operator": "or", "filters": filters([])["filters"]}],
                "filters[0].filters[0].value",
            ),
        ],
    )
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_empty_lists_are_refused_unchecked_too(self, sandbox, operator, filters_, place):
        """validate_filters is about the language: who asks for its False has not asked for everybody."""
        given = {"included_filters": {"filter_operator": "and", "filters": filters_}, "validate_filters": False}
        message = refusal_of(operator(**given))
        assert message.startswith("These filters have an empty list, and nothing was sent.")
        assert f"included_filters.{place}: The list is empty" in message
        assert sandbox.requests == []
        with suppress(AirflowFailException):
            operator(**given, allow_empty_values=True).execute({})
        assert sandbox.requests

    def test_no_exclusions_are_no_empty_list(self, sandbox):
        create(excluded_filters={"filter_operator": "and", "filters": []}, validate_filters=False).execute({})
        assert len(sandbox.segments) == 1

    @pytest.mark.parametrize(
        ("included", "excluded", "said"),
        [
            (segments(0, 11), None, r"included_filters\.filters\[10\]: .* refer to 10 segments: this is one more"),
            (PUNE, segments(0, 11), r"excluded_filters\.filters\[10\]: .* refer to 10 segments"),
            (segments(0, 6), segments(6, 12), r"excluded_filters\.filters\[4\]: .* refer to 10 segments"),
            (
                nested(segments(0, 1), 6),
                None,
                r"included_filters(\.filters\[0\]){7}: .* 7 levels deep: MoEngage takes 6",
            ),
            (PUNE, nested(segments(0, 1), 6), r"excluded_filters(\.filters\[0\]){7}: .* 7 levels deep"),
            (filters(["x" * 262_144]), None, r"included_filters: The definition has 262,\d+ characters"),
            (PUNE, filters(["x" * 262_144]), r"excluded_filters: The definition has 262,\d+ characters"),
            (
                filters(["x" * 200_000]),
                filters(["y" * 200_000]),
                r"included_filters and excluded_filters: The definition has 400,\d+ characters: MoEngage takes 262,144",
            ),
        ],
    )
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_limits(self, sandbox, operator, included, excluded, said):
        """They hold for the definition, not for each of its groups."""
        assert re.search(said, refusal_of(operator(included_filters=included, excluded_filters=excluded)))
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("included", "excluded"),
        [
            (segments(0, 5), segments(5, 10)),
            (segments(0, 8), segments(0, 8)),
            (nested(segments(0, 1), 5), nested(segments(0, 1), 5)),
            (filters(["x" * 131_000]), filters(["y" * 130_800])),
        ],
    )
    def test_what_is_just_within_them(self, sandbox, included, excluded):
        for number in range(10):
            sandbox.add_segment(id=f"{number:024x}", name=f"other {number}", included_filters=filters([str(number)]))
        create(included, excluded_filters=excluded).execute({})
        assert methods(sandbox) == ["POST"]


class TestTheLanguageOnTheSandbox:
    """Tried as a new user would: a place and an object pass, and a word that is none fails with the reason beside."""

    @pytest.fixture(params=["seeds", "today"])
    def server(self, request, monkeypatch):
        with Sandbox(dialect=request.param) as sandbox:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
            yield sandbox

    def test_a_geopoint_and_an_object(self, server):
        place = {"filter_type": "user_attributes", "name": "Last Known Location", "data_type": "geopoint",
                 "value": 18.52, "value1": 73.85, "radius": 5_000}  # fmt: skip
        address = {"filter_type": "user_attributes", "name": "Address", "data_type": "object", **PUNE}
        given = {"filter_operator": "and", "filters": [place, address]}
        create(given).execute({})
        assert server.segments[0]["included_filters"] == given
        assert server.requests[-1].explanation is None

    def test_equals(self, server):
        city = {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "equals",
                "value": "Pune"}  # fmt: skip
        message = refusal_of(create({"filter_operator": "and", "filters": [city]}, validate_filters=False))
        assert "MoEngage" in message
        assert server.segments == []
        explanation = server.requests[-1].explanation
        assert explanation.startswith("included_filters.filters[0].operator ")
        assert "equals" in explanation


class TestWhatAnUpdateChanges:
    def test_by_name_and_never_by_value(self, today, log):
        def double(name, value):
            return {"filter_type": "user_attributes", "name": name, "data_type": "double", "operator": "lessThan",
                    "value": value}  # fmt: skip

        before = {"filter_operator": "and", "filters": [*PUNE["filters"], double("LTV", 70_001)]}
        after = {"filter_operator": "and", "filters": [*AGRA["filters"], double("Age", 70_002)]}
        segment_id = today.add_segment(name="camp", included_filters=before)["id"]

        UpdateSegmentOperator(task_id="it", segment_id=segment_id, included_filters=after).execute({})

        said = log()
        assert (
            "Included: 2 filters before, 2 after; new: Age (lessThan); gone: LTV (lessThan); with other values or "
            "options: City (in)."
        ) in said
        assert not any(value in said for value in ("Pune", "Agra", "70001", "70002", "It is now"))


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_what_stays_as_it_is_is_not_said_to_be_replaced(sandbox, log, is_dry_run):
    """A server that shows no definition gives nothing to compare with, and no new one follows."""
    sandbox.add_segment(name="camp")
    operator = CreateSegmentOperator(
        task_id="create", name="camp", included_filters=filters("Pune"), if_exists="skip", dry_run=is_dry_run
    )
    operator.execute({})
    said = log()
    assert "as it is" in said
    assert "the new one follows" not in said
