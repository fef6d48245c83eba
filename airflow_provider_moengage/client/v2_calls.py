"""What the calls of v2 have in common: an answer that says whether it succeeded, and for which segment."""

from __future__ import annotations

import json
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_moengage.client.audience import SentValues
from airflow_provider_moengage.client.errors import (
    BadRequestError,
    MoEngageError,
    OtherSegmentError,
    SegmentNotFoundError,
)
from airflow_provider_moengage.client.names import asked_for, is_like_an_id
from airflow_provider_moengage.client.transport import Transport


class V2Calls(Transport):
    """The calls of v2, which name a segment in their body. A subclass has the calls that look for one."""

    @abstractmethod
    def get_segment(self, segment_id: str) -> dict[str, Any] | None:
        """
        Look a segment up by its id.

        :param segment_id: its id.
        :return: the segment, or None when there is none.
        """

    def _call_v2(
        self, method: str, path: str, body: dict[str, Any], *, verb: str, segment_id: str | None = None
    ) -> dict[str, Any]:
        """Send a request that changes the segment of a name or an id, and see that the answer is about that one."""
        name, call = body["name"], f"{method} {path}"
        with saying_what_was_asked(name=name, segment_id=segment_id):
            answer = self.request(method, path, body=body)
        values = SentValues(body)
        if answer.get("success") is False and isinstance(answer.get("message"), str):
            # No document shows such an answer; it is MoEngage's own all the same, and says why.
            raise MoEngageError(values.hide(self._secrets.hide(answer["message"])), code="success: false", call=call)
        if answer.get("success") is not True:
            said = values.hide(self._secrets.hide(repr(answer.get("message"))))
            raise self._unexpected(f"it does not say success: true, but {said:.200}", json.dumps(answer), call)
        if not self._is_meant(answer, name, segment_id):
            asked = f"named {name!r}" if segment_id is None else f"{segment_id}, named {name!r}"
            whose = f", whose id is {answer['cs_id']}" if answer.get("cs_id") else ""
            said = f"asked to {verb} the segment {asked}, it has answered for {answer.get('cs_name')!r}{whose}"
            raise OtherSegmentError(self._secrets.hide(said), call=call)
        return answer

    def _is_meant(self, answer: dict[str, Any], name: str, segment_id: str | None) -> bool:
        """Tell whether an answer is about the segment that was meant, as far as it says which it is about."""
        answered_id, answered_name = answer.get("cs_id"), answer.get("cs_name")
        if segment_id is not None and answered_id:
            return str(answered_id).casefold() == segment_id.casefold()
        if not isinstance(answered_name, str) or _plain(answered_name) == _plain(name):
            return True
        # The id wins over the name, so that the answer may have the name that belongs to the id.
        return segment_id is not None and is_like_an_id(segment_id) and self._is_named(segment_id, answered_name)

    def _is_named(self, segment_id: str, name: str) -> bool:
        segment = self.get_segment(segment_id)
        return segment is not None and segment.get("name") == name


def _plain(name: str) -> str:
    """Spell a name as a server may: without blanks around it, its accents composed."""
    return unicodedata.normalize("NFC", name.strip())


@contextmanager
def saying_what_was_asked(*, name: str | None = None, segment_id: str | None = None) -> Iterator[None]:
    """
    Add to a refusal which segment was asked for: a blank at the end of a name is seen in quotes alone.

    :param name: the name that is sent.
    :param segment_id: the id that is sent.
    """
    try:
        yield
    except SegmentNotFoundError as error:
        error.way_out = f"{asked_for(name, segment_id)} {error.way_out}"
        raise
    except BadRequestError as error:
        if segment_id is not None and not is_like_an_id(segment_id):
            error.way_out = f"{asked_for(name, segment_id)} {error.way_out}"
        raise
