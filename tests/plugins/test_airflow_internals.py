"""The contract of the one module that uses what is not public of Airflow: the same on every supported version."""

from __future__ import annotations

import threading
from importlib.metadata import version

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import delete, false, select, update

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.segments.callbacks import FileRequest, event_of, expectation, read_fields

pytestmark = [
    pytest.mark.skipif(Version(version("apache-airflow")) < Version("3"), reason="callbacks need Airflow 3"),
    pytest.mark.slow,
]

DAG_ID = "expects_a_callback"
# Of which no other test knows: another's DAG may wait for the same asset in the same database.
SEGMENT_ID = "63d8cec0c085939e6c1acb01"
OUTCOME = {"status": 201, "request_id": "r", "segment_name": "vip", "values_found": 3}
EXTRA = {"action": "ready", "segment_id": SEGMENT_ID, "values_found": 3}
URI = f"moengage://SANDBOXWORKSPACE/segments/{SEGMENT_ID}"
NONCES = ("a" * 32, "b" * 32)
# Of an audience of three files.
FILES, AGAIN = ("d" * 32, "e" * 32, "f" * 32), "9" * 32


@pytest.fixture
def requests(run_dag):
    """Two requests of a task instance that expects their callbacks; its DAG waits for the segment, too."""
    asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=SEGMENT_ID)
    with DAG(DAG_ID, schedule=[asset], start_date=pendulum.datetime(2026, 1, 1)) as dag:

        @task
        def fill(ti=None):
            for nonce in NONCES:
                ti.xcom_push(key=f"moengage_request_{nonce}", value="expected")
            for number, nonce in enumerate(FILES, start=1):
                ti.xcom_push(key=f"moengage_request_{nonce}", value=expectation(number, len(FILES)))
            # The second one's call was made twice: its first answer was lost.
            ti.xcom_push(key=f"moengage_request_{AGAIN}", value=expectation(2, len(FILES)))

        fill()
    run = run_dag(dag)
    assert run.state == "success"
    with create_session() as session:
        from airflow.models.dag import DagModel

        session.execute(update(DagModel).where(DagModel.dag_id == DAG_ID).values(is_paused=False))
    return [FileRequest(DAG_ID, run.tasks["fill"].run_id, "fill", -1, nonce) for nonce in (*NONCES, *FILES, AGAIN)]


@pytest.fixture(autouse=True)
def _no_events(airflow_database):
    from airflow.models.asset import AssetDagRunQueue, AssetEvent

    with create_session() as session:
        session.execute(delete(AssetEvent))
        session.execute(delete(AssetDagRunQueue))


def record(request, uri=URI):
    from airflow_provider_moengage.plugins.airflow_internals import record_callback

    return record_callback(request, OUTCOME, uri, EXTRA)


def stored(request):
    from airflow.models.xcom import XComModel

    with create_session() as session:
        rows = session.scalars(
            select(XComModel).where(XComModel.run_id == request.run_id, XComModel.key == request.outcome_key)
        )
        return [row.value for row in rows]


def events():
    from airflow.models.asset import AssetEvent

    with create_session() as session:
        return [(event.source_task_id, event.extra) for event in session.scalars(select(AssetEvent))]


def queued():
    from airflow.models.asset import AssetDagRunQueue

    with create_session() as session:
        return list(session.scalars(select(AssetDagRunQueue.target_dag_id)))


def test_a_callback_becomes_an_xcom_and_an_event_once(requests):
    assert [record(requests[0]) for _ in range(3)] == ["recorded", "known", "known"]
    assert stored(requests[0]) == [OUTCOME]
    assert events() == [("fill", EXTRA)]
    assert queued() == [DAG_ID]
    assert stored(requests[1]) == []


def test_of_concurrent_callbacks_one_is_recorded(requests):
    started, results = threading.Barrier(4), []

    def call():
        started.wait()
        results.append(record(requests[0]))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["known", "known", "known", "recorded"]
    assert stored(requests[0]) == [OUTCOME]
    assert len(events()) == 1


def test_the_database_decides_between_two_that_both_saw_nothing(requests, monkeypatch):
    """As on PostgreSQL, where a session does not see what another has not committed."""
    from airflow_provider_moengage.plugins import airflow_internals

    assert record(requests[0]) == "recorded"
    xcom_of, unseen = airflow_internals._xcom_of, [requests[0].outcome_key]

    def overlook_once(request, key):
        found = xcom_of(request, key)
        if key not in unseen:
            return found
        unseen.remove(key)
        return found.where(false())

    monkeypatch.setattr(airflow_internals, "_xcom_of", overlook_once)
    assert record(requests[0]) == "known"
    assert unseen == []
    assert len(events()) == 1


def record_file(request, **said):
    from airflow_provider_moengage.plugins.airflow_internals import record_callback

    counts = {} if "error_message" in said else {"values_processed": 3, "user_count": 2, **said}
    outcome = read_fields({**OUTCOME, **counts, **said})
    return record_callback(request, outcome.as_json(), URI, event_of(outcome, SEGMENT_ID))


def test_an_audience_of_several_files_has_one_event_after_the_last(requests):
    first, second, third, again = requests[2:]
    assert [record_file(third, user_count=5), record_file(first, values_found=4)] == ["recorded"] * 2
    assert record_file(third) == "known"
    assert events() == []

    assert record_file(second, request_id="s") == "recorded"

    about = {"segment_id": SEGMENT_ID, "name": "vip", "request_id": "r", "status": 201}
    counts = {"values_found": 10, "values_processed": 9, "user_count": 5}
    assert events() == [("fill", {"action": "ready", **about, **counts, "files": 3, "failed_files": 0})]
    assert [record_file(again), record_file(second)] == ["recorded", "known"]
    assert len(events()) == 1


def test_an_audience_that_has_failed_in_part_has_failed(requests):
    first, second, third, again = requests[2:]
    record_file(first, status=400, error_message="File download failed.", request_id="f")
    # Of the two calls about the second file the first counts.
    assert [record_file(again), record_file(second)] == ["recorded"] * 2
    assert events() == []
    record_file(third)
    about = {"segment_id": SEGMENT_ID, "name": "vip", "request_id": "f", "status": 400}
    failure = {"error_message": "File download failed.", "files": 3, "failed_files": 1}
    assert events() == [("fill", {"action": "failed", **about, **failure})]


def test_of_the_callbacks_about_several_files_at_one_moment_one_is_the_last(requests):
    started = threading.Barrier(3)

    def call(request):
        started.wait()
        record_file(request)

    threads = [threading.Thread(target=call, args=(request,)) for request in requests[2:5]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stored(request)[0]["values_found"] for request in requests[2:5]] == [3, 3, 3]
    assert [extra["values_found"] for _, extra in events()] == [9]


def test_what_no_task_expects_changes_nothing(requests):
    from airflow.models.xcom import XComModel

    known = requests[0]
    strangers = [
        FileRequest(DAG_ID, known.run_id, "fill", -1, "c" * 32),
        FileRequest(DAG_ID, known.run_id, "fill", 0, known.nonce),
        FileRequest(DAG_ID, "another run", "fill", -1, known.nonce),
        FileRequest("another_dag", known.run_id, "fill", -1, known.nonce),
    ]
    assert [record(request) for request in strangers] == ["unexpected"] * 4
    # As a task does that starts again.
    with create_session() as session:
        session.execute(delete(XComModel).where(XComModel.key == known.expected_key))
    assert record(known) == "unexpected"
    assert [stored(request) for request in (known, *strangers)] == [[]] * 5
    assert events() == []


def test_a_segment_that_no_dag_mentions_has_no_event(requests):
    assert record(requests[0], "moengage://ANOTHER/segments/" + SEGMENT_ID) == "recorded"
    assert record(requests[1], None) == "recorded"
    assert events() == []
