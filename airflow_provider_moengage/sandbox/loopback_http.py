"""Fetching a file and posting a callback: on this very machine, and never anywhere else."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow_provider_moengage.sandbox.local_access import is_loopback

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject

SECONDS = 10.0
"""How long a connection may be silent."""

MOST_SECONDS = 60.0
"""How long a download may take."""

_PIECE = 256 * 1024


class DownloadError(Exception):
    """A file that could not be fetched; the message says why, without the address."""


class TooLargeError(Exception):
    """A file that is larger than a file may be."""


def fetch(url: str, most_bytes: int) -> bytes:
    """
    Fetch a file from this machine. No redirect is followed, and no proxy is asked.

    :param url: its address.
    :param most_bytes: how large it may be.
    :return: the file.
    :raises DownloadError: when it is not on this machine, or does not come, or not whole.
    :raises TooLargeError: when it is too large.
    """
    parts = _checked(url)
    connection = _connect(parts)
    deadline = time.monotonic() + MOST_SECONDS
    try:
        connection.request("GET", _target(parts), headers={"User-Agent": "moengage-sandbox"})
        response = connection.getresponse()
        if response.status != 200:
            raise DownloadError(f"the server of the file answered {response.status}")
        if (response.length or 0) > most_bytes:
            raise TooLargeError
        content = bytearray()
        while piece := response.read1(_PIECE):
            content += piece
            if len(content) > most_bytes:
                raise TooLargeError
            if time.monotonic() > deadline:
                raise DownloadError(f"the download took more than {MOST_SECONDS:g} s")
        if response.length:
            raise DownloadError(f"the file broke off after {len(content):,} bytes")
        return bytes(content)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"the download failed ({type(error).__name__})") from None
    finally:
        connection.close()


def post(url: str, payload: JsonObject) -> int | None:
    """
    Post a callback to this machine.

    :param url: its address.
    :param payload: what it says.
    :return: the status of the answer, None when none came.
    :raises DownloadError: when the address is not on this machine.
    """
    parts = _checked(url)
    connection = _connect(parts)
    try:
        connection.request(
            "POST",
            _target(parts),
            body=json.dumps(payload).encode("ascii"),
            headers={"Content-Type": "application/json", "User-Agent": "moengage-sandbox"},
        )
        response = connection.getresponse()
        response.read(_PIECE)
    except (OSError, http.client.HTTPException):
        return None
    else:
        return response.status
    finally:
        connection.close()


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise DownloadError("the address is malformed") from None
    if parts.scheme != "http":
        raise DownloadError("the sandbox speaks http only, not https")
    if not is_loopback(host):
        raise DownloadError("the sandbox calls this machine only: 127.0.0.1 and localhost")
    return parts


def _connect(parts: SplitResult) -> http.client.HTTPConnection:
    # Never by the name: what a resolver says of it may be another machine.
    host = "127.0.0.1" if (parts.hostname or "").lower() == "localhost" else parts.hostname or ""
    return http.client.HTTPConnection(host, parts.port or 80, timeout=SECONDS)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
