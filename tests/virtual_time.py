"""An event loop on which a day of waiting takes no time: nothing else is faked, and what is sent is really sent."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Time(Protocol):
    """What tells the loop the time, and is told how long it would have slept: a Clock, say."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class _Selector(selectors.DefaultSelector):
    """Sleeps only for what happens outside of the loop, and otherwise moves the time on to what is due next."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.in_threads = 0
        self._time = time

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(timeout if self.in_threads or timeout is None else 0)
        if not ready and timeout and not self.in_threads:
            self._time.sleep(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, time: Time) -> None:
        self._waits_for = _Selector(time)
        super().__init__(self._waits_for)
        self.time = time.monotonic

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._waits_for.in_threads += 1
        future.add_done_callback(self._has_ended)
        return future

    def _has_ended(self, _: asyncio.Future[Any]) -> None:
        self._waits_for.in_threads -= 1


def run(main: Coroutine[Any, Any, Result], time: Time) -> Result:
    """
    Run a coroutine as asyncio.run does.

    :param main: the coroutine.
    :param time: its time.
    :return: what it returns.
    """
    loop = _Loop(time)
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
