"""
What MoEngage's callback is about, and what it may say: the request that asked for it, its body, and the asset event.

Its address has a token, by which the receiver knows who asked: see ``callback_token.py``.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError, shown
from airflow_provider_moengage.client.inputs import type_of

PATH = "/moengage/callback"
"""Where the receiver is, below the public address of the API server or of a relay."""

_MOST_CHARACTERS = 500
_MOST_USERS = 2**53
_NONCE = re.compile("[0-9a-f]{32}")
_COUNTS = ("values_found", "values_processed", "user_count")
_PLACE = r"(\d{1,6}) of (\d{1,6})"

# What begins the keys of two XComs of a task instance: that it expects a callback, and what has come.
EXPECTED, _CAME = "moengage_request_", "moengage_callback_"


class RefusedCallbackError(ValueError):
    """A token or a body that no callback of MoEngage has. The message shows nothing of it."""


@dataclass(frozen=True)
class FileRequest:
    """
    One accepted call on a file segment: the task instance that made it, and which of its calls it was.

    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: which of the mapped tasks, -1 for one that is not mapped.
    :param nonce: what no other call has: a task that is cleared takes no callback of before.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    nonce: str

    @classmethod
    def new(cls, dag_id: str, run_id: str, task_id: str, map_index: int) -> FileRequest:
        """
        Make the request of a call that is about to be made.

        :param dag_id: id of the DAG.
        :param run_id: id of the DAG run.
        :param task_id: id of the task.
        :param map_index: which of the mapped tasks.
        :return: the request, with a nonce of its own.
        """
        return cls(dag_id, run_id, task_id, map_index, secrets.token_hex(16))

    @classmethod
    def from_text(cls, text: Any) -> FileRequest:
        """
        Read what :meth:`as_text` has written.

        :param text: the text; where templates are rendered as native objects, the object that it is in JSON.
        :return: the request.
        :raises InvalidInputError: when it is none.
        """
        try:
            fields = json.loads(text) if isinstance(text, str) else text
            request = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            raise _no_request(text) from None
        if not request.is_plausible():
            raise _no_request(text)
        return request

    def is_plausible(self) -> bool:
        """
        Tell whether its fields are what they should be.

        :return: whether they are.
        """
        texts = (self.dag_id, self.run_id, self.task_id, self.nonce)
        return (
            all(isinstance(text, str) and text for text in texts)
            and type(self.map_index) is int
            and _NONCE.fullmatch(self.nonce) is not None
        )

    def as_text(self) -> str:
        """
        Write it for an XCom.

        :return: JSON: a template in text renders it as it is.
        """
        return json.dumps(asdict(self))

    @property
    def expected_key(self) -> str:
        """The XCom by which its task instance says, before the call, that it expects a callback."""
        return f"{EXPECTED}{self.nonce}"

    @property
    def outcome_key(self) -> str:
        """The XCom of its task instance that the callback becomes."""
        return f"{_CAME}{self.nonce}"


def _no_request(text: Any) -> InvalidInputError:
    return InvalidInputError(
        "request must be what an operator for file segments gives as its XCom request, such as "
        f'fill.output["request"], not {type_of(text)}. An operator gives it when its callback_url is "airflow".'
    )


@dataclass(frozen=True)
class Outcome:
    """
    What a callback says of a request.

    :param status: 201 when the segment is filled, otherwise an error of MoEngage's.
    :param request_id: what MoEngage calls the request.
    :param segment_name: name of the segment.
    :param values_found: how many values the file has; None when it has failed.
    :param values_processed: how many of them could be read; likewise.
    :param user_count: how many users they belong to; likewise.
    :param error_message: why it has failed, in MoEngage's words; None when it is filled.
    """

    status: int
    request_id: str
    segment_name: str
    values_found: int | None = None
    values_processed: int | None = None
    user_count: int | None = None
    error_message: str | None = None

    @property
    def is_filled(self) -> bool:
        """Whether the segment is filled."""
        return 200 <= self.status < 300

    @property
    def failure(self) -> str:
        """Why the segment is not filled, and what to do, in sentences."""
        return (
            f"MoEngage has accepted the request {self.request_id} and then failed to carry it out for the segment "
            f"{shown(self.segment_name)}: {self.error_message} (status {self.status}). A retry would not help: look at "
            "the file first. MoEngage must reach its address until it has fetched it, and takes 150 MB a file and 2 "
            "million users a day; a created segment stays, without users."
        )

    def as_json(self) -> dict[str, Any]:
        """
        Write it for an XCom, and for the event of an asset.

        :return: its fields that are known.
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


def read_body(body: bytes) -> Outcome:
    """
    Read the body of a callback.

    :param body: what came.
    :return: what it says; of fields that are not published nothing is kept, nor of ``db_name``.
    :raises RefusedCallbackError: when no callback is like this; the message names the field.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedCallbackError("The body is no JSON.") from None
    return read_fields(fields)


def read_xcom(value: Any) -> Outcome:
    """
    Read the XCom that a callback has become.

    :param value: its fields, or their JSON: as the REST API of Airflow 3.0 and 3.1 stores what it is given.
    :return: what it says.
    :raises RefusedCallbackError: as :func:`read_body`.
    """
    return read_body(value.encode(errors="replace")) if isinstance(value, str) else read_fields(value)


def read_fields(fields: Any) -> Outcome:
    """
    Read the fields of a callback.

    :param fields: its body.
    :return: what it says.
    :raises RefusedCallbackError: when no callback is like this; the message names the field.
    """
    if not isinstance(fields, dict):
        raise RefusedCallbackError("The body is no JSON object.")
    status = fields.get("status")
    if type(status) is not int or not 200 <= status < 600:
        raise RefusedCallbackError("status is no HTTP status.")
    about = (_text(fields, "request_id"), _text(fields, "segment_name"))
    if 200 <= status < 300:
        found, processed, users = (_count(fields, name) for name in _COUNTS)
        return Outcome(status, *about, found, processed, users)
    return Outcome(status, *about, error_message=_text(fields, "error_message"))


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise RefusedCallbackError(f"{name} is no text.")
    # Nobody is to write lines of their own, or escape sequences, into a log.
    cleaned = "".join(character if character.isprintable() else " " for character in value)
    return cleaned[:_MOST_CHARACTERS]


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= _MOST_USERS:
        raise RefusedCallbackError(f"{name} is no number of users.")
    return value


def event_of(outcome: Outcome, segment_id: str | None) -> dict[str, Any]:
    """
    Say in an event of the segment's asset what has become of it, as the events of the operators do.

    :param outcome: what the callback says.
    :param segment_id: id of the segment, None when the token does not say it.
    :return: the event's ``extra``: its ``action`` is ``ready`` or ``failed``.
    """
    said = outcome.as_json()
    about = {"segment_id": segment_id, "name": said.pop("segment_name")}
    return {"action": "ready" if outcome.is_filled else "failed", **about, **said}


def expectation(number: int, count: int) -> str:
    """
    Say what a task instance expects, for the XCom ``expected_key``.

    :param number: which of the calls for one audience, counted from 1.
    :param count: how many calls there are.
    :return: a text.
    """
    return f"expected: {number} of {count}" if count > 1 else "expected"


def event_of_all(request: FileRequest, xcoms: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    Say in one event what has become of an audience of several files, once the last callback has come.

    :param request: what the callback that has just come is about.
    :param xcoms: those of its task instance by their keys: what it expects, and all that has come.
    :param extra: what :func:`event_of` says of that callback: all there is to say of one file.
    :return: the event's ``extra``; None while others are to come, or where another has come for the same file.
    """
    number, count = _place_of(xcoms.get(request.expected_key))
    if count == 1:
        return dict(extra)
    came: dict[int, Outcome] = {}
    for key, expected in xcoms.items():
        if key == request.expected_key or not key.startswith(EXPECTED):
            continue
        # A file has several where a call was made again, since its answer was lost: the first one counts.
        place, value = _place_of(expected), xcoms.get(_CAME + key.removeprefix(EXPECTED))
        if place[1] == count and value is not None:
            with suppress(RefusedCallbackError):
                came[place[0]] = read_xcom(value)
    if number in came:
        return None
    came[number] = read_xcom(xcoms[request.outcome_key])
    if len(came) < count:
        return None
    outcomes = [came[each] for each in sorted(came)]
    failed = [outcome for outcome in outcomes if not outcome.is_filled]
    about = {"segment_id": extra["segment_id"], "files": count, "failed_files": len(failed)}
    if failed:
        return {**event_of(failed[0], None), **about}
    return {**event_of(outcomes[-1], None), **about, **counts_of(outcomes)}


def counts_of(outcomes: Sequence[Outcome]) -> dict[str, int | None]:
    """
    Count what callbacks about the files of one audience say together.

    :param outcomes: what they say, in the order of the calls; all of them are filled.
    :return: the values of all, and the users that the last one counts.
    """
    return {
        "values_found": sum(outcome.values_found or 0 for outcome in outcomes),
        "values_processed": sum(outcome.values_processed or 0 for outcome in outcomes),
        "user_count": outcomes[-1].user_count,
    }


def _place_of(expected: Any) -> tuple[int, int]:
    place = re.search(_PLACE, expected) if isinstance(expected, str) else None
    return (int(place[1]), int(place[2])) if place else (1, 1)


def never_called_back(segment_name: str | None, seconds: float) -> str:
    """
    Say what to look at when no callback came.

    :param segment_name: name of the segment, None when it is not known.
    :param seconds: how long was waited.
    :return: sentences.
    """
    which = f"the segment {shown(segment_name)}" if segment_name else "the request"
    return (
        f"MoEngage has not called back within {seconds:g} s about {which}. It may be filled all the same: the "
        "dashboard shows its users. Whether a callback was refused stands in the API server's log, in lines with "
        '"MoEngage callback". If there is none, MoEngage does not reach the receiver: look at the firewall, at [api] '
        "base_url or [moengage] callback_base_url, and whether [moengage] receive_callbacks is True where the API "
        "server runs."
    )
