"""
What is sent again, when, and for how long: pure decisions, and the urllib3 Retry that acts on them.

Waiting mends a rate limit (429), a failing server (5xx) and a network that breaks. It mends nothing else, and a request
that may have been carried out is sent again only where that does no harm.
"""

from __future__ import annotations

import email.utils
import logging
import random
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)
from urllib3.util import Retry as Urllib3Retry

from airflow_provider_moengage.client.bodies import read_body

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

_log = logging.getLogger(__name__)

# The longest window that MoEngage documents. Who asks for more is mistaken, or not MoEngage.
_LONGEST_WAIT = 86_400.0

# Of an answer that is not wanted any more, so that its connection can be used again.
_DRAINED_BYTES = 64 * 1024

# POST is not among them: it creates.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"})

# What the network does, as urllib3 names it, and whether it is certain that the request never reached the server.
_NETWORK: tuple[tuple[type[Exception], str, bool], ...] = (
    (ProxyError, "the proxy could not be reached", True),
    (NewConnectionError, "no connection could be made", True),
    (ConnectTimeoutError, "no connection could be made in time", True),
    (ReadTimeoutError, "no answer came in time", False),
    (ProtocolError, "the connection broke", False),
    (SSLError, "the connection broke", False),
)

# A handshake that broke off, which is the network's doing. All other errors of TLS are somebody's settings.
_BROKEN_HANDSHAKE = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True)
class Failure:
    """
    What came of one try, when it was no success: an answer of 400 or more, or none at all.

    :param method: the HTTP method.
    :param status: the status of the answer.
    :param headers: its headers, looked up without regard to case.
    :param error: what urllib3 raised in place of an answer.
    """

    method: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None


@dataclass(frozen=True)
class Retry:
    """
    Send it again.

    :param wait: after so many seconds.
    :param reason: what has happened, for the log.
    """

    wait: float
    reason: str


@dataclass(frozen=True)
class GiveUp:
    """
    Let the failure be the outcome.

    :param reason: why.
    """

    reason: str


@dataclass(frozen=True)
class RetryPolicy:
    """
    How often and for how long a call is sent again before it fails.

    The wait is what the server asks for (``Retry-After``, or ``x-ratelimit-reset`` with a 429) and a random part of the
    back-off, which doubles from try to try.

    :param tries: how often a request is sent at most; 1 sends it once.
    :param budget: seconds from the first failure until the last try begins at most, and seconds to wait at most for a
        rate limit that is known to be used up. A limit of a minute fits in.
    :param first_backoff: seconds that the first back-off takes at most.
    :param longest_backoff: seconds that any back-off takes at most.
    """

    tries: int = 6
    budget: float = 75.0
    first_backoff: float = 1.0
    longest_backoff: float = 16.0

    def decide(self, failure: Failure, *, attempt: int, left: float, now: float, jitter: float) -> Retry | GiveUp:
        """
        Decide what to do about a failure. Calls nothing and reads no clock.

        :param failure: what came of the try.
        :param attempt: which try that was, counted from 1.
        :param left: seconds left of the budget.
        :param now: the time, in epoch seconds.
        :param jitter: a random number, at least 0 and below 1.
        :return: when to send the request again, or why not to.
        """
        cause = _cause_of(failure)
        if cause is None:
            return GiveUp("no waiting mends it")
        reason, refused = cause
        if not refused and failure.method.upper() not in _REPEATABLE:
            return GiveUp("it may have been carried out")
        if attempt >= self.tries:
            return GiveUp(f"{attempt} tries were made")
        asked = asked_wait(failure.status, failure.headers, now) or 0.0
        if asked > left or left <= 0:
            return GiveUp("the wait does not fit into what is left of the budget")
        backoff = min(self.longest_backoff, self.first_backoff * 2 ** (attempt - 1)) * jitter
        return Retry(min(asked + backoff, left), reason)


RETRIES = RetryPolicy()
"""How a client retries unless it is told otherwise."""

NO_RETRIES = RetryPolicy(tries=1, budget=0)
"""Send once and never wait: for who looks again in a while anyway."""


def asked_wait(status: int | None, headers: Mapping[str, str], now: float) -> float | None:
    """
    Read how long the server asks to wait.

    ``Retry-After`` (seconds, or a date) comes before ``x-ratelimit-reset`` (UTC epoch seconds, when the window ends),
    since it speaks of this very answer. The latter stands in every answer: it counts with a 429, or when
    ``x-ratelimit-remaining`` is 0. What cannot be read is as if it were not there.

    :param status: the status of the answer, None without one.
    :param headers: its headers, looked up without regard to case.
    :param now: the time, in epoch seconds; the server's own ``Date`` comes before it, since clocks differ.
    :return: seconds from now, from 0 to a day, or None when the server does not ask.
    """
    if status is not None and status >= 400 and (asked := _text_of(headers, "Retry-After")):
        if _is_number(asked):
            return min(float(asked), _LONGEST_WAIT)
        if (moment := _epoch_of(asked)) is not None:
            return min(max(0.0, moment - _server_time(headers, now)), _LONGEST_WAIT)
    remaining, reset = (_text_of(headers, f"x-ratelimit-{name}") for name in ("remaining", "reset"))
    if _is_number(reset) and (status == 429 or (_is_number(remaining) and float(remaining) == 0)):
        wait = float(reset) - _server_time(headers, now)
        # No window is longer than a day: this is no time in seconds.
        return max(0.0, wait) if wait <= _LONGEST_WAIT else None
    return None


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
    :return: its text, without the connection object that it begins with.
    """
    inner = error.args[-1] if isinstance(error, ProtocolError) and error.args else error
    # Older versions of urllib3 write <urllib3.connection.HTTPConnection object at 0x7f0...>.
    return re.sub(r"^<?[\w.]*(?:Connection|Pool)\w*(?:\(.*?\)| object at 0x\w+)>?: ", "", str(inner))


class NoAnswerError(MaxRetryError):
    """
    No try got an answer that ends the matter.

    :param pool: urllib3's pool.
    :param url: the path of the request.
    :param reason: what urllib3 raised at the last try.
    :param tries: how many were made.
    """

    def __init__(self, pool: Any, url: str, reason: Exception, tries: int) -> None:
        super().__init__(pool, url, reason)
        self.tries = tries


class PolicyRetry(Urllib3Retry):
    """
    Lets a :class:`RetryPolicy` decide where urllib3 asks whether to try again, and waits.

    As every Retry of urllib3 it is never changed: each failure makes the next one.

    :param policy: decides.
    :param learn: is told of each answer that is not the last: method, path and query, status, headers.
    :param attempt: which try is under way, counted from 1.
    :param first_failure: when the first try failed, on the monotonic clock.
    :param not_before: when this try may begin, on the monotonic clock.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        learn: Callable[[str, str, int, Mapping[str, str]], None],
        *,
        attempt: int = 1,
        first_failure: float | None = None,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(total=None, redirect=False, raise_on_status=False)
        self.policy = policy
        self.learn = learn
        self.attempt = attempt
        self.first_failure = first_failure
        self.not_before = not_before

    def __repr__(self) -> str:
        return f"try {self.attempt} of {self.policy.tries}"

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """
        Say which answers are failures; :meth:`increment` decides about them.

        :param method: the HTTP method.
        :param status_code: the status of the answer.
        :param has_retry_after: whether it says when to try again.
        :return: True for 429 and 5xx.
        """
        return status_code == 429 or status_code >= 500

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> PolicyRetry:
        """
        Make the next try of this one, which has failed.

        :param method: the HTTP method.
        :param url: path and query.
        :param response: the answer, its body not read.
        :param error: what urllib3 raised instead of one.
        :return: the next try.
        :raises NoAnswerError: when there is none.
        """
        now = time.monotonic()
        first_failure = now if self.first_failure is None else self.first_failure
        failure = Failure(
            method or "",
            status=response.status if response else None,
            headers=response.headers if response else {},
            error=error,
        )
        decision = self.policy.decide(
            failure,
            attempt=self.attempt,
            left=self.policy.budget - (now - first_failure),
            now=time.time(),
            jitter=random.random(),  # noqa: S311 - it spreads requests, it keeps no secret
        )
        if isinstance(decision, GiveUp):
            _log.debug("%s %s is not sent again: %s.", method, url, decision.reason)
            raise NoAnswerError(_pool, url or "", error or ResponseError("it is an error"), self.attempt)
        cause = f" ({in_plain_words(error)})" if error else ""
        _log.warning(
            "%s %s: %s%s. It is sent again in %.1f s (try %d of %d).",
            method,
            url,
            decision.reason,
            cause,
            decision.wait,
            self.attempt + 1,
            self.policy.tries,
        )
        if response:
            self.learn(method or "", url or "", response.status, response.headers)
            if read_body(response, _DRAINED_BYTES)[1]:
                response.close()
        return PolicyRetry(
            self.policy,
            self.learn,
            attempt=self.attempt + 1,
            first_failure=first_failure,
            not_before=now + decision.wait,
        )

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """
        Wait before this try.

        :param response: the answer to the last one.
        """
        if (wait := self.not_before - time.monotonic()) > 0:
            time.sleep(wait)


def _is_told_already(record: logging.LogRecord) -> bool:
    return isinstance(record.args, tuple) and any(isinstance(part, PolicyRetry) for part in record.args)


# urllib3 says of each try after a broken connection, once the wait is over, what increment() has said before it.
logging.getLogger("urllib3.connectionpool").addFilter(lambda record: not _is_told_already(record))


def _cause_of(failure: Failure) -> tuple[str, bool] | None:
    """
    Say what a failure is that waiting can mend, and whether it is certain that nothing was carried out.

    :return: None for what no waiting mends.
    """
    if failure.error is not None:
        if is_tls_refusal(failure.error) or is_proxy_refusal(failure.error):
            return None
        return next(((said, unsent) for kind, said, unsent in _NETWORK if isinstance(failure.error, kind)), None)
    # A create is refused with 429 too when the workspace is full, which has nothing to do with this minute.
    full = failure.method.upper() not in _REPEATABLE and not _says_none_is_left(failure.headers)
    if failure.status == 429:
        return None if full else ("the rate limit is used up (429)", True)
    if failure.status is not None and failure.status >= 500:
        return f"the server failed ({failure.status})", False
    return None


def _says_none_is_left(headers: Mapping[str, str]) -> bool:
    remaining = _text_of(headers, "x-ratelimit-remaining")
    return remaining == "0" if remaining else "Retry-After" in headers


def _text_of(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").strip()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _server_time(headers: Mapping[str, str], now: float) -> float:
    date = _epoch_of(_text_of(headers, "Date"))
    return now if date is None else date


def _epoch_of(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
