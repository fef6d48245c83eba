"""Keeping the values of an audience out of what a server says: its sentence may quote the filter that it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from airflow_provider_moengage.client.redaction import spellings_of

_GROUPS = frozenset({"included_filters", "excluded_filters"})
_ADDRESSES = frozenset({"emails", "updated_by"})

# What people need to find the filter. Any other key may hold a value: the dashboard writes some that no document lists.
_READABLE = frozenset(
    {
        "action_name",
        "array_filter_type",
        "attribute_name",
        "category",
        "comparator",
        "data_type",
        "dynamic_attribute_type",
        "extract_type",
        "filter_operator",
        "filter_type",
        "id",
        "name",
        "operator",
        "operator_type",
        "period_unit",
        "project_name",
        "type",
        "value_type",
    }
)
_VALUES = frozenset({"value", "value1"})

# Shorter ones, such as an age, are parts of too many words and numbers, and tell nothing of anybody.
_FEWEST_CHARACTERS = 3


class SentValues:
    """
    The values in the body of one request: those of filters, and the addresses of people.

    :param body: what was sent, or None.
    """

    def __init__(self, body: Any) -> None:
        self._body = body if isinstance(body, dict) else {}

    def __repr__(self) -> str:
        return "SentValues(***)"

    def hide(self, text: str, *names: object) -> str:
        """
        Put ``***`` in place of each value; the names of attributes, operators and the segment stay.

        :param text: what a server says, not cut yet: of a value that is cut, the rest would stay.
        :param names: other names that stay, though they contain a value.
        :return: the text without values of three characters or more.
        """
        in_text = text.lower()
        hidden = {
            spelling
            for value in _values_of_request(self._body)
            for word in _words(value)
            if len(word) >= _FEWEST_CHARACTERS
            for spelling in spellings_of(word)
            if spelling.lower() in in_text
        }
        if not hidden:
            return text
        shown = {name for name in [*names, *_names_of(self._body)] if isinstance(name, str) and name.lower() in in_text}
        folded = {name.lower() for name in shown}
        # The longest first: a name that contains a value is met before it, and so is a value that contains a name.
        words = sorted({*shown, *hidden}, key=len, reverse=True)
        pattern = re.compile("|".join(map(_whole, words)), flags=re.IGNORECASE)
        return pattern.sub(lambda found: found[0] if found[0].lower() in folded else "***", text)


def _whole(word: str) -> str:
    """Match a word, but not the middle of a longer one: a sentence has to stay readable."""
    before = "(?<![0-9A-Za-z])" if _is_plain(word[:1]) else ""
    after = "(?![0-9A-Za-z])" if _is_plain(word[-1:]) else ""
    return f"{before}{re.escape(word)}{after}"


def _is_plain(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value.strip(),)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ()
    # 10.0 and 1e3 may come back as 10 and 1000.
    whole = (str(int(value)),) if isinstance(value, float) and value.is_integer() else ()
    return (json.dumps(value), *whole)


def _values_of_request(body: dict[str, Any]) -> Iterator[Any]:
    for key, entry in body.items():
        if key in _GROUPS:
            yield from _values_of(entry)
        elif key in _ADDRESSES:
            yield from _leaves(entry)


def _values_of(part: Any) -> Iterator[Any]:
    """Give the values in a group of filters or in a filter, at whatever depth."""
    if isinstance(part, dict):
        for key, entry in part.items():
            if key in _VALUES:
                yield from _leaves(entry)
            elif key not in _READABLE or isinstance(entry, dict | list):
                yield from _values_of(entry)
    elif isinstance(part, list | tuple):
        for entry in part:
            yield from _values_of(entry)
    else:
        yield part


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def _names_of(part: Any) -> Iterator[str]:
    """Give what stays readable: the keys, and what stands at those that hold no value."""
    if isinstance(part, dict):
        for key, entry in part.items():
            yield key
            if key in _READABLE and isinstance(entry, str):
                yield entry
            elif key not in _VALUES:
                yield from _names_of(entry)
    elif isinstance(part, list | tuple):
        for entry in part:
            yield from _names_of(entry)
