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
from airflow_provider_moengage.client.limits import LIST
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.segments.failure_tolerance import (
    TOLERATED_SECONDS,
    FailureTolerance,
    GaveUpWaitingError,
    wanted,
)
from airflow_provider_moengage.triggers.intervals import call_of, warning_of
from airflow_provider_moengage.triggers.polling import poll_forever
from airflow_provider_moengage.triggers.shared_list import Listing, SharedListTrigger, list_all, newest

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.segments.watermark import Watermark

# Up to Airflow 3.3 a DAG run gets what has come until the first event that has no run yet. One that follows on its
# heels has to wait for yet another (apache/airflow#54659). A scheduler that takes longer than this counts as dead.
_SECONDS_BETWEEN_EVENTS = 30.0

# A triggerer's loop sends what was fired a second after it got the answer to what it sent before.
_SECONDS_UNTIL_SENT = 2.0


class SegmentExistsTrigger(SharedListTrigger):
    """
    Fire when a segment exists, by its id or by its exact name. Only reads.

    On Airflow 3.3 all triggers that wait for names with the same connection and interval share one stream: one list
    request an interval, however many they are. A :class:`SegmentCreatedTrigger` shares it too. Those of a triggerer
    that poll for themselves do so one after another where MoEngage's rate limit does not suffice for all.

    Fires ``{"status": "found", "segment": {...}}``, or ``{"status": "failed", "message": ...}`` for what no waiting
    mends. A rate limit, a failing server or a broken network counts as "not yet"; when nothing else comes for six
    hours, it fires ``{"status": "gave_up", "message": ...}``. After the key of the connection was changed, the wait
    goes on with the new one.

    :param segment_id: id of the segment; either this or the name.
    :param name: exact name of the segment; either this or the id.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param poll_interval: seconds between two polls at least, and before the first; at least 1 for an id and 1.2 for a
        name, which is what MoEngage's limit of a minute allows.
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

        call = call_of(self.segment_id)
        tolerance = self._new_tolerance()
        async with aclosing(poll_forever(self.moengage_conn_id, self.poll_interval, find, call)) as stream:
            async for answer in stream:
                if event := _event_of(answer, tolerance):
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
        tolerance = self._new_tolerance()
        async for listing in shared_stream:
            answer = listing if isinstance(listing, MoEngageError) else listing.by_name.get(str(self.name))
            if event := _event_of(answer, tolerance):
                yield event
                # Left open, it would be closed by a task of its own, for each of the thousands that have waited.
                if isinstance(shared_stream, AsyncGenerator):
                    await shared_stream.aclose()
                return

    def _new_tolerance(self) -> FailureTolerance:
        return FailureTolerance(wanted(self.segment_id, self.name), self.log)


def _event_of(answer: dict[str, Any] | MoEngageError | None, tolerance: FailureTolerance) -> TriggerEvent | None:
    """Decide what the answer to one poll means: there, not yet, or never."""
    if not isinstance(answer, MoEngageError):
        tolerance.record_success(time.time())
        return TriggerEvent({"status": "found", "segment": answer}) if answer else None
    if not answer.retryable:
        return TriggerEvent({"status": "failed", "message": str(answer)})
    try:
        tolerance.record_failure(answer, time.time())
    except GaveUpWaitingError as error:
        return TriggerEvent({"status": "gave_up", "message": str(error)})
    return None


class SegmentCreatedTrigger(SharedListTrigger):
    """
    Fire for every segment that somebody creates, once for each: for an ``AssetWatcher``. Only reads.

    New is what was created since the watch began, a minute left for clocks that differ. Fires for each
    ``{"name", "segment_id", "created_time", "type", "source"}``, which reaches a DAG as ``event.extra["payload"]`` of
    its ``triggering_asset_events``. Between two events it waits for half a minute, so that each has a DAG run of its
    own; where the scheduler was away or the DAG paused, several may share one.

    On Airflow 3.3 the asset's state store keeps the watermark. After a restart of the triggerer the watch goes on where
    it was: what was created meanwhile is new, and nothing is fired again. An event is written down some two seconds
    after it was fired, when Airflow has it, so that none is lost: a triggerer that stops meanwhile fires it once more.
    The watermark belongs to the asset, and ends with it. Before Airflow 3.3, and when several assets have the same
    watcher, each start of the trigger begins a new watch.

    Errors, a refused key included, never end the watch. They are logged when they change and every six hours; once the
    connection is fixed, the watch continues.

    :param name_pattern: a glob that the segment's name matches when it is first seen, such as ``camp_*``; in upper
        and lower case as written. ``*`` for all.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param poll_interval: seconds between two polls, and before the first; at least 1.2, as MoEngage's limit of a minute
        allows.
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
        self._begin()

    def _begin(self) -> None:
        """Begin a watch, with nothing left of another one."""
        self._tolerance = self._new_tolerance()
        self._saved: Watermark | None = None
        self._warnings: set[str] = set()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Give what another process needs to make this trigger again.

        Airflow calls it when it parses the DAG: what cannot work is found here, since an error of the constructor would
        stop a triggerer with all that waits in it.

        :return: the class's path and its arguments, names only.
        :raises InvalidInputError: when an argument cannot work.
        """
        from airflow_provider_moengage.segments.selection_criteria import check_pattern

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
            aclosing(poll_forever(self.moengage_conn_id, self.poll_interval, list_all, LIST)) as stream,
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
        from airflow_provider_moengage.segments.watermark import Watermark

        self._begin()
        if warning := warning_of(self.poll_interval, LIST):
            self.log.warning("%s", warning)
        begun = Watermark.at_start(time.time())
        watermark = await self._load(begun)
        async with aclosing(newest(shared_stream)) as stream:
            async for listing in stream:
                if isinstance(listing, MoEngageError):
                    self._record_failure(listing)
                    continue
                self._tolerance.record_success(time.time())
                watermark = watermark or await self._load(begun)
                if watermark is None:
                    continue
                # A long list takes milliseconds, which are not the event loop's to spend.
                found = await asyncio.to_thread(watermark.new_among, listing.segments, self.name_pattern, time.time())
                self._warn(set(found.warnings))
                for segment in found.created:
                    yield TriggerEvent(segment.as_arguments())
                    watermark = watermark.including(segment)
                    await self._save_after_event(watermark)
                    await asyncio.sleep(_SECONDS_BETWEEN_EVENTS - _SECONDS_UNTIL_SENT)
                watermark = found.watermark
                await self._save(watermark)

    async def _load(self, begun: Watermark) -> Watermark | None:
        """Read what an earlier watch has left, and begin a new one if there is none; None when Airflow cannot tell."""
        from airflow_provider_moengage.segments.watermark import Watermark

        store = self._store()
        if store is None:
            return begun
        try:
            saved = await store.aget(self._key)
        except ValueError:
            self.log.warning(
                "Several assets have the same watcher (%r), so that nothing is kept of it when the triggerer restarts. "
                "Give each asset a watcher of its own: another poll_interval is enough.",
                self,
            )
            self.asset_state_store = None
            return begun
        except Exception:
            self.log.exception("Could not read the watermark of new segments. It is tried again at the next poll.")
            return None
        self._saved = Watermark.from_json(saved)
        if self._saved is None:
            await self._save(begun)
        return self._saved or begun

    async def _save_after_event(self, watermark: Watermark) -> None:
        """
        Save that a segment is not new any more as soon as its event cannot be lost.

        An event waits in the triggerer's process until its loop has the answer to what it sent before, and for a second
        at most. Its supervisor, which stores events and watermarks, answers one by one: once it has answered this
        read, it has answered the loop as well, and what is written two seconds later stands in line behind the event.

        Nor is anything saved when the trigger is cancelled here. A triggerer that stops, however gracefully, sends no
        more events, so that this one may be lost; and it gets no more answers by the time it cancels its triggers, so
        that to write would hold it up until it is killed.
        """
        if (store := self._store()) is not None:
            with suppress(Exception):  # an error is an answer
                await store.aget(self._key)
        await asyncio.sleep(min(_SECONDS_UNTIL_SENT, _SECONDS_BETWEEN_EVENTS))
        await self._save(watermark)

    async def _save(self, watermark: Watermark) -> None:
        """Save the watermark, unless it is saved already; what could not be saved is saved after the next poll."""
        store = self._store()
        if store is None or watermark == self._saved:
            return
        try:
            await store.aset(self._key, watermark.as_json())
        except Exception:
            self.log.exception("Could not save the watermark of new segments. It is tried again after the next poll.")
        else:
            self._saved = watermark

    def _store(self) -> Any:
        """Give the state store of the asset that is watched for; None before Airflow 3.3."""
        return getattr(self, "asset_state_store", None)

    @property
    def _key(self) -> str:
        """Name what is saved: several watchers of one asset keep it apart, and it outlives a change of the interval."""
        watched = json.dumps([self.moengage_conn_id, self.name_pattern])
        return f"moengage_segments_created_{hashlib.sha256(watched.encode()).hexdigest()[:16]}"

    def _new_tolerance(self) -> FailureTolerance:
        return FailureTolerance(f"new segments named {self.name_pattern!r}", self.log)

    def _record_failure(self, error: MoEngageError) -> None:
        try:
            self._tolerance.record_failure(error, time.time())
        except GaveUpWaitingError:
            self.log.error(  # noqa: TRY400 - its traceback tells nothing
                "No poll for new segments named %r has succeeded for %g hours; polling goes on. The last cause: %s",
                self.name_pattern,
                TOLERATED_SECONDS / 3_600,
                error,
            )
            self._tolerance = self._new_tolerance()

    def _warn(self, warnings: set[str]) -> None:
        for warning in sorted(warnings - self._warnings):
            self.log.warning("%s", warning)
        self._warnings = warnings
