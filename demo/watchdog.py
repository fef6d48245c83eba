"""
Ends a process, and all those that it has started, when whoever asked for it is gone: `python -m demo.watchdog PID`.

Who is killed cleans nothing up. But a pipe closes with whoever holds its other end, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import psutil


def main() -> None:
    """Wait for the end of the standard input, then kill."""
    process = psutil.Process(int(sys.argv[1]))
    sys.stdin.buffer.read()
    if process.is_running():  # and its number is not another's by now
        kill_session(process)


def kill_session(process: psutil.Process) -> None:
    """
    Kill a process that has a session of its own, and all that belongs to it.

    :param process: which.
    """
    kill_family(process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def kill_family(process: psutil.Process) -> None:
    """
    Kill a process and all below it.

    It is suspended first, so that it neither has more children nor reacts to the death of those it has. A running task
    has a process group of its own: to kill the group is not enough.
    """
    with suppress(psutil.NoSuchProcess):
        process.suspend()
        for child in process.children():
            kill_family(child)
        process.kill()


if __name__ == "__main__":
    main()
