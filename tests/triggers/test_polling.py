"""More triggers than MoEngage's rate limit suffices for queue: hours of it, on a clock that nobody waits for."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from airflow_provider_moengage.client.retry import NO_RETRIES
from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger
from tests import virtual_time
from tests.support import UNKNOWN_ID, client_of

HOUR = 3_600
IDS = [f"{number:024x}" for number in range(300)]


async def first_event(trigger):
    (event,) = [event async for event in trigger.run()]
    return event.payload


def waiting_for(ids):
    return [asyncio.create_task(first_event(SegmentExistsTrigger(segment_id=one))) for one in ids]


async def cancel(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def looked_at(sandbox):
    return [request.path.rsplit("/", 1)[1] for request in sandbox.requests]


def statuses(sandbox):
    return Counter(request.status for request in sandbox.requests)


def most_within(period, requests):
    times = [request.time for request in requests]
    return max(bisect_left(times, time + period) - index for index, time in enumerate(times))


def test_within_the_limits_and_all_in_turn(sandbox, clock, figures, caplog):
    """300 ask for 3,600 looks an hour."""

    async def wait():
        waiting = waiting_for(IDS)
        await asyncio.sleep(6 * HOUR)
        assert not [task.result() for task in waiting if task.done()], "to wait for one's turn is no trouble"
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert 429 not in statuses(sandbox)
    assert most_within(timedelta(minutes=1), sandbox.requests) <= 100
    assert most_within(timedelta(hours=1), sandbox.requests) <= 1_000
    looked = looked_at(sandbox)
    assert len(looked) > 1_500
    for begin in range(0, len(looked) - len(IDS), len(IDS)):
        assert sorted(looked[begin : begin + len(IDS)]) == IDS, "none is looked at twice before all others"
    assert sum("they are made one after another" in record.getMessage() for record in caplog.records) == 1
    figures.add("looks by id that took turns, none of them refused", len(looked))


def test_by_name_too_where_no_stream_is_shared(sandbox, clock):
    """Before Airflow 3.3 each looks for itself."""

    async def wait():
        triggers = (SegmentExistsTrigger(name=f"camp {number}") for number in range(100))
        waiting = [asyncio.create_task(first_event(trigger)) for trigger in triggers]
        await asyncio.sleep(2 * HOUR)
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert statuses(sandbox).keys() == {200}
    assert most_within(timedelta(hours=1), sandbox.requests) <= 200
    assert set(Counter(request.query for request in sandbox.requests).values()) <= {3, 4}


def test_who_looks_as_often_as_he_may_is_not_slowed_down(sandbox, clock, caplog):
    async def wait():
        waiting = waiting_for(IDS[:10])
        await asyncio.sleep(3 * HOUR)
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert not [record for record in caplog.records if record.name.startswith("airflow_provider_moengage")]
    times = [request.time for request in sandbox.requests if request.path.endswith(IDS[0])]
    assert len(times) == 35
    assert all(timedelta(seconds=300) <= later - earlier < timedelta(seconds=302) for earlier, later in pairwise(times))


def test_who_leaves_the_queue_takes_no_turn(sandbox, clock):
    """As a task's timeout does."""
    sandbox.add_segment(name="camp", id=IDS[-1])

    async def wait():
        waiting = waiting_for(IDS)
        await asyncio.sleep(301)  # 25 at once, and one more
        left, stayed = waiting[30:-1], waiting[-1]
        await cancel(left)
        assert (await stayed)["segment"]["name"] == "camp"
        await cancel(waiting[:30])

    virtual_time.run(wait(), clock)

    assert set(looked_at(sandbox)) == {*IDS[:30], IDS[-1]}
    assert len(sandbox.requests) == 31


def test_what_others_have_spent_is_waited_for(sandbox, clock):
    """The last answer says that nothing is left, so that nobody asks before there is room."""

    async def wait():
        waiting = waiting_for(IDS[:20])
        await asyncio.sleep(299)
        with client_of(sandbox, retry=NO_RETRIES) as others:
            for _ in range(100):
                others.get_segment(UNKNOWN_ID)
        await asyncio.sleep(120)
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    looked = looked_at(sandbox)
    assert 429 not in statuses(sandbox)
    assert looked[:100] == [UNKNOWN_ID] * 100
    assert sorted(looked[100:]) == IDS[:20]
    assert sandbox.requests[100].time - sandbox.requests[0].time >= timedelta(seconds=60)


@pytest.mark.parametrize("fault", [{"fault": "reset"}, {"status": 429}])
def test_trouble_passes_the_turn_on(sandbox, clock, fault):
    sandbox.fail_next(30, **fault)

    async def wait():
        waiting = waiting_for(IDS[:40])
        await asyncio.sleep(HOUR)
        assert not [task.result() for task in waiting if task.done()]
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    looked = Counter(request.path for request in sandbox.requests)
    assert len(looked) == 40
    assert max(looked.values()) - min(looked.values()) <= 1
