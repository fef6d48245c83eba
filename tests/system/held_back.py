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
    Pass on what clients send to a server and what it answers, but for the answers on the first connection.

    :param url: the server's address.
    :return: the address to send to instead.
    """
    server = urlsplit(url)
    connections: list[socket.socket] = []

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.request)
            with suppress(OSError), socket.create_connection((server.hostname, server.port)) as onward:
                if self.request is not connections[0]:
                    threading.Thread(target=_pass_on, args=(onward, self.request)).start()
                _pass_on(self.request, onward)
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


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while sent := source.recv(65_536):
            target.sendall(sent)
