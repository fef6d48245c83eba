"""Who may call, with which headers, and what the others hear."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import Caller

CLIENT_NOT_FOUND = {
    "code": "Request Error",
    "message": "MoEngage Client not found. Please check values for headers - MOE-APPKEY or MOE-DBNAME",
}
SECRET_MISMATCH = "APP_SECRET key mismatch. Please login to the dashboard to verify key"
INVALID_APP_KEY = "Invalid APP_KEY used in Authentication Header"


def basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


GOOD = {
    "Content-Type": "application/json",
    "MOE-APPKEY": "SANDBOXWORKSPACE",
    "Authorization": basic("SANDBOXWORKSPACE:sandbox-data-api-key"),
}


@pytest.fixture
def call(spoken: Caller) -> Iterator[Any]:
    """Call an endpoint of v2 or v3 with exactly these headers."""
    spoken.sandbox.add_segment(name="Spring")
    spoken.session.auth = _no_auth
    spoken.session.headers.clear()

    def call(version: str, **headers: str | None) -> requests.Response:
        wanted = {name: value for name, value in {**GOOD, **dashed(headers)}.items() if value is not None}
        if version == "v2":
            return spoken("PATCH", "/v2/custom-segments/archive", data='{"name": "Spring"}', headers=wanted)
        return spoken("GET", "/v3/custom-segments", headers=wanted)

    return call


def dashed(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"MOE_DBNAME": "SandboxDB"},
        {"MOE_APPKEY": None, "MOE_DBNAME": "SandboxDB"},
        {"Content_Type": "Application/JSON; charset=UTF-8"},
        {"Authorization": GOOD["Authorization"].replace("Basic", "bAsIc ")},
    ],
)
def test_good_credentials_are_accepted(call: Any, version: str, headers: dict[str, str | None]) -> None:
    assert call(version, **headers).ok


@pytest.mark.parametrize(
    "headers",
    [{"MOE_APPKEY": None}, {"MOE_APPKEY": "OTHER"}, {"MOE_APPKEY": ""}, {"MOE_APPKEY": None, "MOE_DBNAME": "OtherDB"}],
)
def test_v3_needs_a_workspace(call: Any, headers: dict[str, str | None]) -> None:
    answer = call("v3", **headers)
    assert (answer.status_code, answer.json()["error"]) == (400, CLIENT_NOT_FOUND)


def test_v3_takes_either_header(call: Any) -> None:
    assert call("v3", MOE_APPKEY="OTHER", MOE_DBNAME="SandboxDB").ok
    assert call("v3", MOE_DBNAME="OtherDB").ok


@pytest.mark.parametrize("headers", [{"MOE_APPKEY": "OTHER"}, {"MOE_DBNAME": "OtherDB"}])
def test_v2_refuses_an_unknown_workspace(call: Any, headers: dict[str, str]) -> None:
    answer = call("v2", **headers)
    assert (answer.status_code, answer.json()["title"]) == (401, "Authentication required")


def test_v2_does_without_a_workspace_in_the_seeds_alone(call: Any, dialect: str) -> None:
    assert call("v2", MOE_APPKEY=None).status_code == {"seeds": 202, "today": 401}[dialect]


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (basic("SANDBOXWORKSPACE:wrong"), SECRET_MISMATCH),
        (basic("SANDBOXWORKSPACE:"), SECRET_MISMATCH),
        (basic("SANDBOXWORKSPACE:sandbox-data-api-key "), SECRET_MISMATCH),
        (basic("SANDBOXWORKSPACE:ключ"), SECRET_MISMATCH),
        (basic("OTHER:sandbox-data-api-key"), INVALID_APP_KEY),
        (basic(":"), INVALID_APP_KEY),
        (basic("no colon"), "The header Authorization does not hold a username and a password"),
        (basic(b"\xff:\xff"), "The header Authorization is not valid base64"),
        ("Basic !!!", "The header Authorization is not valid base64"),
        ("Basic é", "The header Authorization is not valid base64"),
        ("Basic", "The header Authorization does not hold a username and a password"),
        ("Bearer token", "The header Authorization is missing or is not Basic authentication"),
        (None, "The header Authorization is missing or is not Basic authentication"),
    ],
)
def test_bad_credentials_are_refused(call: Any, authorization: str | None, message: str) -> None:
    in_v2, in_v3 = call("v2", Authorization=authorization), call("v3", Authorization=authorization)

    assert in_v2.status_code == in_v3.status_code == 401
    assert in_v2.json() == {"title": "Authentication required", "description": message}
    assert in_v3.json()["error"] == {"code": "Authentication required", "message": message}


def test_the_workspace_is_looked_for_before_the_key_is_checked(call: Any) -> None:
    assert call("v3", MOE_APPKEY="OTHER", Authorization=None).status_code == 400


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/jsonp", "application/x-www-form-urlencoded"]
)
def test_json_has_to_be_announced_on_every_call(call: Any, dialect: str, content_type: str | None) -> None:
    in_v2, in_v3 = call("v2", Content_Type=content_type), call("v3", Content_Type=content_type)

    title = {"seeds": "Invalid Request", "today": "Invalid request"}[dialect]
    assert (in_v2.status_code, in_v2.json()["title"]) == (400, title)
    assert (in_v3.status_code, in_v3.json()["error"]["code"]) == (400, "Invalid request")


def test_a_workspace_without_a_key_refuses_all(spoken: Caller) -> None:
    spoken.sandbox.api_secret_set = False
    assert not spoken.sandbox.api_secret_set

    in_v2, in_v3 = spoken.archive("Spring"), spoken.list()

    assert in_v2.status_code == 401
    assert (in_v3.status_code, in_v3.json()["error"]["code"]) == (409, "API SECRET not configured")
    assert "existing_cs_id" not in in_v3.json()["error"]


def test_v2_can_insist_on_the_database_name(dialect: Any) -> None:
    with Sandbox(dialect=dialect, require_database_name=True) as sandbox:
        assert sandbox.connection["extra"]["database_name"] == "SandboxDB"
        caller = Caller(sandbox, "segment_id")
        with caller.session:
            sandbox.add_segment(name="Spring")
            refused = caller.archive("Spring")
            assert refused.status_code == 401
            assert refused.json() == {
                "title": "Authentication required",
                "description": "The header MOE-DBNAME is missing",
            }
            assert caller.list().ok
            caller.session.headers["MOE-DBNAME"] = "SandboxDB"
            assert caller.archive("Spring").ok


def test_the_app_key_may_differ_from_the_username() -> None:
    with Sandbox(workspace_id="DATA-API-ID", app_key="APP-ID", api_key="k") as sandbox, requests.Session() as session:
        session.trust_env = False
        session.auth = ("DATA-API-ID", "k")
        statuses = [
            session.get(
                f"{sandbox.url}/v3/custom-segments",
                headers={"Content-Type": "application/json", "MOE-APPKEY": app_key},
                timeout=5,
            ).status_code
            for app_key in ("APP-ID", "DATA-API-ID")
        ]
        assert statuses == [200, 400]
        assert sandbox.connection["extra"] == {"app_key": "APP-ID"}
