"""
MoEngage that answers at once: what a sandbox has said, byte by byte, from a process of its own.

A sandbox takes about as long for an answer as a client for its question, which would hide half of any difference
between two clients.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trustme

from airflow_provider_moengage.sandbox import Sandbox
from tests.benchmarks.in_a_process import HOME

SEGMENT_ID = "63d8cec0c085939e6c1ab727"
NAME = "camp_diwali_2026"
BODY = json.dumps({"name": NAME}).encode()
AUTHORITY = HOME / "authority.pem"
SCHEMES = ("http", "https")

_END_OF_HEAD = b"\r\n\r\n"
_MOST_BYTES = 65_536


@contextmanager
def fast_moengage(scheme: str) -> Iterator[dict[str, Any]]:
    """
    Run it, and give the Airflow connection to it.

    :param scheme: http, or https with the certificate of :data:`AUTHORITY`.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.fast_moengage", scheme], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not (line := process.stdout.readline()):
            raise RuntimeError(f"The server did not start, and ended with the exit code {process.wait()}.")
        yield json.loads(line)
    finally:
        process.terminate()
        process.communicate()


class Socket:
    """The quickest client that there can be: it sends bytes that are ready, and looks at none that come back."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        scheme, _, address = connection["host"].partition("://")
        host, _, port = address.partition(":")
        self._socket: socket.socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "https":
            self._socket = ssl.create_default_context(cafile=str(AUTHORITY)).wrap_socket(
                self._socket, server_hostname=host
            )

    def ask(self, request: bytes) -> bytes:
        """Send a request; every answer is one piece."""
        self._socket.sendall(request)
        return self._socket.recv(_MOST_BYTES)

    def connections(self) -> int:
        """Tell how many connections the server has taken, with this one."""
        return int(self.ask(b"COUNT / HTTP/1.1" + _END_OF_HEAD))


def requests_of(connection: Mapping[str, Any]) -> dict[str, bytes]:
    """Write the two requests as they go over the wire."""
    credentials = b64encode(f"{connection['login']}:{connection['password']}".encode()).decode()
    headers = [
        f"Host: {connection['host'].partition('://')[2]}",
        f"Authorization: Basic {credentials}",
        f"MOE-APPKEY: {connection['login']}",
        "Content-Type: application/json",
    ]
    get = [f"GET /v3/custom-segments/{SEGMENT_ID} HTTP/1.1", *headers]
    archive = ["PATCH /v2/custom-segments/archive HTTP/1.1", *headers, f"Content-Length: {len(BODY)}"]
    return {
        "get": "\r\n".join(get).encode() + _END_OF_HEAD,
        "archive": "\r\n".join(archive).encode() + _END_OF_HEAD + BODY,
    }


def main() -> None:
    (scheme,) = sys.argv[1:]
    connection, answers = _said_by_a_sandbox()
    listener = socket.create_server(("127.0.0.1", 0))
    context = _tls() if scheme == "https" else None
    host = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({**connection, "host": host}) + "\n")
    sys.stdout.flush()
    taken = 0
    while True:
        client, _ = listener.accept()
        taken += 1
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers[b"COUNT"] = str(taken).encode()
        threading.Thread(target=_serve, args=(client, context, answers), daemon=True).start()


def _said_by_a_sandbox() -> tuple[dict[str, Any], dict[bytes, bytes]]:
    with Sandbox() as sandbox:
        sandbox.add_segment(name=NAME, id=SEGMENT_ID)
        client, requests = Socket(sandbox.connection), requests_of(sandbox.connection)
        return sandbox.connection, {b"GET": client.ask(requests["get"]), b"PATCH": client.ask(requests["archive"])}


def _tls() -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(AUTHORITY))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _serve(client: socket.socket, context: ssl.SSLContext | None, answers: Mapping[bytes, bytes]) -> None:
    if context:
        client = context.wrap_socket(client, server_side=True)
    received = b""
    while piece := client.recv(_MOST_BYTES):
        received += piece
        head, end, body = received.partition(_END_OF_HEAD)
        # Some clients send the body by itself; it is always the same one.
        if end and (not head.startswith(b"PATCH") or len(body) == len(BODY)):
            client.sendall(answers[head.partition(b" ")[0]])
            received = b""


if __name__ == "__main__":
    main()
