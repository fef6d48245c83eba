"""What the tests of the plugin share: its receiver behind a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.receiving import running_receiver


@pytest.fixture(scope="module")
def receiver_url() -> Iterator[str]:
    """Serve the receiver, and give the address of callbacks."""
    with running_receiver() as url:
        yield f"{url}/moengage/callback"
