"""What a run of Airflow leaves behind, and whether there is a secret in it."""

from __future__ import annotations

import base64
import configparser
from collections.abc import Iterable
from contextlib import suppress

import requests
from cryptography.fernet import Fernet

from tests.system.real_airflow import RealAirflow

Content = Iterable[tuple[str, bytes]]
"""What was found, with the place where it was found."""


def traces(workspace_id: str, key: str) -> list[bytes]:
    """
    Give what stays the same however a key is written.

    The letters, digits and hyphens that it begins with are the same in JSON, in an address and in a Python literal,
    and in a key that was cut short. In base64 likewise: alone, and behind the workspace id as in the HTTP header.
    """
    beginning = next(key[:end] for end, character in enumerate(key) if not (character.isalnum() or character == "-"))
    return [beginning.encode(), _whole_groups(beginning), _whole_groups(f"{workspace_id}:{beginning}")]


def _whole_groups(text: str) -> bytes:
    """Encode as base64 only so much as does not depend on what follows."""
    return base64.b64encode(text.encode()[: len(text) // 3 * 3])


def places_of(wanted: bytes, content: Content) -> set[str]:
    return {place for place, found in content if wanted in found}


def leaks(content: Content, workspace_id: str, key: str) -> set[str]:
    content = list(content)
    return {place for trace in traces(workspace_id, key) for place in places_of(trace, content)}


def everything(airflow: RealAirflow, dag_id: str, run_id: str) -> Content:
    """Give the name and the content of all that can be found after a run."""
    yield from files(airflow)
    yield from cells(airflow)
    yield from answers(airflow, dag_id, run_id)


def files(airflow: RealAirflow) -> Content:
    """Give every file: logs, the configuration, and the database as it lies on the disk."""
    for path in airflow.home.rglob("*"):
        with suppress(FileNotFoundError):  # SQLite's own come and go
            if path.is_file():
                yield str(path.relative_to(airflow.home)), path.read_bytes()


def cells(airflow: RealAirflow) -> Content:
    """Give every value of the database, arguments of triggers among them: a file can have one in two pieces."""
    for (table,) in airflow.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in airflow.rows(f'SELECT * FROM "{table}"'):  # noqa: S608 - the name is the database's own
            for value in row:
                yield f"table {table}", value if isinstance(value, bytes) else str(value).encode(errors="replace")


def answers(airflow: RealAirflow, dag_id: str, run_id: str) -> Content:
    """Give what the REST API tells of a run: rendered fields, logs, XComs, events, and of connections."""
    tasks = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    paths = ["connections", "eventLogs", "importErrors", f"dags/{dag_id}/details", tasks]
    for task_id in airflow.tasks(dag_id, run_id):
        tries = airflow.call("GET", f"{tasks}/{task_id}/tries")["task_instances"]
        xcoms = airflow.call("GET", f"{tasks}/{task_id}/xcomEntries")["xcom_entries"]
        paths += [f"{tasks}/{task_id}/tries"]
        paths += [f"{tasks}/{task_id}/logs/{attempt['try_number']}?full_content=true" for attempt in tries]
        paths += [f"{tasks}/{task_id}/xcomEntries/{xcom['key']}" for xcom in xcoms]
    for path in paths:
        try:
            answer = airflow.text("GET", path)
        except requests.HTTPError as error:
            # Of a task that starts again, as a sensor does that is rescheduled, Airflow takes the XComs away.
            if error.response.status_code != 404 or "/xcomEntries/" not in path:
                raise
            continue
        yield path, answer.encode(errors="replace")


def decrypted(airflow: RealAirflow, text: str) -> bytes:
    """Decrypt as Airflow itself does."""
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read(airflow.home / "airflow.cfg")
    return Fernet(configuration["core"]["fernet_key"]).decrypt(text.encode())
