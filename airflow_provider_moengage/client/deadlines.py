"""
An end for every answer, however slowly it comes.

A read timeout counts from byte to byte: a server that sends one now and then would keep a client for ever, in a header
as well as in a body. Here each read gets what is left of the whole answer's time.

The connections stay those of urllib3's own pools, whichever class these name at the moment: what records and replays
traffic in tests (vcrpy) puts its own there.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from functools import cache
from typing import Any

from requests.adapters import HTTPAdapter

# So many times the read timeout.
_WHOLE_ANSWER = 2.0


class DeadlineAdapter(HTTPAdapter):
    """requests' own adapter, over connections whose answers have an end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _set_deadlines(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """
        Make the pools of connections through a proxy.

        :return: their manager.
        """
        manager = super().proxy_manager_for(*args, **kwargs)
        _set_deadlines(manager)
        return manager


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        self._timeout = sock.gettimeout()
        self._deadline = None if self._timeout is None else time.monotonic() + _WHOLE_ANSWER * self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None and self._timeout is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            if left < self._timeout:
                self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Nothing has been read yet, so that the buffer can be replaced.
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        # Any number of interim answers may come first. http.client skips those with 100; to it any other, a 103 say, is
        # the answer, and the real one would be taken for that to the next request on this connection.
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, http.client.CONTINUE if status < http.client.OK else status, reason


class _DeadlinePool:
    """Before a pool of urllib3 in a class's bases: sees to it that the answers of each new connection have an end."""

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]
        connection.response_class = _Answer
        return connection


def _set_deadlines(manager: Any) -> None:
    # Its own classes: those of a SOCKS proxy are others.
    manager.pool_classes_by_scheme = {
        scheme: _with_deadlines(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


@cache
def _with_deadlines(pool: type) -> type:
    """Make one class a pool, however often a manager is asked for."""
    if issubclass(pool, _DeadlinePool):
        return pool
    return type(f"Deadline{pool.__name__}", (_DeadlinePool, pool), {})
