"""The package as Airflow and others see it: its metadata, and what its parts need."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import airflow
import jsonschema
import pytest

import airflow_provider_moengage
from airflow_provider_moengage import get_provider_info
from tests.support import provider_seen_by

REPOSITORY = Path(__file__).parents[1]


def test_airflow_accepts_the_metadata():
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_finds_the_provider(airflow_database):
    provider, hook = provider_seen_by(Path(sys.executable).with_name("airflow"))
    assert provider["version"] == airflow_provider_moengage.__version__
    assert hook["class"] == "airflow_provider_moengage.hooks.moengage.MoEngageHook"
    assert hook["conn_id_attribute_name"] == "moengage_conn_id"


def test_the_dependencies():
    metadata = distribution("airflow-provider-moengage").metadata
    required = [requirement for requirement in metadata.get_all("Requires-Dist") if "extra ==" not in requirement]
    names = {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in required}
    airflow = {"apache-airflow", "apache-airflow-providers-common-compat", "apache-airflow-providers-standard"}
    assert names == airflow | {"pendulum", "requests", "urllib3"}
    assert metadata.get_all("Provides-Extra") == ["sql"]
    assert metadata["Requires-Python"] == ">=3.10"


def test_the_version_stands_in_one_place():
    assert distribution("airflow-provider-moengage").version == airflow_provider_moengage.__version__
    assert not re.search(r"^version *=", (REPOSITORY / "pyproject.toml").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("module", ["airflow_provider_moengage", "airflow_provider_moengage.sandbox"])
def test_what_needs_no_airflow_imports_none(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"airflow", "requests"} & set(loaded)


def test_the_client_needs_no_airflow():
    code = "import sys; from airflow_provider_moengage.client import MoEngageClient; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "airflow" not in loaded
    assert "airflow_provider_moengage.sandbox" not in loaded


def test_the_client_has_no_other_names():
    with pytest.raises(AttributeError, match="has no attribute 'Client'"):
        _ = airflow_provider_moengage.client.Client


def test_the_sandbox_and_the_client_know_nothing_of_each_other():
    package = Path(airflow_provider_moengage.__file__).parent
    for folder, other in (("client", "sandbox"), ("sandbox", "client")):
        for module in (package / folder).rglob("*.py"):
            assert f"airflow_provider_moengage.{other}" not in module.read_text(), module
