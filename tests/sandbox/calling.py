"""Calls to a sandbox by hand: nothing of the package's own client, so that one mistake cannot hide in both."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox import Sandbox

UNKNOWN_ID = "63d8cec0c085939e6c1ab727"


class MovableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, 409_000, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Caller:
    """Calls the API as its documents say, by hand."""

    def __init__(self, sandbox: Sandbox, id_key: str, *, timeout: float = 5) -> None:
        self.sandbox = sandbox
        self.timeout = timeout
        self.id_key = id_key
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = ("SANDBOXWORKSPACE", "sandbox-data-api-key")
        self.session.headers.update({"Content-Type": "application/json", "MOE-APPKEY": "SANDBOXWORKSPACE"})

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        if body is not None:
            options["json"] = body
        options.setdefault("timeout", self.timeout)
        return self.session.request(method, self.sandbox.url + path, **options)

    def archive(self, name: Any, segment_id: Any = None) -> requests.Response:
        return self._lifecycle("archive", name, segment_id)

    def unarchive(self, name: Any, segment_id: Any = None) -> requests.Response:
        return self._lifecycle("unarchive", name, segment_id)

    def get(self, segment_id: str) -> requests.Response:
        return self("GET", f"/v3/custom-segments/{segment_id}")

    def list(self, query: str = "") -> requests.Response:
        return self("GET", f"/v3/custom-segments{query}")

    def update(self, segment_id: str, included_filters: Any, **fields: Any) -> requests.Response:
        return self("PATCH", f"/v3/custom-segments/{segment_id}", {"included_filters": included_filters, **fields})

    def create(self, name: Any, included_filters: Any, **fields: Any) -> requests.Response:
        return self("POST", "/v3/custom-segments", {"name": name, "included_filters": included_filters, **fields})

    def _lifecycle(self, action: str, name: Any, segment_id: Any) -> requests.Response:
        body = {"name": name} if segment_id is None else {"name": name, self.id_key: segment_id}
        return self("PATCH", f"/v2/custom-segments/{action}", body)


def connect(sandbox: Sandbox) -> socket.socket:
    host, port = sandbox.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def read_export(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        if line.startswith("export "):
            return lines, line.rstrip("\n")
        lines.append(line.rstrip("\n"))
    raise AssertionError(f"no export line in {lines}")


def run_in_bash(export: str) -> Any:
    show = "import os; print(os.environ['AIRFLOW_CONN_MOENGAGE_DEFAULT'])"
    shown = run("bash", "-c", f"{export}\nexec {shlex.join([sys.executable, '-c', show])}")
    return json.loads(shown.stdout)


def list_segments(connection: dict[str, Any]) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (connection["login"], connection["password"])
        headers = {"Content-Type": "application/json", "MOE-APPKEY": connection["login"]}
        return session.get(f"{connection['host']}/v3/custom-segments", headers=headers, timeout=5)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


def group(*filters: dict[str, Any], operator: str = "and") -> dict[str, Any]:
    return {"filter_operator": operator, "filters": list(filters)}


def attribute(value: Any = "gold", **fields: Any) -> dict[str, Any]:
    return {
        "filter_type": "user_attributes",
        "name": "Tier",
        "data_type": "string",
        "operator": "in",
        "value": str(value) if isinstance(value, int) else value,
        "negate": False,
        "case_sensitive": False,
        **fields,
    }


def action(**fields: Any) -> dict[str, Any]:
    return {
        "filter_type": "actions",
        "action_name": "MOE_EMAIL_SENT",
        "attributes": {"filter_operator": "and", "filters": []},
        "executed": True,
        "execution": {"count": 1, "type": "atleast"},
        "primary_time_range": {
            "type": "between",
            "value": "2023-02-15T00:00:00.000Z",
            "value1": "2023-02-24T23:59:59.999Z",
            "value_type": "absolute",
            "period_unit": "days",
        },
        **fields,
    }


def nested(*filters: dict[str, Any], operator: str = "or") -> dict[str, Any]:
    return {"filter_type": "nested_filters", **group(*filters, operator=operator)}


def reference(segment: dict[str, Any]) -> dict[str, Any]:
    return {"filter_type": "custom_segments", "id": segment["id"], "name": segment["name"]}
