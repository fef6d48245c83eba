from __future__ import annotations

import asyncio
import json
import logging

import pytest

from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests import virtual_time
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

    def test_sleeps_before_it_polls(self, sandbox):
        """The sensor has just polled, and an event that comes at once can fail the task that defers."""
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


class TestFailures:
    def test_a_connection_that_cannot_be_read_for_a_while(self, sandbox, monkeypatch):
        """Airflow says so of a failing secrets backend too: the connection was there when the sensor polled."""
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
        """Airflow's own API may hiccup while a connection is read; the wait goes on."""
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

    def test_a_connection_that_the_triggerer_has_never_read(self, sandbox, monkeypatch, caplog):
        """A team's connection cannot be read in its triggerer; that it cannot "any more" would be wrong."""
        sandbox.add_segment(name="camp")
        sandbox.fail_next(status=401)
        aget_client = MoEngageHook.aget_client
        reads = iter(["not_there", "moengage_default", "not_there", "moengage_default"])

        async def read(self):
            self.moengage_conn_id = next(reads, "moengage_default")
            return await aget_client(self)

        monkeypatch.setattr(MoEngageHook, "aget_client", read)
        trigger = SegmentExistsTrigger(name="camp", poll_interval=0)
        monkeypatch.setattr(type(trigger), "_log", logging.getLogger("wait"), raising=False)
        event = asyncio.run(first_event(trigger.run()))
        assert event["status"] == "failed"  # the 401, at a time when nobody can say whether there is a new key
        (said,) = [record.getMessage() for record in caplog.records if "Could not poll" in record.getMessage()]
        assert "The triggerer cannot read the connection" in said
        assert "--team-name" in said
        assert "any more" not in said

    def test_the_object_of_a_wait_that_failed_waits_anew(self, sandbox, monkeypatch, clock):
        """Six hours of failures belong to the wait that met them."""
        trigger = SegmentExistsTrigger(name="camp", poll_interval=7_200)

        async def wait():
            return await first_event(trigger.run())

        sandbox.fail_next(5, status=502)
        assert virtual_time.run(wait(), clock)["status"] == "gave_up"
        sandbox.add_segment(name="camp")
        assert virtual_time.run(wait(), clock)["status"] == "found"

    def test_a_task_keeps_its_queue(self):
        assert SegmentExistsTrigger(name="camp").supports_triggerer_queue is True
