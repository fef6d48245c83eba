"""The connection form and its Test button, as a real api-server and a real worker have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import requests
from packaging.version import Version

from airflow_provider_moengage.hooks.connection_form import EXTRA_FIELDS
from airflow_provider_moengage.sandbox import Sandbox
from tests.system.real_airflow import RealAirflow

pytestmark = pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.3"), reason="tests on a worker came with Airflow 3.3"
)

UNTOUCHED = dict.fromkeys(EXTRA_FIELDS)  # as the form saves them
TOKEN = "Airflow-Connection-Test-Token"
SECONDS = 60
KEY = "button-key-9e2f70/+=\"'%&"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY) as sandbox:
        yield sandbox


def body(sandbox: Sandbox, **changed: Any) -> dict[str, Any]:
    """Make what the button sends."""
    connection = {**sandbox.connection, "connection_id": "by_form", "extra": json.dumps(UNTOUCHED)}
    return {**connection, "description": "", "schema": "", **changed}


def test_what_the_api_server_tells_the_form(airflow: RealAirflow) -> None:
    answer = requests.get(f"{airflow.url}/ui/connections/hook_meta", timeout=120, proxies={"http": ""})
    (meta,) = [meta for meta in answer.json() if meta["connection_type"] == "moengage"]
    assert meta["standard_fields"]["login"]["title"] == "Workspace ID"
    assert meta["standard_fields"]["password"]["title"] == "Data API key"
    assert meta["standard_fields"]["port"]["hidden"]
    assert {name: field["schema"]["title"] for name, field in meta["extra_fields"].items()} == {
        name: extra.label for name, extra in EXTRA_FIELDS.items()
    }
    assert {name: field["description"] for name, field in meta["extra_fields"].items()} == {
        name: extra.description for name, extra in EXTRA_FIELDS.items()
    }
    data_center = meta["extra_fields"]["data_center"]["schema"]
    assert data_center["enum"][:3] == ["01", "02", "03"]
    assert data_center["values_display"]["03"] == "03 (India)"


class TestTheButton:
    def test_of_a_saved_connection(self, airflow: RealAirflow, sandbox: Sandbox) -> None:
        """The form sends the mask of the key, and Airflow puts the key in its place."""
        with airflow.connection("by_form", {**sandbox.connection, "extra": UNTOUCHED}):
            answer = airflow.call("POST", "connections/test", json=body(sandbox, password="***"))
        accepted = f"MoEngage accepts the credentials of workspace SANDBOXWORKSPACE at {sandbox.url}."
        assert answer == {"status": True, "message": accepted}
        assert len(sandbox.requests) == 1

    def test_of_one_that_is_not_saved(self, airflow: RealAirflow, sandbox: Sandbox) -> None:
        answer = airflow.call("POST", "connections/test", json=body(sandbox, password="***"))
        assert not answer["status"]
        assert "its password is ***" in answer["message"]
        assert sandbox.requests == []

    def test_once_more_after_a_wrong_key(self, airflow: RealAirflow, sandbox: Sandbox) -> None:
        """The api-server lives on and remembers what an answer has said of the rate limit."""
        sandbox.fail_next(status=401, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"})
        sandbox.fail_next(status=429, headers={"Retry-After": "600"})
        answers = [airflow.call("POST", "connections/test", json=body(sandbox)) for _ in range(3)]
        assert [answer["status"] for answer in answers] == [False, True, True]
        assert "The Data API key is wrong" in answers[0]["message"]
        assert "its rate limit is used up just now. Tasks can call it again in 600 s." in answers[1]["message"]
        assert len(sandbox.requests) == 3
        assert "9e2f70" not in str(answers)


def on_a_worker(airflow: RealAirflow, tried: dict[str, Any]) -> dict[str, Any]:
    token = airflow.call("POST", "connections/enqueue-test", json=tried)["token"]
    answers: list[dict[str, Any]] = []

    def ended() -> bool:
        answers.append(airflow.call("GET", "connections/enqueue-test", headers={TOKEN: token}))
        return answers[-1]["state"] in ("success", "failed")

    airflow.wait_until(ended, "the test has ended", SECONDS)
    return answers[-1]


@pytest.mark.parametrize(
    ("password", "state", "said"),
    [
        (KEY, "success", "MoEngage accepts the credentials"),
        ("another", "failed", "The Data API key is wrong"),
        # Airflow puts no key in the place of the mask here.
        ("***", "failed", "Type the Data API key in again."),
    ],
)
def test_on_a_worker(airflow: RealAirflow, sandbox: Sandbox, password: str, state: str, said: str) -> None:
    answer = on_a_worker(airflow, body(sandbox, password=password))
    assert answer["state"] == state
    assert said in answer["result_message"]
    assert "9e2f70" not in answer["result_message"]
    assert len(sandbox.requests) == (0 if password == "***" else 1)
