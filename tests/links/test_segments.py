"""The link "Open in MoEngage", as Airflow's UI asks for it: of the serialised DAG, from what the run has left."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib.metadata import version

import pytest
from airflow.models import TaskInstance
from airflow.providers.common.compat.sdk import TaskDeferred, task
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import select

from airflow_provider_moengage.client.datacenters import DATA_CENTERS
from airflow_provider_moengage.links.segments import SegmentLink, segment_page, set_segment_page
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator, ListSegmentsOperator
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
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from tests.support import NOTHING, UNKNOWN_ID, filters, new_dag

AIRFLOW_VERSION = Version(version("apache-airflow"))
NAME = "Open in MoEngage"
PATH = "/v4/segmentation/all-segments/custom-segments/"


def links_of(dag):
    """Ask for the link of each task in the last run, as the UI does; a mapped task's are by its indexes, too."""
    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id).order_by(TaskInstance.start_date)
        seen = serialized(dag)
        return {
            (ti.task_id, ti.map_index) if ti.map_index >= 0 else ti.task_id: seen.get_task(ti.task_id).get_extra_links(
                ti, NAME
            )
            or None
            for ti in session.scalars(query)
        }


def serialized(dag):
    """What the webserver has of a DAG."""
    if Version("3.1") > AIRFLOW_VERSION:
        from airflow.serialization.serialized_objects import SerializedDAG

        return SerializedDAG.from_dict(SerializedDAG.to_dict(dag))
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    return LazyDeserializedDAG.from_dag(dag)._real_dag


@pytest.fixture
def segment_id(sandbox):
    return sandbox.add_segment(name="camp", id="63D8CEC0c085939e6c1ab727")["id"]


@pytest.fixture
def page(sandbox):
    return f"{sandbox.url}/#63d8cec0c085939e6c1ab727"


@pytest.fixture
def noted(monkeypatch):
    """What a task notes whose connection has these fields."""

    def note(**connection):
        fields = {"conn_type": "moengage", "login": "WS", "password": "a-key", **connection}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(fields))
        operator = ArchiveSegmentOperator(task_id="archive", name="camp")
        set_segment_page(operator, {}, UNKNOWN_ID)
        return operator.segment_page

    return note


class TestTheAddress:
    @pytest.mark.parametrize("number", DATA_CENTERS)
    def test_of_each_data_center(self, number):
        wanted = f"https://dashboard-{number}.moengage.com{PATH}{UNKNOWN_ID}"
        assert segment_page(f"https://api-{number}.moengage.com", UNKNOWN_ID) == wanted
        assert segment_page(f"https://API-{number}.MoEngage.com", UNKNOWN_ID.upper()) == wanted

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8900", "http://localhost:1", "http://[::1]:8900"])
    def test_of_the_sandbox(self, url):
        assert segment_page(url, UNKNOWN_ID) == f"{url}/#{UNKNOWN_ID}"

    @pytest.mark.parametrize(
        "url",
        [
            "https://moengage-proxy.example.com",
            "https://api-01.moengage.com/behind/a/proxy",
            "https://api-01.moengage.com.example.com",
            "https://api-99.moengage.com",
            "https://api-01.moengage.com:8443",
            "https://127.0.0.1:8900",
            "http://127.0.0.1:8900/proxy",
        ],
    )
    def test_none_of_any_other_host(self, url):
        assert segment_page(url, UNKNOWN_ID) == ""

    @pytest.mark.parametrize(
        "host",
        ["http://127.0.0.1:8900", "localhost:8900", "http://[::1]:1/proxy", "proxy.example.com", "https://127.0.0.1:1"],
    )
    def test_behind_a_proxy_it_is_that_of_the_data_center_beside_it(self, noted, host):
        assert noted(host=host, extra={"data_center": "1"}) == f"https://dashboard-01.moengage.com{PATH}{UNKNOWN_ID}"

    def test_the_sandbox_names_no_data_center(self, sandbox, noted):
        assert noted(**sandbox.connection) == f"{sandbox.url}/#{UNKNOWN_ID}"

    @pytest.mark.parametrize("segment_id", [None, "", "no id", UNKNOWN_ID + "/../x", UNKNOWN_ID + "\n", "{{ x }}", 5])
    def test_none_without_an_id(self, segment_id):
        assert segment_page("https://api-01.moengage.com", segment_id) == ""

    def test_it_is_that_of_the_connection(self, noted):
        assert noted(extra={"data_center": "DC-3"}) == f"https://dashboard-03.moengage.com{PATH}{UNKNOWN_ID}"
        assert noted(host="api-02.moengage.com") == f"https://dashboard-02.moengage.com{PATH}{UNKNOWN_ID}"
        assert noted(host="api-02.moengage.com", extra={"data_center": "01"}).startswith("https://dashboard-02.")
        # A connection that cannot work is for the task to tell.
        assert noted(extra={}) == ""


class TestOperators:
    def test_by_id(self, sandbox, run_dag, segment_id, page):
        with new_dag("linked", params={"id": segment_id}) as dag:
            archive = ArchiveSegmentOperator(task_id="archive", name="camp", segment_id="{{ params.id }}")
            unarchive = UnarchiveSegmentOperator(task_id="unarchive", name="camp", segment_id=segment_id)
            update = UpdateSegmentOperator(task_id="update", segment_id=segment_id, included_filters=filters("Agra"))
            archive >> unarchive >> update

        assert run_dag(dag).state == "success"

        assert links_of(dag) == {"archive": page, "unarchive": page, "update": page}
        assert len([request for request in sandbox.requests if request.method != "GET"]) == 3

    def test_by_name_only_where_the_answer_has_the_id(self, sandbox, run_dag, segment_id, page):
        with new_dag("linked_by_name") as dag:
            ArchiveSegmentOperator(task_id="archive", name="camp")

        run = run_dag(dag)

        assert links_of(dag) == {"archive": page if "cs_id" in run.xcoms["archive"] else None}

    def test_created(self, sandbox, run_dag, segment_id, page):
        """That of the new one, whose id only the answer has, and of the one that was there."""
        with new_dag("linked_to_a_new_one") as dag:
            CreateSegmentOperator(task_id="create", name="new", included_filters=filters("Agra"))
            CreateSegmentOperator(task_id="keep", name="camp", included_filters=filters("Agra"), if_exists="skip")

        run = run_dag(dag)

        assert run.state == "success"
        new_id = run.xcoms["create"]["id"]
        assert links_of(dag) == {"create": f"{sandbox.url}/#{new_id.lower()}", "keep": page}

    def test_an_id_from_another_task(self, sandbox, run_dag, segment_id, page):
        with new_dag("linked_by_xcom") as dag:

            @task
            def find():
                return segment_id

            UpdateSegmentOperator(task_id="update", segment_id=find(), included_filters=filters("Agra"))

        run_dag(dag)

        assert links_of(dag)["update"] == page

    def test_mapped(self, sandbox, run_dag):
        ids = [sandbox.add_segment(name=name)["id"] for name in ("a", "b")]
        with new_dag("linked_and_mapped") as dag:
            ArchiveSegmentOperator.partial(task_id="archive").expand_kwargs(
                [{"name": name, "segment_id": one} for name, one in zip("ab", ids, strict=True)]
            )

        run_dag(dag)

        links = links_of(dag)
        assert [links["archive", index] for index in (0, 1)] == [f"{sandbox.url}/#{one}" for one in ids]

    def test_a_task_that_fails(self, sandbox, run_dag, segment_id, page):
        sandbox.fail_next(status=403, method="PATCH")
        with new_dag("linked_and_failed") as dag:
            UpdateSegmentOperator(task_id="update", segment_id=segment_id, included_filters=filters("Agra"))

        assert run_dag(dag).states == {"update": "failed"}

        assert links_of(dag) == {"update": page}

    def test_a_task_without_a_connection(self, run_dag):
        with new_dag("linked_nowhere") as dag:
            UpdateSegmentOperator(
                task_id="update", segment_id=UNKNOWN_ID, included_filters=filters(), moengage_conn_id="not_there"
            )

        run = run_dag(dag)

        assert run.states == {"update": "failed"}
        assert "There is no Airflow connection 'not_there'" in run.log
        assert "There is no link" not in run.log
        assert links_of(dag) == {"update": None}

    @pytest.mark.usefixtures("triggers_follow_the_sandbox")
    def test_after_a_deferral(self, sandbox, run_dag, segment_id, page):
        sandbox.fail_next(status=429, headers={"Retry-After": "600"})
        with new_dag("linked_and_deferred") as dag:
            ArchiveSegmentOperator(task_id="archive", name="camp", segment_id=segment_id, deferrable=True)

        run = run_dag(dag)

        assert run.states == {"archive": "success"}
        assert "The task is deferred until" in run.log
        assert links_of(dag) == {"archive": page}

    def test_those_for_many_have_none(self):
        for operator in (ArchiveSegmentsOperator, ListSegmentsOperator):
            assert not operator.operator_extra_links


class TestTheSensor:
    @pytest.mark.parametrize("mode", [{}, {"mode": "reschedule"}, {"deferrable": True}])
    @pytest.mark.parametrize("by", ["name", "segment_id"])
    def test_once_it_was_found(self, sandbox, run_dag, segment_id, page, mode, by):
        sandbox.fail_next(status=200, body=NOTHING)
        wanted = {"name": "camp", "segment_id": segment_id}[by]
        with new_dag("linked_sensor") as dag:
            SegmentExistsSensor(task_id="wait", poke_interval=0, **{by: wanted}, **mode)

        assert run_dag(dag).states == {"wait": "success"}

        assert links_of(dag) == {"wait": page}
        assert len(sandbox.requests) == 2

    def test_not_before(self, sandbox):
        sensor = SegmentExistsSensor(task_id="wait", segment_id=UNKNOWN_ID, deferrable=True)
        with pytest.raises(TaskDeferred):
            sensor.execute({})
        assert sensor.segment_page == ""

    def test_a_connection_that_is_gone_fails_no_sensor(self, sandbox, monkeypatch, caplog):
        monkeypatch.delenv("AIRFLOW_CONN_MOENGAGE_DEFAULT")
        sensor = SegmentExistsSensor(task_id="wait", name="camp", moengage_conn_id="not_there", deferrable=True)
        found = {"status": "found", "segment": {"name": "camp", "id": UNKNOWN_ID}}
        assert sensor.execute_complete({}, found) == found["segment"]
        assert sensor.segment_page == ""


def test_a_retry_forgets_the_link_of_the_try_before(sandbox, run_dag, segment_id, page):
    with new_dag("linked_again") as dag:
        ArchiveSegmentOperator(
            task_id="archive",
            name="camp",
            segment_id="{{ params.id if ti.try_number == 1 else 'ffffffffffffffffffffffff' }}",
            params={"id": segment_id},
            retries=1,
            retry_delay=timedelta(0),
        )
    sandbox.fail_next(6, status=503, method="PATCH")

    run = run_dag(dag)

    assert run.tries == {"archive": 2}
    assert run.states == {"archive": "failed"}
    # The first try has found its segment, and the second none.
    assert [request.status for request in sandbox.requests if request.method == "PATCH"] == [503] * 6
    assert links_of(dag) == {"archive": None}


def test_an_xcom_that_cannot_be_kept_fails_no_task(sandbox, segment_id, monkeypatch, caplog):
    """On Airflow 2, where the operator keeps the link itself: a broken XCom backend must not cost the call."""

    class BrokenTaskInstance:
        def xcom_push(self, **_):
            raise OSError("the bucket is gone")

    monkeypatch.setattr("airflow_provider_moengage.links.segments.AIRFLOW_V_3_0_PLUS", False)
    operator = ArchiveSegmentOperator(task_id="archive", name="camp", segment_id=segment_id)
    set_segment_page(operator, {"ti": BrokenTaskInstance()}, segment_id)
    assert operator.segment_page.startswith(sandbox.url)


def test_the_operators_share_one_link():
    for operator in (
        *(ArchiveSegmentOperator, UnarchiveSegmentOperator, UpdateSegmentOperator, CreateSegmentOperator),
        *(CreateFileSegmentOperator, AddUsersOperator, RemoveUsersOperator, ReplaceUsersOperator),
        SegmentExistsSensor,
    ):
        (link,) = operator.operator_extra_links
        assert isinstance(link, SegmentLink)
        assert link.name == NAME
