"""What a distributed Airflow stands on: a PostgreSQL and a Redis, started for the tests and stopped after them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.ports import promised_ports
from demo.standalone import watched

SECONDS_TO_START = 300
SECONDS_TO_STOP = 60


def program(name: str) -> str | None:
    """Find a program; Debian keeps those of PostgreSQL off the path."""
    of_debian = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *of_debian]))


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Keep a database for a while: ``user@host:port/name``."""
    import psycopg

    # Not one of pytest's folders: only their owner can look into those, and that is not who PostgreSQL runs as.
    with promised_ports(1) as (port,), tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        as_owner = _as_somebody_but_root(folder)
        data = f"{folder}/data"
        make = [*as_owner, program("initdb"), "--username=airflow", "--auth=trust", "--no-sync", "--pgdata", data]
        subprocess.run(make, check=True, capture_output=True, cwd=folder)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": 300,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        address = f"airflow@127.0.0.1:{port}/postgres"
        with _running(
            [*as_owner, program("postgres"), "-D", data, *options],
            folder,
            lambda: psycopg.connect(f"postgresql://{address}", connect_timeout=5).close(),
            psycopg.OperationalError,
        ):
            yield address


@contextmanager
def running_redis() -> Iterator[str]:
    """Keep a message broker for a while: its URL."""
    import redis

    with (
        promised_ports(1) as (port,),
        tempfile.TemporaryDirectory(prefix="redis-") as folder,
        redis.Redis("127.0.0.1", port) as client,
    ):
        command = [program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""]
        with _running(command, folder, client.ping, redis.ConnectionError):
            yield f"redis://127.0.0.1:{port}/0"


def _as_somebody_but_root(folder: str) -> Sequence[str]:
    """PostgreSQL does not run as root: give the folder to the user whom its package has made."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextmanager
def _running(
    command: Sequence[str], folder: str, asked: Callable[[], object], refused: type[Exception]
) -> Iterator[None]:
    log = Path(folder) / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        with watched(process):
            deadline = time.monotonic() + SECONDS_TO_START
            while not _answers(asked, refused):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
    finally:
        # Asked, not killed: PostgreSQL has shared memory to give back. To be interrupted means not to wait for clients.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(asked: Callable[[], object], refused: type[Exception]) -> bool:
    try:
        asked()
    except refused:
        return False
    return True
