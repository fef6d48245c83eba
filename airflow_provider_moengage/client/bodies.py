"""Reading what follows an answer's head: by hand, so that what came of one that broke off can be shown."""

from __future__ import annotations

from functools import partial
from typing import Any

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ReadTimeoutError

SLOW = "was too slow"
ENDLESS = "did not end"

_READ_SIZE = 64 * 1024


def read_body(response: BaseHTTPResponse, most_bytes: int) -> tuple[bytes, str]:
    """
    Read a body to its end, or as far as it comes.

    :param response: the answer, its body not read, or peeked at.
    :param most_bytes: how large it may be.
    :return: what came, and what went wrong with it: an empty text for nothing.
    """
    begun, ended = getattr(response, "peeked", (b"", ENDLESS))
    if ended != ENDLESS:
        return begun, ended
    received = bytearray(begun)
    # What replays recorded traffic in tests has answers of its own, which are decoded already.
    is_real = isinstance(response, BaseHTTPResponse)
    read = partial(response.read1, decode_content=True) if is_real else response.read
    try:
        while chunk := read(_READ_SIZE):
            received += chunk
            if len(received) > most_bytes:
                return bytes(received), ENDLESS
    except ReadTimeoutError:
        return bytes(received), SLOW
    except (OSError, HTTPError):
        return bytes(received), "broke off"
    return bytes(received), ""


def peek_at_body(response: Any, most_bytes: int) -> tuple[bytes, str]:
    """
    Read a body, and keep what came with the answer: the next one to read it gets it from the beginning.

    :param response: the answer, its body not read.
    :param most_bytes: how much of it to read, about.
    :return: as :func:`read_body`.
    """
    response.peeked = read_body(response, most_bytes)
    return response.peeked  # type: ignore[no-any-return]
