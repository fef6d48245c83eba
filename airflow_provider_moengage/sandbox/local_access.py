"""Who may look at the sandbox and drive it: people and programs on this machine, but no web page of another site."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.http_messages import JSON_TYPE

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.http_messages import Request


def is_loopback(host: str) -> bool:
    """Say whether an IP address or a name means this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_local(request: Request) -> None:
    """
    Let a request through that comes from this machine and was meant for it.

    :raises ApiError: 403 when it comes from another machine, or by a name that another site has pointed here.
    """
    if not is_loopback(request.peer):
        raise ApiError(403, "Forbidden", "The sandbox shows itself to its own machine only")
    if not is_loopback(_host_of(f"//{request.headers.get('host', '')}")):
        raise ApiError(403, "Forbidden", "The sandbox shows itself only under 127.0.0.1 and localhost")


def check_same_site(request: Request) -> None:
    """
    Let a request through that no web page of another site has made. Programs send none of what is looked at here.

    :raises ApiError: 403 when another site has made it, 415 when a form could have.
    """
    origin = request.headers.get("origin")
    from_elsewhere = origin is not None and origin != f"http://{request.headers.get('host')}"
    if from_elsewhere or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise ApiError(403, "Forbidden", "A page of another site cannot drive the sandbox")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type != JSON_TYPE:
        raise ApiError(415, "Unsupported Media Type", "Send JSON, with the header Content-Type: application/json")


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
