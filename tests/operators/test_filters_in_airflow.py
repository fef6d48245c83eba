"""Built filters on their way through Airflow: template fields, DAG serialisation, XCom, outputs of other tasks."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_moengage.operators.bulk import ListSegmentsOperator
from airflow_provider_moengage.operators.segments import UpdateSegmentOperator
from airflow_provider_moengage.segments.filter_values import comes_later
from airflow_provider_moengage.segments.filters import (
    all_of,
    check_filters,
    event,
    event_attribute,
    user,
    value_of,
)

ID = "63d8cec0c085939e6c1ab727"


def a_task(filters: Any) -> UpdateSegmentOperator:
    with DAG("a_dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        return UpdateSegmentOperator(task_id="update", segment_id=ID, included_filters=filters)


def test_templates_are_rendered_and_moengages_own_are_not():
    group = all_of(
        user("City").is_in(["{{ city }}"]),
        user("LTV").greater_than(value_of("Average")),
        event("Buy").between("{{ ds }}", "{{ next }}").where(event_attribute("Category").is_("{{ city }}")),
    )
    # By hand, and not by all_of(): here the filter is what event() has made.
    by_hand = {"filter_operator": "and", "filters": [event("Buy").at_least("{{ count }}").today()]}
    for filters in (group, by_hand):
        assert check_filters(filters) == []
    context = {"city": "Pune", "ds": "2026-01-01", "next": "2026-01-08", "count": 2}
    task, other = a_task(group), a_task(by_hand)
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - as Airflow's
    task.render_template_fields(context, environment)
    other.render_template_fields(context, environment)
    city, value, bought = task.included_filters["filters"]
    assert city["value"] == ["Pune"]
    assert value["value"] == "{{MoeUserAttribute['Average']}}"
    assert bought["primary_time_range"]["value"] == "2026-01-01"
    assert bought["attributes"]["filters"][0]["value"] == ["Pune"]
    (today,) = other.included_filters["filters"]
    assert type(today) is dict
    assert today["execution"]["count"] == "2"
    assert check_filters(task.included_filters) == check_filters(other.included_filters) == []


def test_the_output_of_another_task_is_a_value():
    with DAG("another", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        found = ListSegmentsOperator(task_id="find", name="x")
        assert comes_later(found.output)
        assert comes_later(found.output.map(str))
        group = all_of(
            user("City").is_in(found.output),
            user("LTV").number.between(found.output, 3),
            event("Buy").at_least(found.output).in_the_last(days=found.output),
        )
        task = UpdateSegmentOperator(task_id="update", segment_id=ID, included_filters=group)
    assert group["filters"][0]["value"] == found.output
    assert task.upstream_task_ids == {"find"}
    assert check_filters(group) == []


def test_a_dag_is_serialised_with_them():
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    except ImportError:  # before Airflow 3.2
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization

    built = {"filter_operator": "and", "filters": [event("Buy").today().where(event_attribute("Category").is_("a"))]}
    plain = json.loads(json.dumps(built))
    written = [json.dumps(Serialization.to_dict(a_task(filters).dag), sort_keys=True) for filters in (built, plain)]
    assert written[0] == written[1]
    assert "Category" in written[0]


def test_an_xcom_is_written_with_them():
    try:
        from airflow.sdk.serde import serialize
    except ImportError:  # before Airflow 3.2
        from airflow.serialization.serde import serialize

    built = event("Buy").today()
    assert serialize(built) == json.loads(json.dumps(built))
