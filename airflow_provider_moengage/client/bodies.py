"""Reading what follows an answer's head: by hand, so that one that breaks off can be shown and each has an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import urllib3

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

SLOW = "was too slow"

_READ_SIZE = 64 * 1024


def read_body(response: BaseHTTPResponse, most_bytes: int, most_seconds: float) -> tuple[bytes, str]:
    """
    Read a body to its end, or as far as it comes.

    :param response: the answer, its body not read.
    :param most_bytes: how large it may be.
    :param most_seconds: how long it may take; the last piece may take as long as the read timeout on top.
    :return: what came, and what went wrong with it: an empty text for nothing.
    """
    received = bytearray()
    deadline = time.monotonic() + most_seconds
    try:
        while chunk := response.read1(_READ_SIZE, decode_content=True):
            received += chunk
            if len(received) > most_bytes:
                return bytes(received), "did not end"
            if time.monotonic() > deadline:
                return bytes(received), SLOW
    except urllib3.exceptions.ReadTimeoutError:
        return bytes(received), SLOW
    except (OSError, urllib3.exceptions.HTTPError):
        return bytes(received), "broke off"
    return bytes(received), ""
