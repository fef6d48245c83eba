"""Checks of what a caller gives, before anything is sent. Each error names the parameter and the way out."""

from __future__ import annotations

import json
import math
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError

_LONGEST_TIMEOUT = 3_600.0

# Servers take headers of some 8,000 characters, and MoEngage's credentials have some 30.
_LONGEST_CREDENTIAL = 2_000


def check_text(parameter: str, value: Any) -> str:
    """
    Check a name, an id or an address.

    :param parameter: how the caller named it.
    :param value: what the caller gave.
    :return: the value, unchanged.
    :raises InvalidInputError: when it is no string, blank, or cannot be sent as UTF-8.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{parameter} must be a string, not {type_of(value)}.")
    if not value.strip():
        raise InvalidInputError(
            f"{parameter} is blank: give a value, or leave the parameter out where it is optional. "
            "If it comes from a template, look at what the template renders to."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        position = error.start + 1
        raise InvalidInputError(
            f"{parameter} has a character that UTF-8 cannot carry, at position {position}."
        ) from None
    return value


def check_one_of(**parameters: Any) -> None:
    """
    Check that exactly one of some parameters is given.

    :param parameters: their names and values; None means not given.
    :raises InvalidInputError: when none or several are.
    """
    given = [name for name, value in parameters.items() if value is not None]
    if len(given) != 1:
        raise InvalidInputError(
            f"Give exactly one of {' and '.join(parameters)}: {' and '.join(given) if given else 'none of them'} "
            f"{'are' if len(given) > 1 else 'is'} given."
        )


def check_workspace_id(parameter: str, value: Any) -> None:
    """
    Check the Basic user name, which is also the header MOE-APPKEY by default.

    :param parameter: how the caller named it.
    :param value: what the caller gave; never shown, since people swap it with the key.
    :raises InvalidInputError: when it is missing, or has anything but printable ASCII without blanks and colons.
    """
    _check_given(parameter, value)
    check_header_value(parameter, value)
    if " " in value or ":" in value:
        raise InvalidInputError(f"{parameter} has a blank or a colon inside, which no Workspace ID has.")


def check_api_key(parameter: str, value: Any) -> None:
    """
    Check the Basic password.

    :param parameter: how the caller named it.
    :param value: what the caller gave; never shown.
    :raises InvalidInputError: when it is missing, too long, has blanks at its ends, or characters that cannot be sent.
    """
    _check_given(parameter, value)
    _check_length(parameter, value)
    if value != value.strip():
        raise InvalidInputError(f"{parameter} has blanks at its ends: copy it again from the MoEngage dashboard.")
    if any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(f"{parameter} has control characters: copy it again from the MoEngage dashboard.")


def check_header_value(parameter: str, value: Any) -> None:
    """
    Check what is sent as an HTTP header.

    :param parameter: how the caller named it.
    :param value: what the caller gave; never shown.
    :raises InvalidInputError: when it is no string of printable ASCII, too long, or has blanks at its ends.
    """
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidInputError(f"{parameter} must be text in printable ASCII, without blanks at its ends.")
    _check_length(parameter, value)


def check_seconds(parameter: str, value: Any) -> float:
    """
    Check a timeout.

    :param parameter: how the caller named it.
    :param value: what the caller gave, a number or its text; not shown.
    :return: the number.
    :raises InvalidInputError: when it is no positive number, or more than an hour.
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        raise InvalidInputError(f"{parameter} must be a positive number of seconds, an hour at most.")
    return seconds


def _check_given(parameter: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(
            f"{parameter} is missing: the MoEngage dashboard shows what belongs there under Settings > Account > APIs."
        )


def _check_length(parameter: str, value: str) -> None:
    if len(value) > _LONGEST_CREDENTIAL:
        raise InvalidInputError(
            f"{parameter} has {len(value):,} characters, which no credential of MoEngage has: it may be a whole file. "
            "Copy it again from the MoEngage dashboard."
        )


def json_bytes(value: Any) -> bytes:
    """
    Encode the body of a request, its keys and order as given.

    :param value: what the caller gave.
    :return: JSON in ASCII.
    :raises InvalidInputError: when it has what JSON does not: NaN, a date, a set, a circle, a key that is no text. The
        message says where, and of which type it is; the value may be one of an audience, and is not shown.
    """
    try:
        _check_json(value, "")
        return json.dumps(value, allow_nan=False).encode("ascii")
    except RecursionError:
        reason = "it is nested too deeply, or contains itself"
    except (TypeError, ValueError):
        reason = "it has what JSON does not"
    except _NoJsonError as error:
        reason = str(error)
    raise InvalidInputError(
        f"The request cannot be sent as JSON: {reason}. Use strings, numbers, booleans, lists and objects only."
    )


class _NoJsonError(Exception):
    """A value that JSON does not have, and its place."""


def _check_json(value: Any, place: str) -> None:
    """Find what json.dumps refuses, and what it would change: a key that is no text may then meet one that is."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise _NoJsonError(f"a key of {place or 'the body'} is {type_of(key)}, and must be text")
            _check_json(entry, f"{place}.{key}" if place else key)
    elif isinstance(value, (list, tuple)):
        for position, entry in enumerate(value):
            _check_json(entry, f"{place}[{position}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _NoJsonError(f"{place or 'the body'} is NaN or infinite")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise _NoJsonError(f"{place or 'the body'} is {type_of(value)}")


def type_of(value: Any) -> str:
    """
    Say what a wrong value is, without the value: it may be one of an audience, an address say.

    :param value: anything.
    :return: its type in words; how long it is where that tells more.
    """
    if value is None:
        return "nothing"
    if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
        return f"{type(value).__name__} of length {len(value)}" if value else f"an empty {type(value).__name__}"
    return type(value).__name__


def kind_of(value: Any) -> str:
    """
    Describe a wrong value in an error message, and show it: for what a job is told, such as a number of days.

    What may hold a value of an audience is for :func:`type_of`.

    :param value: anything but a filter, a part of one, or an address.
    :return: its type and the beginning of what it looks like.
    """
    if value is None:
        return "nothing"
    try:
        return f"{type(value).__name__} ({value!r:.60})"
    except (ValueError, RecursionError):  # more digits, or more levels, than Python writes
        return type(value).__name__
