"""A server between Airflow and the sandbox, which keeps an answer to itself."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def first_answer_held_back(url: str) -> Iterator[str]:
    """
    Pass on what clients send to a server and what it answers, until the first connection asks for a change.

    From then on that connection hears nothing any more.

    :param url: the server's address.
    :return: the address to send to instead.
    """
    server = urlsplit(url)
    connections: list[socket.socket] = []

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.request)
            with suppress(OSError), socket.create_connection((server.hostname, server.port)) as onward:
                is_held = threading.Event()
                threading.Thread(target=_pass_on, args=(onward, self.request, is_held)).start()
                while sent := self.request.recv(65_536):
                    if self.request is connections[0] and not sent.startswith(b"GET "):
                        is_held.set()
                    onward.sendall(sent)
                onward.shutdown(socket.SHUT_RDWR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{relay.server_address[1]}"
        finally:
            relay.shutdown()
            thread.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket, is_held: threading.Event) -> None:
    with suppress(OSError):
        while answered := source.recv(65_536):
            if not is_held.is_set():
                target.sendall(answered)
