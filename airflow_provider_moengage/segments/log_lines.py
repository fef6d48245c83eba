"""What operators and the sensor write into a task's log, in lines that are not longer than a screen is wide."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.client.errors import shown

LINE_CHARACTERS = 120
"""How long a line of a task's log is at most, without what Airflow puts before it."""

_SHORT_CHARACTERS = 60

_END_OF_SENTENCE = r"(?<=[.;]) +"


if TYPE_CHECKING:
    from typing import Protocol

    class _Log(Protocol):
        def log(self, level: int, text: Any, /, *args: Any) -> Any: ...


def short(text: str) -> str:
    """
    Show a name or an id in a message or a table.

    :param text: whatever the user or the server has written.
    :return: at most 60 characters of it on one line.
    """
    return shown(text if len(text) <= _SHORT_CHARACTERS else text[:_SHORT_CHARACTERS] + "...") if text else ""


def count_of(number: int, what: str) -> str:
    """
    Count things in a sentence.

    :param number: how many.
    :param what: what one is called.
    :return: such as ``1 segment`` and ``1,000 segments``.
    """
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def info(log: _Log, text: str) -> None:
    """
    Tell what has happened.

    :param log: a task's log.
    :param text: sentences, however long.
    """
    write(log, logging.INFO, text)


def warn(log: _Log, text: str) -> None:
    """
    Warn of something.

    :param log: a task's log.
    :param text: sentences, however long.
    """
    write(log, logging.WARNING, text)


def write(log: _Log, level: int, text: str) -> None:
    """
    Write sentences of any level.

    :param log: a task's log.
    :param level: one of logging's.
    :param text: sentences, however long.
    """
    # A record a line, so that each has its own beginning.
    for line in _lines_of(text):
        log.log(level, "%s", line)


def _lines_of(text: str) -> list[str]:
    """Put as many sentences into a line as fit, so that whoever looks for one finds it whole."""
    import textwrap

    lines: list[str] = []
    for sentence in re.split(_END_OF_SENTENCE, text.strip()):
        if lines and len(lines[-1]) + 1 + len(sentence) <= LINE_CHARACTERS:
            lines[-1] += f" {sentence}"
        else:
            indent = "  " if lines else ""
            lines += textwrap.wrap(
                sentence, LINE_CHARACTERS, initial_indent=indent, subsequent_indent="  ", break_on_hyphens=False
            )
    return lines
