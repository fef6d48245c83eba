"""The receiver of callbacks behind a real server, as the API server has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def running_receiver() -> Iterator[str]:
    """Serve the receiver below a prefix, and give the address that MoEngage would be told."""
    uvicorn = pytest.importorskip("uvicorn")  # Airflow 2 has no API server
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from airflow_provider_moengage.plugins.plugin import receive_callbacks

    app = Starlette(routes=[Mount("/moengage", receive_callbacks)])
    # Its access log is that of Airflow, which is not the same in all versions.
    quiet = {"log_config": None, "access_log": False}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", ws="none", **quiet)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
