"""
What is sent again, when, and for how long: pure decisions, and the urllib3 Retry that acts on them.

Waiting mends a rate limit (429), a failing server (5xx and a few others) and a network that breaks. It mends nothing
else, and a request that may have been carried out is sent again only where that does no harm.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from urllib3.exceptions import MaxRetryError, ResponseError
from urllib3.util import Retry as Urllib3Retry

from airflow_provider_moengage.client.bodies import peek_at_body, read_body
from airflow_provider_moengage.client.errors import ActiveSegmentLimitError
from airflow_provider_moengage.client.network_errors import in_plain_words, network_cause
from airflow_provider_moengage.client.refusals import error_from_answer
from airflow_provider_moengage.client.wait_headers import asked_wait

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

_log = logging.getLogger(__name__)

# Of an answer that is not wanted any more, so that its connection can be used again.
_DRAINED_BYTES = 64 * 1024

# As the lines of operators are, which have a file for that; this one is below it.
_LINE_CHARACTERS = 120

# POST is not among them: it creates.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"})

# What waiting mends beside the 5xx, and whether it is certain that nothing was carried out. errors.py makes retryable
# errors of the same ones.
_MENDED_BY_WAITING: dict[int, tuple[str, bool]] = {
    # The server has waited in vain for the rest of the request. How much of it came is not known.
    408: ("the server did not get the whole request in time (408)", False),
    # A balancer has led a kept-alive connection to a server that does not serve this host: a new one may be led better.
    421: ("the connection has led to another server (421)", True),
    # Sent too early to be safe from a replay, and refused for that; RFC 8470 asks to send it again.
    425: ("the server found it too early (425)", True),
    429: ("the rate limit is used up (429)", True),
    # A proxy's way to say that somebody before the server hung up: as little is known as after a 504.
    499: ("a proxy hung up (499)", False),
}
# Not 423: no document of MoEngage has it. Where gateways send it, the account is locked because of wrong keys, and more
# tries keep it locked.

_MISDIRECTED = 421


class Failure(NamedTuple):
    """
    What came of one try, when it was no success: an answer of 400 or more, or none at all.

    :param method: the HTTP method.
    :param status: the status of the answer.
    :param headers: its headers, looked up without regard to case.
    :param error: what urllib3 raised in place of an answer.
    :param is_workspace_full: whether its body says that the workspace has as many active segments as it may have. It is
        a 429 too, and archiving mends it, not waiting, whatever the headers say.
    """

    method: str
    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    error: Exception | None = None
    is_workspace_full: bool = False


class Retry(NamedTuple):
    """
    Send it again.

    :param wait: after so many seconds.
    :param reason: what has happened, for the log.
    """

    wait: float
    reason: str


class GiveUp(NamedTuple):
    """
    Let the failure be the outcome.

    :param reason: why.
    """

    reason: str


class RetryPolicy(NamedTuple):
    """
    How often and for how long a call is sent again before it fails.

    The wait is what the server asks for (``Retry-After``, or ``x-ratelimit-reset`` with a 429) and a random part of the
    back-off, which doubles from try to try.

    :param tries: how often a request is sent at most; 1 sends it once.
    :param budget: seconds from the first failure until the last try begins at most, and seconds to wait at most for a
        rate limit that is known to be used up. A limit of a minute fits in.
    :param first_backoff: seconds that the first back-off takes at most.
    :param longest_backoff: seconds that any back-off takes at most.
    :param limit_budget: seconds to wait for a rate limit at most, where that is to be less than the budget: for who
        has something better to do meanwhile.
    """

    tries: int = 6
    budget: float = 75.0
    first_backoff: float = 1.0
    longest_backoff: float = 16.0
    limit_budget: float = math.inf

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
        if failure.status == 429:
            left = min(left, self.limit_budget)
        if asked > left or left <= 0:
            return GiveUp("the wait does not fit into what is left of the budget")
        backoff = min(self.longest_backoff, self.first_backoff * 2 ** (attempt - 1)) * jitter
        return Retry(min(asked + backoff, left), reason)


RETRIES = RetryPolicy()
"""How a client retries unless it is told otherwise."""

NO_RETRIES = RetryPolicy(tries=1, budget=0)
"""Send once and never wait: for polls, which come again anyway."""


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
    :param record: gets each answer that is not the last: method, path and query, status, headers.
    :param record_repeat: gets the method of each try that may be the second of a request that was carried out.
    :param attempt: which try is under way, counted from 1.
    :param first_failure: when the first try failed, on the monotonic clock.
    :param not_before: when this try may begin, on the monotonic clock.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        record: Callable[[str, str, int, Mapping[str, str]], None],
        record_repeat: Callable[[str], None],
        *,
        attempt: int = 1,
        first_failure: float | None = None,
        not_before: float = 0.0,
    ) -> None:
        super().__init__(total=None, redirect=False, raise_on_status=False)
        self.policy = policy
        self.record = record
        self.record_repeat = record_repeat
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
        :return: True for 5xx and the few others that waiting may mend.
        """
        return status_code >= 500 or status_code in _MENDED_BY_WAITING

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
        :param response: the answer, its body not read. That of a 429 is read here, and kept for the caller.
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
            is_workspace_full=bool(response and response.status == 429 and _says_that_the_workspace_is_full(response)),
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
        warn_in_lines(
            f"{method} {url}: {decision.reason}{cause}.",
            f"It is sent again in {decision.wait:.1f} s (try {self.attempt + 1} of {self.policy.tries}).",
        )
        if not _is_certainly_refused(failure):
            self.record_repeat(method or "")
        if response:
            self.record(method or "", url or "", response.status, response.headers)
            if response.status == _MISDIRECTED or read_body(response, _DRAINED_BYTES)[1]:
                response.close()
        return PolicyRetry(
            self.policy,
            self.record,
            self.record_repeat,
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


def warn_in_lines(what: str, then: str) -> None:
    """
    Say what is the matter and what comes of it: in one line where that is not longer than a screen is wide.

    :param what: a sentence.
    :param then: another one.
    """
    is_short = len(what) + 1 + len(then) <= _LINE_CHARACTERS
    for line in [f"{what} {then}"] if is_short else [what, f"  {then}"]:
        _log.warning("%s", line)


def _repeats_what_was_logged(record: logging.LogRecord) -> bool:
    return isinstance(record.args, tuple) and any(isinstance(part, PolicyRetry) for part in record.args)


# urllib3 says of each try after a broken connection, once the wait is over, what increment() has said before it.
logging.getLogger("urllib3.connectionpool").addFilter(lambda record: not _repeats_what_was_logged(record))


def _cause_of(failure: Failure) -> tuple[str, bool] | None:
    """
    Say what a failure is that waiting can mend, and whether it is certain that nothing was carried out.

    :return: None for what no waiting mends.
    """
    if failure.error is not None:
        return network_cause(failure.error)
    if failure.status is None or failure.is_workspace_full:
        return None
    if failure.status >= 500:
        return f"the server failed ({failure.status})", False
    return _MENDED_BY_WAITING.get(failure.status)


def _is_certainly_refused(failure: Failure) -> bool:
    """Tell whether nothing was carried out: to send it again makes it no second one."""
    cause = _cause_of(failure)
    return cause is None or cause[1]


def _says_that_the_workspace_is_full(response: BaseHTTPResponse) -> bool:
    """Read the body of a 429, which tells the limit of active segments from that of calls."""
    text = peek_at_body(response, _DRAINED_BYTES)[0].decode("utf-8-sig", errors="replace")
    return isinstance(error_from_answer(429, text, call="", hide=str), ActiveSegmentLimitError)
