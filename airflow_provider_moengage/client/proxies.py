"""
The proxy that the environment names. Of its settings nothing is ever shown but host and port.

A password may stand in them, and libraries quote what they cannot read. So a setting is read here first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from airflow_provider_moengage.client.errors import ProxySettingsError

_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)


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
    except (HTTPError, ValueError, TypeError):  # requests stumbles over a user without a host
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


def _has_socks() -> bool:
    from importlib.util import find_spec

    return find_spec("socks") is not None
