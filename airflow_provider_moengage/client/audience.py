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

# An error keeps 10,000.
_LOOKED_AT = 20_000

_PLAIN = "[0-9a-z]+"


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
        :return: the text without values of three characters or more, at most its first 20,000 characters.
        """
        looked_at = text[:_LOOKED_AT]
        in_text = _folded(looked_at)
        values = {spelling for value in _values_of_request(self._body) for spelling in _spellings_in(in_text, value)}
        shown = {_folded(name) for name in [*names, *_names_of(self._body)] if isinstance(name, str) and name}
        # The first one counts, and of those the longest: a name that contains a value, or a value that contains a name.
        places = sorted(
            (place, -len(word), word in shown) for word in values | shown for place in _places_of(word, in_text)
        )
        parts, end = [], 0
        for place, length, is_name in places:
            if place >= end:
                stop = place - length
                parts += [looked_at[end:place], looked_at[place:stop] if is_name else "***"]
                end = stop
        parts.append(looked_at[end:])
        hidden = "".join(parts)
        # What is left of a value at the cut.
        return hidden if looked_at == text else hidden[: -max(map(len, values), default=1)]


def _folded(text: str) -> str:
    """Make small letters, each in its place: a few capitals would become two."""
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def _spellings_in(in_text: str, value: Any) -> Iterator[str]:
    for word in _words(value):
        # Of a hundred thousand ids hardly one is in a sentence: each spelling has the plain letters of the word.
        if len(word) >= _FEWEST_CHARACTERS and all(plain in in_text for plain in re.findall(_PLAIN, _folded(word))):
            yield from (spelling for each in spellings_of(word) if (spelling := _folded(each)) in in_text)


def _places_of(word: str, in_text: str) -> Iterator[int]:
    """Find a word, but not in the middle of a longer one: a sentence has to stay readable."""
    begins_plain, ends_plain = re.match(_PLAIN, word[0]), re.match(_PLAIN, word[-1])
    place = in_text.find(word)
    while place >= 0:
        stop = place + len(word)
        is_in_a_word = (begins_plain and place and re.match(_PLAIN, in_text[place - 1])) or (
            ends_plain and re.match(_PLAIN, in_text[stop : stop + 1])
        )
        if not is_in_a_word:
            yield place
        place = in_text.find(word, place + 1)


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
