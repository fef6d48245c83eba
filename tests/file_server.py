"""A server on this machine that has files, and takes callbacks."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIGNATURE = "X-Amz-Signature=5f1a7c3e9b2d4f6081a3c5e7092b4d6f&X-Amz-Expires=3600"


class FileServer:
    """What it has, what it was asked for, and what it was told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.callbacks: queue.Queue[dict[str, Any]] = queue.Queue()
        self.callback_statuses: list[int] = []
        self.cut_off = False

    def put(self, name: str, content: bytes | str, query: str = SIGNATURE) -> str:
        """Give it a file; its address is signed."""
        self.files[f"/{name}"] = content.encode() if isinstance(content, str) else content
        return f"{self.url}/{name}?{query}"

    @property
    def callback_url(self) -> str:
        return f"{self.url}/called-back?token=do-not-show-this-token"


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Serve files, and take callbacks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.fetched.append(self.path)
            content = server.files.get(path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: len(content or b"") // 2 if server.cut_off else None])

        def do_POST(self) -> None:
            server.callbacks.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.callback_statuses.pop(0) if server.callback_statuses else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = FileServer(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
