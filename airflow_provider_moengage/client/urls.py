"""How addresses are built, so that no name and no id can ever reach another endpoint."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

from airflow_provider_moengage.client.errors import InvalidInputError

_LABEL = r"[A-Za-z0-9_-]{1,63}"
# Servers take half of that to eight times as much; to encode a megabyte takes half a second.
_LONGEST_TARGET = 16_000

_DASHBOARD = r"dashboard-(\d{2,3})\.moengage\.com\.?"
_CALL = r"/v\d+(?=/|$)"

_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::\d+)?"


def base_url_of(value: str) -> str:
    """
    Check the address of an API server.

    :param value: ``https://host``, with a port or a path prefix if need be; ``http`` for a loopback host only,
        because Basic auth over plain http shows the key to the network.
    :return: the address without a trailing slash.
    :raises InvalidInputError: when it is anything else, or carries credentials, a query or a fragment.
    """
    # What is wrong is said without the value: an address with credentials in it must not reach a log.
    way_out = "Give an address such as https://api-01.moengage.com, or leave it out and set data_center."
    if not isinstance(value, str):
        raise InvalidInputError(f"The host of the connection is no text. {way_out}")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidInputError(f"The host of the connection is no address. {way_out}") from None
    if "@" in parts.netloc:
        raise InvalidInputError(
            "The host of the connection must not carry credentials: put them into login and password."
        )
    if parts.scheme not in ("http", "https") or not re.fullmatch(_HOST, parts.netloc) or re.search(r"[^!-~]|\\", value):
        raise InvalidInputError(f"The host of the connection is no http(s) address. {way_out}")
    _check_is_api(host, parts.path)
    if "?" in value or "#" in value:
        raise InvalidInputError(f"The host of the connection must end before any ? or #. {way_out}")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidInputError(
            f"The host of the connection is plain http to {host}, which would show the API key to the network: use "
            "https. Plain http is for a loopback host, such as the sandbox on http://127.0.0.1:8900."
        )
    return value.rstrip("/")


def _check_is_api(host: str, path: str) -> None:
    """Refuse the addresses of MoEngage that people have at hand, and say which one is meant."""
    of_dashboard = re.fullmatch(_DASHBOARD, host)
    if of_dashboard:
        number = of_dashboard[1]
        raise InvalidInputError(
            f"The host of the connection is MoEngage's dashboard, not its API: give https://api-{number}.moengage.com, "
            f"or leave it out and set data_center to {number}."
        )
    of_call = re.match(_CALL, path)
    if host.endswith(".moengage.com") and of_call:
        raise InvalidInputError(
            f"The host of the connection has the path of a call: end it before {of_call[0]}, as in https://{host}."
        )


def check_target(method: str, path: str, query: str) -> None:
    """
    Check what a request is to call, so that it cannot lead to another host, and that servers take it.

    :param method: an HTTP method.
    :param path: a path that begins with ``/``, quoted.
    :param query: a query, encoded, without its question mark.
    :raises InvalidInputError: when it is anything else.
    """
    if not (isinstance(method, str) and re.fullmatch("[A-Z]+", method)):
        raise InvalidInputError("method must be an HTTP method in capitals, such as GET.")
    if not (isinstance(path, str) and re.fullmatch(r"/[!-~]*", path)) or re.search(r"[?#\\]", path):
        raise InvalidInputError("path must begin with a slash and be quoted, such as /v3/custom-segments.")
    if not (isinstance(query, str) and re.fullmatch(r"[!-~]*", query)) or "#" in query:
        raise InvalidInputError("query must be encoded, such as name=camp%20diwali.")
    if (length := len(path) + len(query)) > _LONGEST_TARGET:
        raise InvalidInputError(
            f"The id or the name of the segment is too long: the address would have {length:,} characters, and no "
            f"more than {_LONGEST_TARGET:,} are sent."
        )


def is_loopback(host: str) -> bool:
    """
    Tell whether a host is this very machine.

    :param host: a name or an address, without a port.
    :return: True for ``localhost``, 127.0.0.0/8 and ::1.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def path_segment(value: str) -> str:
    """
    Quote an id for use as one segment of a path.

    :param value: an id, already known not to be blank.
    :return: the quoted id.
    :raises InvalidInputError: for ``.`` and ``..``, which mean another place however they are quoted.
    """
    if value in (".", ".."):
        raise InvalidInputError(f"segment_id is {value!r}, which is no id of a segment.")
    return quote(value, safe="")


def query_string(**parameters: str) -> str:
    """
    Encode a query as MoEngage reads it: a space is ``%20``, never ``+``.

    :param parameters: names and values.
    :return: ``name=value`` pairs joined by ``&``.
    """
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
