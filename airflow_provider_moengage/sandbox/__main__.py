"""Run a sandbox from the command line."""

from __future__ import annotations

import argparse
import ipaddress
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence

from airflow_provider_moengage.sandbox.demo import demo_segments
from airflow_provider_moengage.sandbox.dialects import DIALECTS
from airflow_provider_moengage.sandbox.sandbox import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a sandbox until Ctrl-C or SIGTERM.

    :param arguments: the command line without the program's name; that of this process by default.
    :return: the exit code.
    """
    options = _parser().parse_args(arguments)
    sandbox = Sandbox(options.port, host=options.host, dialect=options.dialect, log=_log)
    if options.seed_demo:
        for fields in demo_segments():
            sandbox.add_segment(**fields)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sandbox.start()
    except OSError as error:
        _log(f"The sandbox cannot listen at {options.host}:{options.port}: {error.strerror or error}.")
        return 1
    try:
        _greet(sandbox, options.host)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_moengage.sandbox", description="A MoEngage workspace on localhost."
    )
    parser.add_argument("--port", type=_port, default=8900, help="port to listen at, 0 for a free one (default: 8900)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="seeds", help="how to answer (default: seeds)")
    parser.add_argument("--seed-demo", action="store_true", help="begin with a dozen campaign segments")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is not a port")
    return port


def _greet(sandbox: Sandbox, host: str) -> None:
    if not _is_loopback(host):
        _log(f"Warning: everyone who reaches {host} can read and change this sandbox, whose key is no secret.")
    lines = [f"MoEngage sandbox at {sandbox.url}"]
    lines += [_line(segment) for segment in sandbox.segments]
    lines += [f"export AIRFLOW_CONN_MOENGAGE_DEFAULT={shlex.quote(json.dumps(sandbox.connection))}"]
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.flush()


def _line(segment: dict[str, str]) -> str:
    state = "archived" if segment["archived"] else "active"
    return f"  {segment['id']}  {segment['created_time'][:10]}  {state:8}  {segment['name']}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
