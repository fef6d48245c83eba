"""Many segments whose ids were written by hand: each is the one of its id, whichever key a server goes by."""

from __future__ import annotations

from collections import Counter

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import RateLimitError
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator, UnarchiveSegmentsOperator
from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator, UnarchiveSegmentOperator
from tests.support import UNKNOWN_ID

BOTH = pytest.mark.parametrize(
    ("operator", "for_one", "is_archived"),
    [
        pytest.param(ArchiveSegmentsOperator, ArchiveSegmentOperator, False, id="archive"),
        pytest.param(UnarchiveSegmentsOperator, UnarchiveSegmentOperator, True, id="unarchive"),
    ],
)


class Store(dict):
    """Airflow's task state store, and what a task instance is asked for."""

    def __bool__(self):
        return True

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)

    def xcom_pull(self, **_kwargs):
        return None

    def xcom_push(self, key, value):
        self[key] = value


def states(sandbox):
    return {segment["name"]: segment["archived"] for segment in sandbox.segments}


def calls(sandbox):
    return [request.method for request in sandbox.requests]


@BOTH
def test_the_wrong_name_with_the_right_id(sandbox, capsys, operator, for_one, is_archived):
    camp, _ = (sandbox.add_segment(name=name, archived=is_archived) for name in ("camp", "bystander"))

    xcom = operator(task_id="it", segments=[{"name": "bystander", "segment_id": camp["id"]}]).execute({})

    assert states(sandbox) == {"camp": not is_archived, "bystander": is_archived}
    assert calls(sandbox) == ["GET", "PATCH"]
    assert sandbox.requests[1].json["name"] == "camp"
    assert xcom["succeeded"] == [{"name": "camp", "segment_id": camp["id"]}]
    log = capsys.readouterr().out
    assert log.count("The id wins over the name") == 1
    assert "is called 'camp', not 'bystander'" in log
    assert f"{operator.action}d: 'camp'" in log


@BOTH
def test_an_unknown_id_fails_its_segment(sandbox, operator, for_one, is_archived):
    for name in ("camp", "bystander"):
        sandbox.add_segment(name=name, archived=is_archived)
    by_hand = {"name": "bystander", "segment_id": UNKNOWN_ID}
    store = Store()

    with pytest.raises(AirflowFailException):
        operator(task_id="it", segments=[by_hand, {"name": "camp"}]).execute({"ti": store})

    assert states(sandbox) == {"camp": not is_archived, "bystander": is_archived}
    (failed,) = store["return_value"]["failed"]
    with pytest.raises(Exception, match="there is no segment of this id, and nothing was changed") as caught:
        for_one(task_id="one", **by_hand).execute({})
    assert failed == {**by_hand, "error": str(caught.value)}


@BOTH
def test_a_failure_goes_by_the_own_name(sandbox, operator, for_one, is_archived):
    camp = sandbox.add_segment(name="camp", archived=is_archived)
    store = Store()
    segments = [{"name": "another", "segment_id": camp["id"]}]
    # The get is answered, the call is not.
    sandbox.fail_next(headers={"X-Nothing": "wrong"})
    sandbox.fail_next(status=400)
    with pytest.raises(AirflowFailException, match="'camp'"):
        operator(task_id="it", segments=segments).execute({"ti": store})
    assert [entry["name"] for entry in store["return_value"]["failed"]] == ["camp"]


@BOTH
def test_what_was_listed_costs_no_get(sandbox, operator, for_one, is_archived):
    added = [sandbox.add_segment(name=f"camp_{index}", archived=is_archived) for index in range(3)]
    keys = ("name", "created_time", "type", "source")
    listed = [{"segment_id": one["id"], **{key: one[key] for key in keys}} for one in added]
    operator(task_id="it", segments=listed).execute({})
    assert calls(sandbox) == ["PATCH"] * 3


@BOTH
def test_a_limit_of_the_get_leaves_the_segment_for_later(sandbox, clock, operator, for_one, is_archived):
    added = [sandbox.add_segment(name=f"camp_{index}", archived=is_archived) for index in range(3)]
    segments = [{"name": "wrong", "segment_id": one["id"]} for one in added]
    # The get and the call for the first, and the get for the second.
    sandbox.fail_next(2, headers={"X-Nothing": "wrong"})
    sandbox.fail_next(status=429, headers={"Retry-After": "86000"})
    store = Store()
    arguments = {"task_id": "it", "segments": segments, "concurrency": 1, "deferrable": False}

    with pytest.raises(RateLimitError):
        operator(**arguments).execute({"task_state_store": store, "ti": store})

    assert [entry["name"] for entry in store["return_value"]["succeeded"]] == ["camp_0"]
    assert store["return_value"]["failed"] == []
    clock.move(86_001)
    xcom = operator(**arguments).execute({"task_state_store": store, "ti": store})

    assert [entry["name"] for entry in xcom["succeeded"]] == ["camp_1", "camp_2"]
    assert [entry["segment_id"] for entry in xcom["skipped"]] == [added[0]["id"]]
    assert Counter(calls(sandbox)) == {"GET": 4, "PATCH": 3}
    assert set(states(sandbox).values()) == {not is_archived}


def test_a_call_that_waits_for_a_window_costs_no_second_get(sandbox, clock):
    camp = sandbox.add_segment(name="camp")
    sandbox.fail_next(headers={"X-Nothing": "wrong"})
    sandbox.fail_next(status=429, headers={"Retry-After": "60"})
    ArchiveSegmentsOperator(task_id="it", segments=[{"name": "camp", "segment_id": camp["id"]}]).execute({})
    assert calls(sandbox) == ["GET", "PATCH", "PATCH"]
