"""Outputs of mapped tasks, wherever they stand in an argument; and text that is no template."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator, CreateSegmentOperator
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from tests.support import filters, new_dag


@pytest.mark.parametrize("how", ["value", "filters", "map", "concat", "zip"])
def test_a_lazy_sequence_becomes_a_list(sandbox, run_dag, how):
    with new_dag(f"lazy_{how}") as dag:

        @task
        def city(name):
            return name

        @task
        def one_filter(name):
            return filters([name])["filters"][0]

        cities = city.expand(name=["Pune", "Agra"])
        given = {
            "value": lambda: filters(cities),
            "filters": lambda: {"filter_operator": "or", "filters": one_filter.expand(name=["Pune", "Agra"])},
            "map": lambda: filters(cities.map(str.upper)),
            "concat": lambda: filters(cities.concat(cities)),
            "zip": lambda: filters(cities.zip(cities)),
        }[how]()
        CreateSegmentOperator(task_id="create", name="camp", included_filters=given, validate_filters=False)

    run = run_dag(dag)

    posts = [request.json for request in sandbox.requests if request.method == "POST"]
    assert len(posts) == 1, run.log[-3000:]
    sent = posts[0]["included_filters"]
    value = [each["value"] for each in sent["filters"]] if how == "filters" else sent["filters"][0]["value"]
    assert (
        value
        == {
            "value": ["Pune", "Agra"],
            "filters": [["Pune"], ["Agra"]],
            "map": ["PUNE", "AGRA"],
            "concat": ["Pune", "Agra", "Pune", "Agra"],
            "zip": [["Pune", "Pune"], ["Agra", "Agra"]],
        }[how]
    )


def test_text_without_a_template_stays_text(sandbox, run_dag):
    """Where render_template_as_native_obj would make a number of it."""
    for name in ("2026", "1_000", "None", "[1]"):
        sandbox.add_segment(name=name)
    with new_dag("native_text", render_template_as_native_obj=True) as dag:
        ArchiveSegmentOperator(task_id="one", name="2026")
        ArchiveSegmentOperator.partial(task_id="mapped").expand(name=["1_000", "None", "[1]"])

    run = run_dag(dag)

    assert run.state == "success", run.log[-3000:]
    assert all(segment["archived"] for segment in sandbox.segments)


def test_what_a_task_group_is_mapped_over_has_its_type(sandbox, run_dag):
    """It arrives as an argument of its own, and is one of the template fields for that."""
    from airflow.providers.common.compat.sdk import task_group

    segments = [sandbox.add_segment(name=name) for name in ("a", "b")]
    listed = [
        {"name": one["name"], "segment_id": one["id"], "created_time": one["created_time"], "type": one["type"]}
        for one in segments
    ]
    with new_dag("mapped_group") as dag:

        @task_group
        def retire(name, segment_id, created_time, type):  # noqa: A002
            ArchiveSegmentOperator(
                task_id="archive", name=name, segment_id=segment_id, created_time=created_time, type=type
            )

        retire.expand_kwargs(listed)

    run = run_dag(dag)

    assert run.state == "success", run.log[-3000:]
    assert "file segment" not in run.log
    assert [request.method for request in sandbox.requests] == ["PATCH", "PATCH"]


class _OwnArchive(ArchiveSegmentOperator):
    """What a user writes: None for what is left out, handed on."""

    def __init__(self, *, name=None, segment_id=None, **kwargs):
        super().__init__(name=name, segment_id=segment_id, **kwargs)


class _OwnSensor(SegmentExistsSensor):
    def __init__(self, *, name=None, segment_id=None, **kwargs):
        super().__init__(name=name, segment_id=segment_id, **kwargs)


def test_a_mapped_subclass_may_leave_out_by_none(sandbox, run_dag):
    for name in ("a", "b"):
        sandbox.add_segment(name=name)
    with new_dag("mapped_subclass") as dag:
        waiting = _OwnSensor.partial(task_id="wait", timeout=0).expand(name=["a", "b"])
        waiting >> _OwnArchive.partial(task_id="archive").expand(name=["a", "b"])

    run = run_dag(dag)

    assert run.state == "success", run.log[-3000:]
    assert all(segment["archived"] for segment in sandbox.segments)
