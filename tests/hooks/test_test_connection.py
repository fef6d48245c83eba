"""What the Test button of a connection says, and to whom it speaks before."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.sandbox import Sandbox
from tests.support import UNKNOWN_ID, client_of, trickling_server

# In an address, in JSON, in HTML and in base64 it looks different from what it is.
KEY = "planted-key-7c1d44/+=\"'%&"
PIECE = "7c1d44"
LOGIN = "SANDBOXWORKSPACE"
HEADER = base64.b64encode(f"{LOGIN}:{KEY}".encode()).decode()
ECHO = f"you sent {KEY}, {quote(KEY, safe='')} and Basic {HEADER}"


@pytest.fixture(params=["seeds", "today"])
def sandbox(request):
    with Sandbox(dialect=request.param, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def press(monkeypatch, clock):
    """Press the button with a connection; whatever it says has to fit, and to keep the key."""

    def press(connection, **changed):
        monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps({**connection, **changed}))
        worked, message = MoEngageHook("tried").test_connection()
        assert PIECE not in message
        assert HEADER[:20] not in message
        assert "tried" not in message.replace("credentials were not tried", "")  # an id that only the form knows
        assert message.isprintable()
        assert len(message) < 2_000  # as much as Airflow keeps
        assert clock.slept == []
        return worked, message

    return press


def test_it_works(sandbox, press):
    worked, message = press(sandbox.connection)
    assert worked
    assert message == f"MoEngage accepts the credentials of workspace {LOGIN} at {sandbox.url}."
    assert [request.method for request in sandbox.requests] == ["GET"]


class TestWhatMoEngageRefuses:
    def test_a_wrong_key(self, sandbox, press):
        worked, message = press(sandbox.connection, password=f"{PIECE}-another")
        assert not worked
        assert message.startswith("The Data API key is wrong: the workspace has another. Copy it again from ")
        assert "APP_SECRET key mismatch" in message
        assert "[401; Authentication required; " in message  # with the response_id for support
        assert len(sandbox.requests) == 1

    def test_a_wrong_workspace(self, sandbox, press):
        worked, message = press(sandbox.connection, login="ANOTHER")
        assert not worked
        assert message.startswith(f"There is no such workspace at {sandbox.url}: the Workspace ID (or the app key")
        assert "or the workspace is in another data center" in message
        assert "MoEngage Client not found" in message
        assert len(sandbox.requests) == 1

    def test_an_app_key_of_another_workspace(self, sandbox, press):
        worked, message = press(sandbox.connection, login="ANOTHER", extra={"app_key": LOGIN})
        assert not worked
        assert message.startswith("The Workspace ID and the app key belong to two workspaces.")

    def test_login_and_password_swapped(self, sandbox, press):
        worked, message = press(sandbox.connection, login=KEY, password=LOGIN)
        assert not worked
        assert message.startswith(f"There is no such workspace at {sandbox.url}")

    def test_credentials_for_a_reason_not_known_yet(self, sandbox, press):
        sandbox.fail_next(status=401, body={"error": {"code": "Authentication required", "message": "Expired"}})
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("MoEngage refuses the Workspace ID or the Data API key. Copy both again from ")
        assert "Expired" in message

    def test_a_key_without_the_scope(self, sandbox, press):
        sandbox.fail_next(status=403, fault="empty", headers={"MOENGAGE-AUTH-ERROR-CODE": "ER007"})
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("The API key lacks the scope of the Segmentation API: ")
        assert "tells nothing about the credentials" not in message

    def test_a_key_that_may_not_be_used_for_another_reason(self, sandbox, press):
        headers = {"MOENGAGE-AUTH-ERROR-CODE": "ER022"}
        sandbox.fail_next(status=403, body={"title": "Forbidden"}, headers=headers)
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("MoEngage does not let this API key make the call: ")
        assert "ER022" in message

    @pytest.mark.parametrize("body", ["", "<html>403 Forbidden</html>", {"message": "Forbidden"}])
    def test_an_address_that_is_not_allowed(self, sandbox, press, body):
        sandbox.fail_next(status=403, body=body)
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("The request was refused before the Segments API saw it: ")
        assert "API firewall" in message
        assert message.endswith("This tells nothing about the credentials.")

    def test_an_account_that_is_suspended(self, sandbox, press):
        error = {"message": "Your account is suspended.", "type": "BlockedClient", "request_id": "ofHUEaEQ"}
        sandbox.fail_next(status=403, body={"status": "fail", "error": error})
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("MoEngage has suspended the account: ")
        assert "ofHUEaEQ" in message

    def test_a_workspace_without_a_key(self, sandbox, press):
        sandbox.fail_next(status=409, body={"error": {"code": "Authentication required", "message": "secret not set"}})
        worked, message = press(sandbox.connection)
        assert not worked
        assert "The workspace has no Data API key yet" in message


class TestNobodyAnswers:
    def test_nobody_listens(self, sandbox, press):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        worked, message = press(sandbox.connection, host=address)
        assert not worked
        assert message.startswith(f"Nothing listens at this address of this machine: {address}: ")
        assert "Is the sandbox running? Start it with moengage-sandbox" in message
        assert message.endswith("This tells nothing about the credentials.")

    def test_a_proxy_that_cannot_be_used(self, press, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://corp:Se/cr3t@127.0.0.1:9")
        for name in ("https_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        worked, message = press(
            {"conn_type": "moengage", "login": LOGIN, "password": KEY, "extra": {"data_center": "01"}}
        )
        assert not worked
        assert message.startswith("The proxy's settings cannot be used: the variable HTTPS_PROXY cannot be read")
        assert "cr3t" not in message

    def test_an_address_that_is_not_moengages(self, sandbox, press):
        worked, message = press(sandbox.connection, host=f"{sandbox.url}/elsewhere")
        assert not worked
        assert message.startswith("There is no MoEngage API at this address")

    def test_a_page_of_a_proxy(self, sandbox, press):
        sandbox.fail_next(fault="html")
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("The answer is not MoEngage's")

    def test_a_data_center_that_there_is_not(self, sandbox, press):
        worked, message = press(sandbox.connection, host="", extra={"data_center": "7"})
        assert not worked
        assert message.startswith("The connection cannot be used: There is no MoEngage data center '7'.")
        assert sandbox.requests == []

    def test_a_connection_that_breaks(self, sandbox, press):
        sandbox.fail_next(fault="reset")
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith("MoEngage could not be reached")
        assert len(sandbox.requests) == 1

    def test_silence_ends_soon(self, sandbox, press, monkeypatch):
        """However long the tasks of this connection may wait."""
        monkeypatch.setattr("airflow_provider_moengage.hooks.connection_test._LONGEST_READ", 0.1)
        sandbox.fail_next(fault="silence")
        worked, message = press(sandbox.connection, extra={"connect_timeout": 20, "read_timeout": 20})
        assert not worked
        assert message.startswith(f"MoEngage did not answer in time: no answer from {sandbox.url} (connect timeout 5 s")
        assert len(sandbox.requests) == 1

    def test_an_answer_that_does_not_end(self, press, monkeypatch):
        monkeypatch.setattr("airflow_provider_moengage.hooks.connection_test._LONGEST_READ", 0.1)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        with trickling_server([head, *[b" "] * 10_000]) as url:
            worked, message = press({"conn_type": "moengage", "login": LOGIN, "password": KEY, "host": url})
        assert not worked
        assert message.startswith("MoEngage did not answer in time")

    def test_a_shorter_timeout_stays(self, sandbox, press):
        sandbox.fail_next(fault="silence")
        worked, message = press(sandbox.connection, extra={"read_timeout": 0.1})
        assert not worked
        assert "read timeout 0.1 s" in message


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_server(sandbox, press, status):
    sandbox.fail_next(status=status)
    worked, message = press(sandbox.connection)
    assert not worked
    assert message.startswith(
        f"{sandbox.url} failed to answer, which tells nothing about the credentials. Try again later"
    )
    assert f"[{status}; " in message
    assert len(sandbox.requests) == 1


class TestRateLimits:
    def test_one_that_is_used_up(self, sandbox, press):
        """MoEngage counts what a workspace does, and so knows by then which one it is."""
        sandbox.fail_next(status=429, headers={"Retry-After": "37"})
        worked, message = press(sandbox.connection)
        assert worked
        assert message.startswith(
            f"MoEngage accepts the credentials at {sandbox.url}, but its rate limit is used up just now. Tasks can "
            "call it again in 37 s."
        )
        assert len(sandbox.requests) == 1

    def test_the_sandboxs_own(self, sandbox, press):
        """A hundred gets a minute, and a wrong key is told before they are counted. The button asks all the same."""
        with client_of(sandbox) as client:
            for _ in range(100):
                client.get_segment(UNKNOWN_ID)
        assert RATE_LIMITER.wait((sandbox.url, LOGIN, "GET", "/v3/custom-segments/{id}"), time.monotonic()) > 0
        worked, message = press(sandbox.connection, password=f"{PIECE}-another")
        assert not worked
        assert message.startswith("The Data API key is wrong")
        worked, message = press(sandbox.connection)
        assert worked
        assert "its rate limit is used up just now. Tasks can call it again in " in message
        assert "API rate limit breached. Current limit: 100/1 mins" in message
        assert [request.status for request in sandbox.requests][-2:] == [401, 429]

    @pytest.mark.parametrize(
        "body", ["<html>slow down</html>", {"error": {"code": 429, "message": "Quota exceeded", "status": "EXHAUSTED"}}]
    )
    def test_one_of_a_proxy(self, sandbox, press, body):
        sandbox.fail_next(status=429, body=body)
        worked, message = press(sandbox.connection)
        assert not worked
        assert message.startswith(f"The credentials were not tried: {sandbox.url} answers that there were too many")


class TestThePassword:
    def test_the_mask(self, sandbox, press):
        worked, message = press(sandbox.connection, password="***")
        assert not worked
        assert message == (
            "The connection cannot be used: its password is ***, which Airflow shows, and its form may send, in place "
            "of a saved key. Type the Data API key in again."
        )
        assert sandbox.requests == []

    @pytest.mark.parametrize("password", ["", None])
    def test_none(self, sandbox, press, password):
        worked, message = press(sandbox.connection, password=password)
        assert not worked
        assert message.startswith("The connection cannot be used: its password (Data API key) is missing: ")
        on_airflow_2 = version("apache-airflow").startswith("2.")
        assert message.endswith("Airflow 2 sends no saved key to a test: type it in again.") == on_airflow_2

    def test_a_task_says_it_too(self, sandbox, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps({**sandbox.connection, "password": "***"}))
        with pytest.raises(ValueError, match=r"'tried' cannot be used: its password is \*\*\*"):
            MoEngageHook("tried").get_conn()


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 413, 429, 500, 502])
@pytest.mark.parametrize(
    "body",
    [
        ECHO,
        {"error": {"code": "Authentication required", "message": ECHO}, "response_id": KEY},
        {"error": {"code": "Request Error", "message": ECHO}},
        {"title": KEY, "description": ECHO},
    ],
)
def test_an_echo_of_the_key(sandbox, press, status, body):
    """As some proxies send; press looks for the key."""
    headers = {"Location": f"https://elsewhere.example/{quote(KEY)}"} if status == 302 else {}
    sandbox.fail_next(status=status, body=body, headers=headers)
    worked, message = press(sandbox.connection)
    its_own_limit = status == 429 and isinstance(body, dict) and "Request Error" not in json.dumps(body)
    assert worked == its_own_limit
    # Of a success that is none, only the keys of its JSON are shown.
    assert "***" in message or (status == 200 and isinstance(body, dict))
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(("password", "said"), [(KEY, "Connection success!"), ("another", "The Data API key is wrong")])
def test_the_command_line(monkeypatch, password, said):
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    with Sandbox(api_key=KEY) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_TRIED", json.dumps({**sandbox.connection, "password": password}))
        command = [Path(sys.executable).with_name("airflow"), "connections", "test", "tried"]
        output = subprocess.run(command, capture_output=True, text=True, check=False)
        assert said in " ".join(output.stdout.split()), output
        assert PIECE not in output.stdout + output.stderr
        assert len(sandbox.requests) == 1
