"""Updates and creates whose process is killed while MoEngage has their request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from demo.standalone import SECONDS_TO_RUN
from tests.support import filters
from tests.system.held_back import first_answer_held_back
from tests.system.real_airflow import RealAirflow
from tests.system.settings import PLANTED_KEY, needs_shared_streams

pytestmark = needs_shared_streams

CONN_ID = "moengage_interrupted"
NEW_NAME = "camp diwali 2027"
NEW_FILTERS = filters(["Pune", "Mumbai"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=PLANTED_KEY) as sandbox:
        sandbox.add_segment(name="bystander")
        yield sandbox


def test_an_update_is_killed_before_moengage_has_carried_it_out(airflow: RealAirflow, sandbox):
    segment = sandbox.add_segment(name="camp diwali 2026")
    sandbox.fail_next(method="PATCH", fault="silence")
    with airflow.connection(CONN_ID, sandbox.connection):
        run = start_update(airflow, segment)
        airflow.wait_until(lambda: answers(sandbox) == [None], "MoEngage has the request", SECONDS_TO_RUN)

        airflow.kill_task(pid_of(airflow, run))

        assert_the_retry_updates(airflow, run, sandbox, segment)
    assert answers(sandbox) == [None, 200]


def test_an_update_is_killed_after_moengage_has_carried_it_out(airflow: RealAirflow, sandbox):
    segment = sandbox.add_segment(name="camp diwali 2026")
    with (
        first_answer_held_back(sandbox.url) as url,
        airflow.connection(CONN_ID, {**sandbox.connection, "host": url}),
    ):
        run = start_update(airflow, segment)
        airflow.wait_until(lambda: answers(sandbox) == [200], "MoEngage has carried it out", SECONDS_TO_RUN)
        assert airflow.states("interrupted", run) == {"update": "running"}

        airflow.kill_task(pid_of(airflow, run))

        # The retry renames the segment to the name that it has already.
        assert_the_retry_updates(airflow, run, sandbox, segment)
    assert answers(sandbox) == [200, 200]


def test_an_update_is_killed_together_with_its_worker(airflow: RealAirflow, sandbox):
    segment = sandbox.add_segment(name="camp diwali 2026")
    sandbox.fail_next(method="PATCH", fault="silence")
    with airflow.connection(CONN_ID, sandbox.connection):
        run = start_update(airflow, segment)
        airflow.wait_until(lambda: answers(sandbox) == [None], "MoEngage has the request", SECONDS_TO_RUN)

        airflow.kill_task_and_worker(pid_of(airflow, run))

        assert_the_retry_updates(airflow, run, sandbox, segment)
    missed = airflow.rows("SELECT count(*) FROM log WHERE event = 'heartbeat timeout' AND run_id = ?", run)
    assert missed == [(1,)], "nobody has reported the death"
    assert answers(sandbox) == [None, 200]


def test_a_create_is_killed_before_moengage_has_carried_it_out(airflow: RealAirflow, sandbox):
    sandbox.fail_next(method="POST", fault="silence")
    with airflow.connection(CONN_ID, sandbox.connection):
        run = start_create(airflow)
        airflow.wait_until(lambda: answers(sandbox, "POST") == [None], "MoEngage has the request", SECONDS_TO_RUN)

        airflow.kill_task(airflow.tasks("interrupted_create", run)["create"]["pid"])

        assert_the_retry_leaves_one_segment(airflow, run, sandbox)
    assert answers(sandbox, "POST") == [None, 201]


def test_a_create_is_killed_after_moengage_has_carried_it_out(airflow: RealAirflow, sandbox):
    with (
        first_answer_held_back(sandbox.url) as url,
        airflow.connection(CONN_ID, {**sandbox.connection, "host": url}),
    ):
        run = start_create(airflow)
        airflow.wait_until(lambda: answers(sandbox, "POST") == [201], "MoEngage has carried it out", SECONDS_TO_RUN)

        airflow.kill_task(airflow.tasks("interrupted_create", run)["create"]["pid"])

        # The retry finds it, by its name and its definition.
        assert_the_retry_leaves_one_segment(airflow, run, sandbox)
    assert answers(sandbox, "POST") == [201]


def start_create(airflow):
    conf = {"name": NEW_NAME, "included_filters": NEW_FILTERS, "moengage_conn_id": CONN_ID}
    return airflow.trigger("interrupted_create", conf=conf)


def assert_the_retry_leaves_one_segment(airflow, run, sandbox):
    def ended():
        return airflow.states("interrupted_create", run)["create"] in {"success", "failed"}

    airflow.wait_until(ended, "the retry ends", SECONDS_TO_RUN)
    assert airflow.states("interrupted_create", run) == {"create": "success"}
    assert airflow.tries("interrupted_create", run) == {"create": 2}
    bystander, created = sandbox.segments
    assert bystander["name"] == "bystander"
    assert (created["name"], created["included_filters"]) == (NEW_NAME, NEW_FILTERS)
    assert airflow.xcom("interrupted_create", run, "create")["id"] == created["id"]


def start_update(airflow, segment):
    conf = {
        "segment_id": segment["id"],
        "name": NEW_NAME,
        "included_filters": NEW_FILTERS,
        "moengage_conn_id": CONN_ID,
    }
    return airflow.trigger("interrupted", conf=conf)


def answers(sandbox, method="PATCH"):
    """What MoEngage has answered to each update, or create; None where it kept silent."""
    return [request.status for request in sandbox.requests if request.method == method]


def pid_of(airflow, run):
    return airflow.tasks("interrupted", run)["update"]["pid"]


def assert_the_retry_updates(airflow, run, sandbox, segment):
    def ended():
        return airflow.states("interrupted", run)["update"] in {"success", "failed"}

    airflow.wait_until(ended, "the retry ends", SECONDS_TO_RUN)
    assert airflow.states("interrupted", run) == {"update": "success"}
    assert airflow.tries("interrupted", run) == {"update": 2}

    bystander, updated = sandbox.segments
    assert bystander["name"] == "bystander"
    assert (updated["id"], updated["name"], updated["included_filters"]) == (segment["id"], NEW_NAME, NEW_FILTERS)
    documented = ("name", "id", "created_time", "updated_time", "type", "source", "description", "included_filters")
    assert airflow.xcom("interrupted", run, "update") == {key: updated[key] for key in documented}
