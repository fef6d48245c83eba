"""Polling a workspace from the triggerer's event loop, without ever holding it up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_moengage.client.errors import AuthenticationError, ConnectionFailedError, MoEngageError
from airflow_provider_moengage.hooks.moengage import MoEngageHook, NoConnectionError
from airflow_provider_moengage.segments.failure_tolerance import (
    ConnectionChangedError,
    ConnectionNeverReadError,
    ConnectionUnreadableError,
)
from airflow_provider_moengage.triggers.intervals import interval_of

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.limits import Call
    from airflow_provider_moengage.client.retry import RetryPolicy

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# More would not be faster: 4 polls of 2 seconds each already spend the 100 gets a minute that MoEngage allows.
_POLLS_AT_ONCE = 4

# How soon an address that cannot be reached, or leads to something else, is read again from the connection, which
# somebody may have mended.
_SECONDS_BETWEEN_CONNECTION_READS = 60.0


async def poll_forever(
    moengage_conn_id: str, poll_interval: float, request: Callable[[MoEngageClient], Answer], call: Call
) -> AsyncGenerator[Answer | MoEngageError, None]:
    """
    Poll once an interval, for ever, and give an error as an answer like any other.

    Where so many poll that the rate limit does not suffice, they queue: who has waited longest is next.

    Sleeps before the first poll too: a sensor has just polled, and a trigger that fires within a second of its
    task's deferral can fail the task. Sleeps longer when the server asks for it, and where the interval is shorter than
    MoEngage's limits allow.

    :param moengage_conn_id: the connection.
    :param poll_interval: seconds between two polls.
    :param request: makes the request of a poll; called in a thread.
    :param call: which call that is, with its limits.
    :return: the answer to each poll.
    """
    wait = 0.0
    async with _poller_of(moengage_conn_id) as poller:
        while True:
            await asyncio.sleep(max(interval_of(poll_interval, call), wait))
            try:
                answer: Answer | MoEngageError = await poller.poll(request, call)
            except MoEngageError as error:
                answer = error
            except Exception as error:  # noqa: BLE001 - of Airflow's API, say: it must not fail a thousand tasks
                _log.exception("Polling for segments failed in a way that nobody expected.")
                answer = ConnectionFailedError(f"{type(error).__name__}, see the triggerer's log")
            wait = (answer.retry_after or 0.0) if isinstance(answer, MoEngageError) else 0.0
            yield answer


class _Poller:
    """
    What all who poll a workspace share: its client, and a few threads of its own.

    With threads of its own a host that does not answer keeps nobody waiting but those who poll it.
    """

    def __init__(self, moengage_conn_id: str) -> None:
        self.users = 0
        self._moengage_conn_id = moengage_conn_id
        self._threads = ThreadPoolExecutor(_POLLS_AT_ONCE, thread_name_prefix=f"poll-{moengage_conn_id}")
        self._free_threads = asyncio.Semaphore(_POLLS_AT_ONCE)
        # Whoever waits for one of these is woken in the order of arrival.
        self._queues: defaultdict[Call, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._scarce: set[Call] = set()
        self._lock = asyncio.Lock()
        self._client: MoEngageClient | None = None
        self._read_at = 0.0

    async def poll(self, request: Callable[[MoEngageClient], Answer], call: Call) -> Answer:
        """
        Make one request, in a thread, as soon as the rate limit allows it.

        :raises MoEngageError: when it fails.
        """
        async with self._queues[call]:
            client = await self._client_within_limits(call)
            # In the queue still: before a host that is silent, requests that are due must not pile up.
            await self._free_threads.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, request, client)
        except AuthenticationError as error:
            if await self._has_changed_since(client):
                raise ConnectionChangedError(error.message, status=error.status) from None
            raise
        except MoEngageError as error:
            misled = isinstance(error, ConnectionFailedError) or not error.retryable
            if misled and time.monotonic() - self._read_at > _SECONDS_BETWEEN_CONNECTION_READS:
                await self._has_changed_since(client)
            raise
        finally:
            self._free_threads.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client:
            self._client.close()

    async def _client_within_limits(self, call: Call) -> MoEngageClient:
        while True:
            client = await self._current_client()
            if not (wait := client.reserve_poll(*call)):
                return client
            if call not in self._scarce:
                self._scarce.add(call)
                _log.warning(
                    "More polls with the connection %r are due than MoEngage's rate limit allows: they are made one "
                    "after another.",
                    self._moengage_conn_id,
                )
            await asyncio.sleep(wait)

    async def _current_client(self) -> MoEngageClient:
        async with self._lock:
            if self._client is None:
                self._client = await self._read_client()
            return self._client

    async def _has_changed_since(self, client: MoEngageClient) -> bool:
        """Read the connection again, and go on with what it says now."""
        async with self._lock:
            if self._client is client:
                try:
                    fresh = await self._read_client()
                except ConnectionUnreadableError:
                    return False
                if not fresh.has_same_access_as(client):
                    self._client = fresh
            return self._client is not client

    async def _read_client(self) -> MoEngageClient:
        self._read_at = time.monotonic()
        # In a thread, since the first time it imports urllib3.
        retry = await asyncio.to_thread(_no_retries)
        try:
            return await MoEngageHook(self._moengage_conn_id, retry=retry).aget_client()
        except NoConnectionError as error:
            # The worker could read it when the sensor deferred; whoever watches for an asset waits until it is there.
            unreadable = ConnectionUnreadableError if self._client else ConnectionNeverReadError
            raise unreadable(str(error)) from None


def _no_retries() -> RetryPolicy:
    """Give the policy of who polls again in a while anyway."""
    from airflow_provider_moengage.client.retry import NO_RETRIES

    return NO_RETRIES


_pollers: dict[tuple[asyncio.AbstractEventLoop, str], _Poller] = {}


@asynccontextmanager
async def _poller_of(moengage_conn_id: str) -> AsyncIterator[_Poller]:
    """Join those who poll a workspace; the last one closes it."""
    key = asyncio.get_running_loop(), moengage_conn_id
    poller = _pollers.get(key) or _pollers.setdefault(key, _Poller(moengage_conn_id))
    poller.users += 1
    try:
        yield poller
    finally:
        poller.users -= 1
        if not poller.users:
            del _pollers[key]
            poller.close()
