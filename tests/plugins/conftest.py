"""What the tests of the plugin share: its receiver behind a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def receiver_url() -> Iterator[str]:
    """Serve the receiver as the API server does, below a prefix, and give the address of callbacks."""
    uvicorn = pytest.importorskip("uvicorn")  # Airflow 2 has no API server
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from airflow_provider_moengage.plugins.callbacks import receive_callbacks

    app = Starlette(routes=[Mount("/moengage", receive_callbacks)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/moengage/callback"
    finally:
        server.should_exit = True
        thread.join()
