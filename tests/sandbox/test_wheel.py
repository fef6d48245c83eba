"""What users install: the page's template and the names under which the sandbox is found are in the wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_all_that_the_sandbox_needs(tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed here")
    (built,) = wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = wheel.namelist()
        (entry_points,) = (wheel.read(name).decode() for name in names if name.endswith("/entry_points.txt"))
    assert "airflow_provider_moengage/sandbox/page.html" in names
    assert "moengage-sandbox = airflow_provider_moengage.sandbox.__main__:main" in entry_points
    assert "moengage = airflow_provider_moengage.pytest_plugin" in entry_points
