"""
What a segment may be called, and what its id looks like: pure.

MoEngage can drop a segment of an invalid name without an error, so that nothing is sent under one. What bears such a
name already can still be archived and unarchived.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError, shown
from airflow_provider_moengage.client.inputs import check_text

_FORBIDDEN = r':|*?\<>=$"'
_LONGEST = 200
_TAKEN = "all users"

_AS_IT_IS = "A segment that has such a name already can still be archived, and an update without a name keeps it."


def check_segment_name(parameter: str, value: Any) -> str:
    """
    Check the name that a segment is to have from now on.

    :param parameter: how the caller named it.
    :param value: what the caller gave.
    :return: the value, unchanged.
    :raises InvalidInputError: when MoEngage would not take it, or drop it; the message says what stands where.
    """
    name = check_text(parameter, value)
    found = next((position for position, character in enumerate(name) if character in _FORBIDDEN), None)
    if found is not None:
        raise InvalidInputError(
            f"{parameter} has the character {name[found]} at position {found + 1}: MoEngage allows none of "
            f"{' '.join(_FORBIDDEN)} in a name. {_AS_IT_IS}"
        )
    if name.lstrip().startswith("."):
        position = name.index(".") + 1
        raise InvalidInputError(
            f"{parameter} begins with a period at position {position}: MoEngage takes no such name. {_AS_IT_IS}"
        )
    if len(name) > _LONGEST:
        raise InvalidInputError(
            f"{parameter} has {len(name)} characters: MoEngage takes {_LONGEST} at most, so that the one at position "
            f"{_LONGEST + 1} is too many. {_AS_IT_IS}"
        )
    if " ".join(name.casefold().split()) == _TAKEN:
        raise InvalidInputError(f"{parameter} is {name!r}, which MoEngage keeps for itself. Choose another.")
    return name


def is_like_an_id(value: str) -> bool:
    """
    Tell whether a text looks like the id of a segment.

    :param value: any text.
    :return: True for 24 hexadecimal characters, and for 23, which the documents' own samples have.
    """
    return re.fullmatch("[0-9A-Fa-f]{23,24}", value) is not None


def asked_for(name: str | None, segment_id: str | None) -> str:
    """
    Say which segment was asked for, so that a blank too many is seen, and a name in the place of an id.

    :param name: the name that was sent.
    :param segment_id: the id that was sent.
    :return: one to three sentences.
    """
    given = [f"{what} {shown(value)}" for what, value in (("name", name), ("id", segment_id)) if value is not None]
    said = [f"Asked for was the {' and the '.join(given)}."]
    if name is not None and name != name.strip():
        said.append("The name has a blank at its beginning or end.")
    if segment_id is not None and not is_like_an_id(segment_id):
        said.append("An id has 24 hexadecimal characters: what stands here may be the segment's name.")
    return " ".join(said)
