"""Which segment is meant, what was given, and what an execution leaves behind: without a DAG run."""

from __future__ import annotations

import json
from datetime import timedelta

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_moengage.client.errors import ServerError
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator
from airflow_provider_moengage.operators.file_segments import (
    AddUsersOperator,
    CreateFileSegmentOperator,
    RemoveUsersOperator,
    ReplaceUsersOperator,
)
from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    CreateSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import UNKNOWN_ID, filters, new_dag

ARCHIVALS = [ArchiveSegmentOperator, UnarchiveSegmentOperator]
WRITES = ("PATCH", "POST", "PUT")


def written(sandbox):
    return [request for request in sandbox.requests if request.method in WRITES]


def refusal_of(operator, context=None):
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context or {})
    return str(caught.value)


class TestExecutedTwice:
    """An operator object keeps nothing but its parameters between two executions."""

    def test_everything_is_done_again(self, sandbox):
        segment_id = sandbox.add_segment(name="camp")["id"]
        operator = ArchiveSegmentOperator(task_id="archive", name="camp", segment_id=segment_id)
        for _ in range(2):
            operator.execute({})
            UnarchiveSegmentOperator(task_id="back", name="camp").execute({})
        paths = [request.path.rpartition("/")[2] for request in sandbox.requests]
        assert paths == [segment_id, "archive", "unarchive"] * 2

    def test_many_are_done_again(self, sandbox):
        sandbox.add_segment(name="a")
        operator = ArchiveSegmentsOperator(task_id="archive", segments=[{"name": "a"}])
        operator.execute({})
        UnarchiveSegmentOperator(task_id="back", name="a").execute({})
        operator.execute({})
        assert sandbox.segments[0]["archived"]
        assert len(written(sandbox)) == 3

    @pytest.mark.parametrize("many", [False, True])
    def test_another_sandbox_is_reached(self, sandbox, monkeypatch, many):
        """As two tests do that import one DAG module."""
        operator = (
            ArchiveSegmentsOperator(task_id="archive", segments=[{"name": "a"}])
            if many
            else ArchiveSegmentOperator(task_id="archive", name="a")
        )
        sandbox.add_segment(name="a")
        operator.execute({})
        with Sandbox() as other:
            other.add_segment(name="a")
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(other.connection))
            operator.execute({})
            assert other.segments[0]["archived"]
        assert len(sandbox.requests) == 1

    def test_the_link_is_that_of_the_execution(self, sandbox):
        segment_id = sandbox.add_segment(name="a")["id"]
        operator = ArchiveSegmentOperator(task_id="archive", name="a", segment_id=segment_id)
        operator.execute({})
        assert operator.segment_page.endswith(segment_id)
        operator.segment_id = UNKNOWN_ID
        refusal_of(operator)
        assert operator.segment_page == ""

    def test_a_kill_ends_with_its_execution(self, sandbox):
        sandbox.add_segment(name="a")
        operator = ArchiveSegmentsOperator(task_id="archive", segments=[{"name": "a"}])
        operator.on_kill()
        assert operator.execute({})["succeeded"]

    def test_a_hook_of_somebody_elses_stays(self, sandbox, monkeypatch):
        """A test may set one, and must not reach another server for it."""
        sandbox.add_segment(name="a")
        operator = ArchiveSegmentOperator(task_id="archive", name="a")
        hook = operator.hook = ArchiveSegmentOperator(task_id="other", name="a").hook
        hook.get_conn()
        monkeypatch.delenv("AIRFLOW_CONN_MOENGAGE_DEFAULT")
        operator.execute({})
        assert operator.hook is hook


class TestTheIdWins:
    @pytest.mark.parametrize("operator", ARCHIVALS)
    @pytest.mark.parametrize("given", [{"name": "bystander"}, {"name": "camp"}, {}])
    def test_on_every_server(self, monkeypatch, operator, given, log):
        """One that knows the id under another key goes by the name."""
        for dialect in ("seeds", "today"):
            with Sandbox(dialect=dialect) as sandbox:
                monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
                sandbox.add_segment(name="bystander")
                segment_id = sandbox.add_segment(name="camp")["id"]
                log()
                operator(task_id="it", segment_id=segment_id, **given).execute({})
                get, change = sandbox.requests
                assert (get.method, get.path) == ("GET", f"/v3/custom-segments/{segment_id}")
                assert change.json == {"name": "camp", "segment_id": segment_id}
                is_archive = operator is ArchiveSegmentOperator
                assert [segment["archived"] for segment in sandbox.segments] == [False, is_archive]
                warned = f"the segment {segment_id} is called 'camp', not 'bystander'" in log()
                assert warned == (given.get("name") == "bystander")

    @pytest.mark.parametrize("operator", ARCHIVALS)
    def test_an_unknown_id_changes_nothing(self, sandbox, operator):
        sandbox.add_segment(name="camp")
        message = refusal_of(operator(task_id="it", name="camp", segment_id=UNKNOWN_ID))
        assert f"Asked for was the id '{UNKNOWN_ID}'" in message
        assert not written(sandbox)

    @pytest.mark.parametrize("operator", ARCHIVALS)
    def test_what_a_list_has_given_costs_no_get(self, sandbox, operator):
        segment = sandbox.add_segment(name="camp")
        listed = {"name": "camp", "segment_id": segment["id"], "created_time": segment["created_time"]}
        operator(task_id="it", **listed).execute({})
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize("operator", ARCHIVALS)
    def test_neither_name_nor_id(self, sandbox, operator):
        assert "Say which segment: give its name" in refusal_of(operator(task_id="it"))
        assert sandbox.requests == []

    def test_a_file_segment_is_warned_of_by_its_id(self, sandbox, log):
        segment_id = sandbox.add_segment(name="camp", kind="file")["id"]
        ArchiveSegmentOperator(task_id="it", segment_id=segment_id).execute({})
        assert "The segment is, or may be, a file segment" in log()

    @pytest.mark.parametrize(
        "operator",
        [
            lambda value: ArchiveSegmentOperator(task_id="it", segment_id=value),
            lambda value: UpdateSegmentOperator(task_id="it", segment_id=value, included_filters=filters()),
        ],
    )
    def test_a_name_in_the_place_of_the_id(self, sandbox, operator):
        segment_id = sandbox.add_segment(name="camp diwali")["id"]
        message = refusal_of(operator("camp diwali"))
        assert "An id has 24 hexadecimal characters" in message
        assert f"Here is the segment of that name: its id is {segment_id}." in message
        assert "Here is" not in refusal_of(operator("camp holi"))
        assert not written(sandbox)

    def test_an_id_that_is_too_short(self, sandbox):
        """Samples in the documents have 23 characters: MoEngage is asked all the same."""
        message = refusal_of(ArchiveSegmentOperator(task_id="it", segment_id=UNKNOWN_ID[:23]))
        assert "An id has 24 hexadecimal characters, and this one 23." in message
        assert [request.method for request in sandbox.requests] == ["GET"]


class TestUpdateByName:
    def test_one_list_request(self, sandbox):
        segment_id = sandbox.add_segment(name="camp")["id"]
        operator = UpdateSegmentOperator(task_id="it", segment_name="camp", included_filters=filters("Agra"))
        assert operator.execute({})["id"] == segment_id
        assert [request.method for request in sandbox.requests] == ["GET", "GET", "PATCH"]
        assert sandbox.requests[0].query == "name=camp"
        assert operator.segment_page.endswith(segment_id)

    def test_a_name_that_is_not_there_is_shown_in_quotes(self, sandbox):
        message = refusal_of(UpdateSegmentOperator(task_id="it", segment_name="camp ", included_filters=filters()))
        assert "Asked for was the name 'camp '. The name has a blank at its beginning or end." in message

    @pytest.mark.parametrize("given", [{}, {"segment_id": UNKNOWN_ID, "segment_name": "camp"}])
    def test_both_or_neither(self, sandbox, given):
        message = refusal_of(UpdateSegmentOperator(task_id="it", included_filters=filters(), **given))
        assert "Give exactly one of segment_id and segment_name" in message
        assert sandbox.requests == []


class TestWhatWasGivenAndIsNothing:
    FILE = {  # noqa: RUF012 - read only
        "attribute_name": "ID",
        "attribute_type": "string",
        "file_url": "https://files.example.com/ids.csv",
        "callback_url": "https://airflow.example.com/called",
        "emails": ["a@b.c"],
    }
    PARAMETERS = (
        (ArchiveSegmentOperator, {"name": "camp", "segment_id": UNKNOWN_ID}),
        (UnarchiveSegmentOperator, {"name": "camp", "segment_id": UNKNOWN_ID}),
        (
            UpdateSegmentOperator,
            {
                "segment_id": UNKNOWN_ID,
                "included_filters": filters(),
                "name": "camp",
                "updated_by": "a@b.c",
                "excluded_filters": filters(),
            },
        ),
        (CreateSegmentOperator, {"name": "camp", "included_filters": filters(), "excluded_filters": filters()}),
        (CreateFileSegmentOperator, {"name": "vip", "expiry_days": 30, **FILE}),
        (AddUsersOperator, {"name": "vip", "segment_id": UNKNOWN_ID, **FILE}),
        (RemoveUsersOperator, {"name": "vip", "segment_id": UNKNOWN_ID, **FILE}),
        (ReplaceUsersOperator, {"name": "vip", "segment_id": UNKNOWN_ID, **FILE}),
    )
    CASES = tuple((kind, given, parameter) for kind, given in PARAMETERS for parameter in given)

    @pytest.mark.parametrize(("kind", "given", "parameter"), CASES)
    def test_what_another_task_has_not_returned(self, sandbox, kind, given, parameter):
        operator = kind(task_id="it", **given)
        setattr(operator, parameter, None)
        assert refusal_of(operator).startswith(f"{parameter} was given, but there is nothing in it now.")
        assert sandbox.requests == []

    @pytest.mark.parametrize(("kind", "given", "parameter"), CASES)
    def test_the_text_none_of_a_template(self, sandbox, kind, given, parameter):
        template = "{{ params.nothing }}"
        with new_dag("none"):
            operator = kind(task_id="it", **{**given, parameter: template})
        with pytest.raises(AirflowFailException) as caught:
            operator.render_template_fields({"params": {"nothing": None}})
        assert str(caught.value).startswith(f"The template {template!r} of {parameter} renders to the text None")

    def test_within_a_filter(self):
        with new_dag("none"):
            operator = UpdateSegmentOperator(
                task_id="it", segment_id=UNKNOWN_ID, included_filters=filters(["{{ params.city }}"])
            )
        with pytest.raises(AirflowFailException, match="renders to the text None"):
            operator.render_template_fields({"params": {"city": None}})

    def test_a_segment_that_is_called_none(self, sandbox):
        sandbox.add_segment(name="None")
        with new_dag("none"):
            operator = ArchiveSegmentOperator(task_id="it", name="None")
        operator.render_template_fields({})
        operator.execute({})
        assert sandbox.segments[0]["archived"]

    def test_none_in_a_dag_file_is_left_out(self, sandbox):
        segment_id = sandbox.add_segment(name="camp")["id"]
        UpdateSegmentOperator(
            task_id="it",
            segment_id=segment_id,
            included_filters=filters("Agra"),
            name=None,
            updated_by=None,
            excluded_filters=None,
        ).execute({})
        assert written(sandbox)[0].json == {"included_filters": filters("Agra")}

    def test_none_of_a_mapped_task_is_not(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="camp")["id"]
        with new_dag("mapped_none") as dag:
            UpdateSegmentOperator.partial(
                task_id="update", segment_id=segment_id, included_filters=filters("Agra")
            ).expand(excluded_filters=[None])
        run = run_dag(dag)
        assert run.state == "failed"
        assert "excluded_filters was given, but there is nothing in it now." in run.log
        assert sandbox.requests == []


class TestNoRetries:
    @pytest.mark.parametrize("retries", [0, 2])
    def test_the_message_says_what_to_set(self, sandbox, retries):
        sandbox.add_segment(name="camp")
        sandbox.fail_next(status=503, headers={"Retry-After": "600"})
        with pytest.raises(ServerError) as caught:
            ArchiveSegmentOperator(task_id="it", name="camp", retries=retries, retry_delay=timedelta(0)).execute({})
        said = "The task has no retries: set retries=3, say (and before Airflow 3.3 a retry_delay of 600 s)"
        assert (said in str(caught.value)) == (not retries)


class TestDryRun:
    @pytest.mark.parametrize("operator", ARCHIVALS)
    @pytest.mark.parametrize("by", ["name", "segment_id"])
    def test_archivals(self, sandbox, operator, by, log):
        segment = sandbox.add_segment(name="camp", archived=operator is UnarchiveSegmentOperator)
        given = {"name": "camp"} if by == "name" else {"segment_id": segment["id"]}
        before = sandbox.segments
        answer = operator(task_id="it", dry_run=True, **given).execute({})
        assert answer == {
            "dry_run": True,
            "action": operator.action,
            "name": "camp",
            "segment_id": segment["id"],
            "changes": [],
        }
        assert sandbox.segments == before
        assert not written(sandbox)
        assert f"would {operator.action} the segment 'camp' ({segment['id']})" in log()

    def test_one_that_is_not_there(self, sandbox):
        message = refusal_of(ArchiveSegmentOperator(task_id="it", name="camp", dry_run=True))
        assert "there is no segment of this name" in message

    def test_update(self, sandbox, log):
        segment_id = sandbox.add_segment(name="camp", included_filters=filters("Pune"))["id"]
        operator = UpdateSegmentOperator(
            task_id="it", segment_id=segment_id, name="new", included_filters=filters("Agra"), dry_run=True
        )
        answer = operator.execute({})
        assert answer["action"] == "update"
        assert answer["changes"][0] == "Its new name: 'new'."
        assert not written(sandbox)
        assert "Agra" not in log() + json.dumps(answer)

    @pytest.mark.skipif(not hasattr(BaseOperator, "dry_run"), reason="the operators of this Airflow have none")
    def test_airflows_own_dry_run_is_there_still(self):
        assert callable(ArchiveSegmentOperator(task_id="it", name="camp", dry_run=True).dry_run)

    def test_no_truth(self, sandbox):
        message = refusal_of(ArchiveSegmentOperator(task_id="it", name="camp", dry_run="False"))
        assert message == "dry_run must be True or False, not str."
        assert sandbox.requests == []


def test_what_a_list_has_given_is_no_template():
    """What a mapped task group gives has its type with it."""
    with new_dag("listed"):
        operator = ArchiveSegmentOperator(
            task_id="it", name="{{ a }}", segment_id="{{ b }}", created_time=str(pendulum.now("UTC")), type="{{ c }}"
        )
    operator.render_template_fields({})
    assert (operator.name, operator.segment_id, operator.type) == ("{{ a }}", "{{ b }}", "{{ c }}")
