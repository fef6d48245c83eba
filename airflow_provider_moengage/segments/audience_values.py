"""What of a column is written into the file of an audience: a text for each value, or a refusal. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from airflow_provider_moengage.client.errors import InvalidInputError

# What needs no second look, as long as it is all that a value has: ASCII that is printed, but no blank, comma or quote.
_PLAIN = bytes(code for code in range(ord("!"), ord("~") + 1) if chr(code) not in {'"', ","})

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

# No id has more, and 1E+1000000 is a number of a million digits.
_MOST_DIGITS = 100
_TOO_LARGE = 10**_MOST_DIGITS

# Whose text is what somebody means by it, and has nothing that a file could not hold.
_EXACT = (int, UUID)


class ValueChecks:
    """
    Turns what a database or a file gives into the lines of an audience's file, and counts what it leaves out.

    A value that cannot be written by MoEngage's rules is refused with the number of its row, and never shown.

    :param attribute_type: ``string``, or ``double``, for which each value has to be a number.
    """

    def __init__(self, attribute_type: str) -> None:
        self._is_double = attribute_type == "double"
        self.rows = 0
        """How many rows were read."""
        self.nulls = 0
        """How many of them are NULL, and left out."""
        self.blanks = 0
        """How many of them are empty or blank, and left out."""
        self.stripped = 0
        """From how many of them blanks were taken off."""

    def texts_of(self, values: Sequence[Any]) -> list[str]:
        """
        Check the next rows.

        :param values: the value of each.
        :return: what is to be written of them, in their order.
        :raises InvalidInputError: when one of them cannot be written; the message has the number of its row.
        """
        kinds = set(map(type, values))
        if len(kinds) == 1 and not self._is_double:
            (kind,) = kinds
            if kind is str and _is_plain(values):
                self.rows += len(values)
                return list(values)
            if kind is UUID or (kind is int and min(values) > -_TOO_LARGE and max(values) < _TOO_LARGE):
                self.rows += len(values)
                return list(map(str, values))
        texts = (self._text_of(value) for value in values)
        return [text for text in texts if text]

    def _text_of(self, value: Any) -> str:
        self.rows += 1
        if value is None:
            self.nulls += 1
            return ""
        text = value if isinstance(value, str) else self._exact_text_of(value)
        stripped = text.strip()
        if not stripped:
            self.blanks += 1
            return ""
        self._check(stripped)
        self.stripped += stripped != text
        return stripped

    def _exact_text_of(self, value: Any) -> str:
        """Write what is no text, where that can be done in one way only."""
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            # Python itself writes none of more than 4,300 digits.
            raise self._refusal(f"has more than {_MOST_DIGITS} digits")
        if isinstance(value, _EXACT) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, Decimal):
            raise self._refusal(
                f"is of type {type(value).__name__}, which can be written in more than one way, or in none. Texts, "
                "whole numbers and UUIDs are taken: let the query cast it to text"
            )
        if not value.is_finite():
            raise self._refusal("is no number")
        if value and value.adjusted() >= _MOST_DIGITS:
            raise self._refusal(f"has more than {_MOST_DIGITS} digits")
        if not value or value == value.to_integral_value():
            return str(int(value))
        if self._is_double and value.adjusted() < -_MOST_DIGITS:
            raise self._refusal(f"has more than {_MOST_DIGITS} digits after the point")
        if self._is_double:
            return f"{value:f}".rstrip("0")
        raise self._refusal("is a Decimal that is not whole: let the query cast it to text, or to a whole number")

    def _check(self, text: str) -> None:
        if self._is_double and not _NUMBER.fullmatch(text):
            raise self._refusal('is no number, and attribute_type is "double"')
        if text.isascii() and text.isalnum():
            return
        if '"' in text:
            raise self._refusal("has a double quote: the file has no quotes")
        if "," in text:
            raise self._refusal("has a comma: the file has one column")
        if len(text.splitlines()) > 1:
            raise self._refusal("has a line break: the file has a value a line")
        for character in text:
            category = unicodedata.category(character)
            if category == "Cs":
                raise self._refusal("cannot be written in UTF-8")
            # Cf, too: what nobody sees, such as a byte order mark, is not in the profile that it should match.
            if category in {"Cc", "Cf"}:
                raise self._refusal(f"has an invisible character (U+{ord(character):04X})")

    def _refusal(self, what: str) -> InvalidInputError:
        return InvalidInputError(f"The value in row {self.rows:,} {what}. Nothing was uploaded or sent.")


def _is_plain(values: Sequence[str]) -> bool:
    """Tell, in one look at all of them, whether no text has anything that has to be decided."""
    try:
        data = "\n".join(values).encode()
    except UnicodeEncodeError:
        return False
    # Whatever is not plain is left: nothing but the line breaks that have just been put between them.
    has_only_its_breaks = data.translate(None, _PLAIN) == b"\n" * (len(values) - 1)
    return has_only_its_breaks and all(values)
