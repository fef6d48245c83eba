"""The stream that all triggers which poll a workspace's whole list share on Airflow 3.3."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow.providers.common.compat.triggers import BaseEventTrigger

from airflow_provider_moengage.client.limits import LIST
from airflow_provider_moengage.triggers.polling import poll_forever

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.errors import MoEngageError

Item = TypeVar("Item")


class Listing(NamedTuple):
    """
    All segments of a workspace, as one request has listed them.

    :param segments: in the order of the answer.
    :param by_name: by their names; of several with the same, the first. Made once for the thousand that wait here.
    """

    segments: list[dict[str, Any]]
    by_name: dict[str, dict[str, Any]]


def list_all(client: MoEngageClient) -> Listing:
    """
    List a workspace.

    :param client: where.
    :return: its segments.
    """
    segments = client.list_segments()
    by_name: dict[str, dict[str, Any]] = {}
    for segment in segments:
        by_name.setdefault(str(segment.get("name")), segment)
    return Listing(segments, by_name)


async def newest(stream: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """
    Skip what is out of date: whoever takes its time over one item gets the last one next, and nothing piles up.

    :param stream: what others read as well.
    :return: the newest of what it has yielded, each once.
    """
    last: deque[Item] = deque(maxlen=1)
    moved = asyncio.Event()

    async def follow() -> None:
        async for item in stream:
            last.append(item)
            moved.set()

    follower = asyncio.create_task(follow())
    follower.add_done_callback(lambda _: moved.set())
    try:
        while not follower.done():
            await moved.wait()
            moved.clear()
            while last:
                yield last.pop()
        await follower  # for what has ended it
    finally:
        follower.cancel()
        await asyncio.wait([follower])


class SharedListTrigger(BaseEventTrigger):
    """
    A trigger that can do with the list of all segments.

    Those of the same connection and interval send one list request an interval, of whichever class they are: the
    stream is the same for all, so that it does not matter whose class opens it.
    """

    moengage_conn_id: str
    poll_interval: float

    def shared_stream_key(self) -> Hashable | None:
        """
        Name the stream that this trigger can share. Called by Airflow 3.3.

        :return: the same for all with this connection and interval.
        """
        return (__name__, self.moengage_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Listing | MoEngageError]:
        """
        List all segments, once an interval.

        :param kwargs: the arguments of one of the triggers; the connection and the interval are those of all.
        :return: each time the segments, or the error: a stream that raises fails everybody on it.
        """
        async with aclosing(
            poll_forever(kwargs["moengage_conn_id"], kwargs["poll_interval"], list_all, LIST)
        ) as stream:
            async for listing in stream:
                yield listing
