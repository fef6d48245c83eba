"""The control endpoints: what ``Sandbox`` does in Python, for programs that reach it over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.sandbox.clock import as_api_time
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.http_messages import Answer, Request, json_answer
from airflow_provider_moengage.sandbox.json_body import parse_object
from airflow_provider_moengage.sandbox.seeding import arguments_of, duration_of

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.clock import AdvancingClock
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject
    from airflow_provider_moengage.sandbox.faults import FaultQueue
    from airflow_provider_moengage.sandbox.file_segments import FileSegments
    from airflow_provider_moengage.sandbox.journal import Journal, RecordedRequest
    from airflow_provider_moengage.sandbox.workspace import Workspace

PREFIX = "/_sandbox/"
"""No path of MoEngage's begins so."""

_FAULT_ARGUMENTS = frozenset({"times", *(field.name for field in fields(Fault))})


class Control:
    """
    Answers the requests to the control endpoints.

    :param workspace: whose segments they show and add.
    :param files: what they show of the files of file segments.
    :param faults: where they queue faults.
    :param journal: what they show of it.
    :param clock: what they move.
    """

    def __init__(
        self, workspace: Workspace, files: FileSegments, faults: FaultQueue, journal: Journal, clock: AdvancingClock
    ) -> None:
        self._files = files
        self._workspace = workspace
        self._pending = faults
        self._journal = journal
        self._time = clock
        self._endpoints: dict[str, dict[str, Callable[[Request], Answer]]] = {
            "segments": {"GET": self._segments, "POST": self._add_segment},
            "files": {"GET": self._file_requests},
            "requests": {"GET": self._requests},
            "faults": {"GET": self._faults, "POST": self._add_fault, "DELETE": self._clear_faults},
            "clock": {"GET": self._clock, "POST": self._move_clock},
        }

    def answer(self, request: Request) -> Answer:
        """
        Carry a request out.

        :raises ApiError: when it cannot be.
        """
        endpoint = self._endpoints.get(request.path.removeprefix(PREFIX))
        if endpoint is None:
            known = ", ".join(PREFIX + name for name in self._endpoints)
            raise ApiError(404, "Not Found", f"There is no such endpoint; there are {known}")
        if request.method not in endpoint:
            allowed = ", ".join(endpoint)
            headers = {"Allow": allowed}
            raise ApiError(405, "Method Not Allowed", f"This endpoint takes {allowed}", headers=headers)
        try:
            return endpoint[request.method](request)
        except ValueError as error:
            raise ApiError(400, "Bad Request", str(error)) from None

    def _segments(self, _request: Request) -> Answer:
        return json_answer(200, self._workspace.everything())

    def _add_segment(self, request: Request) -> Answer:
        arguments = arguments_of(_fields(request))
        if "name" not in arguments:
            raise ValueError("name is required")
        return json_answer(201, self._workspace.add(arguments.pop("name"), **arguments))

    def _file_requests(self, _request: Request) -> Answer:
        return json_answer(200, [request.shown() for request in self._files.requests])

    def _requests(self, _request: Request) -> Answer:
        return json_answer(200, [_shown_request(request) for request in self._journal.requests()])

    def _faults(self, _request: Request) -> Answer:
        return json_answer(200, [_shown_fault(fault) for fault in self._pending.pending()])

    def _add_fault(self, request: Request) -> Answer:
        arguments = {key: value for key, value in _fields(request).items() if value is not None}
        if unknown := set(arguments) - _FAULT_ARGUMENTS:
            known = ", ".join(sorted(_FAULT_ARGUMENTS))
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {known}")
        times = arguments.pop("times", 1)
        self._pending.add(Fault(**arguments), times)
        return self._faults(request)

    def _clear_faults(self, request: Request) -> Answer:
        self._pending.clear()
        return self._faults(request)

    def _clock(self, _request: Request) -> Answer:
        return json_answer(200, {"now": as_api_time(self._time())})

    def _move_clock(self, request: Request) -> Answer:
        self._time.move(duration_of(_fields(request)))
        return self._clock(request)


def _fields(request: Request) -> JsonObject:
    try:
        return parse_object(request.body)
    except ValueError as error:
        raise ValueError(f"the body {error}") from None


def _shown_request(request: RecordedRequest) -> JsonObject:
    return {
        **asdict(request),
        "body": request.body.decode(errors="replace"),
        "answer": request.answer.decode(errors="replace"),
        "time": as_api_time(request.time),
    }


def _shown_fault(fault: Fault) -> dict[str, Any]:
    usual = {"headers": {}, "delay": 0.0}
    shown = {key: value for key, value in asdict(fault).items() if value != usual.get(key)}
    if isinstance(fault.body, bytes):
        shown["body"] = fault.body.decode(errors="replace")
    return shown
