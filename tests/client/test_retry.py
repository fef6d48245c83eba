from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from airflow_provider_moengage.client.retry import retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2),
        ({"retry-after": " 0 "}, 0),
        ({"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
        ({"Retry-After": "Fri, 15 Jan 2021 08:00:30 GMT"}, 0),
        ({"X-RateLimit-Reset": str(int(NOW) + 60)}, 60),
        ({"X-RateLimit-Reset": str(int(NOW) - 60)}, 0),
        ({"Retry-After": "5", "X-RateLimit-Reset": str(int(NOW) + 60)}, 5),
        ({"Retry-After": "soon", "X-RateLimit-Reset": str(int(NOW) + 60)}, 60),
        ({"Retry-After": "9" * 400}, 86_400),
        ({"X-RateLimit-Reset": "9" * 400}, 86_400),
        ({"Retry-After": "Fri, 15 Jan 9999 08:00:30 GMT"}, 86_400),
        ({"Retry-After": "2.5"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "٢"}, None),
        ({"X-RateLimit-Reset": "tomorrow"}, None),
    ],
)
def test_what_the_server_asks(headers, seconds):
    assert retry_after(CaseInsensitiveDict(headers), NOW) == seconds
