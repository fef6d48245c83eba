from __future__ import annotations

import json
import re
from datetime import timedelta

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, task

from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from tests.support import UNKNOWN_ID, dates, filters, new_dag


def update_dag(dag_id, segment_id, **arguments):
    # A run of a DAG and date must not exist yet, not even from the other dialect.
    with new_dag(f"{dag_id}_{segment_id}") as dag:
        UpdateSegmentOperator(
            task_id="update", segment_id=segment_id, included_filters=filters("Agra"), updated_by="a@b.c", **arguments
        )
    return dag


class TestArchiveAndUnarchive:
    def test_a_round_trip(self, sandbox, run_dag):
        sandbox.add_segment(name="camp_diwali")
        with new_dag("round_trip", params={"festival": "diwali"}) as dag:
            archive = ArchiveSegmentOperator(task_id="archive", name="camp_{{ params.festival }}")
            archive >> UnarchiveSegmentOperator(task_id="unarchive", name="camp_{{ params.festival }}")

        now = pendulum.now("UTC")
        run = run_dag(dag)

        assert run.states == {"archive": "success", "unarchive": "success"}
        assert [request.path for request in sandbox.requests] == [
            "/v2/custom-segments/archive",
            "/v2/custom-segments/unarchive",
        ]
        assert run.xcoms["archive"]["cs_name"] == run.xcoms["unarchive"]["cs_name"] == "camp_diwali"
        assert [segment["archived"] for segment in sandbox.segments] == [False]
        assert any(f"unarchived until {date}" in run.log for date in dates(now, 180))

    def test_the_id_wins(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="new name")["id"]
        with new_dag("by_id") as dag:
            ArchiveSegmentOperator(task_id="archive", name="old name", segment_id=segment_id)

        assert run_dag(dag).states == {"archive": "success"}
        assert [segment["archived"] for segment in sandbox.segments] == [True]

    def test_a_type_that_is_no_text(self, sandbox):
        sandbox.add_segment(name="camp")
        ArchiveSegmentOperator(task_id="archive", name="camp", type=5).execute({})
        assert sandbox.segments[0]["archived"]

    @pytest.mark.parametrize(("kind", "warned"), [("file", True), ("filter", False)])
    def test_a_file_segment_is_warned_of(self, sandbox, run_dag, kind, warned):
        """As ListSegmentsOperator gives it to a mapped task."""
        segment = sandbox.add_segment(name="camp", kind=kind)
        with new_dag(f"file_segment_{segment['id']}") as dag:
            ArchiveSegmentOperator(task_id="archive", name="camp", type=segment["type"])

        run = run_dag(dag)

        assert run.state == "success"
        assert ("The segment is, or may be, a file segment." in run.log) == warned
        assert ("MoEngage deletes the users of a file segment for good" in run.log) == warned

    @pytest.mark.parametrize("operator", [ArchiveSegmentOperator, UnarchiveSegmentOperator])
    def test_a_missing_segment_fails_without_a_retry(self, sandbox, run_dag, operator):
        with new_dag("missing", default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
            operator(task_id="it", name="nobody")

        run = run_dag(dag)

        assert run.states == {"it": "failed"}
        assert len(sandbox.requests) == 1
        assert "Custom segment not found for the given name or cs_id: nobody" in run.log


class TestUpdate:
    def test_filters_reach_the_server_as_they_are(self, sandbox, run_dag):
        """Airflow's templates are rendered, MoEngage's own and unknown keys pass, the order stays."""
        segment_id = sandbox.add_segment(name="camp")["id"]
        native = "{{MoeUserAttribute['lifetime_value']}}"
        included = {
            "unknown": [{"z": 1, "a": None}],
            "filters": [
                {**filters(native)["filters"][0], "is_dynamic_value": True, "dynamic_attribute_type": "double"},
                {**filters("{{ ds }}")["filters"][0]},
                {**filters(native + " since {{ ds }}")["filters"][0]},
                {**filters("report.json")["filters"][0]},
            ],
            "filter_operator": "or",
        }
        # A run of this DAG and date must not exist yet, not even from the other dialect.
        with new_dag(f"update_{segment_id}") as dag:
            UpdateSegmentOperator(
                task_id="update",
                segment_id="{{ params.id }}",
                params={"id": segment_id},
                included_filters=included,
                name="camp {{ ds }}",
                updated_by="{{ task.task_id }}@example.com",
                excluded_filters=filters("{{ ds_nodash }}"),
            )

        run = run_dag(dag, logical_date=pendulum.datetime(2026, 11, 2))

        assert run.states == {"update": "success"}
        request = sandbox.requests[-1]
        assert request.path == f"/v3/custom-segments/{segment_id}"
        wanted = json.dumps(included).replace("{{ ds }}", "2026-11-02")
        assert json.dumps(request.json["included_filters"]) == wanted
        assert request.json["excluded_filters"]["filters"][0]["value"] == "20261102"
        assert request.json["name"] == "camp 2026-11-02"
        assert request.json["updated_by"] == "update@example.com"
        assert run.xcoms["update"]["name"] == "camp 2026-11-02"
        assert run.xcoms["update"]["included_filters"] == json.loads(wanted)

    def test_native_rendering(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="camp")["id"]
        with new_dag("native", render_template_as_native_obj=True) as dag:

            @task
            def compute():
                return filters("{{MoeUserAttribute['x']}}")

            UpdateSegmentOperator(
                task_id="update",
                segment_id=segment_id,
                included_filters="{{ ti.xcom_pull(task_ids='compute') }}",
                excluded_filters=filters("{{MoeUserAttribute['y']}}"),
            ).set_upstream(compute())

        assert run_dag(dag).states == {"compute": "success", "update": "success"}
        assert sandbox.requests[-1].json["included_filters"] == filters("{{MoeUserAttribute['x']}}")
        assert sandbox.requests[-1].json["excluded_filters"] == filters("{{MoeUserAttribute['y']}}")

    def test_filters_from_another_task(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="camp")["id"]
        with new_dag("xcom") as dag:

            @task
            def compute():
                return filters("{{MoeUserAttribute['x']}}")

            UpdateSegmentOperator(task_id="update", segment_id=segment_id, included_filters=compute())

        assert run_dag(dag).states == {"compute": "success", "update": "success"}
        assert sandbox.requests[-1].json["included_filters"] == filters("{{MoeUserAttribute['x']}}")

    def test_mapped(self, sandbox, run_dag):
        ids = [sandbox.add_segment(name=name)["id"] for name in ("a", "b")]
        with new_dag("mapped") as dag:
            UpdateSegmentOperator.partial(task_id="update", updated_by="{{ dag.dag_id }}@example.com").expand_kwargs(
                [
                    {
                        "segment_id": one,
                        "included_filters": filters(f"{{{{MoeUserAttribute['{index}']}}}} {{{{ ds }}}}"),
                    }
                    for index, one in enumerate(ids)
                ]
            )

        assert run_dag(dag).state == "success"
        updates = [request for request in sandbox.requests if request.method == "PATCH"]
        sent = {request.path.rpartition("/")[2]: request.json for request in updates}
        assert sent.keys() == set(ids)
        assert [body["updated_by"] for body in sent.values()] == ["mapped@example.com"] * 2
        for index, one in enumerate(ids):
            value = sent[one]["included_filters"]["filters"][0]["value"]
            assert re.fullmatch(rf"{{{{MoeUserAttribute\['{index}'\]}}}} \d{{4}}-\d\d-\d\d", value)

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"included_filters": {"filters": []}}, 'included_filters needs the key "filter_operator"'),
            (
                {"included_filters": {"filter_operator": "and", "filters": 1}},
                'included_filters needs the key "filters"',
            ),
            ({"included_filters": "2026-11-28"}, "included_filters must be a JSON object"),
            ({"segment_id": ""}, "segment_id is blank"),
            ({"name": " "}, "name is blank"),
        ],
    )
    def test_bad_input_is_not_sent(self, sandbox, arguments, sentence):
        operator = UpdateSegmentOperator(
            task_id="update", **{"segment_id": UNKNOWN_ID, "included_filters": filters(), **arguments}
        )
        with pytest.raises(AirflowFailException, match=sentence):
            operator.execute({})
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"included_filters": "{{ ds }}"}, "included_filters must be a JSON object"),
            ({"segment_id": "{{ '' }}"}, "segment_id is blank"),
        ],
    )
    def test_bad_input_is_not_tried_again(self, sandbox, run_dag, arguments, sentence):
        with new_dag("bad_input", default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
            UpdateSegmentOperator(
                task_id="update", **{"segment_id": UNKNOWN_ID, "included_filters": filters(), **arguments}
            )

        run = run_dag(dag)

        assert run.states == {"update": "failed"}
        assert run.tries == {"update": 1}
        assert sandbox.requests == []
        assert sentence in run.log

    def test_a_hiccup_costs_no_try(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="camp")["id"]
        sandbox.fail_next(method="PATCH", status=503)
        sandbox.fail_next(method="PATCH", fault="lost-answer")

        run = run_dag(update_dag("hiccup", segment_id))

        assert run.states == {"update": "success"}
        assert run.tries == {"update": 1}
        assert [request.status for request in sandbox.requests] == [200, 503, None, 200]

    def test_a_server_that_stays_ill_is_left_to_airflows_retries(self, sandbox, run_dag):
        segment_id = sandbox.add_segment(name="camp")["id"]
        sandbox.fail_next(6, status=503)

        run = run_dag(update_dag("ill", segment_id, retries=1, retry_delay=timedelta(0)))

        assert run.states == {"update": "success"}
        assert run.tries == {"update": 2}
        assert len(sandbox.requests) == 8


class TestConnections:
    @pytest.mark.parametrize(
        ("changed", "sentence"),
        [
            ({"login": "ANOTHERWORKSPACE"}, "MoEngage refused the credentials"),
            ({"password": ""}, "its password (Data API key) is missing"),
            ({"login": ""}, "its login (Workspace ID) is missing"),
            ({"host": ""}, "names no data center"),
            ({"host": "", "extra": {"data_center": "99"}}, "no MoEngage data center '99'"),
            ({"host": "http://api-01.moengage.com"}, "plain http to api-01.moengage.com"),
        ],
    )
    def test_what_cannot_work(self, sandbox, monkeypatch, log, changed, sentence):
        sandbox.add_segment(name="camp")
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps({**sandbox.connection, **changed}))
        operator = ArchiveSegmentOperator(task_id="archive", name="camp")
        with pytest.raises(AirflowFailException, match=re.escape(sentence)) as refused:
            operator.execute({})
        assert [segment["archived"] for segment in sandbox.segments] == [False]
        assert sandbox.connection["password"] not in str(refused.value) + log()

    def test_a_wrong_key_fails_at_once(self, sandbox, run_dag, monkeypatch):
        sandbox.add_segment(name="camp")
        connection = {**sandbox.connection, "password": "wrong-key-material"}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
        with new_dag("refused", default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
            ArchiveSegmentOperator(task_id="archive", name="camp")

        run = run_dag(dag)

        assert run.states == {"archive": "failed"}
        assert run.tries == {"archive": 1}
        assert "MoEngage refused the credentials" in run.log
        assert [segment["archived"] for segment in sandbox.segments] == [False]
        assert connection["password"] not in run.log

    def test_a_missing_connection(self, sandbox, run_dag):
        with new_dag("no_connection", default_args={"retries": 3, "retry_delay": timedelta(0)}) as dag:
            ArchiveSegmentOperator(task_id="archive", name="camp", moengage_conn_id="{{ 'not' }}_there")

        run = run_dag(dag)

        assert run.states == {"archive": "failed"}
        assert run.tries == {"archive": 1}
        assert (
            "There is no Airflow connection 'not_there' that Airflow could read. Create one of type moengage" in run.log
        )
