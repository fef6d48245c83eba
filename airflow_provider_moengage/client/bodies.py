"""Reading what follows an answer's head: by hand, so that what came of one that broke off can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError, ReadTimeoutError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

SLOW = "was too slow"

_READ_SIZE = 64 * 1024


def read_body(response: BaseHTTPResponse, most_bytes: int) -> tuple[bytes, str]:
    """
    Read a body to its end, or as far as it comes.

    :param response: the answer, its body not read.
    :param most_bytes: how large it may be.
    :return: what came, and what went wrong with it: an empty text for nothing.
    """
    received = bytearray()
    try:
        while chunk := response.read1(_READ_SIZE, decode_content=True):
            received += chunk
            if len(received) > most_bytes:
                return bytes(received), "did not end"
    except ReadTimeoutError:
        return bytes(received), SLOW
    except (OSError, HTTPError):
        return bytes(received), "broke off"
    return bytes(received), ""
