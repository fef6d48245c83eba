"""The trigger that waits until MoEngage has called back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from airflow.providers.common.compat.sdk import XCom
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_moengage.segments.callbacks import FileRequest, RefusedCallbackError, read_xcom

# A trigger that fires sooner after its task's deferral can fail the task.
_SHORTEST_INTERVAL = 1.0


class FileSegmentReadyTrigger(BaseTrigger):
    """
    Fire when MoEngage has called back about each of some requests on file segments, or about one that has failed.

    Polls the XComs that the callbacks become, one for each request: what came for another try of the task is another.
    Asks only Airflow, and nothing of MoEngage.

    Fires ``{"status": "called_back", "outcomes": [...], "carried": {...}}``, or ``{"status": "timeout", "carried":
    {...}}`` from the deadline on. When Airflow does not answer, it asks again at the next poll.

    :param requests: the requests, each the fields of a
        :class:`~airflow_provider_moengage.segments.callbacks.FileRequest`.
    :param deadline: until when to wait, in seconds since 1970.
    :param poll_interval: seconds between two polls, and before the first; 1 at least.
    :param carried: what the event brings back to the task: ``dag.test()`` brings nothing else.
    """

    def __init__(
        self,
        *,
        requests: list[dict[str, Any]],
        deadline: float,
        poll_interval: float = 15,
        carried: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.requests = requests
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.carried = carried or {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """
        Give what another process needs to make this trigger again.

        :return: the class's path and its arguments: ids and names, and nothing that proves who may call back.
        """
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "requests": self.requests,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "carried": self.carried,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait.

        :return: one event.
        """
        requests = [FileRequest(**fields) for fields in self.requests]
        came: list[Any] = [None] * len(requests)
        troubled = ""
        while True:
            left = self.deadline - time.time()
            await asyncio.sleep(max(_SHORTEST_INTERVAL, min(self.poll_interval, left)))
            try:
                came = [value or await _pull(request) for value, request in zip(came, requests, strict=True)]
            except Exception as error:  # noqa: BLE001 - Airflow's API may fail in any way, and be there again at the next poll
                if troubled != (troubled := type(error).__name__):
                    self.log.warning("Airflow does not tell whether a callback has come (%s). Asking on.", troubled)
            else:
                troubled = ""
            if all(came) or any(map(_has_failed, came)):
                outcomes = [value for value in came if value]
                yield TriggerEvent({"status": "called_back", "outcomes": outcomes, "carried": self.carried})
                return
            if time.time() >= self.deadline:
                yield TriggerEvent({"status": "timeout", "carried": self.carried})
                return


def as_arguments(requests: list[FileRequest]) -> list[dict[str, Any]]:
    """
    Write requests as arguments of the trigger.

    :param requests: the requests.
    :return: their fields.
    """
    return [asdict(request) for request in requests]


def _has_failed(came: Any) -> bool:
    if came is None:
        return False
    try:
        return not read_xcom(came).is_filled
    except RefusedCallbackError:
        return True  # the task says what is wrong with it


async def _pull(request: FileRequest) -> Any:
    where = {
        "dag_id": request.dag_id,
        "run_id": request.run_id,
        "task_id": request.task_id,
        "map_index": request.map_index,
        "key": request.outcome_key,
    }
    if hasattr(XCom, "aget_one"):
        return await XCom.aget_one(**where)
    # Before Airflow 3.3. What it says to the triggerer's supervisor from a thread goes over the event loop.
    from asgiref.sync import sync_to_async

    return await sync_to_async(XCom.get_one)(**where)
