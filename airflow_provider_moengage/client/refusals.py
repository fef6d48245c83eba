"""The one table that makes a typed error from an answer that is no success: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_moengage.client.answers import parse, without_values
from airflow_provider_moengage.client.audience import SentValues
from airflow_provider_moengage.client.errors import (
    AccessRefusedError,
    AccountSuspendedError,
    ActiveSegmentLimitError,
    ApiSecretNotSetError,
    AuthenticationError,
    BadRequestError,
    CircularReferenceError,
    ConflictError,
    DuplicateFiltersError,
    DuplicateNameError,
    EndpointNotFoundError,
    ForbiddenOperationError,
    KeyRefusedError,
    KeyScopeError,
    MoEngageError,
    QueryLimitError,
    QueryTooLongError,
    RateLimitError,
    SegmentNotFoundError,
    ServerError,
    TooManyNestingLevelsError,
    TooManyReferencedSegmentsError,
    WorkspaceNotFoundError,
    shown,
)

AUTH_CODE_HEADER = "MOENGAGE-AUTH-ERROR-CODE"
"""What MoEngage sends with a 403 when the key is known but may not be used like this, perhaps without a body."""

_OUT_OF_SCOPE = "ER007"

_BY_CODE: dict[str, type[MoEngageError]] = {
    "request error": WorkspaceNotFoundError,
    "cyclic entity": CircularReferenceError,
    "query has too many nesting levels": TooManyNestingLevelsError,
    "too many segments in a query": TooManyReferencedSegmentsError,
    "query length limit exceeded": QueryTooLongError,
    "blockedclient": AccountSuspendedError,
    "account suspended": AccountSuspendedError,
    "account temporarily suspended": AccountSuspendedError,
    "payload too large": MoEngageError,
}

_BY_STATUS: dict[int, type[MoEngageError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: ForbiddenOperationError,
    404: SegmentNotFoundError,
    409: ConflictError,
    412: CircularReferenceError,
    413: QueryLimitError,
    429: RateLimitError,
}

# Of a server or proxy that fails, as the 5xx are. retry.py says of each why waiting mends it.
_SERVERS_FAILURES = (408, 421, 425, 499)

_MENDED_BY_WAITING = (*_SERVERS_FAILURES, 429)

# What these mean is MoEngage's own; without its envelope they come from a proxy, and mean something else.
_ONLY_MOENGAGES = (409, 412, 413)


def error_from_answer(
    status: int,
    text: str,
    *,
    call: str,
    hide: Callable[[str], str],
    sent: SentValues | None = None,
    headers: Mapping[str, str] | None = None,
    retry_after: float | None = None,
    tries: int = 1,
) -> MoEngageError:
    """
    Make the typed error of an answer that is no success.

    :param status: its HTTP status, 400 or more.
    :param text: its body: one of MoEngage's three envelopes, or whatever a proxy sent instead.
    :param call: method and path of the request.
    :param hide: takes the credentials out of a text: some proxies echo a request in their error pages.
    :param sent: the values of the request, which a sentence may quote.
    :param headers: its headers, looked up without regard to case.
    :param retry_after: seconds that the headers ask to wait.
    :param tries: how often the request was sent.
    :return: the error, to be raised.
    """
    details = _details(text)
    sent = sent or SentValues(None)
    is_keys = status < 500 and status not in _MENDED_BY_WAITING
    auth_code = (headers or {}).get(AUTH_CODE_HEADER, "").strip() if is_keys else ""

    def without_sent(said: str) -> str:
        return sent.hide(said, details.get("existing_cs_name"))

    def text_of(*keys: str) -> str | None:
        # Not what is no sentence, such as the part of the request that was refused: it has values of an audience.
        found = next((details[key] for key in keys if details.get(key)), None)
        return None if found is None or isinstance(found, (list, dict)) else hide(str(found))

    unsaid = (
        "the answer gives no other reason"
        if auth_code
        else f"the answer began with {shown(without_values(without_sent(hide(text))))}"
    )
    kind = _key_class(auth_code) if auth_code else _class_of(status, details)
    error = kind(
        without_sent(text_of("message", "description") or "") or unsaid,
        status=status,
        code=hide(auth_code) or without_sent(text_of("code", "title") or "") or None,
        response_id=text_of("response_id", "request_id"),
        body=without_sent(hide(text)),
        retry_after=retry_after,
        call=call,
        tries=tries,
    )
    if type(error) is AuthenticationError and not error.code:
        error.way_out += (
            " The answer has none of MoEngage's words: if they are right, look for an API firewall or a proxy that "
            "answers in its place."
        )
    if isinstance(error, ConflictError):
        error.existing_segment_name = text_of("existing_cs_name")
        error.existing_segment_id = text_of("existing_cs_id")
    if isinstance(error, ActiveSegmentLimitError):
        error.retry_after = None  # whatever the headers say: no waiting mends it
        error.actual_count, error.limit = _number_of(details, "actual_count"), _number_of(details, "limit")
    return error


def _details(text: str) -> dict[str, Any]:
    """
    Unpack an envelope.

    v2 is flat, v3 keeps its code and message below ``error``; the third one, of the cohort sync, calls them ``type``
    and ``message`` there, and the id for MoEngage's support ``request_id``.
    """
    try:
        answer = parse(text)
    except ValueError:
        return {}
    if not isinstance(answer, dict):
        return {}
    inner = answer.get("error")
    if not isinstance(inner, dict):
        return answer
    # Only in there: v3 has a type of its own outside, which says what the answer is about.
    return {**answer, **inner, "code": inner.get("code") or inner.get("type")}


def _number_of(details: Mapping[str, Any], key: str) -> int | None:
    return details[key] if isinstance(details.get(key), int) else None


def _key_class(auth_code: str) -> type[MoEngageError]:
    return KeyScopeError if auth_code.upper() == _OUT_OF_SCOPE else KeyRefusedError


def _class_of(status: int, details: Mapping[str, Any]) -> type[MoEngageError]:
    code, message = (
        str(details.get(key) or details.get(older) or "").casefold()
        for key, older in (("code", "title"), ("message", "description"))
    )
    # By the status, whatever a proxy calls it: what is sent again goes by it too.
    if status >= 500 or status in _SERVERS_FAILURES:
        return ServerError
    if status == 404 and code != "entity not found":
        return EndpointNotFoundError
    if not code or code.isdigit():  # a gateway repeats the status as its code
        return _foreign_class(status, message, details)
    if status == 409:
        return _conflict_class(code, message, details)
    if status == 429 and "actual_count" in details:
        return ActiveSegmentLimitError
    return _BY_CODE.get(code) or _BY_STATUS.get(status, MoEngageError)


def _foreign_class(status: int, message: str, details: Mapping[str, Any]) -> type[MoEngageError]:
    """Say what a refusal means that has no code of MoEngage's."""
    if status == 429:
        return ActiveSegmentLimitError if "actual_count" in details else RateLimitError
    if status == 401 or (status == 400 and message):
        return _BY_STATUS[status]
    return MoEngageError if status in _ONLY_MOENGAGES else AccessRefusedError


def _conflict_class(code: str, message: str, details: Mapping[str, Any]) -> type[MoEngageError]:
    """Tell the three meanings of 409 apart; the documents show no sample of the missing API secret."""
    if details.get("existing_cs_id"):
        return DuplicateFiltersError
    # v3 says it by its code, v2 (create a file segment) by its message.
    if code == "resource not created" or message.startswith("name already exists"):
        return DuplicateNameError
    if code == "authentication required" or "secret" in message:
        return ApiSecretNotSetError
    return ConflictError
