"""What becomes of each request: the console's, a fault's, or the API's; and what the journal and the log keep of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.http_messages import Answer, Delivery, Ending, Request
from airflow_provider_moengage.sandbox.journal import KEPT_ANSWER, Journal, RecordedRequest

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.api import SegmentsApi
    from airflow_provider_moengage.sandbox.clock import Clock
    from airflow_provider_moengage.sandbox.console import Console
    from airflow_provider_moengage.sandbox.faults import Fault, FaultQueue


class SandboxDispatcher:
    """
    Answers the requests that a server reads. No sockets.

    :param api: carries requests out.
    :param console: answers those that are not meant for the API.
    :param journal: where the requests to the API are recorded, before anything is sent: who has an answer finds the
        request there.
    :param faults: what they are to meet.
    :param clock: tells the time.
    """

    def __init__(
        self, api: SegmentsApi, console: Console, *, journal: Journal, faults: FaultQueue, clock: Clock
    ) -> None:
        self._api = api
        self._console = console
        self._journal = journal
        self._faults = faults
        self._clock = clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End every delay at once; the requests that wait stay unanswered."""
        self._stopping.set()

    def answer(self, head: Request, read_body: Callable[[], bytes]) -> Delivery:
        """
        Say what becomes of a request.

        :param head: the request, without its body.
        :param read_body: reads the body; raises ApiError when it cannot be read.
        """
        if self._console.is_for(head):
            return self._off_the_record(head, read_body)
        fault = self._faults.take(head, body_is_read=False)
        if fault and fault.fault == "reset":
            return self._meet(fault, head)
        try:
            request = replace(head, body=read_body())
        except ApiError as error:
            return self.refuse(head, error)
        if fault := fault or self._faults.take(request, body_is_read=True):
            return self._meet(fault, request)
        return self._deliver(request, self._api.answer(request))

    def refuse(self, request: Request, error: ApiError) -> Delivery:
        """
        Refuse a request that could not be read to its end.

        :param request: as much as could be told of it.
        :param error: what is wrong with it.
        """
        return self._deliver(request, self._api.refuse(request, error), "end")

    def _off_the_record(self, head: Request, read_body: Callable[[], bytes]) -> Delivery:
        try:
            request = replace(head, body=read_body())
        except ApiError as error:
            return Delivery(self._console.refuse(error), "end")
        return Delivery(self._console.answer(request))

    def _meet(self, fault: Fault, request: Request) -> Delivery:
        if self._stopping.wait(fault.delay):
            return self._deliver(request, None, "close")
        if fault.fault == "silence":
            return self._deliver(request, None, "silence")
        if fault.fault == "lost-answer":
            self._api.answer(request)
        if fault.fault in ("reset", "lost-answer"):
            return self._deliver(request, None, "reset")
        answer = fault.answer(request, self._api.answer)
        return self._deliver(request, answer, "half-body" if fault.fault == "half-body" else "keep")

    def _deliver(self, request: Request, answer: Answer | None, ending: Ending = "keep") -> Delivery:
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = "***"
        self._journal.add(
            RecordedRequest(
                method=request.method,
                path=request.path,
                query=request.query,
                headers=headers,
                body=request.body,
                status=answer.status if answer else None,
                connection=request.connection,
                time=self._clock(),
                answer=answer.body[:KEPT_ANSWER] if answer else b"",
                known=self._api.knows(request),
                explanation=answer.explanation if answer else None,
            )
        )
        outcome = answer.status if answer else "no answer"
        return Delivery(answer, ending, f"{_printable(request.method)} {_printable(request.path)} {outcome}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
