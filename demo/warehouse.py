"""The warehouse of the demo, a SQLite file with orders; and the folder from which MoEngage fetches the audience."""

from __future__ import annotations

import functools
import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CUSTOMERS = 1_000
ORDERS = 5_000


@contextmanager
def running_warehouse(folder: Path) -> Iterator[dict[str, str]]:
    """
    Make the warehouse, and serve the folder for the files.

    :param folder: where both are kept.
    :return: the environment in which Airflow finds them.
    """
    staging = folder / "audiences"
    staging.mkdir(parents=True, exist_ok=True)
    database = folder / "warehouse.db"
    fill(database)
    handler = functools.partial(_Files, directory=str(staging))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {
                "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(database)}),
                "AIRFLOW_VAR_AUDIENCE_STAGING": staging.as_uri(),
                "AIRFLOW_VAR_AUDIENCE_PUBLIC_URL": f"http://127.0.0.1:{server.server_port}",
            }
        finally:
            server.shutdown()


def fill(database: Path) -> None:
    """Write the orders of the last year anew; they are the same each time, up to their dates."""
    chance = random.Random(2026)  # noqa: S311 - nothing that has to be secret
    orders = [
        (
            f"customer-{chance.randrange(CUSTOMERS):04}",
            round(chance.uniform(10, 200), 2),
            f"{date.today() - timedelta(days=chance.randrange(300))}",  # noqa: DTZ011 - of this machine
        )
        for _ in range(ORDERS)
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("drop table if exists orders")
        connection.execute("create table orders (customer_id text, amount real, ordered_on text)")
        connection.executemany("insert into orders values (?, ?, ?)", orders)


class _Files(SimpleHTTPRequestHandler):
    """Gives the files whose names are known, and no list of them: a name that nobody can guess is their only guard."""

    def list_directory(self, _path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
