"""Keeping credentials out of everything that is shown: some proxies echo a request in their error pages."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote

# Four or so for each of the calls that a day allows.
_KEPT = 500


class Secrets:
    """
    The credentials of one workspace, in every spelling in which an answer may show them.

    :param workspace_id: the Basic user name, no secret by itself.
    :param api_key: the Basic password.
    """

    def __init__(self, workspace_id: str, api_key: str) -> None:
        token = base64.b64encode(f"{workspace_id}:{api_key}".encode()).decode()
        self._own = {spelling for secret in (token, api_key) for spelling in spellings_of(secret)}
        # The longest first: a short one may be a part of it.
        self._spellings = sorted(self._own, key=len, reverse=True)
        self._remembered: list[str] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Secrets(***)"

    def remember(self, secrets: Iterable[str]) -> None:
        """
        Hide more: what signs the address of a file, say.

        :param secrets: what must not be shown. The last 500 are kept: those of a day.
        """
        with self._lock:
            self._remembered = [*dict.fromkeys([*self._remembered, *secrets])][-_KEPT:]
            spellings = {spelling for secret in self._remembered for spelling in spellings_of(secret)}
            self._spellings = sorted(self._own | spellings, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """
        Put ``***`` in place of each credential.

        :param text: any text, not cut yet: of a credential that is cut, the rest would stay.
        :return: the text without credentials.
        """
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        return text


def spellings_of(secret: str) -> list[str]:
    """
    Spell a secret as it is, and as it stands in JSON, in an address, in HTML and in Python.

    :param secret: any text.
    :return: its spellings, some of them more than once.
    """
    as_json = json.dumps(secret)[1:-1]
    quoted = [quote(secret, safe=safe) for safe in ("", "/")]
    return [
        secret,
        as_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *(text.replace("/", slash) for text in (secret, as_json) for slash in (r"\/", r"\u002f", r"\u002F")),
        *quoted,
        *(re.sub("%..", lambda match: match[0].lower(), text) for text in quoted),
        html.escape(secret),
        html.escape(secret, quote=False),
        repr(secret)[1:-1],
    ]
