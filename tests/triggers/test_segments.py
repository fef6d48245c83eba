from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests.support import NOTHING


async def first_event(stream):
    return [event.payload async for event in stream][0]


def fire(**arguments):
    return asyncio.run(first_event(SegmentExistsTrigger(**{"poll_interval": 0, **arguments}).run()))


class TestAlone:
    def test_fires_with_the_segment(self, sandbox):
        segment = sandbox.add_segment(name="camp")
        assert fire(name="camp")["segment"]["id"] == segment["id"]
        event = fire(segment_id=segment["id"])
        assert event["status"] == "found"
        assert event["segment"]["name"] == "camp"

    def test_what_no_waiting_mends(self, sandbox):
        event = fire(segment_id="no id")
        assert event["status"] == "failed"
        assert "400" in event["message"]
        assert len(sandbox.requests) == 1

    def test_a_missing_connection(self):
        event = fire(name="camp", moengage_conn_id="not_there")
        assert event == {"status": "failed", "message": event["message"]}
        assert "There is no Airflow connection 'not_there'" in event["message"]

    def test_sleeps_before_it_looks(self, sandbox):
        """The sensor has just looked, and an event that comes at once can fail the task that defers."""
        sandbox.add_segment(name="camp")

        async def wait_a_little():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first_event(SegmentExistsTrigger(name="camp", poll_interval=3600).run()), 0.05)

        asyncio.run(wait_a_little())
        assert sandbox.requests == []

    def test_keeps_one_connection(self, sandbox):
        sandbox.add_segment(name="camp")
        sandbox.fail_next(3, status=200, body=NOTHING)
        fire(name="camp")
        assert [request.connection for request in sandbox.requests] == [1] * 4


class TestSerialized:
    def test_is_the_same_again(self):
        path, arguments = SegmentExistsTrigger(name="camp", moengage_conn_id="mine", poll_interval=60).serialize()
        assert path == "airflow_provider_moengage.triggers.segments.SegmentExistsTrigger"
        assert json.loads(json.dumps(arguments)) == arguments
        assert SegmentExistsTrigger(**arguments).serialize() == (path, arguments)

    def test_holds_nothing_but_ids_names_and_the_interval(self):
        _, arguments = SegmentExistsTrigger(segment_id="x").serialize()
        assert list(arguments) == ["segment_id", "name", "moengage_conn_id", "poll_interval"]


class TestSharedStream:
    def test_who_shares(self):
        def key(**arguments):
            return SegmentExistsTrigger(**arguments).shared_stream_key()

        assert key(name="a") == key(name="b")
        assert key(name="a") != key(name="a", moengage_conn_id="other")
        assert key(name="a") != key(name="a", poll_interval=60)
        assert key(segment_id="a") is None

    def test_a_thousand_wait_with_one_request_an_interval(self, sandbox):
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

    def test_only_the_names_that_are_there(self, sandbox):
        sandbox.add_segment(name="camp")

        async def both():
            manager = SharedStreamManager()
            waiting = asyncio.create_task(wait_for(manager, 1, SegmentExistsTrigger(name="Camp", poll_interval=0)))
            event = await wait_for(manager, 2, SegmentExistsTrigger(name="camp", poll_interval=0))
            assert not waiting.done()
            waiting.cancel()
            await manager.stop_all()
            return event

        assert asyncio.run(both())["segment"]["name"] == "camp"

    def test_a_wrong_key_reaches_all(self, sandbox):
        sandbox.fail_next(status=401)
        triggers = [SegmentExistsTrigger(name=name, poll_interval=0.05) for name in "abc"]
        events = asyncio.run(wait_together(triggers))
        assert Counter(event["status"] for event in events) == {"failed": 3}
        assert len(sandbox.requests) == 1


async def wait_for(manager, trigger_id, trigger):
    """Do what the triggerer does with a trigger that has a shared stream."""
    key = trigger.shared_stream_key()
    try:
        return await first_event(
            trigger.filter_shared_stream(manager.subscribe(trigger_id=trigger_id, trigger=trigger, key=key))
        )
    finally:
        await manager.unsubscribe(trigger_id, key)


async def wait_together(triggers):
    manager = SharedStreamManager()
    return await asyncio.gather(*(wait_for(manager, number, trigger) for number, trigger in enumerate(triggers)))
