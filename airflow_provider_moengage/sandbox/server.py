"""The HTTP server: sockets and the bytes of a head. What is answered, the service says that it is given."""

from __future__ import annotations

import contextlib
import http
import http.server
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_moengage.sandbox.errors import ApiError, invalid_format, query_too_long
from airflow_provider_moengage.sandbox.http_messages import Answer, Delivery, Request, with_headers

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.clock import Clock

MAX_LINE_LENGTH = 65_536
MAX_BODY_LENGTH = 4 * 1024 * 1024
LINGER_SECONDS = 1.0
STOP_SECONDS = 5.0

_BODILESS = (204, 304)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Log = Callable[[str], None]
ReadBody = Callable[[], bytes]


class Service(Protocol):
    """What a server asks for each request."""

    def answer(self, head: Request, read_body: ReadBody) -> Delivery:
        """
        Say what becomes of a request.

        :param head: the request, without its body.
        :param read_body: reads the body; raises ApiError when it cannot be read.
        """

    def refuse(self, request: Request, error: ApiError) -> Delivery:
        """
        Say what becomes of a request whose head makes no sense.

        :param request: as much as could be told of it.
        :param error: what is wrong with it.
        """


class SandboxServer(http.server.ThreadingHTTPServer):
    """
    Listens, and gives every connection a thread that ends when the server stops.

    :param address: host and port to listen at; port 0 takes a free one.
    :param service: says what becomes of each request.
    :param clock: tells the time of the header ``Date``.
    :param log: gets one line a request, or None.
    :raises OSError: when it cannot listen there.
    """

    daemon_threads = True
    allow_reuse_port = False
    request_queue_size = 1_024
    timeout = 0.5  # how soon a stop is noticed whose wake-up call did not get through

    def __init__(
        self,
        address: tuple[str, int],
        service: Service,
        *,
        clock: Clock,
        log: Log | None = None,
    ) -> None:
        self.service = service
        self.clock = clock
        self.log = log
        self._stopping = threading.Event()
        self._connections: dict[socket.socket, tuple[int, threading.Thread]] = {}
        self._count = 0
        self._thread = threading.Thread(target=self._accept_connections, name="moengage-sandbox", daemon=True)
        super().__init__(address, RequestHandler)

    def server_bind(self) -> None:
        """Bind without asking DNS for the name of this host, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection, whatever it waits for, and leave no thread."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection((self.server_name, self.server_port), timeout=self.timeout).close()
        self._thread.join()
        self.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in self._connections.values():
            thread.join(STOP_SECONDS)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take no connection any more once the server stops: the one that wakes it up is such a one."""
        return not self._stopping.is_set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection a number and a thread."""
        self._count += 1
        thread = threading.Thread(
            target=self._serve_connection,
            args=(request, client_address),
            name=f"moengage-sandbox-{self._count}",
            daemon=True,
        )
        # A new dictionary, never a changed one: other threads look into it.
        still_open = {known: entry for known, entry in self._connections.items() if entry[1].is_alive()}
        self._connections = {**still_open, request: (self._count, thread)}
        thread.start()

    def number_of(self, connection: socket.socket) -> int:
        """Tell which connection an open one is, counted from 1."""
        return self._connections[connection][0]

    def _accept_connections(self) -> None:
        while not self._stopping.is_set():
            self.handle_request()

    def _serve_connection(self, request: socket.socket, client_address: Any) -> None:
        try:
            # The client may leave, or the sandbox stop, at any moment: neither is an error here.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            self.shutdown_request(request)


class RequestHandler(http.server.BaseHTTPRequestHandler):
    """Reads the requests of one connection, and answers them."""

    server: SandboxServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Learn which connection this is."""
        super().setup()
        self._number = self.server.number_of(self.request)

    def handle_one_request(self) -> None:
        """Read a request, and do with it what the service says."""
        head = self._read_head()
        if head is not None:
            self._deliver(head, self.server.service.answer(head, lambda: self._read_body(head)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse, in the API's words, a head that cannot be understood."""
        words = self.requestline.split()
        target = words[1] if len(words) > 1 else ""
        path = target.partition("?")[0]
        request = Request(method=self.command or "", path=path, query="", headers={}, connection=self._number)
        phrase = message or explain or http.HTTPStatus(code).phrase
        self._deliver(request, self.server.service.refuse(request, ApiError(int(code), "Invalid request", phrase)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Stay silent: the sandbox has a log of its own."""

    def _read_head(self) -> Request | None:
        self.close_connection = True
        self.command = ""
        self.requestline = ""
        self.raw_requestline = self.rfile.readline(MAX_LINE_LENGTH + 1)
        if not self.raw_requestline:
            return None
        if len(self.raw_requestline) > MAX_LINE_LENGTH:
            self.send_error(http.HTTPStatus.REQUEST_URI_TOO_LONG)
            return None
        if not str(self.raw_requestline, "iso-8859-1").split():
            self.send_error(http.HTTPStatus.BAD_REQUEST, "The request line is empty")
            return None
        if not self.parse_request():
            return None
        # From the request line itself: parse_request shortens "//" in self.path.
        path, _, query = self.requestline.split()[1].partition("?")
        headers, peer = self._joined_headers(), self.client_address[0]
        request = Request(self.command, path, query, headers, peer=peer, connection=self._number)
        if self.request_version == "HTTP/0.9":
            self._deliver(request, self.server.service.refuse(request, invalid_format()))
            return None
        return request

    def _joined_headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.headers.items():
            key, text = name.lower(), value.strip()
            joined[key] = f"{joined[key]}, {text}" if key in joined else text
        return joined

    def _read_body(self, head: Request) -> bytes:
        if "transfer-encoding" in head.headers:
            raise ApiError(411, "Length Required", "Send the body with a Content-Length, not in chunks")
        length = head.headers.get("content-length")
        if length is None:
            if head.method in ("PATCH", "POST", "PUT"):
                raise ApiError(411, "Length Required", "The header Content-Length is missing")
            return b""
        if not (length.isascii() and length.isdigit()):
            raise invalid_format()
        if len(length) > len(str(MAX_BODY_LENGTH)) or int(length) > MAX_BODY_LENGTH:
            raise query_too_long()
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise invalid_format()
        return body

    def _deliver(self, request: Request, delivery: Delivery) -> None:
        self.close_connection |= delivery.ending != "keep"
        if delivery.answer is not None:
            self._write(request, delivery.answer, half_of_body=delivery.ending == "half-body")
        if delivery.ending == "end":
            self._end_gently()
        # Only now: no log may cost an answer.
        if self.server.log and delivery.log_line is not None:
            self.server.log(delivery.log_line)
        if delivery.ending == "reset":
            self._reset()
        elif delivery.ending == "silence":
            self._discard_until_closed()

    def _end_gently(self) -> None:
        # Closing a socket that holds unread bytes would reset it, and the client would lose the answer.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(LINGER_SECONDS)
        self._discard_until_closed()

    def _write(self, request: Request, answer: Answer, *, half_of_body: bool) -> None:
        self.close_connection |= _closes(answer)
        headers = {
            "Date": format_datetime(self.server.clock(), usegmt=True),
            "Server": "moengage-sandbox",
            "Connection": "close" if self.close_connection else "keep-alive",
        }
        body = b"" if answer.status in _BODILESS else answer.body
        if answer.status not in _BODILESS:
            headers["Content-Length"] = str(len(body))
        if half_of_body:
            body = body[: len(body) // 2]
        if request.method == "HEAD":
            body = b""
        self.connection.sendall(_head(answer.status, with_headers(headers, answer.headers)) + body)

    def _reset(self) -> None:
        # Closing with this option sends RST. The socket closes for good when its two files are closed too, and before
        # the server would shut it down politely.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.rfile.close()
        self.connection.close()

    def _discard_until_closed(self) -> None:
        while self.connection.recv(65_536):
            pass


def _closes(answer: Answer) -> bool:
    return any(name.lower() == "connection" and value.lower() == "close" for name, value in answer.headers.items())


def _head(status: int, headers: dict[str, str]) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("iso-8859-1")
