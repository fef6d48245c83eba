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


def ids_of(sandbox):
    return [request.path.rsplit("/", 1)[1] for request in sandbox.requests]


def statuses(sandbox):
    return Counter(request.status for request in sandbox.requests)


def most_within(period, requests):
    times = [request.time for request in requests]
    return max(bisect_left(times, time + period) - index for index, time in enumerate(times))


def test_within_the_limits_and_all_of_them(sandbox, clock, figures, caplog):
    """300 ask for 3,600 polls an hour."""

    async def wait():
        waiting = waiting_for(IDS)
        await asyncio.sleep(6 * HOUR)
        assert not [task.result() for task in waiting if task.done()], "to queue is no failure"
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert 429 not in statuses(sandbox)
    assert most_within(timedelta(minutes=1), sandbox.requests) <= 100
    assert most_within(timedelta(hours=1), sandbox.requests) <= 1_000
    polled = ids_of(sandbox)
    assert len(polled) > 1_500
    for begin in range(0, len(polled) - len(IDS), len(IDS)):
        assert sorted(polled[begin : begin + len(IDS)]) == IDS, "none is polled for twice before all others"
    assert sum("they are made one after another" in record.getMessage() for record in caplog.records) == 1
    figures.add("polls by id that queued, none of them refused", len(polled))


def test_by_name_too_where_no_stream_is_shared(sandbox, clock):
    """Before Airflow 3.3 each polls for itself."""

    async def wait():
        triggers = (SegmentExistsTrigger(name=f"camp {number}") for number in range(100))
        waiting = [asyncio.create_task(first_event(trigger)) for trigger in triggers]
        await asyncio.sleep(2 * HOUR)
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert statuses(sandbox).keys() == {200}
    assert most_within(timedelta(hours=1), sandbox.requests) <= 200
    assert set(Counter(request.query for request in sandbox.requests).values()) <= {3, 4}


def test_who_polls_as_often_as_he_may_is_not_slowed_down(sandbox, clock, caplog):
    async def wait():
        waiting = waiting_for(IDS[:10])
        await asyncio.sleep(3 * HOUR)
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    assert not [record for record in caplog.records if record.name.startswith("airflow_provider_moengage")]
    times = [request.time for request in sandbox.requests if request.path.endswith(IDS[0])]
    assert len(times) == 35
    assert all(timedelta(seconds=300) <= later - earlier < timedelta(seconds=302) for earlier, later in pairwise(times))


def test_who_leaves_the_queue_is_not_polled_for(sandbox, clock):
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

    assert set(ids_of(sandbox)) == {*IDS[:30], IDS[-1]}
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

    polled = ids_of(sandbox)
    assert 429 not in statuses(sandbox)
    assert polled[:100] == [UNKNOWN_ID] * 100
    assert sorted(polled[100:]) == IDS[:20]
    assert sandbox.requests[100].time - sandbox.requests[0].time >= timedelta(seconds=60)


@pytest.mark.parametrize("fault", [{"fault": "reset"}, {"status": 429}])
def test_a_failure_lets_the_next_in_the_queue_poll(sandbox, clock, fault):
    sandbox.fail_next(30, **fault)

    async def wait():
        waiting = waiting_for(IDS[:40])
        await asyncio.sleep(HOUR)
        assert not [task.result() for task in waiting if task.done()]
        await cancel(waiting)

    virtual_time.run(wait(), clock)

    polled = Counter(request.path for request in sandbox.requests)
    assert len(polled) == 40
    assert max(polled.values()) - min(polled.values()) <= 1
