"""callback_url="airflow" and wait=True: where the callback goes, what the task makes of it, and what is shown of it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from importlib.metadata import version
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import select

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.operators.file_segments import (
    AddUsersOperator,
    CreateFileSegmentOperator,
    ReplaceUsersOperator,
)
from airflow_provider_moengage.segments.callback_token import is_signed_with, ticket_of
from airflow_provider_moengage.segments.callbacks import FileRequest
from airflow_provider_moengage.sensors.file_segments import FileSegmentReadySensor
from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator
from tests.file_server import file_server
from tests.receiving import running_receiver
from tests.support import new_dag

needs_airflow_3 = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3"), reason="callbacks need Airflow 3"
)
COUNTS = {"values_found": 3, "values_processed": 3, "user_count": 3}
FILE = {"attribute_name": "ID", "attribute_type": "string"}
ELSEWHERE = "https://files.example.com/ids"
WAITS = {"wait": True, "callback_url": None}


class Ti:
    """A task instance as far as the operators use it: who it is, and its XComs."""

    dag_id, run_id, task_id, map_index = "a_dag", "a run", "fill", -1

    def __init__(self):
        self.xcoms = {}

    def xcom_push(self, key, value):
        self.xcoms[key] = value

    def xcom_pull(self, *, key, **_):
        return self.xcoms.get(key)


@pytest.fixture
def receiver(monkeypatch):
    with running_receiver() as url:
        monkeypatch.setenv("AIRFLOW__MOENGAGE__CALLBACK_BASE_URL", url)
        yield url


@pytest.fixture
def files(sandbox):
    # SQLite takes one writer at a time, and refuses who comes between another's reading and writing: the task has long
    # written down what it has sent when the callback comes.
    sandbox.files.delay = timedelta(seconds=3)
    with file_server() as files:
        yield files


def replace(**arguments):
    given = {"task_id": "fill", "name": "vip", "callback_url": "airflow", "file_url": ELSEWHERE, **FILE, **arguments}
    return ReplaceUsersOperator(**given)


def refusal_of(operator, context):
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(context)
    return str(caught.value)


@needs_airflow_3
class TestInADagRun:
    def test_it_waits(self, sandbox, files, receiver, run_dag):
        segment = sandbox.add_segment(name="vip", kind="file")
        file_url = files.put("ids", "1\n2\n3", query="")
        asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=segment["id"])
        with new_dag("callbacks_waited") as dag:
            replace(file_url=file_url, wait=True, wait_timeout=60, poll_interval=1, outlets=[asset])
        run = run_dag(dag)

        assert run.states == {"fill": "success"}
        assert {"cs_name": "vip", "cs_id": segment["id"], **COUNTS}.items() <= run.xcoms["fill"].items()
        token = token_in(sandbox)
        with create_session() as session:
            (stored,) = session.scalars(
                select(RenderedTaskInstanceFields).where(RenderedTaskInstanceFields.dag_id == "callbacks_waited")
            )
        assert stored.rendered_fields["callback_url"] == "airflow"
        for text in (json.dumps(stored.rendered_fields), json.dumps(run.xcoms), run.log):
            assert token.partition(".")[2] not in text

    def test_what_failed_fails_the_task_without_a_retry(self, sandbox, files, receiver, run_dag):
        sandbox.add_segment(name="vip", kind="file")
        with new_dag("callbacks_failed") as dag:
            replace(file_url=f"{files.url}/none", wait=True, wait_timeout=60, poll_interval=1, retries=3)
        run = run_dag(dag)
        assert run.states == {"fill": "failed"}
        assert run.tries == {"fill": 1}
        assert "failed to carry it out for the segment 'vip': File download failed." in run.log

    def test_a_sensor_takes_the_callback_of_its_request(self, sandbox, files, receiver, run_dag):
        sandbox.add_segment(name="vip", kind="file")
        with new_dag("callbacks_sensor") as dag:
            fill = replace(file_url=files.put("ids", "1\n2\n3", query=""))
            FileSegmentReadySensor(task_id="poking", request=fill.output["request"], poke_interval=1, timeout=60)
        run = run_dag(dag)
        assert set(run.states.values()) == {"success"}
        assert run.xcoms["poking"].items() >= {"segment_name": "vip", "status": 201, **COUNTS}.items()


def token_in(sandbox):
    body = next(request.json for request in sandbox.requests if request.method != "GET")
    return parse_qs(urlsplit(body["callback_url"]).query)["token"][0]


@needs_airflow_3
class TestTheRequest:
    @pytest.fixture(autouse=True)
    def _address(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__MOENGAGE__CALLBACK_BASE_URL", "https://airflow.example.com/prefix/")

    def test_the_address(self, sandbox):
        segment = sandbox.add_segment(name="vip", kind="file")
        ti = Ti()
        answer = replace().execute({"ti": ti})

        sent = sandbox.requests[-1].json["callback_url"]
        assert sent.startswith("https://airflow.example.com/prefix/moengage/callback?token=")
        token = token_in(sandbox)
        ticket = ticket_of(token, 0)
        assert is_signed_with(token, sandbox.connection["password"])
        assert (ticket.moengage_conn_id, ticket.segment_id) == ("moengage_default", segment["id"])
        assert ti.xcoms == {ticket.request.expected_key: "expected", "request": ticket.request.as_text()}
        assert (ticket.request.dag_id, ticket.request.task_id, ticket.request.map_index) == ("a_dag", "fill", -1)
        assert token not in json.dumps(answer)

    def test_a_new_segment_has_no_id_yet(self, sandbox):
        create = CreateFileSegmentOperator(
            task_id="fill", name="new", expiry_days=1, callback_url="airflow", file_url=ELSEWHERE, **FILE
        )
        create.execute({"ti": Ti()})
        assert ticket_of(token_in(sandbox), 0).segment_id is None

    def test_each_execution_has_a_nonce_of_its_own(self, sandbox):
        sandbox.add_segment(name="vip", kind="file")
        operator, ti = replace(), Ti()
        for _ in range(3):
            operator.execute({"ti": ti})
        assert len(ti.xcoms) == 4

    def test_no_other_callback_is_taken(self, sandbox):
        """What an earlier try was told is there, under another nonce: as for a task that was cleared."""
        sandbox.add_segment(name="vip", kind="file")
        ti = Ti()
        replace().execute({"ti": ti})
        old = FileRequest.from_text(ti.xcoms["request"])
        ti.xcoms[old.outcome_key] = {"status": 201, "request_id": "old", "segment_name": "vip", **COUNTS}
        said = refusal_of(replace(wait=True, wait_timeout=0.01, poll_interval=0.01), {"ti": ti})
        assert said.startswith("MoEngage has not called back within 0.01 s about the segment 'vip'.")
        assert "[moengage] receive_callbacks" in said

    def test_it_defers(self, sandbox):
        sandbox.add_segment(name="vip", kind="file")
        operator = replace(callback_url=None, wait=True, deferrable=True, wait_timeout=timedelta(minutes=5))
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({"ti": Ti()})
        _, arguments = deferred.value.trigger.serialize()
        assert token_in(sandbox).partition(".")[2] not in json.dumps(arguments)
        assert timedelta(minutes=5) < deferred.value.timeout <= timedelta(minutes=15)
        came = {"status": 201, "request_id": "r", "segment_name": "vip", **COUNTS}
        event = {"status": "called_back", "outcomes": [came], "carried": arguments["carried"]}
        done = getattr(replace(), deferred.value.method_name)({}, event)
        assert done.items() >= {"cs_name": "vip", "request_id": "r", **COUNTS}.items()

    @pytest.mark.parametrize(
        ("event", "sentence"),
        [
            ({"status": "timeout", "carried": {"cs_name": "vip"}}, "has not called back"),
            (
                {
                    "status": "called_back",
                    "outcomes": [{"status": 500, "request_id": "r", "segment_name": "v", "error_message": "Oh"}],
                    "carried": {},
                },
                "Oh (status 500)",
            ),
            ({"status": "called_back", "outcomes": ["?"], "carried": {}}, "must post the body of the callback"),
        ],
    )
    def test_what_the_trigger_may_say(self, sandbox, event, sentence):
        with pytest.raises(AirflowFailException) as caught:
            replace().take_callbacks({}, event)
        assert sentence in str(caught.value)

    def test_a_dry_run_expects_nothing(self, sandbox):
        sandbox.add_segment(name="vip", kind="file")
        ti = Ti()
        assert replace(dry_run=True, wait=True).execute({"ti": ti})["dry_run"]
        assert ti.xcoms == {}
        # Nor does it need a task instance.
        assert replace(dry_run=True, wait=True).execute({})["dry_run"]

    @pytest.mark.parametrize(
        ("given", "named"),
        [({}, 'callback_url="airflow"'), ({"wait": True}, 'callback_url="airflow"'), (WAITS, "wait=True")],
    )
    def test_without_a_task_instance_nothing_is_done(self, sandbox, given, named):
        said = refusal_of(replace(**given), {})
        assert said.startswith(f"{named} is for a task that Airflow runs: there is no task instance")
        assert sandbox.requests == []

    def test_a_transfer_without_a_task_instance_stages_nothing(self, sandbox, tmp_path):
        ids, staging = tmp_path / "ids.csv", tmp_path / "staging"
        ids.write_text("u-1")
        staging.mkdir()
        address = {"staging": staging.as_uri(), "public_url": "http://127.0.0.1:9"}
        operator = LocalFileToFileSegmentOperator(
            task_id="fill", path=str(ids), name="new", expiry_days=1, wait=True, **address, **FILE
        )
        assert refusal_of(operator, {}).startswith("wait=True is for a task that Airflow runs")
        assert list(staging.rglob("*")) == []
        assert sandbox.requests == []

    def test_a_call_that_was_refused_is_not_waited_for(self, sandbox):
        sandbox.add_segment(name="vip", kind="file")
        sandbox.fail_next(10, method="PUT", status=429, headers={"Retry-After": "3600"})
        operator = replace(wait=True, deferrable=True)
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({"ti": Ti()})
        assert deferred.value.method_name == "execute_complete"
        assert deferred.value.kwargs["progress"] == {}

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"wait": "yes"}, "wait must be True or False, not str"),
            ({"wait": True, "callback_url": "https://a.example.com"}, "wait=True waits for a callback"),
            ({"wait_timeout": 0}, "wait_timeout must be more than 0 seconds"),
            ({"poll_interval": "soon"}, "poll_interval must be more than 0 seconds"),
        ],
    )
    def test_what_cannot_work_is_not_sent(self, sandbox, wrong, sentence):
        with pytest.raises(AirflowFailException, match=re.escape(sentence)) as caught:
            replace(**wrong).execute({"ti": Ti()})
        assert isinstance(caught.value.__cause__, InvalidInputError)
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("too_long", "named"),
        [({"wait_timeout": timedelta(days=7, seconds=1)}, "604,801 s"), ({"wait_timeout": 1e6}, "1,000,000 s")],
    )
    def test_a_wait_that_outlasts_the_address_is_refused_when_the_operator_is_made(self, sandbox, too_long, named):
        sentence = rf"wait_timeout is {named}, and the address .* is good for 604,800 s \(7 days\)"
        with pytest.raises(InvalidInputError, match=sentence):
            replace(wait=True, **too_long)
        # Nobody waits so long.
        replace(**too_long)
        replace(wait=True, execution_timeout=timedelta(days=7), **too_long)
        replace(wait=True, wait_timeout=timedelta(days=7))

    def test_a_wait_that_outlasts_the_address_is_refused_before_anything_is_sent(self, sandbox):
        operator = replace(wait=True)
        operator.wait_timeout = timedelta(days=8)  # as a task may do in pre_execute
        assert "wait_timeout is 691,200 s" in refusal_of(operator, {"ti": Ti()})
        assert sandbox.requests == []

    def test_several_calls_are_all_waited_for(self, sandbox):
        """As one does that splits a file: each call has a nonce of its own."""
        segment = sandbox.add_segment(name="vip", kind="file")
        ti = Ti()

        class Several(AddUsersOperator):
            def change_segment(self, client, target):
                super().change_segment(client, target)
                return super().change_segment(client, target)

        operator = Several(
            task_id="fill", segment_id=segment["id"], file_url=ELSEWHERE, wait=True, deferrable=True, **FILE
        )
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute({"ti": ti})
        nonces = [request["nonce"] for request in deferred.value.trigger.requests]
        assert len(set(nonces)) == 2
        assert ti.xcoms.keys() == {"request", *(f"moengage_request_{nonce}" for nonce in nonces)}


@needs_airflow_3
@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "needs to know where MoEngage reaches Airflow"),
        ({"AIRFLOW__API__BASE_URL": "https://airflow.example.com"}, "Set [moengage] receive_callbacks"),
        ({"AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS": "True"}, "needs to know where"),
        ({"AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "airflow.example.com"}, "must be an http(s) address"),
        ({"AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "https://a.example.com/?a=b"}, "without a query"),
        ({"AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "https://[::"}, "must be an http(s) address"),
        ({"AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "http://a.example.com"}, "is plain http"),
    ],
)
def test_an_address_that_cannot_work(sandbox, monkeypatch, environment, sentence):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sentence in refusal_of(replace(), {"ti": Ti()})
    assert sandbox.requests == []


@needs_airflow_3
@pytest.mark.parametrize("dry_run", [False, True])
def test_who_has_set_wait_alone_reads_of_wait(sandbox, monkeypatch, dry_run):
    """In a dry run, too: it tells what the task would do, which is to fail."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    said = refusal_of(replace(**WAITS, dry_run=dry_run), {"ti": Ti()})
    assert said.startswith("wait=True needs to know where MoEngage reaches Airflow. Set [moengage] receive_callbacks")
    assert sandbox.requests == []


@needs_airflow_3
def test_this_machine_is_for_the_sandbox_only(monkeypatch):
    from airflow_provider_moengage.operators.callbacks import callback_address

    monkeypatch.setenv("AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS", "True")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://localhost:8080")
    assert callback_address("http://127.0.0.1:1234") == "http://localhost:8080/moengage/callback"
    with pytest.raises(InvalidInputError, match="this very machine, which MoEngage cannot reach"):
        callback_address("https://api-01.moengage.com")


@pytest.mark.skipif(Version(version("apache-airflow")) >= Version("3"), reason="of Airflow 2")
def test_airflow_2_says_that_it_cannot(sandbox):
    assert 'callback_url="airflow" needs Airflow 3' in refusal_of(replace(), {"ti": Ti()})
    assert "wait=True needs Airflow 3" in refusal_of(replace(**WAITS), {"ti": Ti()})
    request = FileRequest.new("dag", "run", "task", -1).as_text()
    assert "FileSegmentReadySensor needs Airflow 3" in refusal_of(
        FileSegmentReadySensor(task_id="wait", request=request), {"ti": Ti()}
    )
