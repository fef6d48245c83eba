"""The sandbox as people use it from a shell."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_moengage.sandbox.__main__ import main
from tests.sandbox.calling import run

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox import Sandbox

COMMAND = [sys.executable, "-m", "airflow_provider_moengage.sandbox"]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "--port", "0", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def read_export(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        if line.startswith("export "):
            return lines, line.rstrip("\n")
        lines.append(line.rstrip("\n"))
    raise AssertionError(f"no export line in {lines}")


def run_in_bash(export: str) -> Any:
    show = "import os; print(os.environ['AIRFLOW_CONN_MOENGAGE_DEFAULT'])"
    shown = run("bash", "-c", f"{export}\nexec {shlex.join([sys.executable, '-c', show])}")
    return json.loads(shown.stdout)


def list_segments(connection: dict[str, Any]) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (connection["login"], connection["password"])
        headers = {"Content-Type": "application/json", "MOE-APPKEY": connection["login"]}
        return session.get(f"{connection['host']}/v3/custom-segments", headers=headers, timeout=5)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_printed_line_leads_to_the_sandbox(start: Start, how: signal.Signals) -> None:
    process = start("--seed-demo", "--dialect", "today")
    lines, export = read_export(process)
    connection = run_in_bash(export)

    answer = list_segments(connection)

    assert lines[0] == f"MoEngage sandbox at {connection['host']}"
    assert connection["extra"] == {"segment_id_key": "cs_id"}
    assert answer.status_code == 200
    for segment in answer.json()["data"]:
        assert any(segment["name"] in line and segment["id"] in line for line in lines)

    process.send_signal(how)
    rest, log = process.communicate(timeout=5)
    assert (process.returncode, rest) == (0, "")
    assert log == "GET /v3/custom-segments 200\n"


def test_a_port_in_use_is_one_sentence(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    ended = run(*COMMAND, "--port", port)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"The sandbox cannot listen at 127.0.0.1:{port}: Address already in use.\n"


def test_another_host_is_warned_about(start: Start) -> None:
    process = start("--host", "0.0.0.0")  # noqa: S104 - that is what the warning is about
    _, export = read_export(process)
    assert list_segments(run_in_bash(export)).status_code == 200
    process.terminate()
    _, log = process.communicate(timeout=5)
    assert log.startswith("Warning: everyone who reaches 0.0.0.0 ")


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "x"], ["--dialect", "x"]])
def test_bad_options_are_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_an_unknown_host_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "256.256.256.256", "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith("The sandbox cannot listen at 256.256.256.256:0: ")


def test_help_names_every_option() -> None:
    shown = run(*COMMAND, "--help")
    for option in ("--port", "--host", "--dialect", "--seed-demo"):
        assert option in shown.stdout
