from __future__ import annotations

import asyncio
import json

import pytest

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests.support import NOTHING


async def first_event(stream):
    (payload,) = [event.payload async for event in stream]
    return payload


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

    def test_a_connection_that_cannot_work(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", '{"conn_type": "moengage"}')
        event = fire(name="camp")
        assert event == {"status": "failed", "message": event["message"]}
        assert "its login (Workspace ID) is missing" in event["message"]

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


class TestTrouble:
    def test_a_connection_that_cannot_be_read_for_a_while(self, sandbox, monkeypatch):
        """Airflow says so of a failing secrets backend too: the connection was there when the sensor looked."""
        sandbox.add_segment(name="camp")
        lookups = []
        aget_client = MoEngageHook.aget_client

        async def not_there_at_first(self):
            lookups.append(self.moengage_conn_id)
            if len(lookups) < 3:
                self.moengage_conn_id = "not_there"
            return await aget_client(self)

        monkeypatch.setattr(MoEngageHook, "aget_client", not_there_at_first)
        assert fire(name="camp")["status"] == "found"
        assert len(lookups) == 3

    def test_whatever_goes_wrong_is_not_yet(self, sandbox, monkeypatch):
        """Airflow's own API may hiccup while a connection is looked up; the wait goes on."""
        sandbox.add_segment(name="camp")
        lookups = []

        async def hiccup(self):
            lookups.append(self.moengage_conn_id)
            if len(lookups) == 1:
                raise OSError("api-server is restarting")
            return await asyncio.to_thread(MoEngageHook.get_conn, self)

        monkeypatch.setattr(MoEngageHook, "aget_client", hiccup)
        assert fire(name="camp")["status"] == "found"
        assert len(lookups) == 2

    def test_waits_as_long_as_the_server_asks(self, sandbox):
        sandbox.fail_next(status=429, headers={"Retry-After": "3600"})

        async def wait_a_little():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first_event(SegmentExistsTrigger(name="camp", poll_interval=0).run()), 0.3)

        asyncio.run(wait_a_little())
        assert len(sandbox.requests) == 1

    def test_never_looks_twice_a_second(self, sandbox, monkeypatch):
        monkeypatch.setattr("airflow_provider_moengage.triggers.polling.SHORTEST_INTERVAL", 3_600)

        async def wait_a_little():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first_event(SegmentExistsTrigger(name="camp", poll_interval=0).run()), 0.05)

        asyncio.run(wait_a_little())
        assert sandbox.requests == []

    def test_a_task_keeps_its_queue(self):
        assert SegmentExistsTrigger(name="camp").supports_triggerer_queue is True
