"""The trigger that waits until a segment exists: alone, or with a thousand others on one stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Hashable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_moengage.client.errors import MoEngageError
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.triggers.looking import looks
from airflow_provider_moengage.waiting import GaveUpWaitingError, Patience, wanted

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient


class SegmentExistsTrigger(BaseEventTrigger):
    """
    Fire when a segment exists, by its id or by its exact name. Only reads.

    On Airflow 3.3 all triggers that wait for names with the same connection and interval share one stream: one list
    request an interval, however many they are.

    Fires ``{"status": "found", "segment": {...}}``, or ``{"status": "failed", "message": ...}`` for what no waiting
    mends. A rate limit, a failing server or a broken network counts as "not yet"; when nothing else comes for six
    hours, it fires ``{"status": "gave_up", "message": ...}``. After the key of the connection was changed, the wait
    goes on with the new one.

    :param segment_id: id of the segment; either this or the name.
    :param name: exact name of the segment; either this or the id.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param poll_interval: seconds between two looks, and before the first.
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

        async with aclosing(looks(self.moengage_conn_id, self.poll_interval, find)) as stream:
            async for seen in stream:
                if event := self._event_of(seen):
                    yield event
                    return

    def shared_stream_key(self) -> Hashable | None:
        """
        Name the stream that this trigger can share. Called by Airflow 3.3.

        :return: the same for all that wait for names with this connection and interval; None when it waits for an id.
        """
        if self.name is None or self.segment_id is not None:
            return None
        return (self.serialize()[0], self.moengage_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[dict[str, Any] | MoEngageError]:
        """
        List all segments, once an interval.

        :param kwargs: the arguments of one of the triggers; the connection and the interval are those of all.
        :return: each time the segments by their names, or the error: a stream that raises fails everybody on it.
        """

        def by_name(client: MoEngageClient) -> dict[str, Any]:
            named: dict[str, Any] = {}
            for segment in client.list_segments():
                named.setdefault(str(segment.get("name")), segment)
            return named

        async with aclosing(looks(kwargs["moengage_conn_id"], kwargs["poll_interval"], by_name)) as stream:
            async for seen in stream:
                yield seen

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[dict[str, Any] | MoEngageError]
    ) -> AsyncIterator[TriggerEvent]:
        """
        Wait on the shared stream.

        :param shared_stream: what :meth:`open_shared_stream` yields.
        :return: one event.
        """
        async for seen in shared_stream:
            if event := self._event_of(seen if isinstance(seen, MoEngageError) else seen.get(str(self.name))):
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
