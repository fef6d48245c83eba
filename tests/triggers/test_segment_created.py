"""The trigger that fires for every new segment, on real sockets and with Airflow's own accessor of the state store."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version

import pytest
from packaging.version import Version

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.triggers.segments import SegmentCreatedTrigger
from tests.support import NOTHING, client_of

needs_store = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="the asset state store came with Airflow 3.3"
)
OLD = timedelta(minutes=10)
BETWEEN_EVENTS = "airflow_provider_moengage.triggers.segments._SECONDS_BETWEEN_EVENTS"
UNTIL_SENT = "airflow_provider_moengage.triggers.segments._SECONDS_UNTIL_SENT"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(BETWEEN_EVENTS, 0)


@pytest.fixture(autouse=True)
def _std_log(monkeypatch):
    """A triggerer's log is not one that pytest reads, on each version of Airflow another."""
    monkeypatch.setattr(SegmentCreatedTrigger, "_log", logging.getLogger("watch"), raising=False)


@asynccontextmanager
async def watching(pattern="camp_*", store=None, interval=0.02):
    """Run a trigger as a triggerer does; gives the events' payloads as they come."""
    trigger = SegmentCreatedTrigger(name_pattern=pattern, poll_interval=interval)
    trigger.asset_state_store = store
    payloads = []

    async def collect():
        async for event in trigger.run():
            payloads.append(event.payload)  # noqa: PERF401 - others read it meanwhile

    running = asyncio.create_task(collect())
    try:
        yield payloads
        assert not running.done(), "a watch has no end"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(happened):
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def polled(sandbox):
    """Wait until a poll that began after now has been thought about: the next is made afterwards."""
    before = len(sandbox.requests)
    await until(lambda: len(sandbox.requests) >= before + 3)


def names(payloads):
    return [payload["name"] for payload in payloads]


class TestFires:
    def test_once_for_each_that_is_new_and_matches(self, sandbox):
        for number in range(300):
            sandbox.add_segment(name=f"camp_old_{number}", age=OLD)

        async def create_some():
            async with watching() as payloads:
                await polled(sandbox)
                assert payloads == []
                segment = sandbox.add_segment(name="camp_new")
                sandbox.add_segment(name="other")
                sandbox.add_segment(name="Camp_upper")
                await until(lambda: payloads)
                await polled(sandbox)
                assert payloads == [
                    {
                        "name": "camp_new",
                        "segment_id": segment["id"],
                        "created_time": segment["created_time"],
                        "type": "ELASTIC_SEARCH",
                        "source": "API",
                    }
                ]
                sandbox.add_segment(name="camp_b")
                sandbox.add_segment(name="camp_a")
                await until(lambda: len(payloads) == 3)
                assert set(names(payloads)) == {"camp_new", "camp_a", "camp_b"}

        asyncio.run(create_some())
        assert {(request.path, request.query) for request in sandbox.requests} == {("/v3/custom-segments", "")}

    def test_waits_between_two_events(self, sandbox, monkeypatch):
        """Airflow makes a run of what has come until the first event, and would leave the second lying."""
        monkeypatch.setattr(BETWEEN_EVENTS, 3_600)
        for name in ("camp_a", "camp_b"):
            sandbox.add_segment(name=name)

        async def wait():
            async with watching() as payloads:
                await until(lambda: payloads)
                sandbox.add_segment(name="camp_c")
                await asyncio.sleep(0.2)
                assert names(payloads) == ["camp_a"]

        asyncio.run(wait())

    def test_what_is_created_before_the_first_poll(self, sandbox):
        """The first poll comes an interval after the start."""
        sandbox.add_segment(name="camp_new")

        async def wait():
            async with watching() as payloads:
                await until(lambda: payloads)

        asyncio.run(wait())

    def test_not_for_one_that_was_away(self, sandbox):
        sandbox.add_segment(name="camp_old", age=OLD)
        sandbox.add_segment(name="camp_archived", age=OLD, archived=True)
        sandbox.fail_next(status=200, body=NOTHING)

        async def wait():
            async with watching() as payloads:
                await polled(sandbox)
                segment = sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)
                sandbox.fail_next(2, status=200, body=NOTHING)
                await polled(sandbox)
                with client_of(sandbox) as client:
                    client.archive_segment("camp_new", segment["id"])
                    client.unarchive_segment("camp_new", segment["id"])
                    client.unarchive_segment("camp_archived")
                await polled(sandbox)
                assert names(payloads) == ["camp_new"]

        asyncio.run(wait())

    def test_says_once_what_it_cannot_read(self, sandbox, caplog):
        odd = {"name": "camp_odd", "id": "x", "created_time": "lately"}
        sandbox.fail_next(5, status=200, body={**NOTHING, "data": [odd, {**odd, "name": "other"}]})

        async def wait():
            async with watching() as payloads:
                await until(lambda: not sandbox.pending_faults)
                await polled(sandbox)
                assert payloads == []

        with caplog.at_level(logging.WARNING):
            asyncio.run(wait())
        (warning,) = [record.message for record in caplog.records if "lately" in record.message]
        assert warning.startswith("The segment camp_odd (id x) is not selected, since its name, its id or its created")


class TestFailures:
    def test_goes_on_whatever_happens(self, sandbox, caplog):
        sandbox.fail_next(2, status=503)
        sandbox.fail_next(fault="reset")
        sandbox.fail_next(status=401)
        sandbox.fail_next(fault="html")
        sandbox.fail_next(status=400)
        sandbox.fail_next(status=404)

        async def wait():
            async with watching() as payloads:
                await until(lambda: not sandbox.pending_faults)
                sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)

        with caplog.at_level(logging.WARNING):
            asyncio.run(wait())
        said = [record.message for record in caplog.records if "new segments named 'camp_*'" in record.message]
        assert len(said) == 6
        assert "MoEngage failed to answer" in said[0]

    def test_waits_as_long_as_the_server_asks(self, sandbox):
        sandbox.fail_next(status=429, headers={"Retry-After": "3600"})

        async def wait():
            async with watching():
                await until(lambda: sandbox.requests)
                await asyncio.sleep(0.2)

        asyncio.run(wait())
        assert len(sandbox.requests) == 1

    def test_a_rotated_key(self, sandbox, monkeypatch):
        with Sandbox(api_key="old-key-of-the-workspace") as old:
            monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(old.connection))

            async def rotate():
                async with watching() as payloads:
                    await until(lambda: old.requests)
                    old.fail_next(100, status=401)
                    await until(lambda: len(old.pending_faults) < 97)
                    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
                    sandbox.add_segment(name="camp_new")
                    await until(lambda: payloads)

            asyncio.run(rotate())

    def test_an_address_that_leads_elsewhere_is_mended(self, sandbox, monkeypatch, clock):
        """Nobody restarts a triggerer for it: the connection is read again, at most once a minute."""
        wrong = {**sandbox.connection, "host": sandbox.url + "/elsewhere"}
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(wrong))

        async def mend():
            async with watching() as payloads:
                await polled(sandbox)
                monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
                await polled(sandbox)
                assert {request.path for request in sandbox.requests} == {"/elsewhere/v3/custom-segments"}
                clock.move(61)
                sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)

        asyncio.run(mend())

    def test_a_connection_that_is_not_there_yet(self, sandbox, monkeypatch, caplog):
        monkeypatch.delenv("AIRFLOW_CONN_MOENGAGE_DEFAULT")

        async def wait():
            async with watching() as payloads:
                await until(lambda: "There is no Airflow connection" in caplog.text)
                monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
                sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)

        with caplog.at_level(logging.WARNING):
            asyncio.run(wait())

    def test_says_so_every_six_hours(self, sandbox, clock, caplog):
        sandbox.fail_next(1_000, status=503)

        async def wait():
            async with watching() as payloads:
                for _ in range(2):
                    await polled(sandbox)
                    clock.move(6 * 3_600)
                    await polled(sandbox)
                sandbox.clear_faults()
                sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)

        with caplog.at_level(logging.WARNING):
            asyncio.run(wait())
        errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
        assert len(errors) == 2
        assert errors[0].startswith("No poll for new segments named 'camp_*' has succeeded for 6 hours; polling goes")


class Comms:
    """Stands in for the triggerer, which answers what Airflow's accessor asks it."""

    def __init__(self):
        self.kept = {}
        self.down = False
        self.asked = []

    async def asend(self, message):
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time.comms import AssetStateStoreResult, ErrorResponse, OKResponse

        asked = type(message).__name__
        if "AssetStateStore" not in asked:  # to mask a connection's secrets, say
            return OKResponse(ok=True)
        self.asked.append(asked)
        if self.down:
            raise OSError("api-server is restarting")
        if asked == "GetAssetStateStoreByName":
            if (message.name, message.key) in self.kept:
                return AssetStateStoreResult(value=json.loads(self.kept[message.name, message.key]))
            return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)
        assert len(message.key) <= 512
        self.kept[message.name, message.key] = json.dumps(message.value)
        return OKResponse(ok=True)


class Supervisor(Comms):
    """Stands in for all of the triggerer but its loop. Answers one by one, and once keeps the loop waiting for long."""

    def __init__(self):
        super().__init__()
        self.line = asyncio.Lock()
        self.stored = []
        self.stored_when_kept = []
        self.holds_up = False

    def runner(self):
        from airflow.executors.workloads import RunTrigger
        from airflow.jobs.triggerer_job_runner import TriggerRunner
        from airflow.models.trigger import Trigger

        async def init_comms():
            self._reader_task = asyncio.create_task(asyncio.Event().wait())

        self.loop = TriggerRunner()
        self.loop.comms_decoder, self.loop.init_comms = self, init_comms
        path, arguments = SegmentCreatedTrigger(name_pattern="camp_*", poll_interval=0.2).serialize()
        watch = RunTrigger(
            id=1,
            ti=None,
            classpath=path,
            encrypted_kwargs=Trigger.encrypt_kwargs(arguments),
            watched_assets={"asset": "asset"},
        )
        self.loop.to_create.append(watch)
        return self.loop

    async def asend(self, message):
        from airflow.jobs.triggerer_job_runner import messages

        async with self.line:
            if not isinstance(message, messages.TriggerStateChanges):
                answer = await super().asend(message)
                if type(message).__name__.startswith("SetAssetStateStore"):
                    self.stored_when_kept.append(list(self.stored))
                return answer
            if self.kept and not self.holds_up:
                self.holds_up = True
                await until(lambda: self.loop.events)  # which the loop cannot send before it is answered
                await asyncio.sleep(2.5)
            self.stored += [entry.event.payload["segment_id"] for entry in message.events or ()]
            return messages.TriggerStateSync(to_create=[], to_cancel=set())


@pytest.fixture
def comms(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    comms = Comms()
    # The connections are those of the environment, which need no triggerer.
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return comms


def store_of(*assets):
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    return AssetStateStoreAccessors(inlets=[Asset(name) for name in assets])


def known_ids(comms):
    return {segment_id for value in comms.kept.values() for segment_id in json.loads(value)["ids"]}


@needs_store
class TestRestart:
    def test_goes_on_where_it_was(self, sandbox, comms, clock):
        async def restart():
            async with watching(store=store_of("asset")) as payloads:
                ids = {sandbox.add_segment(name=f"camp_{name}")["id"] for name in "ab"}
                await until(lambda: known_ids(comms) == ids)
                assert sorted(names(payloads)) == ["camp_a", "camp_b"]
            clock.sleep(7 * 86_400)
            sandbox.add_segment(name="camp_meanwhile", age=timedelta(days=5))
            async with watching(store=store_of("asset")) as payloads:
                await until(lambda: payloads)
                await polled(sandbox)
                assert names(payloads) == ["camp_meanwhile"]
            async with watching(store=store_of("asset")) as payloads:
                await polled(sandbox)
                assert payloads == []

        asyncio.run(restart())

    def test_the_watch_begins_when_it_begins_and_not_with_its_first_poll(self, sandbox, comms, clock):
        async def restart():
            async with watching(store=store_of("asset"), interval=3_600):
                await until(lambda: comms.kept)
            assert sandbox.requests == []
            clock.sleep(600)
            sandbox.add_segment(name="camp_meanwhile")
            clock.sleep(600)
            async with watching(store=store_of("asset")) as payloads:
                await until(lambda: payloads)

        asyncio.run(restart())

    def test_without_a_store_each_start_is_a_new_watch(self, sandbox, clock):
        async def restart():
            async with watching():
                await polled(sandbox)
            sandbox.add_segment(name="camp_meanwhile")
            clock.sleep(600)
            async with watching() as payloads:
                await polled(sandbox)
                assert payloads == []

        asyncio.run(restart())

    def test_each_is_kept_before_the_next_is_fired(self, sandbox, comms, monkeypatch, clock):
        """Killed in the middle of many, it goes on with the one that was not kept; a long time away changes nothing."""
        kept_when_fired = []

        async def restart():
            async with watching(store=store_of("asset")):
                await until(lambda: comms.kept)
            clock.sleep(30 * 86_400)
            ids = [sandbox.add_segment(name=f"camp_{n}", age=timedelta(days=20 - n))["id"] for n in range(6)]
            for part in (ids[:2], ids[1:]):
                trigger = SegmentCreatedTrigger(name_pattern="camp_*", poll_interval=0.02)
                trigger.asset_state_store = store_of("asset")
                async with aclosing(trigger.run()) as events:
                    for expected in part:
                        event = await anext(events)
                        assert event.payload["segment_id"] == expected
                        kept_when_fired.append(len(known_ids(comms)))
            async with watching(store=store_of("asset")) as payloads:
                await until(lambda: payloads)
                await polled(sandbox)
                assert [payload["segment_id"] for payload in payloads] == ids[5:]

        asyncio.run(restart())
        assert kept_when_fired == [0, 1, 1, 2, 3, 4, 5]

    def test_is_kept_long_before_the_next_is_fired(self, sandbox, comms, monkeypatch):
        monkeypatch.setattr(BETWEEN_EVENTS, 3_600)
        monkeypatch.setattr(UNTIL_SENT, 0)

        async def restart():
            async with watching(store=store_of("asset")) as payloads:
                segment = sandbox.add_segment(name="camp_new")
                await until(lambda: known_ids(comms) == {segment["id"]})
                assert names(payloads) == ["camp_new"]
            async with watching(store=store_of("asset")) as payloads:
                await polled(sandbox)
                assert payloads == []

        asyncio.run(restart())

    def test_is_kept_after_a_slow_supervisor_has_stored_the_event(self, sandbox, monkeypatch):
        """In Airflow's own loop, with the pause as it is: the other end is slow exactly when it matters."""
        from airflow.sdk.execution_time import task_runner

        monkeypatch.setattr(BETWEEN_EVENTS, 3_600)
        supervisor = Supervisor()
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)

        async def run():
            runner = supervisor.runner()
            running = asyncio.create_task(runner.arun())
            try:
                await until(lambda: supervisor.holds_up)
                segment = sandbox.add_segment(name="camp_new")
                await until(lambda: known_ids(supervisor))
                assert supervisor.stored_when_kept == [[], [segment["id"]]]
            finally:
                runner.stop = True
                runner._stop_event.set()
                await running

        asyncio.run(run())

    def test_stopped_between_an_event_and_what_is_kept(self, sandbox, comms, monkeypatch):
        """At least once: the event may not have been stored yet, and never be if the triggerer stops gracefully."""
        monkeypatch.setattr(BETWEEN_EVENTS, 3_600)
        monkeypatch.setattr(UNTIL_SENT, 3_600)

        async def restart():
            for _ in range(2):
                async with watching(store=store_of("asset")) as payloads:
                    sandbox.add_segment(name="camp_new") if not sandbox.segments else None
                    await until(lambda payloads=payloads: payloads)
                    assert names(payloads) == ["camp_new"]
            assert known_ids(comms) == set()

        asyncio.run(restart())

    def test_watchers_of_one_asset_keep_apart_what_they_know(self, sandbox, comms):
        async def watch():
            async with (
                watching("camp_*", store_of("asset")) as camps,
                watching("promo_*", store_of("asset")) as promos,
            ):
                sandbox.add_segment(name="camp_new")
                sandbox.add_segment(name="promo_new")
                await until(lambda: camps and promos)
            assert (names(camps), names(promos)) == (["camp_new"], ["promo_new"])
            assert len(comms.kept) == 2

        asyncio.run(watch())

    def test_another_interval_is_the_same_watch(self, sandbox, comms):
        async def watch():
            async with watching(store=store_of("asset"), interval=0.02):
                segment = sandbox.add_segment(name="camp_new")
                await until(lambda: known_ids(comms) == {segment["id"]})
            async with watching(store=store_of("asset"), interval=0.03) as payloads:
                await polled(sandbox)
                assert payloads == []

        asyncio.run(watch())

    def test_writes_only_when_something_is_new(self, sandbox, comms):
        async def watch():
            async with watching(store=store_of("asset")):
                await polled(sandbox)
                segment = sandbox.add_segment(name="other")
                await until(lambda: known_ids(comms) == {segment["id"]})
                await polled(sandbox)

        asyncio.run(watch())
        assert comms.asked == ["GetAssetStateStoreByName", *["SetAssetStateStoreByName"] * 2]

    def test_a_store_that_is_down_loses_nothing(self, sandbox, comms, caplog):
        async def watch():
            async with watching(store=store_of("asset")):
                first = sandbox.add_segment(name="camp_first")["id"]
                await until(lambda: known_ids(comms) == {first})
            second = sandbox.add_segment(name="camp_second")["id"]
            comms.down = True
            async with watching(store=store_of("asset")) as payloads:
                await polled(sandbox)
                assert payloads == []
                comms.down = False
                await until(lambda: known_ids(comms) == {first, second})
                comms.down = True
                third = sandbox.add_segment(name="camp_third")["id"]
                await until(lambda: len(payloads) == 2)
                await polled(sandbox)
                comms.down = False
                await until(lambda: known_ids(comms) == {first, second, third})
                assert names(payloads) == ["camp_second", "camp_third"]

        asyncio.run(watch())
        assert "Could not read the watermark of new segments" in caplog.text
        assert "Could not save the watermark of new segments" in caplog.text

    def test_what_cannot_be_read_begins_a_new_watch(self, sandbox, comms):
        async def watch():
            async with watching(store=store_of("asset")):
                await until(lambda: comms.kept)
            comms.kept = dict.fromkeys(comms.kept, '"something else"')
            async with watching(store=store_of("asset")) as payloads:
                segment = sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)
                await until(lambda: known_ids(comms) == {segment["id"]})

        asyncio.run(watch())

    def test_several_assets_with_one_watcher(self, sandbox, comms, caplog):
        async def watch():
            async with watching(store=store_of("asset", "another")) as payloads:
                sandbox.add_segment(name="camp_new")
                await until(lambda: payloads)
                await polled(sandbox)
                assert names(payloads) == ["camp_new"]

        asyncio.run(watch())
        assert "Give each asset a watcher of its own" in caplog.text
        assert comms.kept == {}


class TestSerialized:
    def test_is_the_same_again(self):
        trigger = SegmentCreatedTrigger(name_pattern="camp_*", moengage_conn_id="mine", poll_interval=60)
        path, arguments = trigger.serialize()
        assert path == "airflow_provider_moengage.triggers.segments.SegmentCreatedTrigger"
        assert json.loads(json.dumps(arguments)) == arguments
        assert SegmentCreatedTrigger(**arguments).serialize() == (path, arguments)

    def test_holds_nothing_but_names_and_the_interval_in_one_order(self):
        _, arguments = SegmentCreatedTrigger(poll_interval=60, name_pattern="camp_*").serialize()
        assert list(arguments) == ["name_pattern", "moengage_conn_id", "poll_interval"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"name_pattern": None}, "name_pattern must be a string, not nothing."),
            ({"name_pattern": " "}, "name_pattern is blank"),
            ({"name_pattern": "x" * 1_001}, "name_pattern has 1,001 characters; 1,000 are the most."),
            ({"poll_interval": timedelta(minutes=5)}, "poll_interval must be a number of seconds, not datetime"),
            ({"poll_interval": 0}, "poll_interval must be a number of seconds, not 0"),
            ({"poll_interval": float("nan")}, "poll_interval must be a number of seconds, not nan"),
        ],
    )
    def test_what_cannot_work_is_found_when_the_dag_is_parsed(self, arguments, message):
        """And not by the constructor: one that raises stops a triggerer with all that waits in it."""
        trigger = SegmentCreatedTrigger(**{"name_pattern": "camp_*", **arguments})
        with pytest.raises(InvalidInputError, match=message):
            trigger.serialize()
