"""One poll for all, driven by Airflow's own manager as the triggerer drives it."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import msgspec
import pytest

from airflow_provider_moengage.triggers.segments import SegmentCreatedTrigger, SegmentExistsTrigger
from tests.support import NOTHING

shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="shared streams came with Airflow 3.3")


async def wait_for(manager, trigger_id, trigger):
    """Do what the triggerer does with a trigger that has a shared stream."""
    key = trigger.shared_stream_key()
    try:
        stream = manager.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
        (payload,) = [event.payload async for event in trigger.filter_shared_stream(stream)]
        return payload
    finally:
        await manager.unsubscribe(trigger_id, key)


async def wait_together(triggers):
    manager = shared_stream.SharedStreamManager()
    return await asyncio.gather(*(wait_for(manager, number, trigger) for number, trigger in enumerate(triggers)))


def test_who_shares():
    def key(**arguments):
        return SegmentExistsTrigger(**arguments).shared_stream_key()

    assert key(name="a") == key(name="b")
    assert key(name="a") != key(name="a", moengage_conn_id="other")
    assert key(name="a") != key(name="a", poll_interval=60)
    assert key(segment_id="a") is None
    assert SegmentCreatedTrigger(name_pattern="a*").shared_stream_key() == key(name="a")
    assert SegmentCreatedTrigger(name_pattern="a*", poll_interval=60).shared_stream_key() == key(
        name="a", poll_interval=60
    )


@pytest.mark.parametrize("order", [1, -1], ids=["sensors_first", "watchers_first"])
def test_sensors_and_watchers_share_one_request_an_interval(sandbox, order, monkeypatch):
    """Whichever kind opens the stream."""
    monkeypatch.setattr("airflow_provider_moengage.triggers.segments._SECONDS_BETWEEN_EVENTS", 0)
    sensors = [SegmentExistsTrigger(name=f"camp {number}", poll_interval=1) for number in range(100)]
    watchers = [SegmentCreatedTrigger(name_pattern=f"{word} *", poll_interval=1) for word in ("camp", "promo")]
    sandbox.fail_next(2, status=200, body=NOTHING)
    sandbox.fail_next(status=503)
    for number in range(100):
        sandbox.add_segment(name=f"camp {number}")
    sandbox.add_segment(name="promo 1")

    async def watch(manager, trigger_id, trigger, wanted):
        key = trigger.shared_stream_key()
        events = trigger.filter_shared_stream(manager.subscribe(trigger_id=trigger_id, trigger=trigger, key=key))
        fired = [(await anext(events)).payload["name"] for _ in range(wanted)]
        await events.aclose()
        await manager.unsubscribe(trigger_id, key)
        return fired

    async def all_together():
        manager = shared_stream.SharedStreamManager()
        waiting = [wait_for(manager, number, trigger) for number, trigger in enumerate(sensors)]
        watching = [watch(manager, -1, watchers[0], 100), watch(manager, -2, watchers[1], 1)]
        return await asyncio.gather(*(waiting + watching)[::order])

    ended = asyncio.run(all_together())[::order]

    assert [event["segment"]["name"] for event in ended[:100]] == [f"camp {number}" for number in range(100)]
    assert sorted(ended[100]) == sorted(f"camp {number}" for number in range(100))
    assert ended[101] == ["promo 1"]
    assert [(request.path, request.query) for request in sandbox.requests] == [("/v3/custom-segments", "")] * 4


def test_a_thousand_wait_with_one_request_an_interval(sandbox):
    """Two intervals with nothing, one with an error, one in which all segments are there."""
    names = [f"camp {number}" for number in range(1_000)]
    ids = {name: sandbox.add_segment(name=name)["id"] for name in names}
    sandbox.fail_next(2, status=200, body=NOTHING)
    sandbox.fail_next(status=503)

    events = asyncio.run(wait_together([SegmentExistsTrigger(name=name, poll_interval=0.1) for name in names]))

    assert {event["segment"]["name"]: event["segment"]["id"] for event in events} == ids
    assert [(request.method, request.path, request.query) for request in sandbox.requests] == [
        ("GET", "/v3/custom-segments", "")
    ] * 4
    assert {request.connection for request in sandbox.requests} == {1}


def test_nothing_is_left_to_be_closed(sandbox):
    """A stream that was left in the middle cost the event loop a task for each sensor, a quarter of the time of all."""
    sandbox.add_segment(name="camp")
    left = []

    async def wait():
        sys.set_asyncgen_hooks(finalizer=left.append)
        await wait_together([SegmentExistsTrigger(name="camp", poll_interval=0) for _ in range(3)])

    asyncio.run(wait())
    assert left == []


def test_only_the_names_that_are_there(sandbox):
    sandbox.add_segment(name="camp")

    async def both():
        manager = shared_stream.SharedStreamManager()
        waiting = asyncio.create_task(wait_for(manager, 1, SegmentExistsTrigger(name="Camp", poll_interval=0)))
        event = await wait_for(manager, 2, SegmentExistsTrigger(name="camp", poll_interval=0))
        assert not waiting.done()
        waiting.cancel()
        await manager.stop_all()
        return event

    assert asyncio.run(both())["segment"]["name"] == "camp"


@pytest.mark.parametrize(
    "body",
    [
        '{"data": [{"name": ["camp"], "id": 1}, {"name": {}}, {}, {"name": "camp", "id": "x"}]}',
        '{"data": [{"name": "\\ud800"}, {"name": "camp", "id": 1180591620717411303424, "odd": "\\ud800"}]}',
        '{"data": [{"name": "camp", "id": "x", "size": NaN}, {"name": "camp", "id": "the second"}]}',
    ],
)
def test_an_odd_segment_disturbs_nobody(sandbox, body):
    """However odd one segment is, it must not fail the tasks that wait for others, nor stop a triggerer."""
    sandbox.fail_next(status=200, body=body)
    (event,) = asyncio.run(wait_together([SegmentExistsTrigger(name="camp", poll_interval=0.05)]))
    assert event["segment"]["name"] == "camp"
    assert event["segment"]["id"] != "the second"
    msgspec.msgpack.encode(event)


def test_who_asks_for_both_gets_a_sentence_and_no_stream(sandbox):
    trigger = SegmentExistsTrigger(name="camp", segment_id="x", poll_interval=0)
    assert trigger.shared_stream_key() is None


def test_a_wrong_key_reaches_all(sandbox):
    sandbox.fail_next(status=401)
    triggers = [SegmentExistsTrigger(name=name, poll_interval=0.05) for name in "abc"]
    events = asyncio.run(wait_together(triggers))
    assert Counter(event["status"] for event in events) == {"failed": 3}
    assert len(sandbox.requests) == 1
