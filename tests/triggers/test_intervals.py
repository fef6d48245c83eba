"""How often a workspace is polled at most, whatever interval is asked for, and what is said about a short one."""

from __future__ import annotations

import asyncio
import logging
import types

import pytest

from airflow_provider_moengage.client.limits import GET_BY_ID, LIST
from airflow_provider_moengage.sensors.segments import SegmentExistsSensor
from airflow_provider_moengage.triggers.intervals import SHORTEST_INTERVALS, interval_of, warning_of
from airflow_provider_moengage.triggers.segments import SegmentCreatedTrigger, SegmentExistsTrigger
from tests import virtual_time
from tests.support import UNKNOWN_ID

# The other tests set shorter ones.
PUBLISHED = dict(SHORTEST_INTERVALS)
WANTED = {"by_id": ({"segment_id": UNKNOWN_ID}, 1.0), "by_name": ({"name": "camp"}, 1.2)}


@pytest.fixture(autouse=True)
def _published(monkeypatch, _short_intervals):
    for call, seconds in PUBLISHED.items():
        monkeypatch.setitem(SHORTEST_INTERVALS, call, seconds)


@pytest.mark.parametrize(
    ("asked", "call", "kept"),
    [(0, GET_BY_ID, 1), (0, LIST, 1.2), (1, LIST, 1.2), (1.2, LIST, 1.2), (1, GET_BY_ID, 1), (300, LIST, 300)],
)
def test_the_interval_that_is_kept_to(asked, call, kept):
    assert interval_of(asked, call) == kept


LIST_COST = (
    "Polling every 1.2 s instead of every 0 s: 72,000 list calls in a day of waiting, where MoEngage allows the whole "
    "workspace 50 a minute, 200 an hour and 1,000 a day. 300 s spare them."
)
GET_COST = (
    "Polling every 30 s: 2,880 gets by id in a day of waiting, where MoEngage allows the whole workspace 100 a minute, "
    "1,000 an hour and 4,000 a day. 300 s spare them."
)


@pytest.mark.parametrize(
    ("asked", "call", "warning"),
    [(300, LIST, None), (60, LIST, None), (0, LIST, LIST_COST), (30, GET_BY_ID, GET_COST)],
)
def test_what_a_short_interval_costs(asked, call, warning):
    assert warning_of(asked, call) == warning


@pytest.mark.parametrize(("wanted", "shortest"), WANTED.values(), ids=WANTED)
class TestAnIntervalOfNothing:
    @pytest.mark.parametrize("mode", ["poke", "reschedule"])
    def test_in_a_worker(self, wanted, shortest, mode):
        sensor = SegmentExistsSensor(task_id="wait", poke_interval=0, mode=mode, **wanted)
        assert sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) == shortest

    def test_in_the_triggerer(self, sandbox, clock, wanted, shortest):
        trigger = SegmentExistsTrigger(poll_interval=0, **wanted)

        async def wait():
            waiting = asyncio.create_task(anext(aiter(trigger.run())))
            await asyncio.sleep(10)
            waiting.cancel()
            await asyncio.wait([waiting])

        virtual_time.run(wait(), clock)
        assert 0 < len(sandbox.requests) <= 10 / shortest

    @pytest.mark.parametrize("is_again", [False, True])
    def test_is_said_once(self, sandbox, wanted, shortest, is_again, monkeypatch):
        warnings = []
        sensor = SegmentExistsSensor(task_id="wait", poke_interval=0, mode="reschedule", **wanted)
        monkeypatch.setattr(sensor.log, "log", lambda level, text, *values: warnings.append((level, text % values)))
        ti = types.SimpleNamespace(get_first_reschedule_date=lambda _: "today" if is_again else None)
        sensor._say_what_is_odd({"ti": ti})
        said = f"every {shortest:g} s instead of every 0 s"
        whole = " ".join(warning.strip() for level, warning in warnings if level == logging.WARNING)
        assert whole.count(said) == (not is_again)


def test_a_watcher_keeps_to_it_too(sandbox, clock):
    async def watch():
        trigger = SegmentCreatedTrigger(name_pattern="*", poll_interval=0.1)
        watching = asyncio.create_task(anext(aiter(trigger.run())))
        await asyncio.sleep(10)
        watching.cancel()
        await asyncio.wait([watching])

    virtual_time.run(watch(), clock)
    assert 0 < len(sandbox.requests) <= 10 / 1.2
