"""Looking at a workspace from the triggerer's event loop, without ever holding it up."""

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
from airflow_provider_moengage.waiting import ConnectionChangedError, ConnectionUnreadableError

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.limits import Call
    from airflow_provider_moengage.client.retry import RetryPolicy

_log = logging.getLogger(__name__)

Seen = TypeVar("Seen")

SHORTEST_INTERVAL = 1.0
"""Seconds between two looks at least, whatever interval a sensor is given."""

# More would not be faster: 4 looks of 2 seconds each already spend the 100 gets a minute that MoEngage allows.
_LOOKS_AT_ONCE = 4

# How soon an address that cannot be reached, or leads to something else, is looked up again in the connection, which
# somebody may have mended.
_SECONDS_BETWEEN_LOOKUPS = 60.0


async def looks(
    moengage_conn_id: str, poll_interval: float, look: Callable[[MoEngageClient], Seen], call: Call
) -> AsyncGenerator[Seen | MoEngageError, None]:
    """
    Look once an interval, for ever, and give an error as an answer like any other.

    Where so many look that the rate limit does not suffice, they take turns: who has waited longest is next.

    Sleeps before the first look too: a sensor has just looked, and a trigger that fires within a second of its
    task's deferral can fail the task. Sleeps longer when the server asks for it.

    :param moengage_conn_id: the connection.
    :param poll_interval: seconds between two looks.
    :param look: makes one; called in a thread.
    :param call: what it calls.
    :return: what each look has seen.
    """
    wait = 0.0
    async with _workspace_of(moengage_conn_id) as workspace:
        while True:
            await asyncio.sleep(max(poll_interval, SHORTEST_INTERVAL, wait))
            try:
                seen: Seen | MoEngageError = await workspace.look(look, call)
            except MoEngageError as error:
                seen = error
            except Exception as error:  # noqa: BLE001 - of Airflow's API, say: it must not fail a thousand tasks
                _log.exception("Looking for segments failed in a way that nobody expected.")
                seen = ConnectionFailedError(f"{type(error).__name__}, see the triggerer's log")
            wait = (seen.retry_after or 0.0) if isinstance(seen, MoEngageError) else 0.0
            yield seen


class _Workspace:
    """
    What all who look at a workspace share: its client, and a few threads of its own.

    With threads of its own a host that does not answer keeps nobody waiting but those who look at it.
    """

    def __init__(self, moengage_conn_id: str) -> None:
        self.users = 0
        self._moengage_conn_id = moengage_conn_id
        self._threads = ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix=f"look-{moengage_conn_id}")
        self._free_threads = asyncio.Semaphore(_LOOKS_AT_ONCE)
        # Whoever waits for one of these is woken in the order of arrival.
        self._queues: defaultdict[Call, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._scarce: set[Call] = set()
        self._lock = asyncio.Lock()
        self._client: MoEngageClient | None = None
        self._looked_up = 0.0

    async def look(self, look: Callable[[MoEngageClient], Seen], call: Call) -> Seen:
        """
        Look once, in a thread, when it is one's turn.

        :raises MoEngageError: when it fails.
        """
        async with self._queues[call]:
            client = await self._client_in_turn(call)
            # In the queue still: before a host that is silent, turns that are taken must not pile up.
            await self._free_threads.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, look, client)
        except AuthenticationError as error:
            if await self._has_changed_since(client):
                raise ConnectionChangedError(error.message, status=error.status) from None
            raise
        except MoEngageError as error:
            misled = isinstance(error, ConnectionFailedError) or not error.retryable
            if misled and time.monotonic() - self._looked_up > _SECONDS_BETWEEN_LOOKUPS:
                await self._has_changed_since(client)
            raise
        finally:
            self._free_threads.release()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client:
            self._client.close()

    async def _client_in_turn(self, call: Call) -> MoEngageClient:
        while True:
            client = await self._current_client()
            if not (wait := client.take_turn(*call)):
                return client
            if call not in self._scarce:
                self._scarce.add(call)
                _log.warning(
                    "More looks with the connection %r are due than MoEngage's rate limit allows: they take turns.",
                    self._moengage_conn_id,
                )
            await asyncio.sleep(wait)

    async def _current_client(self) -> MoEngageClient:
        async with self._lock:
            if self._client is None:
                self._client = await self._looked_up_client()
            return self._client

    async def _has_changed_since(self, client: MoEngageClient) -> bool:
        """Read the connection again, and go on with what it says now."""
        async with self._lock:
            if self._client is client:
                try:
                    fresh = await self._looked_up_client()
                except ConnectionUnreadableError:
                    return False
                if not fresh.has_same_access_as(client):
                    self._client = fresh
            return self._client is not client

    async def _looked_up_client(self) -> MoEngageClient:
        self._looked_up = time.monotonic()
        # In a thread, since the first time it imports urllib3.
        retry = await asyncio.to_thread(_no_retries)
        try:
            return await MoEngageHook(self._moengage_conn_id, retry=retry).aget_client()
        except NoConnectionError as error:
            # It was there when the sensor deferred; whoever watches for an asset waits until it is.
            raise ConnectionUnreadableError(str(error)) from None


def _no_retries() -> RetryPolicy:
    """Give the policy of who looks again in a while anyway."""
    from airflow_provider_moengage.client.retry import NO_RETRIES

    return NO_RETRIES


_workspaces: dict[tuple[asyncio.AbstractEventLoop, str], _Workspace] = {}


@asynccontextmanager
async def _workspace_of(moengage_conn_id: str) -> AsyncIterator[_Workspace]:
    """Join those who look at a workspace; the last one closes it."""
    key = asyncio.get_running_loop(), moengage_conn_id
    workspace = _workspaces.get(key) or _workspaces.setdefault(key, _Workspace(moengage_conn_id))
    workspace.users += 1
    try:
        yield workspace
    finally:
        workspace.users -= 1
        if not workspace.users:
            del _workspaces[key]
            workspace.close()
