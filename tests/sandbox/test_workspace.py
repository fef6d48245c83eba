"""The workspace and its limits without HTTP: what only threads that meet in the middle of a call can show."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_moengage.sandbox.clock import utc_now
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.limits import RateLimits, Window
from airflow_provider_moengage.sandbox.workspace import Workspace
from tests.sandbox.calling import attribute, group


class MeetingClock:
    """Holds whoever asks for the time until a second one asks too, or it is clear that none will."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)

    def __call__(self) -> datetime:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait(0.1)
        return datetime(2026, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def outcomes(*calls: Callable[[], object]) -> list[int]:
    """Make calls at the same time; 0 stands for success, a status for a refusal."""

    def outcome(call: Callable[[], object]) -> int:
        try:
            call()
        except ApiError as error:
            return error.status
        return 0

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(outcome, calls))


def test_a_name_is_checked_and_taken_in_one_step() -> None:
    workspace = Workspace(MeetingClock())
    assert outcomes(
        lambda: workspace.create("the one", group(attribute("a"))),
        lambda: workspace.create("the one", group(attribute("b"))),
    ) == [0, 409]


@pytest.mark.usefixtures("hasty_threads")
def test_a_request_is_checked_and_counted_in_one_step() -> None:
    windows = {"list": (Window(1, timedelta(minutes=1)),)}
    for _ in range(300):
        limits = RateLimits(utc_now, windows)  # type: ignore[arg-type]
        assert outcomes(*[lambda: limits.take("list")] * 3) == [0, 429, 429]  # noqa: B023 - called before the next round


@pytest.mark.usefixtures("hasty_threads")
def test_filters_are_checked_and_taken_in_one_step() -> None:
    for _ in range(100):
        workspace = Workspace()
        one, two = (workspace.add(name)["id"] for name in ("one", "two"))
        assert outcomes(
            lambda: workspace.update(one, group(attribute())),  # noqa: B023 - called before the next round
            lambda: workspace.update(two, group(attribute())),  # noqa: B023
        ) == [0, 409]
