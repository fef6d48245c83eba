"""
Ports that are promised to one process only: whoever starts a server that binds later than its port is chosen.

The system gives out ports from 32768 on (on macOS and Windows from 49152 on) to sockets that ask for any, so these lie
below; and what one process has been promised, no other is, until it gives it back or ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

RANGE = range(20_000, 32_000)
LOCKS = Path(tempfile.gettempdir()) / f"promised-ports-{os.getuid()}"


@contextmanager
def promised_ports(count: int, *wanted: int) -> Iterator[list[int]]:
    """
    Keep some ports for whoever is started in this block.

    :param count: how many.
    :param wanted: those to take first if they are free; 0 is for any.
    :return: their numbers.
    :raises RuntimeError: when there are no more.
    """
    LOCKS.mkdir(exist_ok=True)
    candidates = iter([*filter(None, wanted), *random.sample(RANGE, len(RANGE))])
    with ExitStack() as locks:
        ports: list[int] = []
        for port in candidates:
            if len(ports) == count:
                break
            with ExitStack() as attempt:
                lock = attempt.enter_context((LOCKS / str(port)).open("w"))
                with suppress(OSError):
                    # It goes with the process, however that ends.
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    socket.create_server(("127.0.0.1", port)).close()
                    ports.append(port)
                    locks.push(attempt.pop_all())
        if len(ports) < count:
            raise RuntimeError(f"Of the ports {RANGE[0]} to {RANGE[-1]} none is free.")
        yield ports
