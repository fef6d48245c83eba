from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote

import pytest

from airflow_provider_moengage.client.redaction import Secrets

KEY = 'a/b+c<d>é"e'
SECRETS = Secrets("WORKSPACE", KEY)


def test_they_do_not_show_themselves():
    assert repr(SECRETS) == "Secrets(***)"


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        base64.b64encode(f"WORKSPACE:{KEY}".encode()).decode(),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        KEY.replace("/", r"\/"),
        quote(KEY),
        quote(KEY, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(KEY, safe="")),
        "a/b+c&lt;d&gt;é&quot;e",
        'a/b+c&lt;d&gt;é"e',
        repr(KEY)[1:-1],
    ],
)
def test_each_spelling_is_hidden(spelling):
    assert SECRETS.hide(f"key={spelling}&x") == "key=***&x"
