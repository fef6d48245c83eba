"""A sandbox whose clock the tests move, and a caller of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import Caller, MovableClock, connect, read_all


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(params=["seeds", "today"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sandbox(clock: MovableClock) -> Iterator[Sandbox]:
    """A sandbox that speaks as the seeds do."""
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Caller]:
    caller = Caller(sandbox, "segment_id")
    with caller.session:
        yield caller


@pytest.fixture
def spoken(clock: MovableClock, dialect: Any) -> Iterator[Caller]:
    """A caller of a sandbox in each dialect in turn."""
    with Sandbox(clock=clock, dialect=dialect) as sandbox:
        caller = Caller(sandbox, {"seeds": "segment_id", "today": "cs_id"}[dialect])
        with caller.session:
            yield caller


@pytest.fixture
def raw(sandbox: Sandbox) -> Iterator[Callable[[bytes], bytes]]:
    """Send bytes on a connection of their own, no more after them, and read all that comes back."""

    def exchange(sent: bytes) -> bytes:
        with connect(sandbox) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    return exchange
