"""The triggers that wait: until a segment exists, and for every segment that somebody creates."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError
from airflow_provider_moengage.client.limits import GET_BY_ID, LIST
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.triggers.listing import Listing, ListSharingTrigger, list_all, newest
from airflow_provider_moengage.triggers.looking import looks
from airflow_provider_moengage.waiting import LONGEST_TROUBLE, GaveUpWaitingError, Patience, wanted

if TYPE_CHECKING:
    from airflow_provider_moengage.arrivals import Known
    from airflow_provider_moengage.client import MoEngageClient

# Up to Airflow 3.3 a DAG run gets what has come until the first event that has no run yet. One that follows on its
# heels has to wait for yet another (apache/airflow#54659). A scheduler that takes longer than this counts as dead.
_SECONDS_BETWEEN_EVENTS = 30.0

# A triggerer's loop sends what was fired a second after it got the answer to what it sent before.
_SECONDS_UNTIL_SENT = 2.0


class SegmentExistsTrigger(ListSharingTrigger):
    """
    Fire when a segment exists, by its id or by its exact name. Only reads.

    On Airflow 3.3 all triggers that wait for names with the same connection and interval share one stream: one list
    request an interval, however many they are. A :class:`SegmentCreatedTrigger` shares it too. Those of a triggerer
    that look for themselves take turns where MoEngage's rate limit does not suffice for all.

    Fires ``{"status": "found", "segment": {...}}``, or ``{"status": "failed", "message": ...}`` for what no waiting
    mends. A rate limit, a failing server or a broken network counts as "not yet"; when nothing else comes for six
    hours, it fires ``{"status": "gave_up", "message": ...}``. After the key of the connection was changed, the wait
    goes on with the new one.

    :param segment_id: id of the segment; either this or the name.
    :param name: exact name of the segment; either this or the id.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param poll_interval: seconds between two looks at least, and before the first.
    """

    # An event trigger of an asset belongs to no task and so to no queue; this one waits for a task.
    supports_triggerer_queue = True

    def __init__(
        self,
        *,
        segment_id: str | None = None,
        name: str | None = None,
        moengage_conn_id: str = MoEngageHook.default_conn_name,
        poll_interval: float = 300,
    ) -> None:
        super().__init__()
        self.segment_id = segment_id
        self.name = name
        self.moengage_conn_id = moengage_conn_id
        self.poll_interval = poll_interval
        self._patience = Patience(wanted(segment_id, name), self.log)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Give what another process needs to make this trigger again.

        :return: the class's path and its arguments, ids and names only.
        """
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "segment_id": self.segment_id,
                "name": self.name,
                "moengage_conn_id": self.moengage_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait alone: for an id, and for a name before Airflow 3.3.

        :return: one event.
        """

        def find(client: MoEngageClient) -> dict[str, Any] | None:
            return client.find_segment(segment_id=self.segment_id, name=self.name)

        call = LIST if self.segment_id is None else GET_BY_ID
        async with aclosing(looks(self.moengage_conn_id, self.poll_interval, find, call)) as stream:
            async for seen in stream:
                if event := self._event_of(seen):
                    yield event
                    return

    def shared_stream_key(self) -> Hashable | None:
        """
        Name the stream that this trigger can share. Called by Airflow 3.3.

        :return: that of the list; None when it waits for an id.
        """
        if self.name is None or self.segment_id is not None:
            return None
        return super().shared_stream_key()

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Listing | MoEngageError]
    ) -> AsyncIterator[TriggerEvent]:
        """
        Wait on the shared stream.

        :param shared_stream: what :meth:`open_shared_stream` yields.
        :return: one event.
        """
        async for seen in shared_stream:
            if event := self._event_of(seen if isinstance(seen, MoEngageError) else seen.by_name.get(str(self.name))):
                yield event
                return

    def _event_of(self, seen: dict[str, Any] | MoEngageError | None) -> TriggerEvent | None:
        """Decide what one look means: there, not yet, or never."""
        if not isinstance(seen, MoEngageError):
            self._patience.relax(time.time())
            return TriggerEvent({"status": "found", "segment": seen}) if seen else None
        if not seen.retryable:
            return TriggerEvent({"status": "failed", "message": str(seen)})
        try:
            self._patience.bear(seen, time.time())
        except GaveUpWaitingError as error:
            return TriggerEvent({"status": "gave_up", "message": str(error)})
        return None


class SegmentCreatedTrigger(ListSharingTrigger):
    """
    Fire for every segment that somebody creates, once for each: for an ``AssetWatcher``. Only reads.

    New is what was created since the watch began, a minute left for clocks that differ. Fires for each
    ``{"name", "segment_id", "created_time", "type", "source"}``, which reaches a DAG as ``event.extra["payload"]`` of
    its ``triggering_asset_events``. Between two events it waits for half a minute, so that each has a DAG run of its
    own; where the scheduler was away or the DAG paused, several may share one.

    On Airflow 3.3 the asset's state store keeps what is known. After a restart of the triggerer the watch goes on where
    it was: what was created meanwhile is new, and nothing is fired again. An event is written down some two seconds
    after it was fired, when Airflow has it, so that none is lost: a triggerer that stops meanwhile fires it once more.
    What is kept belongs to the asset, and ends with it. Before Airflow 3.3, and when several assets have the same
    watcher, each start of the trigger begins a new watch.

    Errors, a refused key included, never end the watch. They are logged when they change and every six hours; once the
    connection is fixed, the watch continues.

    :param name_pattern: a glob that the segment's name matches when it is first seen, such as ``camp_*``; in upper
        and lower case as written. ``*`` for all.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param poll_interval: seconds between two looks, and before the first.
    """

    def __init__(
        self,
        *,
        name_pattern: str,
        moengage_conn_id: str = MoEngageHook.default_conn_name,
        poll_interval: float = 300,
    ) -> None:
        super().__init__()
        self.name_pattern = name_pattern
        self.moengage_conn_id = moengage_conn_id
        self.poll_interval = poll_interval
        self._patience = self._new_patience()
        self._kept: Known | None = None
        self._warnings: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Give what another process needs to make this trigger again.

        Airflow calls it when it parses the DAG: what cannot work is found here, since an error of the constructor would
        stop a triggerer with all that waits in it.

        :return: the class's path and its arguments, names only.
        :raises InvalidInputError: when an argument cannot work.
        """
        from airflow_provider_moengage.selection import check_pattern

        check_pattern("name_pattern", self.name_pattern)
        if not isinstance(self.poll_interval, (int, float)) or not self.poll_interval > 0:
            raise InvalidInputError(f"poll_interval must be a number of seconds, not {self.poll_interval!r:.60}.")
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "name_pattern": self.name_pattern,
                "moengage_conn_id": self.moengage_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Watch alone, before Airflow 3.3.

        :return: an event for each new segment.
        """
        async with (
            aclosing(looks(self.moengage_conn_id, self.poll_interval, list_all, LIST)) as stream,
            aclosing(self.filter_shared_stream(stream)) as events,
        ):
            async for event in events:
                yield event

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Listing | MoEngageError]
    ) -> AsyncGenerator[TriggerEvent, None]:
        """
        Watch the shared stream.

        :param shared_stream: what :meth:`open_shared_stream` yields.
        :return: an event for each new segment.
        """
        from airflow_provider_moengage.arrivals import Known

        begun = Known.before(time.time())
        known = await self._recall(begun)
        async with aclosing(newest(shared_stream)) as stream:
            async for seen in stream:
                if isinstance(seen, MoEngageError):
                    self._bear(seen)
                    continue
                self._patience.relax(time.time())
                known = known or await self._recall(begun)
                if known is None:
                    continue
                # A long list takes milliseconds, which are not the event loop's to spend.
                look = await asyncio.to_thread(known.after, seen.segments, self.name_pattern, time.time())
                self._warn(set(look.warnings))
                for segment in look.created:
                    yield TriggerEvent(segment.as_arguments())
                    known = known.including(segment)
                    await self._keep_after_event(known)
                    await asyncio.sleep(_SECONDS_BETWEEN_EVENTS - _SECONDS_UNTIL_SENT)
                known = look.known
                await self._keep(known)

    async def _recall(self, begun: Known) -> Known | None:
        """Read what an earlier watch has left, and begin a new one if there is none; None when Airflow cannot tell."""
        from airflow_provider_moengage.arrivals import Known

        store = self._store()
        if store is None:
            return begun
        try:
            kept = await store.aget(self._key)
        except ValueError:
            self.log.warning(
                "Several assets have the same watcher (%r), so that nothing is kept of it when the triggerer restarts. "
                "Give each asset a watcher of its own: another poll_interval is enough.",
                self,
            )
            self.asset_state_store = None
            return begun
        except Exception:
            self.log.exception("Could not read which segments are known. It is tried again at the next look.")
            return None
        self._kept = Known.remembered(kept)
        if self._kept is None:
            await self._keep(begun)
        return self._kept or begun

    async def _keep_after_event(self, known: Known) -> None:
        """
        Keep that a segment is known as soon as its event cannot be lost any more.

        An event waits in the triggerer's process until its loop has the answer to what it sent before, and for a second
        at most. Its supervisor, which stores events and what is kept, answers in turn: once it has answered this read,
        it has answered the loop as well, and what is written two seconds later stands in line behind the event.

        Nor is anything kept when the trigger is cancelled here. A triggerer that stops, however gracefully, sends no
        more events, so that this one may be lost; and it gets no more answers by the time it cancels its triggers, so
        that to write would hold it up until it is killed.
        """
        if (store := self._store()) is not None:
            with suppress(Exception):  # an error is an answer
                await store.aget(self._key)
        await asyncio.sleep(min(_SECONDS_UNTIL_SENT, _SECONDS_BETWEEN_EVENTS))
        await self._keep(known)

    async def _keep(self, known: Known) -> None:
        """Keep what is known, unless it is kept already; what could not be kept is kept after the next look."""
        store = self._store()
        if store is None or known == self._kept:
            return
        try:
            await store.aset(self._key, known.as_json())
        except Exception:
            self.log.exception("Could not keep which segments are known. It is tried again after the next look.")
        else:
            self._kept = known

    def _store(self) -> Any:
        """Give the state store of the asset that is watched for; None before Airflow 3.3."""
        return getattr(self, "asset_state_store", None)

    @property
    def _key(self) -> str:
        """Name what is kept: several watchers of one asset keep it apart, and it outlives a change of the interval."""
        watched = json.dumps([self.moengage_conn_id, self.name_pattern])
        return f"moengage_segments_created_{hashlib.sha256(watched.encode()).hexdigest()[:16]}"

    def _new_patience(self) -> Patience:
        return Patience(f"new segments named {self.name_pattern!r}", self.log)

    def _bear(self, error: MoEngageError) -> None:
        try:
            self._patience.bear(error, time.time())
        except GaveUpWaitingError:
            self.log.error(  # noqa: TRY400 - its traceback tells nothing
                "No look for new segments named %r has succeeded for %g hours; looking goes on. The last cause: %s",
                self.name_pattern,
                LONGEST_TROUBLE / 3_600,
                error,
            )
            self._patience = self._new_patience()

    def _warn(self, warnings: set[str]) -> None:
        for warning in sorted(warnings - self._warnings):
            self.log.warning("%s", warning)
        self._warnings = warnings
