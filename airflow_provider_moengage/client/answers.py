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
        raise ValueError("the JSON is nested too deeply") from None
    return _storable(value, _MOST_LEVELS)


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


def _storable(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return _storable_text(value)
    if not isinstance(value, (list, dict)):
        return value
    if not levels:
        raise ValueError("the JSON is nested too deeply")
    if isinstance(value, list):
        return [_storable(entry, levels - 1) for entry in value]
    return {_storable_text(key): _storable(entry, levels - 1) for key, entry in value.items()}


def _storable_text(text: str) -> str:
    # MessagePack takes no surrogates, PostgreSQL no NUL.
    return text.encode(errors="replace").decode().replace("\0", "?")
