"""Run a sandbox from the command line: ``moengage-sandbox``, or ``python -m airflow_provider_moengage.sandbox``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from airflow_provider_moengage.sandbox.demo import demo_segments
from airflow_provider_moengage.sandbox.dialects import DIALECTS
from airflow_provider_moengage.sandbox.guard import is_loopback
from airflow_provider_moengage.sandbox.sandbox import Sandbox

_ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a sandbox until Ctrl-C, SIGTERM, or the end of its terminal.

    :param arguments: the command line without the program's name; that of this process by default.
    :return: the exit code.
    """
    options = _parser().parse_args(arguments)
    usual = {number: signal.signal(number, _end) for number in _ENDINGS}
    try:
        return _run(options)
    except _CannotGoOnError as reason:
        _log(str(reason))
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        # Once one has come they stay ignored: this process is about to end, and does so in peace.
        for number, handler in usual.items():
            if signal.getsignal(number) is _end:
                signal.signal(number, handler)


class _CannotGoOnError(Exception):
    """What keeps the sandbox from running, in one sentence."""


def _run(options: argparse.Namespace) -> int:
    sandbox = Sandbox(
        options.port, host=options.host, dialect=options.dialect, rate_limits=not options.no_rate_limits, log=_log
    )
    _fill(sandbox, options)
    _start(sandbox, options)
    try:
        _greet(sandbox, options.host)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()
        if options.state:
            _save(sandbox, options.state)
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    # The first signal ends the wait. Those that follow must not interrupt what comes then: saving the state.
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _fill(sandbox: Sandbox, options: argparse.Namespace) -> None:
    if options.state and options.state.exists():
        _load(sandbox, options.state)
    elif options.state and not os.access(options.state.parent, os.W_OK):
        raise _CannotGoOnError(f"The state cannot be kept in {options.state}: its folder is not one to write in.")
    if options.seed_demo and not sandbox.segments:
        for fields in demo_segments():
            sandbox.add_segment(**fields)


def _load(sandbox: Sandbox, path: Path) -> None:
    try:
        sandbox.load_state(path)
    except OSError as error:
        raise _CannotGoOnError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise _CannotGoOnError(f"{path} cannot be used, and stays as it is: it {error}.") from None


def _save(sandbox: Sandbox, path: Path) -> None:
    try:
        sandbox.save_state(path)
    except OSError as error:
        raise _CannotGoOnError(f"The state cannot be saved in {path}: {error.strerror or error}.") from None


def _start(sandbox: Sandbox, options: argparse.Namespace) -> None:
    try:
        sandbox.start()
    except OSError as error:
        reason = error.strerror or error
        raise _CannotGoOnError(f"The sandbox cannot listen at {options.host}:{options.port}: {reason}.") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moengage-sandbox",
        description="A MoEngage workspace on localhost, with a page to watch it at its address.",
    )
    parser.add_argument("--port", type=_port, default=8900, help="port to listen at, 0 for a free one (default: 8900)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="seeds", help="how to answer (default: seeds)")
    parser.add_argument("--seed-demo", action="store_true", help="begin with a dozen campaign segments, if with none")
    parser.add_argument("--state", type=Path, metavar="FILE", help="load the segments from FILE, and save them at exit")
    parser.add_argument("--no-rate-limits", action="store_true", help="answer however many requests come")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _greet(sandbox: Sandbox, host: str) -> None:
    if not is_loopback(host):
        _log(f"Warning: everyone who reaches {host} can read and change this sandbox, whose key is no secret.")
    lines = [f"MoEngage sandbox at {sandbox.url}"]
    lines += [_line(segment) for segment in sandbox.segments]
    lines += [f"export AIRFLOW_CONN_MOENGAGE_DEFAULT={shlex.quote(json.dumps(sandbox.connection))}"]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _line(segment: dict[str, str]) -> str:
    state = "archived" if segment["archived"] else "active"
    return f"  {segment['id']}  {segment['created_time'][:10]}  {state:8}  {segment['name']}"


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
