"""What the network has done, as urllib3 names it: whether waiting mends it, and what to call it. Pure."""

from __future__ import annotations

import re
import ssl
from http.client import BadStatusLine, RemoteDisconnected, UnknownProtocol

from urllib3.exceptions import (
    ConnectTimeoutError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

# And whether it is certain that the request never reached the server.
_CAUSES: tuple[tuple[type[Exception], str, bool], ...] = (
    (ProxyError, "the proxy could not be reached", True),
    (NewConnectionError, "no connection could be made", True),
    (ConnectTimeoutError, "no connection could be made in time", True),
    (ReadTimeoutError, "no answer came in time", False),
    (ProtocolError, "the connection broke", False),
    (SSLError, "the connection broke", False),
)

# A handshake that broke off, which is the network's doing. All other errors of TLS are somebody's settings.
_BROKEN_HANDSHAKE = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)

_MOST_CAUSES = 10


def network_cause(error: Exception) -> tuple[str, bool] | None:
    """
    Say what has happened when waiting can mend it.

    :param error: what urllib3 raised.
    :return: what has happened, and whether it is certain that the request never reached the server; None for what no
        waiting mends.
    """
    if is_tls_refusal(error) or is_proxy_refusal(error):
        return None
    return next(((said, unsent) for kind, said, unsent in _CAUSES if isinstance(error, kind)), None)


def is_proxy_refusal(error: BaseException | None) -> bool:
    """
    Tell a proxy that refuses, because of its password say, from one that cannot be reached.

    :param error: what urllib3 raised.
    :return: whether it is such a refusal; a 429 of a proxy is none.
    """
    if not isinstance(error, ProxyError):
        return False
    answered = re.search(r"Tunnel connection failed: (4\d\d)", str(error.original_error))
    return answered is not None and answered[1] != "429"


def is_tls_refusal(error: BaseException | None) -> bool:
    """
    Tell an error of TLS that no waiting mends, such as an untrusted certificate, from a broken network.

    :param error: what urllib3 raised.
    :return: whether it is one.
    """
    if isinstance(error, ProxyError):
        error = error.original_error
    if not isinstance(error, SSLError):
        return False
    return not (error.args and isinstance(error.args[0], _BROKEN_HANDSHAKE))


def in_plain_words(error: BaseException | None) -> str:
    """
    Say what has happened to a connection.

    :param error: what urllib3 raised.
    :return: its text, without the connection object that it begins with, and without what the other side has sent: that
        may be a value of an audience, or the request itself.
    """
    if isinstance(error, ProxyError):
        return words_of_proxy(error)
    inner = error.args[-1] if isinstance(error, ProtocolError) and error.args else error
    if isinstance(inner, (BadStatusLine, UnknownProtocol)) and not isinstance(inner, RemoteDisconnected):
        return "what came is no answer in HTTP/1"
    # Older versions of urllib3 write <urllib3.connection.HTTPConnection object at 0x7f0...>.
    return re.sub(r"^<?[\w.]*(?:Connection|Pool)\w*(?:\(.*?\)| object at 0x\w+)>?: ", "", str(inner))


def words_of_proxy(error: BaseException | None) -> str:
    """
    Say what has happened to a connection through a proxy, without any words of the proxy's or a library's own.

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
