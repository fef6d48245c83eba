"""Checks of what a call on a file segment is given. An address may be signed, so that none is ever shown whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text, kind_of, type_of

ATTRIBUTE_TYPES = ("string", "double")

# The published format is int32.
_LONGEST_EXPIRY = 2**31 - 1

_MASK = "***"

# What signs an address, or proves who may read it: S3, Google, Azure, CloudFront, and what people make themselves.
_SIGNING_PARAMETER = "(?i)sig|token|credential|key|policy|secret|pass|auth|code"
# Nothing as long as this is a word or a date that may stand in a message for another reason.
_SHORTEST_UNNAMED = 20


def check_url(parameter: str, value: Any) -> str:
    """
    Check an address that MoEngage is to call.

    :param parameter: how the caller named it.
    :param value: what the caller gave; never shown.
    :return: the value, unchanged.
    :raises InvalidInputError: when it is no http(s) address.
    """
    text = check_text(parameter, value)
    such_as = ", such as a presigned one of an object storage" if parameter == "file_url" else ""
    way_out = f"Give an http(s) address that MoEngage can reach{such_as}."
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInputError(f"{parameter} is no address. {way_out}") from None
    if parts.scheme.lower() not in ("http", "https"):
        # Of a scheme only what can be one: before a colon there may be anything, the user of a database say.
        known = re.fullmatch("[a-z][a-z0-9+.-]{0,19}", parts.scheme)
        if known:
            raise InvalidInputError(
                f"{parameter} has the scheme {parts.scheme}, which MoEngage does not fetch. {way_out}"
            )
        raise InvalidInputError(f"{parameter} has no scheme. {way_out}")
    if not host or re.search(r"[^!-~]|\\", text):
        raise InvalidInputError(
            f"{parameter} is no http(s) address: it has no host, or a character that must be percent-encoded. {way_out}"
        )
    return text


def check_attribute_type(value: Any) -> str:
    """
    Check how MoEngage is to read the values of a file.

    :param value: what the caller gave.
    :return: the value, unchanged.
    :raises InvalidInputError: when MoEngage does not know the type.
    """
    if value not in ATTRIBUTE_TYPES:
        raise InvalidInputError(f'attribute_type must be "string" or "double", not {kind_of(value)}.')
    return str(value)


def check_expiry_days(value: Any) -> int:
    """
    Check after how many days a segment is archived.

    :param value: what the caller gave: a whole number, or its text, as a template renders to it.
    :return: the number.
    :raises InvalidInputError: when it is no whole positive number.
    """
    is_text = isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value.strip())
    days = int(value) if is_text else value
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _LONGEST_EXPIRY:
        raise InvalidInputError(f"expiry_days must be a whole number of days, 1 or more, not {kind_of(value)}.")
    return days


def check_emails(value: Any) -> list[str]:
    """
    Check whom MoEngage is to write to.

    :param value: what the caller gave; never shown.
    :return: the addresses.
    :raises InvalidInputError: when it is no list of email addresses.
    """
    if not isinstance(value, (list, tuple)):
        raise InvalidInputError(f"emails must be a list of email addresses, not {type_of(value)}.")
    for number, address in enumerate(value, start=1):
        if not isinstance(address, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise InvalidInputError(f"emails must be a list of email addresses: entry {number} is none.")
    return list(value)


def file_body(
    attribute_name: Any, attribute_type: Any, file_url: Any, callback_url: Any = None, emails: Any = None
) -> dict[str, Any]:
    """
    Put together what all calls on file segments send.

    :param attribute_name: the user attribute that the file has values of.
    :param attribute_type: how its values are read.
    :param file_url: where the file is.
    :param callback_url: where MoEngage says how it went; None for nowhere.
    :param emails: whom it writes to; None for nobody.
    :return: the part of the body.
    :raises InvalidInputError: when one of them cannot be used.
    """
    body: dict[str, Any] = {
        "attribute_name": check_text("attribute_name", attribute_name),
        "attribute_type": check_attribute_type(attribute_type),
        "file_url": check_url("file_url", file_url),
    }
    if callback_url is not None:
        body["callback_url"] = check_url("callback_url", callback_url)
    if emails is not None:
        body["emails"] = check_emails(emails)
    return body


def is_signed(url: str) -> bool:
    """
    Tell whether an address has what must not be shown.

    :param url: an address, or any other text.
    :return: True for one with a query, or with credentials.
    """
    return "?" in url or "@" in url


def masked_url(url: str) -> str:
    """
    Write an address so that it can be shown.

    :param url: an address, or any other text.
    :return: the same, with ``***`` in place of its query and its credentials.
    """
    before, mark, _ = url.partition("?")
    before = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:)?(//)?[^/]*@", rf"\1\2{_MASK}@", before)
    return before + (f"?{_MASK}" if mark else "")


def secrets_in(urls: Sequence[str | None]) -> list[str]:
    """
    Find what must not be shown of addresses.

    :param urls: the addresses; None for one that is not given.
    :return: each whole query, the values in it that sign the address, and credentials.
    """
    found: list[str] = []
    for url in urls:
        if url is None:
            continue
        before, _, query = url.partition("?")
        query = query.partition("#")[0]
        if query:
            found.append(query)
        for name, value in parse_qsl(query):
            if re.search(_SIGNING_PARAMETER, name) or len(value) >= _SHORTEST_UNNAMED:
                found.append(value)
        credentials = re.match(r"^[^/]*//([^/]*)@", before)
        if credentials:
            found += [credentials[1], unquote(credentials[1].partition(":")[2])]
    return [secret for secret in dict.fromkeys(found) if secret]
