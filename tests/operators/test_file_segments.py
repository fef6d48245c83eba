"""Operators for file segments: what reaches MoEngage, what is refused before, and where no signature may stand."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_moengage.assets.segments import create_asset
from airflow_provider_moengage.operators.file_segments import (
    AddUsersOperator,
    CreateFileSegmentOperator,
    RemoveUsersOperator,
    ReplaceUsersOperator,
)
from tests.support import UNKNOWN_ID, new_dag

PATH = "/v2/custom-segments/file-segment"
SIGNATURE = "5f1a7c3e9b2d4f6081a3c5e7092b4d6f"
TOKEN = "do-not-show-this-token"
URL = f"https://bucket.s3.amazonaws.com/ids.csv?X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
CALLBACK = f"https://airflow.example.com/called?token={TOKEN}"
FILE = {"attribute_name": "ID", "attribute_type": "string", "file_url": URL}
CHANGES = {AddUsersOperator: "add-users", RemoveUsersOperator: "remove-users", ReplaceUsersOperator: "replace"}


def create(**arguments):
    return CreateFileSegmentOperator(
        **{"task_id": "create", "name": "vip", "expiry_days": 30, "callback_url": CALLBACK, **FILE, **arguments}
    )


def change(kind, **arguments):
    return kind(**{"task_id": "change", **FILE, **arguments})


def calls(sandbox):
    return [request.method for request in sandbox.requests]


def refusal_of(operator):
    with pytest.raises(AirflowFailException) as caught:
        operator.execute({})
    assert SIGNATURE not in str(caught.value)
    return str(caught.value)


class TestCreate:
    def test_it_is_created(self, sandbox):
        operator = create(emails=["a@b.c"])
        answer = operator.execute({})
        (segment,) = sandbox.segments
        assert (answer["cs_name"], answer["cs_id"]) == ("vip", segment["id"])
        assert sandbox.requests[-1].path == PATH
        assert sandbox.requests[-1].json["file_url"] == URL
        assert sandbox.requests[-1].json["callback_url"] == CALLBACK
        assert sandbox.requests[-1].json["expiry_time"] == 30
        assert operator.segment_page.endswith(segment["id"])

    def test_it_is_there_already(self, sandbox):
        sandbox.add_segment(name="vip", kind="file")
        said = refusal_of(create())
        assert "The name is taken: there is a segment 'vip' already, and nothing was sent. If it is the segment" in said
        assert 'if_exists="replace" replaces its users' in said
        assert calls(sandbox) == ["GET"]

    def test_a_filter_segment_is_there_already(self, sandbox):
        """Its users are not to be replaced: no other advice than that of another name."""
        sandbox.add_segment(name="vip")
        said = refusal_of(create())
        assert "already, and nothing was sent. It is a filter segment, which takes no file. Choose another:" in said
        assert "if_exists" not in said

    def test_it_is_there_and_replaced(self, sandbox):
        segment = sandbox.add_segment(name="vip", kind="file")
        asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=segment["id"])
        answer = create(if_exists="replace", outlets=[asset]).execute({})
        assert answer["cs_id"] == segment["id"]
        assert sandbox.requests[-1].path == f"{PATH}/replace"
        assert calls(sandbox) == ["GET", "PUT"]

    @pytest.mark.parametrize(("days", "warns"), [(30, True), ("365", False)])
    def test_it_may_be_archived_already(self, sandbox, capfd, caplog, days, warns):
        caplog.set_level("INFO")
        sandbox.add_segment(name="vip", kind="file", created_time=datetime.now(timezone.utc) - timedelta(days=31))
        create(if_exists="replace", expiry_days=days).execute({})
        said = "".join(capfd.readouterr()) + caplog.text
        assert ("Unarchive it with UnarchiveSegmentOperator" in said) is warns

    def test_a_lost_answer(self, sandbox):
        sandbox.fail_next(method="POST", fault="lost-answer")
        answer = create(if_exists="replace").execute({})
        assert answer["cs_id"] == sandbox.segments[0]["id"]
        assert calls(sandbox).count("POST") == 1

    def test_a_filter_segment_has_the_name(self, sandbox):
        sandbox.add_segment(name="vip")
        assert "is a filter segment, which takes no file" in refusal_of(create(if_exists="replace"))
        assert calls(sandbox) == ["GET"]

    def test_an_outlet_before_it_is_there(self, sandbox):
        asset = create_asset(workspace_id="SANDBOXWORKSPACE", segment_id=UNKNOWN_ID)
        assert "There is no segment 'vip' yet" in refusal_of(create(outlets=[asset]))

    @pytest.mark.parametrize("there", [False, True])
    def test_a_dry_run(self, sandbox, there):
        if there:
            sandbox.add_segment(name="vip", kind="file")
        found = create(dry_run=True, if_exists="replace").execute({})
        assert (found["dry_run"], found["action"]) == (True, "replace" if there else "create")
        assert set(calls(sandbox)) == {"GET"}

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"name": "a:b"}, "name has the character :"),
            ({"attribute_type": "bool"}, "attribute_type must be"),
            ({"file_url": f"s3://bucket/ids?sig={SIGNATURE}"}, "file_url has the scheme s3"),
            ({"expiry_days": 0}, "expiry_days must be"),
            ({"expiry_days": "1.5"}, "expiry_days must be"),
            ({"callback_url": "nowhere"}, "callback_url has no scheme"),
            ({"emails": "a@b.c"}, "emails must be"),
            ({"if_exists": "update"}, 'if_exists must be "fail" or "replace"'),
            ({"dry_run": "no"}, "dry_run must be"),
        ],
    )
    def test_what_cannot_work_is_not_sent(self, sandbox, wrong, sentence):
        assert sentence in refusal_of(create(**wrong))
        assert sandbox.requests == []


@pytest.mark.parametrize("kind", CHANGES)
class TestChange:
    def test_by_name(self, sandbox, kind):
        segment = sandbox.add_segment(name="vip", kind="file")
        operator = change(kind, name="vip")
        assert operator.execute({})["cs_name"] == "vip"
        assert sandbox.requests[-1].path == f"{PATH}/{CHANGES[kind]}"
        assert sandbox.requests[-1].json["cs_id"] == segment["id"]
        assert operator.segment_page.endswith(segment["id"])

    def test_by_id(self, sandbox, kind, caplog):
        segment = sandbox.add_segment(name="vip", kind="file")
        assert change(kind, name="old name", segment_id=segment["id"]).execute({})["cs_id"] == segment["id"]
        assert sandbox.requests[-1].json["name"] == "vip"

    def test_neither(self, sandbox, kind):
        assert "Say which segment" in refusal_of(change(kind))
        assert sandbox.requests == []

    def test_a_filter_segment(self, sandbox, kind):
        segment = sandbox.add_segment(name="vip")
        for which in ({"name": "vip"}, {"segment_id": segment["id"]}):
            assert "is a filter segment, which takes no file" in refusal_of(change(kind, **which))
        assert calls(sandbox) == ["GET", "GET"]

    def test_nobody(self, sandbox, kind):
        said = refusal_of(change(kind, name="vip"))
        assert (
            "MoEngage did not find the segment: there is no segment of this name, and nothing was changed. Ask" in said
        )
        assert calls(sandbox) == ["GET"]

    def test_what_cannot_work_is_not_sent(self, sandbox, kind):
        assert "file_url has the scheme gs" in refusal_of(change(kind, name="vip", file_url=f"gs://b/o?{SIGNATURE}"))
        assert sandbox.requests == []

    def test_a_dry_run(self, sandbox, kind):
        sandbox.add_segment(name="vip", kind="file")
        found = change(kind, name="vip", dry_run=True).execute({})
        assert found["action"] == kind.action
        assert calls(sandbox) == ["GET"]

    def test_a_used_up_hour_is_waited_for_elsewhere(self, sandbox, kind):
        sandbox.add_segment(name="vip", kind="file")
        for _ in range(10):
            change(kind, name="vip").execute({})
        with pytest.raises(TaskDeferred) as deferred:
            change(kind, name="vip", deferrable=True).execute({})
        assert SIGNATURE not in str(vars(deferred.value))


@pytest.fixture
def nothing_is_masked_yet(monkeypatch):
    """Let Airflow's maskers forget what other tests of this process have called secret. It has one in each library."""
    for name, module in sorted(sys.modules.items()):
        if name.endswith("secrets_masker") and hasattr(module, "_secrets_masker"):
            masker = module._secrets_masker()
            monkeypatch.setattr(masker, "patterns", set())
            monkeypatch.setattr(masker, "replacer", None)


class TestNoSignatureIsShown:
    def test_in_a_dag_run(self, sandbox, run_dag, nothing_is_masked_yet):
        sandbox.add_segment(name="vip", kind="file")
        with new_dag("file_segments_in_a_run", render_template_as_native_obj=False, params={"sig": SIGNATURE}) as dag:
            templated = URL.replace(SIGNATURE, "{{ params.sig }}")
            first = create(name="new", file_url=templated, expiry_days="{{ 10 + 20 }}")
            first >> change(ReplaceUsersOperator, name="vip", callback_url=CALLBACK)
        run = run_dag(dag)

        assert run.states == {"create": "success", "change": "success"}
        sent = [request.json for request in sandbox.requests if request.method != "GET"]
        assert [(body["file_url"], body["callback_url"]) for body in sent] == [(URL, CALLBACK)] * 2
        assert sent[0]["expiry_time"] == 30
        with create_session() as session:
            stored = [
                row.rendered_fields
                for row in session.scalars(
                    select(RenderedTaskInstanceFields).where(
                        RenderedTaskInstanceFields.dag_id == "file_segments_in_a_run"
                    )
                )
            ]
        assert len(stored) == 2
        for key, address in (("file_url", URL), ("callback_url", CALLBACK)):
            assert {fields[key] for fields in stored} == {f"{address.partition('?')[0]}?***"}
        for text in (json.dumps(stored), json.dumps(run.xcoms), run.log):
            assert TOKEN not in text
        for text in (json.dumps(stored), json.dumps(run.xcoms)):
            assert SIGNATURE not in text
        assert "MoEngage has accepted the file https://bucket.s3.amazonaws.com/ids.csv?***" in run.log

    def test_mapped(self, sandbox, run_dag):
        sandbox.add_segment(name="vip", kind="file")
        with new_dag("file_segments_mapped") as dag:
            ReplaceUsersOperator.partial(
                task_id="change", name="vip", attribute_name="ID", attribute_type="string"
            ).expand(file_url=[URL])
        run = run_dag(dag)
        assert run.state == "success"
        assert sandbox.requests[-1].json["file_url"] == URL
        with create_session() as session:
            (stored,) = session.scalars(
                select(RenderedTaskInstanceFields).where(RenderedTaskInstanceFields.dag_id == "file_segments_mapped")
            )
        assert SIGNATURE not in json.dumps(stored.rendered_fields)

    def test_in_a_failure(self, sandbox, run_dag):
        sandbox.add_segment(name="vip", kind="file")
        sandbox.fail_next(10, method="PUT", status=400, body={"title": "Invalid Request", "description": f"no {URL}"})
        with new_dag("file_segments_refused") as dag:
            change(AddUsersOperator, name="vip")
        run = run_dag(dag)
        assert run.states == {"change": "failed"}
        assert "MoEngage found the request malformed" in run.log
        assert SIGNATURE not in run.log
