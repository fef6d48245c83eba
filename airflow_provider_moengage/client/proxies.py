"""
The proxy that the environment names. Of its settings nothing is ever shown but host and port.

A password may stand in them, and libraries quote what they cannot read. So a setting is read here first, and what goes
wrong with a proxy is told in words that no library has put together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from airflow_provider_moengage.client.errors import ProxySettingsError

_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)
_MOST_CAUSES = 10


def proxy_address(url: str, proxies: Mapping[str, str]) -> str:
    """
    Tell through which proxy a request goes.

    :param url: the address of the request.
    :param proxies: the proxies of the environment, as requests gives them.
    :return: host and port of the proxy; an empty text when the request goes directly.
    :raises ProxySettingsError: when the setting is no address of a proxy.
    """
    setting = select_proxy(url, proxies)
    if not setting:
        return ""
    variable = next((name for name in _VARIABLES if os.environ.get(name) == setting), "HTTPS_PROXY")
    try:
        urlsplit(setting)  # requests reads it with this one, and urllib3 with the other
        parts = parse_url(prepend_scheme_if_needed(setting, "http"))  # type: ignore[no-untyped-call]
    except (HTTPError, ValueError):
        parts = None
    # With a slash in the password, the host would be what stands before it.
    if parts is None or not parts.host or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ProxySettingsError(
            f"the variable {variable} cannot be read as http://user:password@host:port. In a user name or a password / "
            "must be written as %2F, @ as %40, # as %23, ? as %3F and [ as %5B"
        )
    if parts.scheme not in _SCHEMES:
        raise ProxySettingsError(f"the variable {variable} has a scheme that is none of {', '.join(_SCHEMES)}")
    if parts.scheme in _SOCKS and not _has_socks():
        raise ProxySettingsError(
            f"the variable {variable} names a SOCKS proxy, for which the package PySocks is missing: install "
            "requests[socks]"
        )
    return parts.host if parts.port is None else f"{parts.host}:{parts.port}"


def words_of(error: BaseException | None) -> str:
    """
    Say what has happened to a connection through a proxy, without any words of a library's own.

    :param error: what urllib3 or requests raised.
    :return: what the operating system or TLS says, or the status with which the proxy refused.
    """
    kind = type(error).__name__
    for _ in range(_MOST_CAUSES):
        if isinstance(error, OSError) and error.strerror:
            return str(error.strerror)
        refusal = re.search(r"Tunnel connection failed: (\d{3})", str(error))
        if refusal:
            return f"it answered {refusal[1]}"
        inner = next((part for part in getattr(error, "args", ()) if isinstance(part, BaseException)), None)
        error = getattr(error, "original_error", None) or inner or getattr(error, "__cause__", None)
    return kind


def _has_socks() -> bool:
    from importlib.util import find_spec

    return find_spec("socks") is not None
