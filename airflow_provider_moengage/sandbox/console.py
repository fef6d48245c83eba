"""What the sandbox answers besides the API, to its own machine alone: the page and the control endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from airflow_provider_moengage.sandbox import page
from airflow_provider_moengage.sandbox.control import PREFIX, Control
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.http_messages import Answer, Request, json_answer
from airflow_provider_moengage.sandbox.local_access import check_local, check_same_site

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.clock import AdvancingClock
    from airflow_provider_moengage.sandbox.faults import FaultQueue
    from airflow_provider_moengage.sandbox.file_segments import FileSegments
    from airflow_provider_moengage.sandbox.journal import Journal
    from airflow_provider_moengage.sandbox.limits import RateLimits
    from airflow_provider_moengage.sandbox.workspace import Workspace

# The page, and the icon that browsers ask for beside it.
_OF_BROWSERS = ("/", "/favicon.ico")


class Console:
    """
    Answers people who look and programs that drive, in words of its own. None of it reaches the journal.

    :param dialect: the name of the way in which the API answers.
    :param workspace: whose segments are shown and added.
    :param files: what became of the files of file segments.
    :param limits: how much of them is used.
    :param faults: those still to come.
    :param journal: what was asked and answered.
    :param clock: tells the time, and is moved.
    """

    def __init__(
        self,
        dialect: str,
        *,
        workspace: Workspace,
        files: FileSegments,
        limits: RateLimits,
        faults: FaultQueue,
        journal: Journal,
        clock: AdvancingClock,
    ) -> None:
        self._dialect = dialect
        self._workspace = workspace
        self._limits = limits
        self._faults = faults
        self._journal = journal
        self._clock = clock
        self._control = Control(workspace, files, faults, journal, clock)

    def is_for(self, request: Request) -> bool:
        """Say whether a request means the console and not the API."""
        return request.path.startswith(PREFIX) or (request.path in _OF_BROWSERS and request.method in ("GET", "HEAD"))

    def answer(self, request: Request) -> Answer:
        """Carry a request out, or refuse it."""
        try:
            check_local(request)
            if request.path == "/":
                return page.answer(self._snapshot(request))
            if request.path in _OF_BROWSERS:
                return Answer(404, b"", {})
            check_same_site(request)
            return self._control.answer(request)
        except ApiError as error:
            return self.refuse(error)

    def refuse(self, error: ApiError) -> Answer:
        """Word a refusal."""
        answer = json_answer(error.status, {"error": error.message})
        return Answer(answer.status, answer.body, {**answer.headers, **error.headers})

    def _snapshot(self, request: Request) -> page.Snapshot:
        return page.Snapshot(
            url=f"http://{request.headers['host']}",
            dialect=self._dialect,
            now=self._clock(),
            ahead=self._clock.ahead,
            search=(search := parse_qs(request.query).get("search", [""])[0]),
            workspace=self._workspace.overview(page.SHOWN_SEGMENTS, search),
            requests=self._journal.last(page.SHOWN_REQUESTS),
            faults=self._faults.pending(),
            usage=self._limits.usage(),
        )
