"""The door that every call goes through: one requests.Session, and what comes back as data or as one typed error."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, ReadTimeoutError

from airflow_provider_moengage import __version__
from airflow_provider_moengage.client.answers import parse, without_values
from airflow_provider_moengage.client.audience import SentValues
from airflow_provider_moengage.client.bodies import SLOW, read_body
from airflow_provider_moengage.client.deadlines import DeadlineAdapter
from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    ConnectionFailedError,
    IncompleteResponseError,
    MoEngageError,
    NothingListensError,
    PlainHttpError,
    ProxyRefusedError,
    ProxySettingsError,
    RateLimitError,
    RedirectError,
    RequestTimeoutError,
    TlsError,
    UnexpectedResponseError,
    shown,
)
from airflow_provider_moengage.client.inputs import json_bytes
from airflow_provider_moengage.client.limits import endpoint_of
from airflow_provider_moengage.client.network_errors import (
    in_plain_words,
    is_proxy_refusal,
    is_tls_refusal,
    words_of_proxy,
)
from airflow_provider_moengage.client.proxies import proxy_address
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER, Endpoint
from airflow_provider_moengage.client.redaction import Secrets
from airflow_provider_moengage.client.refusals import AUTH_CODE_HEADER, error_from_answer
from airflow_provider_moengage.client.retry import NoAnswerError, PolicyRetry, RetryPolicy, warn_in_lines
from airflow_provider_moengage.client.urls import check_target, is_loopback
from airflow_provider_moengage.client.wait_headers import asked_wait

# So many characters of an answer an error holds at most.
_KEPT_CHARACTERS = 10_000

_LARGEST_ANSWER = 32 * 1024 * 1024

# With these it is certain that the request was not received.
_NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ProxyError)

# As many threads as may share a client: with fewer, connections of the others would be closed after each call.
_KEPT_CONNECTIONS = 16


class Transport:
    """
    Sends requests to one workspace, and waits as the retry policy and the rate limits ask.

    :param base_url: the address of the API, checked.
    :param workspace_id: the Basic user name.
    :param api_key: the Basic password.
    :param app_key: the header MOE-APPKEY.
    :param database_name: the header MOE-DBNAME of v2 calls.
    :param timeout: seconds to connect, and seconds to wait for an answer to begin or go on.
    :param retry: how often and for how long a request is sent again.
    """

    def __init__(
        self,
        base_url: str,
        workspace_id: str,
        api_key: str,
        *,
        app_key: str,
        database_name: str | None,
        timeout: tuple[float, float],
        retry: RetryPolicy,
    ) -> None:
        self.base_url = base_url
        self.workspace_id = workspace_id
        self.database_name = database_name
        self.timeout = timeout
        self.retry = retry
        self.repeats = 0
        """How often a request that changes something was sent again though it may have been carried out."""
        tries = PolicyRetry(retry, self._record, self._record_repeat)
        self._session = _session_of(base_url, workspace_id, api_key, app_key, tries)
        self._secrets = Secrets(workspace_id, api_key)

    def close(self) -> None:
        """Close the kept-alive connections. A new one is opened when the next request is sent."""
        self._session.close()

    def has_same_access_as(self, other: Transport) -> bool:
        """
        Tell whether two reach the same workspace with the same credentials.

        :param other: another one.
        :return: False once the key, the workspace or the address has changed.
        """
        return self._access() == other._access()

    def reserve_poll(self, method: str, path: str) -> float:
        """
        Reserve the next of the polls that all clients of this workspace in this process make one after another.

        :param method: the HTTP method of the poll.
        :param path: its path, whichever segment it names.
        :return: 0 when it is reserved, else the seconds after which to ask again.
        """
        return RATE_LIMITER.reserve_poll(self._endpoint(method, path), time.monotonic())

    def request(self, method: str, path: str, *, query: str = "", body: Any = None) -> dict[str, Any]:
        """
        Send one request: the door that every call goes through.

        :param method: the HTTP method.
        :param path: the path below the base URL, each segment quoted.
        :param query: the query, encoded.
        :param body: what to send as JSON.
        :return: the answer, a JSON object.
        :raises MoEngageError: the one that fits the answer, or the lack of one.
        """
        check_target(method, path, query)
        call = f"{method} {path}"
        data = None if body is None else json_bytes(body)
        endpoint = self._endpoint(method, path)
        self._reserve(endpoint, call)
        try:
            outcome = self._exchange(method, path + (f"?{query}" if query else ""), data, call, SentValues(body))
        finally:
            RATE_LIMITER.release(endpoint)
        if not isinstance(outcome, MoEngageError):
            return outcome
        # Raised out here, where no exception of requests hangs on to it, and no frame that holds the connection: from
        # those the credentials could be reached.
        try:
            raise outcome
        finally:
            del outcome  # or the error would hold its traceback, and that the error

    def _reserve(self, endpoint: Endpoint, call: str) -> None:
        """Wait for room in a window that is used up, as far as is known, instead of asking to be refused."""
        left = min(self.retry.budget, self.retry.limit_budget)
        # An answer comes within these, or it is none.
        longest_wait = sum(self.timeout) if left else 0.0
        while wait := RATE_LIMITER.reserve(endpoint, time.monotonic, longest_wait=longest_wait):
            if wait > left:
                said = "the last answer said that no request is left, so this one was not sent"
                raise RateLimitError(said, retry_after=wait, call=call)
            # A little later than the end of the window, and not together with everybody else who waits for it.
            wait += random.random() * min(1.0, wait / 100)  # noqa: S311 - it spreads requests, it keeps no secret
            warn_in_lines(
                f"{call}: the rate limit is used up.", f"It is sent in {wait:.1f} s, when there is room again."
            )
            time.sleep(wait)
            left -= wait

    def _endpoint(self, method: str, target: str) -> Endpoint:
        return self.base_url, self.workspace_id, *endpoint_of(method, target.partition("?")[0])

    def _record(self, method: str, target: str, status: int, headers: Mapping[str, str]) -> None:
        """Believe what an answer says of the rate limit; the target may begin with the path of the base URL."""
        endpoint = self._endpoint(method, target.removeprefix(urlsplit(self.base_url).path))
        RATE_LIMITER.record_answer(endpoint, status, headers, now=time.time(), ticks=time.monotonic())

    def _record_repeat(self, method: str) -> None:
        if method != "GET":
            self.repeats += 1

    def _exchange(
        self, method: str, target: str, data: bytes | None, call: str, values: SentValues
    ) -> dict[str, Any] | MoEngageError:
        sent = self._send(method, target, data, call)
        if isinstance(sent, MoEngageError):
            return sent
        outcome = self._outcome_of(*sent, call, values)
        # A full workspace is a 429 too, but its headers say nothing of when there is room.
        if not isinstance(outcome, ActiveSegmentLimitError):
            self._record(method, target, sent[0].status_code, sent[0].headers)
        return outcome

    def _send(
        self, method: str, target: str, data: bytes | None, call: str
    ) -> tuple[requests.Response, bytes, str] | MoEngageError:
        session, url, headers = self._session, self.base_url + target, dict(self._session.headers)
        if self.database_name and target.startswith("/v2/"):
            headers["MOE-DBNAME"] = self.database_name
        proxy = ""
        try:
            # Session.request merges settings, of which a call has none, for longer than all else here takes.
            request = requests.PreparedRequest()
            request.prepare(method, url, headers, data=data, auth=session.auth)
            settings = session.merge_environment_settings(url, {}, stream=True, verify=None, cert=None)
            proxy = proxy_address(url, settings["proxies"])
            with session.send(request, timeout=self.timeout, **settings) as response:
                return response, *read_body(response.raw, _LARGEST_ANSWER)
        except ProxySettingsError as error:
            return ProxySettingsError(error.message, call=call)
        # Errors of requests are OSErrors, and so is a CA bundle that is not there; a few of urllib3 come through.
        except (OSError, ValueError, HTTPError) as error:
            return self._no_answer(error, call, proxy)

    def _outcome_of(
        self, response: requests.Response, received: bytes, defect: str, call: str, values: SentValues
    ) -> dict[str, Any] | MoEngageError:
        """Tell what an answer means, as far as it came."""
        status = response.status_code
        tries = getattr(getattr(response.raw, "retries", None), "attempt", 1)
        text = received.decode("utf-8-sig", errors="replace")
        # What a refusal is about stands in its body; of one that broke off only these are clear without.
        is_clear = status in {401, 408, 429} or status >= 500 or AUTH_CODE_HEADER in response.headers
        if status >= 400 and (not defect or is_clear):
            wait = asked_wait(status, response.headers, time.time())
            return error_from_answer(
                status,
                text,
                call=call,
                hide=self._secrets.hide,
                sent=values,
                headers=response.headers,
                retry_after=wait,
                tries=tries,
            )
        if 300 <= status < 400:
            target = self._secrets.hide(response.headers.get("Location", "nowhere"))
            return RedirectError(f"{self.base_url} redirects to {target!r}", status=status, call=call)
        if defect == SLOW:
            return self._timed_out(call, tries)
        if defect:
            text = self._without_values(values.hide(text))
            said = f"it {defect} after {len(received)} bytes: {shown(text)}"
            return IncompleteResponseError(said, status=status, body=text, call=call)
        try:
            answer = parse(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer
        return self._unexpected("it is no JSON object", values.hide(text), call, status)

    def _no_answer(self, error: Exception, call: str, proxy: str) -> MoEngageError:
        """Tell why no answer came."""
        gave_up = error.args[0] if error.args else None
        tries = gave_up.tries if isinstance(gave_up, NoAnswerError) else 1
        reason = gave_up.reason if isinstance(gave_up, NoAnswerError) else error
        if isinstance(reason, (ReadTimeoutError, ConnectTimeoutError)) and not isinstance(reason, NewConnectionError):
            timed_out = self._timed_out(call, tries)
            timed_out.is_outcome_unknown = not isinstance(reason, ConnectTimeoutError)
            return timed_out
        # A CA bundle that cannot be read is the one OSError that comes from neither library.
        is_librarys = isinstance(error, (requests.RequestException, HTTPError, ValueError))
        is_proxied = bool(proxy) and is_librarys
        said = f"through the proxy {proxy}: {words_of_proxy(reason)}" if is_proxied else in_plain_words(reason)
        kind = self._kind_of(error, reason, is_proxied=is_proxied) if is_librarys else TlsError
        failed = kind(self._secrets.hide(f"{self.base_url}: {said}"), call=call, tries=tries)
        if isinstance(reason, _NEVER_CONNECTED):
            failed.is_outcome_unknown = False
        return failed

    def _kind_of(
        self, error: Exception, reason: BaseException | None, *, is_proxied: bool
    ) -> type[ConnectionFailedError]:
        if is_proxy_refusal(reason):
            return ProxyRefusedError
        if "WRONG_VERSION_NUMBER" in str(reason):
            return PlainHttpError
        if is_tls_refusal(reason):
            return TlsError
        if is_proxied and isinstance(error, ValueError):
            return ProxySettingsError
        if isinstance(reason, NewConnectionError) and is_loopback(urlsplit(self.base_url).hostname or ""):
            return NothingListensError
        return ConnectionFailedError

    def _timed_out(self, call: str, tries: int) -> RequestTimeoutError:
        connect, read = self.timeout
        said = f"no answer from {self.base_url} (connect timeout {connect:g} s, read timeout {read:g} s)"
        return RequestTimeoutError(said, call=call, tries=tries)

    def _access(self) -> tuple[object, ...]:
        return self.base_url, self._session.auth, self._session.headers["MOE-APPKEY"], self.database_name

    def _unexpected(self, what: str, text: str, call: str, status: int = 200) -> UnexpectedResponseError:
        text = self._without_values(text)
        return UnexpectedResponseError(f"{what}: {shown(text)}", status=status, body=text, call=call)

    def _without_values(self, text: str) -> str:
        """Take out of a successful answer what is nobody's business: the credentials, and the values of filters."""
        return without_values(self._secrets.hide(text)[:_KEPT_CHARACTERS])


class _Session(requests.Session):
    """A session for an API, which neither redirects nor remembers: MOE-APPKEY would follow to another host."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _session_of(base_url: str, workspace_id: str, api_key: str, app_key: str, retry: PolicyRetry) -> requests.Session:
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Below requests, so that all tries go over one kept-alive connection.
    adapter = DeadlineAdapter(pool_maxsize=_KEPT_CONNECTIONS, max_retries=retry)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # As bytes: requests encodes text as latin-1, which not every key fits.
    session.auth = HTTPBasicAuth(workspace_id.encode(), api_key.encode())
    session.headers.update(
        {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "MOE-APPKEY": app_key,
            "User-Agent": f"airflow-provider-moengage/{__version__} {requests.utils.default_user_agent()}",
        }
    )
    # Plain http goes to loopback only, where a proxy of the environment would be in the way.
    session.trust_env = urlsplit(base_url).scheme == "https"
    return session
