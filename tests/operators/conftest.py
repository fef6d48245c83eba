"""What the tests of operators share."""

from __future__ import annotations

import pytest


@pytest.fixture
def log(capfd, caplog):
    """What was logged since the last time that it was asked: Airflow 3 prints it, Airflow 2 may hand it to logging."""
    caplog.set_level("INFO")

    def read():
        said = "".join(capfd.readouterr()) + caplog.text
        caplog.clear()
        return said

    return read
