"""The sandbox as people use it from a shell."""

from __future__ import annotations

import importlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.__main__ import main
from tests.sandbox.calling import list_segments, read_export, run, run_in_bash

GOOD_STATE = {"format": "moengage-sandbox-state", "version": 1, "clock_ahead": 0, "segments": []}
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
COMMAND = [sys.executable, "-m", "airflow_provider_moengage.sandbox"]

OPTIONS = (
    "--port",
    "--host",
    "--dialect",
    "--seed-demo",
    "--state",
    "--no-rate-limits",
    "--reset",
    "--require-database-name",
    "--archive-shows-id",
)

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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_printed_line_leads_to_the_sandbox(start: Start, how: signal.Signals) -> None:
    process = start("--seed-demo", "--dialect", "today")
    lines, export = read_export(process)
    connection = run_in_bash(export)

    answer = list_segments(connection)

    assert lines[0] == f"MoEngage sandbox at {connection['host']}"
    assert "extra" not in connection
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


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "x"], ["--dialect", "x"], ["--reset", "x"]])
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
    for option in OPTIONS:
        assert option in shown.stdout
    assert "out-of-scope" in shown.stdout


def test_the_console_script_is_the_same() -> None:
    scripts = re.findall(r"(?m)^moengage-sandbox = \"(.+):(.+)\"$", PYPROJECT.read_text())
    assert [getattr(importlib.import_module(module), name) for module, name in scripts] == [main]


def call_archive(connection: dict[str, Any], name: str) -> int:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (connection["login"], connection["password"])
        address = f"{connection['host']}/v2/custom-segments/archive"
        return session.patch(address, json={"name": name}, headers={"MOE-APPKEY": connection["login"]}).status_code


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_state_outlives_the_process(start: Start, tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "state.json"
    first = start("--seed-demo", "--state", str(file))
    before, export = read_export(first)
    assert call_archive(run_in_bash(export), "Loyalty gold tier") == 202
    first.send_signal(how)
    assert first.wait(5) == 0

    after, _ = read_export(start("--seed-demo", "--state", str(file)))

    assert {line for line in after[1:] if line not in before} == {
        line.replace("active  ", "archived") for line in before if "Loyalty gold tier" in line
    }
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_an_impatient_user_loses_nothing(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    large = Sandbox()
    for number in range(3_000):
        large.add_segment(name=f"segment {number}")
    large.save_state(file)
    process = start("--state", str(file))
    _, export = read_export(process)
    assert call_archive(run_in_bash(export), "segment 7") == 202

    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)

    _, log = process.communicate()
    assert (process.returncode, log) == (0, "PATCH /v2/custom-segments/archive 202\n")
    large.load_state(file)
    assert [segment["name"] for segment in large.segments if segment["archived"]] == ["segment 7"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "it is not JSON"),
        (b'{"a": "shopping list"}', "it is not a state of the sandbox"),
        (
            json.dumps({**GOOD_STATE, "segments": [{"name": 7}]}).encode(),
            "it has a segment 7 that cannot be: name must be a text, not 7",
        ),
    ],
)
def test_a_foreign_state_file_is_one_sentence_and_stays(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    ended = run(*COMMAND, "--port", "0", "--state", str(file), "--seed-demo")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"{file} cannot be used, and stays as it is: {reason}.\n"
    assert file.read_bytes() == content


def test_a_state_that_cannot_be_read_or_kept_is_one_sentence(tmp_path: Path) -> None:
    a_folder = run(*COMMAND, "--port", "0", "--state", str(tmp_path))
    nowhere = run(*COMMAND, "--port", "0", "--state", str(tmp_path / "nowhere" / "state.json"))
    assert (a_folder.returncode, a_folder.stdout) == (nowhere.returncode, nowhere.stdout) == (1, "")
    assert a_folder.stderr == f"{tmp_path} cannot be read: Is a directory.\n"
    assert nowhere.stderr == (
        f"The state cannot be kept in {tmp_path / 'nowhere' / 'state.json'}: nothing can be written there "
        "(No such file or directory).\n"
    )


def test_a_state_that_cannot_be_saved_is_one_sentence(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    process = start("--state", str(folder / "state.json"))
    read_export(process)
    folder.rmdir()
    process.terminate()
    _, log = process.communicate(timeout=5)
    assert process.returncode == 1
    assert log == f"The state cannot be saved in {folder / 'state.json'}: No such file or directory.\n"


def test_a_log_that_nobody_reads_costs_no_answer(start: Start) -> None:
    process = start()
    connection = run_in_bash(read_export(process)[1])
    assert process.stderr
    process.stderr.close()
    assert [list_segments(connection).status_code for _ in range(2)] == [200, 200]


def test_nohup_is_heeded() -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        connection = run_in_bash(read_export(process)[1])
        process.send_signal(signal.SIGHUP)
        assert list_segments(connection).status_code == 200
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_port_in_use_leaves_the_state_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    ended = run(*COMMAND, "--port", sandbox.url.rpartition(":")[2], "--state", str(file))
    assert (ended.returncode, file.exists()) == (1, False)


def test_rate_limits_can_be_switched_off(start: Start) -> None:
    process = start("--no-rate-limits")
    _, export = read_export(process)
    assert "x-ratelimit-limit" not in list_segments(run_in_bash(export)).headers


def test_the_servers_other_ways_can_be_chosen(start: Start) -> None:
    process = start("--seed-demo", "--reset", "seconds", "--require-database-name", "--archive-shows-id")
    connection = run_in_bash(read_export(process)[1])
    assert list_segments(connection).headers["x-ratelimit-reset"] == "60"
    assert connection["extra"] == {"database_name": "SandboxDB"}
    assert call_archive(connection, "Loyalty gold tier") == 401


def test_it_says_how_to_see_where_the_connection_leads(start: Start) -> None:
    lines, _ = read_export(start())
    assert "  airflow connections get moengage_default --output json" in lines
    assert any("secrets backend" in line for line in lines)
