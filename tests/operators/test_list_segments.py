"""Selecting segments in DAG runs, and giving the selection to other operators."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred, task

from airflow_provider_moengage.operators.bulk import ListSegmentsOperator
from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from tests.support import filters, new_dag

DAY = timedelta(days=1)
KEYS = ["name", "segment_id", "created_time", "type", "source"]


def listing_dag(dag_id, sandbox, **arguments) -> DAG:
    """A run of a DAG and date must not exist yet, not even from the other dialect."""
    with new_dag(f"{dag_id}_{sandbox.url.rpartition(':')[2]}") as dag:
        ListSegmentsOperator(task_id="find", **arguments)
    return dag


@pytest.fixture
def campaigns(sandbox):
    """Two campaigns that are over, one that runs, one that stays, and what is no campaign."""
    sandbox.add_segment(name="camp_holi", age=100 * DAY)
    sandbox.add_segment(name="camp_diwali", age=200 * DAY, source="DASHBOARD")
    sandbox.add_segment(name="camp_now", age=10 * DAY)
    sandbox.add_segment(name="camp_keep", age=300 * DAY)
    sandbox.add_segment(name="Camp_other", age=300 * DAY)
    sandbox.add_segment(name="camp_file", age=150 * DAY, kind="file")


class TestSelecting:
    @pytest.mark.usefixtures("campaigns")
    def test_campaigns_that_are_over(self, sandbox, run_dag):
        dag = listing_dag(
            "over",
            sandbox,
            name_pattern="camp_*",
            exclude_pattern="*_keep",
            older_than=timedelta(days=90),
            types=["ELASTIC_SEARCH"],
        )

        run = run_dag(dag)

        assert run.states == {"find": "success"}
        listed = {segment["name"]: segment for segment in sandbox.segments}
        assert run.xcoms["find"] == [
            {
                "name": name,
                "segment_id": listed[name]["id"],
                "created_time": listed[name]["created_time"],
                "type": "ELASTIC_SEARCH",
                "source": source,
            }
            for name, source in (("camp_diwali", "DASHBOARD"), ("camp_holi", "API"))
        ]
        assert [request.path for request in sandbox.requests] == ["/v3/custom-segments"]
        assert re.search(
            r"Selected 2 of 6 segments, created before \d{4}-\d\d-\d\dT[\d:]{8}Z; exclude_pattern has left out 1\.",
            run.log,
        )
        assert re.search(r"name +id +created \(UTC\) +age in days +type +source", run.log)
        diwali = rf"camp_diwali  {listed['camp_diwali']['id']}"
        row = rf"{diwali}  \d{{4}}-\d\d-\d\dT[\d:]{{8}}Z  200 +ELASTIC_SEARCH  DASHBOARD"
        assert re.search(row, run.log)
        assert run.log.index("camp_diwali  ") < run.log.index("camp_holi  ")

    @pytest.mark.usefixtures("campaigns")
    def test_a_name_is_one_exact_request(self, sandbox, run_dag):
        run = run_dag(listing_dag("by_name", sandbox, name="{{ 'camp' }}_now"))

        assert [segment["name"] for segment in run.xcoms["find"]] == ["camp_now"]
        (request,) = sandbox.requests
        assert (request.path, request.query) == ("/v3/custom-segments", "name=camp_now")

    @pytest.mark.usefixtures("campaigns")
    @pytest.mark.parametrize("native", [False, True])
    def test_every_parameter_is_templated(self, sandbox, run_dag, native):
        """On the newest Airflow a run has a date of its own only when it is given one."""
        parameters = {
            "conn": "moengage_default",
            "pattern": "camp_*",
            "exclude": "*_now",
            "older": "P90D",
            "newer": "P1Y",
            "type": "ELASTIC_SEARCH",
            "source": "API",
            "limit": 1,
        }
        with new_dag(
            f"templated_{native}_{sandbox.url.rpartition(':')[2]}",
            params=parameters,
            render_template_as_native_obj=native,
        ) as dag:
            ListSegmentsOperator(
                task_id="find",
                name_pattern="{{ params.pattern }}",
                exclude_pattern="{{ params.exclude }}",
                older_than="{{ params.older }}",
                newer_than="{{ params.newer }}",
                as_of="{{ data_interval_end }}",
                types=["{{ params.type }}"],
                sources=["{{ params.source }}"],
                limit="{{ params.limit }}",
                moengage_conn_id="{{ params.conn }}",
            )

        run = run_dag(dag, logical_date=pendulum.now("UTC"))

        assert run.states == {"find": "success"}, run.log
        assert [segment["name"] for segment in run.xcoms["find"]] == ["camp_keep"]

    @pytest.mark.usefixtures("campaigns")
    def test_as_of_a_past_run(self, sandbox, run_dag):
        """What was too young then is too young in a run of then, whenever that takes place."""
        then = pendulum.now("UTC") - 120 * DAY
        dag = listing_dag("then", sandbox, as_of="{{ ts }}", older_than=timedelta(days=90))

        run = run_dag(dag, logical_date=then)

        names = [segment["name"] for segment in run.xcoms["find"]]
        assert sorted(names) == ["Camp_other", "camp_keep"]

    @pytest.mark.usefixtures("campaigns")
    @pytest.mark.parametrize("parameter", ["types", "sources"])
    def test_a_list_of_what_mapped_tasks_give(self, sandbox, run_dag, parameter):
        """Airflow gives a lazy sequence, which is no list."""
        with new_dag(f"lazy_{parameter}_{sandbox.url.rpartition(':')[2]}") as dag:

            @task
            def one(value):
                return value

            ListSegmentsOperator(task_id="find", **{parameter: one.expand(value=["ELASTIC_SEARCH", "API"])})

        run = run_dag(dag)

        assert run.states["find"] == "success", run.log
        assert len(run.xcoms["find"]) == {"types": 5, "sources": 5}[parameter]

    @pytest.mark.usefixtures("campaigns")
    def test_the_log_says_why_nothing_is_selected_and_what_comes_again(self, sandbox, run_dag):
        with new_dag(f"nothing_{sandbox.url.rpartition(':')[2]}") as dag:
            ListSegmentsOperator(task_id="none", types=["FILTER"])
            ListSegmentsOperator(task_id="again", older_than=timedelta(days=90))

        run = run_dag(dag)

        assert "Selected 0 of 6 segments" in run.log
        assert "Left out, by one criterion after the other: types 6." in run.log
        assert "No segment meets types: those that are listed have " in run.log
        assert "The selection has no newer_than" in run.log

    @pytest.mark.usefixtures("campaigns")
    def test_criteria_from_other_tasks(self, sandbox, run_dag):
        with new_dag(f"criteria_{sandbox.url.rpartition(':')[2]}") as dag:

            @task(multiple_outputs=True)
            def criteria():
                return {"older_than": timedelta(days=90), "sources": ["DASHBOARD"], "limit": 5}

            asked = criteria()
            ListSegmentsOperator(
                task_id="find", older_than=asked["older_than"], sources=asked["sources"], limit=asked["limit"]
            )

        run = run_dag(dag)

        assert [segment["name"] for segment in run.xcoms["find"]] == ["camp_diwali"]

    def test_an_empty_workspace_and_no_criteria(self, sandbox, run_dag):
        run = run_dag(listing_dag("nothing", sandbox))

        assert run.states == {"find": "success"}
        assert run.xcoms["find"] == []
        assert "Selected 0 of 0 segments, created at any time." in run.log

    @pytest.mark.usefixtures("campaigns")
    def test_archived_segments_are_selected_too(self, sandbox, run_dag):
        """The API does not tell them apart; the documentation of the operator warns of it."""
        archived = sandbox.add_segment(name="camp_over", age=400 * DAY, archived=True)

        run = run_dag(listing_dag("archived", sandbox, limit=1))

        assert [segment["segment_id"] for segment in run.xcoms["find"]] == [archived["id"]]

    def test_a_time_that_cannot_be_read(self, sandbox, run_dag):
        forged = "soon\n[2026-11-02] INFO - Selected 0 of 0 segments\x1b[2J"
        sandbox.fail_next(
            status=200,
            body={
                "data": [
                    {"name": "lost\nfound", "id": "1", "created_time": forged, "type": "FILE", "source": "API"},
                    {"name": "old", "id": "2", "created_time": "2020-01-01T00:00:00", "type": "a\nb", "source": "API"},
                ],
                "response_id": "a",
                "type": "custom_segment",
            },
        )

        run = run_dag(listing_dag("unreadable", sandbox, older_than="P1D", limit=10))

        assert [segment["name"] for segment in run.xcoms["find"]] == ["old"]
        assert "The segment 'lost\\nfound' (id 1) is not selected" in unescaped(run.log)
        assert "[2026-11-02] INFO - Selected" not in [line[:30] for line in run.log.splitlines()]
        assert not any(line.startswith(("[2026-11-02] INFO - S", "found", "b ")) for line in run.log.splitlines())
        assert "\x1b[2J" not in run.log


def unescaped(log):
    """Some versions of Airflow log JSON, which escapes a backslash once more."""
    return log.replace("\\\\", "\\")


BAD_INPUT = [
    ({"older_than": "90 days"}, "older_than must be a timedelta, a pendulum Duration or an ISO 8601 duration"),
    ({"older_than": 90}, "older_than must be a timedelta"),
    ({"older_than": "{{ params.nothing }}"}, "of older_than renders to the text None"),
    ({"older_than": timedelta(days=-1)}, "older_than must not be negative"),
    ({"newer_than": "-P1D"}, "newer_than must be a timedelta"),
    ({"as_of": "2999-01-01T00:00:00Z"}, "as_of (2999-01-01T00:00:00Z) is in the future"),
    ({"as_of": "tomorrow"}, "as_of must be a datetime or an ISO 8601 string"),
    ({"older_than": "P90D", "newer_than": "P30D"}, "newer_than must be longer than older_than"),
    ({"limit": 0}, "limit must be a whole number from 1 on, not int (0)"),
    ({"limit": "{{ -1 }}"}, "limit must be a whole number from 1 on"),
    ({"limit": "many"}, "limit must be a whole number from 1 on"),
    ({"types": "ELASTIC_SEARCH"}, "types must be a list of strings, not str"),
    ({"types": []}, "types is an empty list"),
    ({"sources": "{{ ['API'] }}"}, "sources must be a list of strings, not str"),
    ({"sources": [1]}, "each of sources must be a string"),
    ({"name": "{{ '' }}"}, "name is blank"),
    ({"name_pattern": ""}, "name_pattern is blank"),
    ({"exclude_pattern": "{{ params.nothing or '' }}"}, "exclude_pattern is blank"),
    ({"exclude_pattern": "*_evergreen "}, "exclude_pattern has a blank at its end or beginning"),
    ({"name_pattern": " camp_*"}, "would not match what it seems to: ' camp_*'"),
]


class TestBadInput:
    @pytest.mark.parametrize(("arguments", "sentence"), BAD_INPUT, ids=lambda value: repr(value)[:50])
    def test_it_is_one_sentence_and_not_sent(self, sandbox, arguments, sentence):
        operator = ListSegmentsOperator(task_id="find", params={"nothing": None}, **arguments)

        def run():
            operator.render_template_fields({"params": {"nothing": None}})
            operator.execute({})

        with pytest.raises(AirflowFailException) as caught:
            run()

        assert sentence in str(caught.value)
        assert str(caught.value).isprintable()
        assert sandbox.requests == []

    def test_nor_does_a_mapped_task_that_is_given_nothing(self, sandbox, run_dag):
        sandbox.add_segment(name="of another team", age=timedelta(days=100))
        with new_dag(f"mapped_{sandbox.url.rpartition(':')[2]}") as dag:

            @task
            def rules():
                return [{"name_pattern": None, "older_than": "P90D"}, {"name_pattern": "of*", "older_than": "P90D"}]

            ListSegmentsOperator.partial(task_id="find").expand_kwargs(rules())

        run = run_dag(dag)

        assert run.state == "failed"
        assert "name_pattern was given, but there is nothing in it now" in run.log
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize("criterion", ["name_pattern", "older_than", "types", "limit"])
    def test_a_template_that_renders_to_nothing_does_not_select_everything(self, sandbox, run_dag, criterion):
        sandbox.add_segment(name="of another team")
        with new_dag(
            f"nothing_{criterion}_{sandbox.url.rpartition(':')[2]}", render_template_as_native_obj=True
        ) as dag:
            ListSegmentsOperator(task_id="find", **{criterion: "{{ params.nothing }}"}, params={"nothing": None})

        run = run_dag(dag)

        assert run.states == {"find": "failed"}
        assert f"{criterion} was given, but there is nothing in it now" in run.log
        assert sandbox.requests == []

    def test_it_is_not_retried(self, sandbox, run_dag):
        dag = listing_dag("bad", sandbox, older_than="P{{ params.x }}D", params={"x": None}, retries=3)

        run = run_dag(dag)

        assert run.states == {"find": "failed"}
        assert run.tries == {"find": 1}
        assert "not str ('PNoneD'). If it comes from a template" in run.log
        assert sandbox.requests == []


class TestFailures:
    def test_a_hiccup_costs_no_try(self, sandbox, run_dag):
        sandbox.add_segment(name="camp")
        sandbox.fail_next(status=503)
        sandbox.fail_next(fault="reset")

        run = run_dag(listing_dag("hiccup", sandbox))

        assert run.states == {"find": "success"}
        assert len(run.xcoms["find"]) == 1
        assert len(sandbox.requests) == 3

    def test_a_long_rate_limit_is_deferred(self, sandbox, clock):
        sandbox.add_segment(name="camp")
        operator = ListSegmentsOperator(task_id="find", deferrable=True)
        sandbox.fail_next(status=429, headers={"Retry-After": "3000"})

        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({})
        clock.move(3_000)

        listed = operator.execute_complete({}, **deferred.value.kwargs)
        assert [list(segment) for segment in listed] == [KEYS]


class TestHandingOn:
    @pytest.mark.usefixtures("campaigns")
    def test_to_mapped_archival(self, sandbox, run_dag):
        """Names go as they are: rendered, a segment's name could read Airflow's secrets and send them away."""
        treacherous = "camp {{ conn.moengage_default.password }}"
        sandbox.add_segment(name=treacherous, age=120 * DAY)
        with new_dag(f"mapped_{sandbox.url.rpartition(':')[2]}") as dag:
            found = ListSegmentsOperator(task_id="find", name_pattern="camp*", older_than="P90D")
            archive = ArchiveSegmentOperator.partial(task_id="archive", retries=0).expand_kwargs(found.output)
            unarchive = UnarchiveSegmentOperator.partial(task_id="unarchive").expand_kwargs(found.output)
            archive >> unarchive

        run = run_dag(dag)

        assert run.state == "success", run.log
        listed = {segment["name"]: segment["id"] for segment in sandbox.segments}
        bodies = {verb: [] for verb in ("archive", "unarchive")}
        for request in sandbox.requests[1:]:
            body = dict(request.json)
            bodies[request.path.rpartition("/")[2]].append((body.pop("name"), body.popitem()[1]))
            assert body == {}
        names = {"camp_keep", "camp_diwali", "camp_file", treacherous, "camp_holi"}
        assert {frozenset(calls) for calls in bodies.values()} == {frozenset((name, listed[name]) for name in names)}
        assert [len(calls) for calls in bodies.values()] == [5, 5]
        assert sandbox.connection["password"] not in run.log

    def test_a_template_of_the_dag_is_rendered(self, sandbox, run_dag):
        """Only what was listed is not: the connection is the DAG's own."""
        sandbox.add_segment(name="camp", age=DAY)
        with new_dag(f"partial_{sandbox.url.rpartition(':')[2]}") as dag:
            found = ListSegmentsOperator(task_id="find")
            ArchiveSegmentOperator.partial(
                task_id="archive", moengage_conn_id="moengage_{{ 'default' }}"
            ).expand_kwargs(found.output)

        assert run_dag(dag).states == {"find": "success", "archive": "success"}
        assert [segment["archived"] for segment in sandbox.segments] == [True]

    def test_nothing_to_archive_is_skipped(self, sandbox, run_dag):
        with new_dag(f"skipped_{sandbox.url.rpartition(':')[2]}") as dag:
            found = ListSegmentsOperator(task_id="find", older_than="P90D")
            ArchiveSegmentOperator.partial(task_id="archive").expand_kwargs(found.output)

        run = run_dag(dag)

        assert run.states == {"find": "success", "archive": "skipped"}

    @pytest.mark.parametrize("operator", [ArchiveSegmentOperator, UnarchiveSegmentOperator])
    def test_a_typo_is_still_refused(self, operator):
        listed = dict.fromkeys(KEYS, "x")
        assert operator(task_id="it", **listed).name == "x"
        with pytest.raises(Exception, match="segmentid"):
            operator(task_id="it", **listed, segmentid="x")

    @pytest.mark.usefixtures("campaigns")
    def test_one_found_by_name_to_an_update(self, sandbox, run_dag):
        with new_dag(f"found_{sandbox.url.rpartition(':')[2]}") as dag:
            found = ListSegmentsOperator(task_id="find", name="camp_now")
            UpdateSegmentOperator(
                task_id="update",
                segment_id="{{ ti.xcom_pull('find')[0]['segment_id'] }}",
                included_filters=filters(),
            ).set_upstream(found)

        assert run_dag(dag).states == {"find": "success", "update": "success"}


def test_a_selection_is_json(sandbox):
    sandbox.add_segment(name="camp", age=DAY)
    listed = ListSegmentsOperator(task_id="find").execute({})
    assert json.loads(json.dumps(listed)) == listed
    assert [list(segment) for segment in listed] == [KEYS]
