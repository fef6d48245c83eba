"""Polls that pile up while somebody takes his time over one."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_moengage.triggers.shared_list import newest


async def polls(count, taken):
    for number in range(count):
        await asyncio.sleep(0)
        taken.append(number)
        yield number


def test_who_is_slow_gets_the_newest_and_nothing_piles_up():
    async def slowly():
        seen = []
        async for number in newest(polls(1_000, [])):
            seen.append(number)
            for _ in range(1_100):
                await asyncio.sleep(0)
        return seen

    assert asyncio.run(slowly()) == [0, 999]


def test_who_is_quick_misses_nothing():
    async def quickly():
        return [number async for number in newest(polls(10, []))]

    assert asyncio.run(quickly()) == list(range(10))


def test_what_ends_the_stream_is_raised():
    async def fail():
        yield 1
        raise RuntimeError("ended")

    async def follow(seen):
        async for number in newest(fail()):
            seen.append(number)

    seen = []
    with pytest.raises(RuntimeError, match="ended"):
        asyncio.run(follow(seen))
    assert seen == [1]


def test_who_leaves_stops_the_polls():
    async def leave():
        taken = []
        stream = newest(polls(1_000, taken))
        await anext(stream)
        await stream.aclose()
        before = len(taken)
        for _ in range(10):
            await asyncio.sleep(0)
        return len(taken) - before

    assert asyncio.run(leave()) == 0
