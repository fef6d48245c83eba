"""What the checks of filters find, and how they say it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from airflow_provider_moengage.segments.filter_values import LISTS, comes_later, kind_of

ON_BECAME_TRUE = "MoEngage's word on became true: YAML 1.1 reads it so, and needs quotes around it."


class Findings:
    """
    Mistakes, with their places.

    :param allow_empty_values: whether a list of values may be empty.
    """

    def __init__(self, *, allow_empty_values: bool) -> None:
        self.found: list[tuple[str, str]] = []
        self._allow_empty = allow_empty_values

    def say(self, place: str, sentence: str) -> None:
        """
        Keep a mistake.

        :param place: where it is.
        :param sentence: what it is, and the way out.
        """
        self.found.append((place, sentence))

    def is_word(self, place: str, key: str, value: Any, known: Collection[str], *, needed: bool = True) -> bool:
        """
        Check a word of the language.

        :param place: the filter, or what is in it.
        :param key: under which key it stands there.
        :param value: what stands there.
        :param known: the words that there are.
        :param needed: whether it is wrong when nothing stands there.
        :return: whether it is there, and known.
        """
        if value is None:
            if needed:
                self.say(f"{place}.{key}", f"It is missing: {listed(known)}.")
            return False
        if isinstance(value, str) and value in known:
            return True
        if not comes_later(value):
            self.say(f"{place}.{key}", f"{shown(value)} is not a word of MoEngage's here: {listed(known)}.")
        return False

    def check_name(self, place: str, key: str, value: Any) -> None:
        """
        Check the name of an attribute or an event.

        :param place: the filter, or what is in it.
        :param key: under which key it stands there.
        :param value: what stands there.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            way_out = "give the internal name, not the one that the dashboard displays"
            self.say(f"{place}.{key}", f"It is missing, or blank: {way_out}.")
        elif not (isinstance(value, str) or comes_later(value)):
            self.say(f"{place}.{key}", f"It is text, not {kind_of(value)}.")

    def check_not_empty(self, place: str, key: str, values: Any) -> None:
        """
        Check that a list has something in it.

        :param place: the filter, or what is in it.
        :param key: under which key it stands there.
        :param values: what stands there.
        """
        if not values and isinstance(values, LISTS) and not self._allow_empty:
            way_out = "allow_empty_values=True lets it be"
            self.say(f"{place}.{key}", f"The list is empty: MoEngage may select nobody, or everybody. {way_out}.")


def whole_number(value: Any) -> int | None:
    """
    Read a whole number, or its text: what a template renders to.

    :param value: anything.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, float) and value.is_integer():  # JSON has one kind of number
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def shown(word: Any) -> str:
    """
    Show a wrong word of the language, as long as it looks like one.

    :param word: anything.
    """
    is_word = isinstance(word, str) and re.fullmatch("[A-Za-z_]{1,40}", word)
    return f'"{word}"' if is_word else f"A {type(word).__name__}"


def listed(words: Collection[str]) -> str:
    """
    Write words one after the other.

    :param words: at least one.
    """
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
