"""Assets as outlets: which events a run leaves in the database, what they tell, and which DAG they start."""

from __future__ import annotations

from importlib.metadata import version

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import delete, select

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    CreateSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from tests.support import UNKNOWN_ID, filters, new_dag

try:
    from airflow.models.asset import AssetDagRunQueue as Queue
    from airflow.models.asset import AssetEvent as Event
except ImportError:  # before Airflow 3
    from airflow.models.dataset import DatasetDagRunQueue as Queue
    from airflow.models.dataset import DatasetEvent as Event

BEFORE_ASSETS = Version(version("apache-airflow")) < Version("3")
OTHER_ID = "0123456789abcdef01234567"
WORKSPACE = "SANDBOXWORKSPACE"


@pytest.fixture
def segment_id(sandbox):
    return sandbox.add_segment(name="camp", id=UNKNOWN_ID)["id"]


@pytest.fixture
def asset():
    return create_asset(workspace_id=WORKSPACE, segment_id=UNKNOWN_ID)


@pytest.fixture
def events(airflow_database):
    """The events of all runs in this test: what each tells, by the task that it came from."""
    with create_session() as session:
        session.execute(delete(Event))

    def events():
        with create_session() as session:
            return [(event.source_task_id, event.extra) for event in session.scalars(select(Event).order_by(Event.id))]

    return events


@pytest.fixture
def run_dag(run_dag):
    """As ever, but on Airflow 2 with the DAG's outlets in the database, as the DAG processor writes them."""

    def run(dag):
        if BEFORE_ASSETS:
            dag.sync_to_db()
        return run_dag(dag)

    return run


def of_ours(extra):
    """The extra of an event, without what Airflow itself adds on some versions."""
    return {key: value for key, value in extra.items() if not key.startswith("from_")}


def test_what_each_operator_tells(sandbox, run_dag, segment_id, asset, events):
    with new_dag("telling") as dag:
        one = {"name": "camp", "segment_id": segment_id.upper(), "outlets": [asset]}
        update = UpdateSegmentOperator(
            task_id="update",
            segment_id=segment_id,
            included_filters=filters("Agra"),
            updated_by="a@b.c",
            outlets=[asset],
        )
        (
            ArchiveSegmentOperator(task_id="archive", **one)
            >> UnarchiveSegmentOperator(task_id="unarchive", **one)
            >> update
            >> CreateSegmentOperator(
                task_id="upsert",
                name="camp",
                included_filters=filters("Delhi"),
                if_exists="update",
                outlets=[asset],
            )
        )

    run = run_dag(dag)

    assert run.state == "success"
    same = {"segment_id": UNKNOWN_ID, "name": "camp"}
    assert [(task_id, of_ours(extra)) for task_id, extra in events()] == [
        ("archive", {"action": "archive", **same}),
        ("unarchive", {"action": "unarchive", **same}),
        ("update", {"action": "update", **same, "updated_time": run.xcoms["update"]["updated_time"]}),
        ("upsert", {"action": "update", **same, "updated_time": run.xcoms["upsert"]["updated_time"]}),
    ]
    assert sandbox.connection["password"] not in str(events())


def test_it_starts_the_dag_that_waits_for_it(sandbox, run_dag, segment_id, asset, events):
    with DAG(
        "waits_for_segment", schedule=[asset], start_date=pendulum.datetime(2026, 1, 1), is_paused_upon_creation=False
    ) as consumer:
        EmptyOperator(task_id="other")
    run_dag(consumer)
    with create_session() as session:
        session.execute(delete(Queue))
    with new_dag("starts_another") as dag:
        ArchiveSegmentOperator(task_id="archive", name="camp", outlets=[asset])

    assert run_dag(dag).state == "success"

    with create_session() as session:
        assert session.scalars(select(Queue.target_dag_id)).all() == ["waits_for_segment"]
    ((_, extra),) = events()
    assert of_ours(extra) == {"action": "archive", "segment_id": UNKNOWN_ID, "name": "camp"}


@pytest.mark.usefixtures("triggers_follow_the_sandbox")
def test_after_a_deferral(sandbox, run_dag, segment_id, asset, events):
    sandbox.fail_next(status=429, headers={"Retry-After": "600"})
    with new_dag("telling_late") as dag:
        ArchiveSegmentOperator(task_id="archive", name="camp", segment_id=segment_id, outlets=[asset], deferrable=True)

    run = run_dag(dag)

    assert run.state == "success"
    assert "The task is deferred until" in run.log
    ((_, extra),) = events()
    assert of_ours(extra) == {"action": "archive", "segment_id": UNKNOWN_ID, "name": "camp"}


def test_other_outlets_are_left_alone(sandbox, run_dag, segment_id, asset, events):
    with new_dag("telling_one") as dag:
        ArchiveSegmentOperator(task_id="archive", name="camp", outlets=[Asset("s3://bucket/key"), asset])

    assert run_dag(dag).state == "success"

    assert sorted(len(of_ours(extra)) for _, extra in events()) == [0, 3]


def test_a_task_that_fails_tells_nothing(sandbox, run_dag, segment_id, asset, events):
    sandbox.fail_next(status=403)
    with new_dag("telling_nothing") as dag:
        ArchiveSegmentOperator(task_id="archive", name="camp", outlets=[asset])

    assert run_dag(dag).state == "failed"

    assert events() == []


class TestAnotherSegment:
    def test_is_found_before_the_call(self, sandbox, run_dag, segment_id, events):
        with new_dag("telling_lies", default_args={"retries": 3}) as dag:
            ArchiveSegmentOperator(
                task_id="archive",
                name="camp",
                segment_id=segment_id,
                outlets=[create_asset(workspace_id=WORKSPACE, segment_id=OTHER_ID)],
            )

        run = run_dag(dag)

        assert run.states == {"archive": "failed"}
        assert run.tries == {"archive": 1}
        assert f"The outlet names the segment {OTHER_ID}, and the segment of this task is {UNKNOWN_ID}" in run.log
        assert [request.method for request in sandbox.requests] == ["GET"]
        assert events() == []

    def test_by_name_too(self, sandbox, run_dag, segment_id, events):
        with new_dag("telling_lies_by_name") as dag:
            ArchiveSegmentOperator(
                task_id="archive", name="camp", outlets=[create_asset(workspace_id=WORKSPACE, segment_id=OTHER_ID)]
            )

        run = run_dag(dag)

        assert run.states == {"archive": "failed"}
        assert [request.method for request in sandbox.requests] == ["GET"]
        assert events() == []


def test_another_workspace_is_warned_of(sandbox, segment_id, caplog):
    other = create_asset(workspace_id="ANOTHERWORKSPACE", segment_id=segment_id)
    ArchiveSegmentOperator(task_id="archive", name="camp", segment_id=segment_id, outlets=[other]).execute({})
    assert (
        "names the workspace ANOTHERWORKSPACE, and the connection of this task is for SANDBOXWORKSPACE" in caplog.text
    )


def test_a_test_without_airflow(sandbox, segment_id, asset):
    """As the README shows it: no context at all."""
    ArchiveSegmentOperator(task_id="archive", name="camp", outlets=[asset]).execute({})
    assert sandbox.segments[0]["archived"]
