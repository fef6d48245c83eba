"""What these tests share: a warehouse, a folder that a web server serves, and Airflow's store for the retries."""

from __future__ import annotations

import functools
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator


class Warehouse:
    """A SQLite that the connection ``warehouse`` leads to, with one table: ``users``, of whatever type."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.fill([])

    def fill(self, values: Any) -> None:
        with sqlite3.connect(self.file) as connection:
            connection.execute("drop table if exists users")
            connection.execute("create table users (id)")
            connection.executemany("insert into users values (?)", [(value,) for value in values])
        connection.close()

    def drop(self) -> None:
        """Whoever reads it again fails."""
        with sqlite3.connect(self.file) as connection:
            connection.execute("drop table users")
        connection.close()


@pytest.fixture
def warehouse(tmp_path, monkeypatch) -> Warehouse:
    file = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(file)}))
    return Warehouse(file)


@dataclass
class Served:
    """
    A folder that a web server serves.

    :param folder: the folder.
    :param url: its address.
    """

    folder: Path
    url: str
    arguments: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = {"staging": self.folder.as_uri(), "public_url": self.url}

    @property
    def files(self) -> list[Path]:
        return sorted(file for file in self.folder.rglob("*") if file.is_file())

    def values(self) -> list[str]:
        """Read the only file that is there."""
        (file,) = self.files
        return sorted(file.read_text(encoding="utf-8").split("\n"))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield Served(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


class Store(dict):
    """Airflow's task state store."""

    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))

    def delete(self, key):
        self.pop(key)


@pytest.fixture
def transfer(warehouse, served):
    """Make an operator that hands a sandbox what the warehouse has."""

    def make(**arguments: Any) -> SqlToFileSegmentOperator:
        return SqlToFileSegmentOperator(
            **{
                "task_id": "sync",
                "sql": "select id from users",
                "conn_id": "warehouse",
                "name": "vip",
                "attribute_name": "ID",
                "attribute_type": "string",
                "expiry_days": 30,
                **served.arguments,
                **arguments,
            }
        )

    return make


@pytest.fixture
def filled(sandbox):
    """Let the sandbox fetch what is due, and tell what became of it."""

    def wait() -> list[Any]:
        sandbox.move_clock(sandbox.files.delay)
        assert sandbox.files.wait_until_idle()
        return sandbox.files.requests

    return wait


@pytest.fixture
def log(capfd, caplog):
    """What was logged since the last time that it was asked: Airflow 3 prints it, Airflow 2 may hand it to logging."""
    caplog.set_level("INFO")

    def read():
        said = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return said

    return read
