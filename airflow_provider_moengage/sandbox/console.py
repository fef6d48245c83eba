"""What the sandbox answers besides the API, to its own machine alone: the page and the control endpoints."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_moengage.sandbox import page
from airflow_provider_moengage.sandbox.control import PREFIX, Control
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.guard import check_local, check_same_site
from airflow_provider_moengage.sandbox.messages import Answer, Request, json_answer

# The page, and the icon that browsers ask for beside it.
_OF_BROWSERS = ("/", "/favicon.ico")


class Console:
    """
    Answers people who look and programs that drive, in words of its own. None of it reaches the journal.

    :param control: answers the control endpoints.
    :param snapshot: takes what the page shows.
    """

    def __init__(self, control: Control, snapshot: Callable[[], page.Snapshot]) -> None:
        self._control = control
        self._snapshot = snapshot

    def is_for(self, request: Request) -> bool:
        """Say whether a request means the console and not the API."""
        return request.path.startswith(PREFIX) or (request.path in _OF_BROWSERS and request.method in ("GET", "HEAD"))

    def answer(self, request: Request) -> Answer:
        """Carry a request out, or refuse it."""
        try:
            check_local(request)
            if request.path == "/":
                return page.answer(self._snapshot())
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
