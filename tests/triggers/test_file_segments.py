"""The trigger that waits for callbacks, by itself."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from airflow_provider_moengage.segments.callbacks import FileRequest
from airflow_provider_moengage.triggers import file_segments
from airflow_provider_moengage.triggers.file_segments import FileSegmentReadyTrigger, as_arguments

FILLED = {
    "status": 201,
    "request_id": "r",
    "segment_name": "vip",
    "values_found": 3,
    "values_processed": 3,
    "user_count": 3,
}
FAILED = {"status": 400, "request_id": "r", "segment_name": "vip", "error_message": "no file"}
REQUESTS = [FileRequest.new("dag", "run", "task", -1) for _ in range(2)]


@pytest.fixture
def airflow(monkeypatch):
    """The XComs that Airflow answers with, one dictionary for each poll: edges of the trigger, which only asks."""
    state = SimpleNamespace(polls=[], slept=[], now=1_000.0)

    async def aget_one(**where):
        answer = state.polls[min(len(state.slept), len(state.polls)) - 1]
        if isinstance(answer, Exception):
            raise answer
        assert (where["dag_id"], where["run_id"], where["task_id"], where["map_index"]) == ("dag", "run", "task", -1)
        return answer.get(where["key"])

    async def sleep(seconds):
        state.slept.append(seconds)
        state.now += seconds

    monkeypatch.setattr(file_segments, "XCom", SimpleNamespace(aget_one=aget_one))
    monkeypatch.setattr(file_segments, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(file_segments, "time", SimpleNamespace(time=lambda: state.now))
    return state


def fired(**arguments):
    given = {"requests": as_arguments(REQUESTS), "deadline": 1_100.0, "carried": {"cs_name": "vip"}, **arguments}
    path, again = FileSegmentReadyTrigger(**given).serialize()
    assert path == "airflow_provider_moengage.triggers.file_segments.FileSegmentReadyTrigger"

    async def first():
        return [event.payload async for event in FileSegmentReadyTrigger(**again).run()]

    (payload,) = asyncio.run(first())
    return payload


def keys(*values):
    return {request.outcome_key: value for request, value in zip(REQUESTS, values, strict=True)}


def test_all_have_called_back(airflow):
    airflow.polls = [{}, keys(FILLED, None), keys(None, FILLED)]
    assert fired() == {"status": "called_back", "outcomes": [FILLED, FILLED], "carried": {"cs_name": "vip"}}
    assert airflow.slept == [15, 15, 15]


@pytest.mark.parametrize("failed", [FAILED, '{"status": 500}', "?", 7])
def test_the_first_that_has_failed_ends_it(airflow, failed):
    airflow.polls = [{}, keys(None, failed)]
    assert fired() == {"status": "called_back", "outcomes": [failed], "carried": {"cs_name": "vip"}}


def test_the_deadline(airflow):
    airflow.polls = [{}]
    assert fired(poll_interval=40) == {"status": "timeout", "carried": {"cs_name": "vip"}}
    assert airflow.slept == [40, 40, 20]


def test_what_comes_at_the_deadline_counts(airflow):
    airflow.polls = [{}, {}, keys(FILLED, FILLED)]
    assert fired(poll_interval=40)["status"] == "called_back"


def test_an_airflow_that_does_not_answer_is_asked_again(airflow, caplog):
    airflow.polls = [TypeError("an error of the API"), TypeError("again"), RuntimeError(), keys(FILLED, FILLED)]
    assert fired()["status"] == "called_back"
    assert len(airflow.slept) == 4


def test_it_never_polls_all_the_time(airflow):
    airflow.polls = [{}] * 3 + [keys(FILLED, FILLED)]
    fired(poll_interval=0)
    assert airflow.slept == [1, 1, 1, 1]


def test_the_event_loop_is_never_held_up(monkeypatch):
    """Before Airflow 3.3 Airflow is asked in a thread."""
    came = threading_xcom = SimpleNamespace(asked=0)

    def get_one(**_):
        came.asked += 1
        time.sleep(0.2)
        return FILLED

    threading_xcom.get_one = get_one
    monkeypatch.setattr(file_segments, "XCom", threading_xcom)
    monkeypatch.setattr(file_segments, "_SHORTEST_INTERVAL", 0.0)
    ticks = 0

    async def run():
        nonlocal ticks
        trigger = FileSegmentReadyTrigger(
            requests=as_arguments(REQUESTS[:1]), deadline=time.time() + 60, poll_interval=0
        )

        async def fire():
            return [event async for event in trigger.run()]

        waiting = asyncio.create_task(fire())
        while not waiting.done():
            ticks += 1
            await asyncio.sleep(0.005)
        return await waiting

    (event,) = asyncio.run(run())
    assert event.payload["outcomes"] == [FILLED]
    assert came.asked == 1
    assert ticks > 2
