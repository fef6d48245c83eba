"""Run a sandbox from the command line: ``moengage-sandbox``, or ``python -m airflow_provider_moengage.sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import get_args

from airflow_provider_moengage.sandbox.demo import demo_segments
from airflow_provider_moengage.sandbox.dialects import DIALECTS
from airflow_provider_moengage.sandbox.faults import FaultKind
from airflow_provider_moengage.sandbox.limits import ResetStyle
from airflow_provider_moengage.sandbox.local_access import is_loopback
from airflow_provider_moengage.sandbox.sandbox import Sandbox

_ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a sandbox until Ctrl-C, SIGTERM, or the end of its terminal.

    :param arguments: the command line without the program's name; that of this process by default.
    :return: the exit code.
    """
    options = _parser().parse_args(arguments)
    # What is ignored already, as nohup has it, stays so; but SIGTERM always ends it.
    listened = [number for number in _ENDINGS if _is_heard(number)]
    usual = {number: signal.signal(number, _end) for number in listened}
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
        options.port,
        host=options.host,
        dialect=options.dialect,
        rate_limits=not options.no_rate_limits,
        reset=options.reset,
        archive_shows_id=options.archive_shows_id,
        require_database_name=options.require_database_name,
        log=_log,
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


def _is_heard(number: signal.Signals) -> bool:
    return number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN


def _fill(sandbox: Sandbox, options: argparse.Namespace) -> None:
    if options.state:
        _try_to_write_beside(options.state)
    if options.state and options.state.exists():
        _load(sandbox, options.state)
    if options.seed_demo and not sandbox.segments:
        for fields in demo_segments():
            sandbox.add_segment(**fields)


def _try_to_write_beside(path: Path) -> None:
    # Before the work and not after it: the state is saved at the very end.
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise _CannotGoOnError(
            f"The state cannot be kept in {path}: nothing can be written there ({reason})."
        ) from None


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
        epilog="What is to go wrong is said while it runs: POST /_sandbox/faults takes what Sandbox.fail_next does, "
        f"such as a status, or a fault: {', '.join(get_args(FaultKind))}.",
    )
    parser.add_argument("--port", type=_port, default=8900, help="port to listen at, 0 for a free one (default: 8900)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1); the page stays local"
    )
    parser.add_argument(
        "--dialect",
        choices=sorted(DIALECTS),
        default="seeds",
        help="as the API documents say (seeds, the default), or as newer servers do (today)",
    )
    parser.add_argument("--seed-demo", action="store_true", help="begin with a dozen campaign segments, if with none")
    parser.add_argument("--state", type=Path, metavar="FILE", help="load the segments from FILE, and save them at exit")
    parser.add_argument("--no-rate-limits", action="store_true", help="answer however many requests come")
    parser.add_argument(
        "--reset",
        choices=get_args(ResetStyle),
        default="epoch",
        help="what x-ratelimit-reset says: when a window ends (epoch, the default), or what is left of it (seconds)",
    )
    parser.add_argument(
        "--require-database-name", action="store_true", help="refuse archive and unarchive without MOE-DBNAME"
    )
    parser.add_argument("--archive-shows-id", action="store_true", help="answer archive and unarchive with cs_id too")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _greet(sandbox: Sandbox, host: str) -> None:
    if not is_loopback(host):
        _log(
            f"Warning: everyone who reaches {host} can read and change these segments, as the key is no secret. "
            "The page and the control endpoints still answer this machine only."
        )
    lines = [f"MoEngage sandbox at {sandbox.url}"]
    lines += [_line(segment) for segment in sandbox.segments]
    lines += [
        "The variable below leads moengage_default here, unless a secrets backend has that connection,",
        "which Airflow asks first. To see where it leads (Airflow 2.11 and 3; this shows its password too):",
        "  airflow connections get moengage_default --output json",
        f"export AIRFLOW_CONN_MOENGAGE_DEFAULT={shlex.quote(json.dumps(sandbox.connection))}",
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _line(segment: dict[str, str]) -> str:
    state = "archived" if segment["archived"] else "active"
    return f"  {segment['id']}  {segment['created_time'][:10]}  {state:8}  {segment['name']}"


def _log(line: str) -> None:
    # A terminal that has gone, or a pipe that nobody reads, is no reason to stop.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
