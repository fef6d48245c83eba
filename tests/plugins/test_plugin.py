"""The plugin as Airflow loads it: off by default, and light."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest
from packaging.version import Version

from airflow_provider_moengage import get_provider_info
from airflow_provider_moengage.plugins.plugin import MoEngagePlugin, is_wanted

ADDED_MODULES = """
import sys
import airflow.plugins_manager, airflow.providers.common.compat.sdk as sdk
sdk.AirflowPlugin, sdk.conf
before = set(sys.modules)
from airflow_provider_moengage.plugins.plugin import MoEngagePlugin
print(len(MoEngagePlugin.fastapi_apps), *sorted(set(sys.modules) - before))
"""
ON = {"AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS": "True", "AIRFLOW__API__BASE_URL": "https://airflow.example.com"}


def test_airflow_finds_it():
    (point,) = entry_points(group="airflow.plugins", name="moengage")
    assert point.load() is MoEngagePlugin
    assert MoEngagePlugin.fastapi_apps == []


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (ON, True),
        ({**ON, "AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS": "False"}, False),
        ({**ON, "AIRFLOW__API__BASE_URL": ""}, False),
        ({**ON, "AIRFLOW__API__BASE_URL": "", "AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "https://cb.example.com"}, True),
        ({"AIRFLOW__MOENGAGE__CALLBACK_BASE_URL": "https://relay.example.com"}, False),
    ],
)
def test_when_it_is_on(monkeypatch, environment, wanted):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_wanted() is wanted


@pytest.mark.slow
@pytest.mark.skipif(Version(version("apache-airflow")) < Version("3.3"), reason="counted on Airflow 3.3")
@pytest.mark.parametrize(("environment", "mounted"), [({}, "0"), (ON, "1")])
def test_to_load_it_adds_three_modules_at_most(environment, mounted):
    found = subprocess.run(
        [sys.executable, "-c", ADDED_MODULES],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    apps, *added = found.stdout.splitlines()[-1].split()
    assert apps == mounted
    # The package itself may be there: Airflow asks it what it has.
    of_plugin = ["airflow_provider_moengage.plugins", "airflow_provider_moengage.plugins.plugin"]
    assert added in (of_plugin, ["airflow_provider_moengage", *of_plugin])


def test_its_options_are_documented():
    options = get_provider_info()["config"]["moengage"]["options"]
    assert {name: option["default"] for name, option in options.items()} == {
        "receive_callbacks": "False",
        "callback_base_url": "",
    }
