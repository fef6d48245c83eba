"""
Reading what a server has sent.

An answer travels on: through XCom, a trigger's event and a database, which take less than JSON allows. One lone
surrogate in a segment's name would otherwise stop a whole triggerer.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_LARGEST_INTEGER = 2**63 - 1
_MOST_DIGITS = len(str(-_LARGEST_INTEGER))

# Airflow's own serializer gives up at some 500.
_MOST_LEVELS = 100


def parse(text: str) -> Any:
    """
    Parse JSON into values that every store takes.

    :param text: the body of an answer.
    :return: the value. Numbers beyond 64 bits stay text, NaN and Infinity become None, a lone surrogate and the
        character NUL become ``?``.
    :raises ValueError: when it is no JSON, or nested too deeply.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_levels(value)
    # In the text it is found at once; in the values of a whole workspace it takes longer than to parse them.
    return value if _is_storable(text) else _storable(value)


def without_values(text: str) -> str:
    """
    Take the values out of JSON, whole or broken off: those of a definition are an audience's addresses and ids.

    :param text: the body of an answer.
    :return: the text with ``...`` in place of each value, its keys and structure as they were; text that is no JSON,
        such as the page of a proxy, as it is.
    """
    if not text.lstrip().startswith(("{", "[", '"')):
        return text
    return re.sub(_KEY_OR_VALUE, lambda found: found[0] if found["is_key"] else "...", text)


_KEY_OR_VALUE = r'(?s)"(?:[^"\\]|\\.)*(?:"(?P<is_key>\s*:)?|\\?$)|-?\d[\d.eE+-]*|true|false'


def _integer(digits: str) -> int | str:
    # Python refuses to read more than 4,300.
    if len(digits) > _MOST_DIGITS:
        return digits
    number = int(digits)
    return number if abs(number) <= _LARGEST_INTEGER else digits


def _real(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_real, parse_constant=lambda _: None)


_TOO_DEEP = "the JSON is nested too deeply"


def _check_levels(value: Any) -> None:
    containers: list[Any] = [[value]]
    for _ in range(_MOST_LEVELS + 1):
        containers = [
            entry
            for container in containers
            for entry in (container.values() if isinstance(container, dict) else container)
            if isinstance(entry, (list, dict))
        ]
    if containers:
        raise ValueError(_TOO_DEEP)


# MessagePack takes no surrogates, PostgreSQL no NUL. A pair of them is one character, which is found here, too.
_MAY_BE_NO_CHARACTER = r"\\u(?:[dD][89a-fA-F]|0000)|[\ud800-\udfff]"


def _is_storable(text: str) -> bool:
    # What is ASCII throughout, and has no escapes, needs no search.
    return (text.isascii() and "\\u" not in text) or not re.search(_MAY_BE_NO_CHARACTER, text)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "?")
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(entry) for key, entry in value.items()}
    return value
