"""A file of an audience, as MoEngage reads it: one column, a value a line, UTF-8. Pure."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

ATTRIBUTE_TYPES = ("string", "double")

# In the order in which they are looked for; each is what the published requirements warn of.
BLANKS, QUOTES, COMMA, HEADER = (
    "blanks around the value",
    "quotes around the value",
    "a comma: the file must have one column",
    "a header",
)
EMPTY, NOT_UTF8, NO_NUMBER, TWICE = "empty", "not UTF-8", "no number", "twice"


@dataclass
class AudienceFile:
    """
    What a file holds.

    :param found: how many rows it has.
    :param processed: how many of them can be read; empty and corrupted ones are left out.
    :param values: the values that may match a user, each once, as numbers that stand for them.
    :param problems: how many rows have which problem, in words; no value is in it.
    """

    found: int = 0
    processed: int = 0
    values: set[int] = field(default_factory=set)
    problems: Counter[str] = field(default_factory=Counter)

    def matching(self, share: float) -> set[int]:
        """
        Take a share of the values: those that belong to a user whom MoEngage knows.

        The same values are taken each time, whatever else a file holds of the same number of them.

        :param share: from 0 to 1.
        """
        if share >= 1:
            return set(self.values)
        return set(sorted(self.values)[: round(len(self.values) * share)])


def read_audience(content: bytes, attribute_name: str, attribute_type: str) -> AudienceFile:
    """
    Read a file by the published rules.

    :param content: the file.
    :param attribute_name: what it has values of: a first row that says so is a header.
    :param attribute_type: ``string`` or ``double``.
    """
    read = AudienceFile()
    for row in _rows(content):
        read.found += 1
        value = _text_of(row)
        problem = _corruption_of(value, attribute_type)
        if problem is not None or value is None:
            read.problems[problem or NOT_UTF8] += 1
            continue
        read.processed += 1
        mismatch = HEADER if read.found == 1 and value == attribute_name else _mismatch_of(value)
        if mismatch is not None:
            read.problems[mismatch] += 1
            continue
        key = _key_of(value)
        if key in read.values:
            read.problems[TWICE] += 1
        read.values.add(key)
    return read


def _rows(content: bytes) -> Iterable[bytes]:
    rows = content.split(b"\n")
    # A line break ends a row: after the last one there is no further row.
    return rows[:-1] if rows[-1] == b"" else rows


def _text_of(row: bytes) -> str | None:
    try:
        return row.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _corruption_of(value: str | None, attribute_type: str) -> str | None:
    if value is None:
        return NOT_UTF8
    if not value.strip():
        return EMPTY
    if attribute_type == "double" and not _is_number(value):
        return NO_NUMBER
    return None


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _mismatch_of(value: str) -> str | None:
    """Say why a value matches no user, though it can be read. A carriage return at its end is a blank."""
    if value != value.strip() or value.startswith("\ufeff"):
        return BLANKS
    if value[0] == value[-1] == '"':
        return QUOTES
    return COMMA if "," in value else None


def _key_of(value: str) -> int:
    # Not hash(), which differs from process to process.
    data = value.encode()
    return zlib.crc32(data) << 32 | zlib.adler32(data)
