"""What the tests of operators share."""

from __future__ import annotations

import types
from datetime import timedelta

import pytest
from airflow.providers.standard.triggers import temporal


@pytest.fixture
def triggers_follow_the_sandbox(sandbox, clock, monkeypatch):
    """Airflow's DateTimeTrigger goes by the sandbox's clock, which an hour passes on at each of its naps."""

    async def sleep(_):
        sandbox.move_clock(timedelta(hours=1))
        clock.move(3_600)

    now = types.SimpleNamespace(**{**vars(temporal.timezone), "utcnow": lambda: sandbox.now})
    monkeypatch.setattr(temporal, "timezone", now)
    monkeypatch.setattr(temporal, "asyncio", types.SimpleNamespace(sleep=sleep))


@pytest.fixture
def log(capfd, caplog):
    """What was logged since the last time that it was asked: Airflow 3 prints it, Airflow 2 may hand it to logging."""
    caplog.set_level("INFO")

    def read():
        said = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return said

    return read
