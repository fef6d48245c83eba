"""What the tests stand on: ports that are promised once, runs that end, and a home that they leave alone."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo import ports
from demo.ports import promised_ports
from tests.browser import chromium, needs_a_browser
from tests.support import once

REPOSITORY = Path(__file__).parents[1]

ASK = """
import sys
from demo.ports import promised_ports
with promised_ports(5) as ports:
    print(*ports, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def few(monkeypatch, tmp_path):
    """As few ports as the test needs, with locks of its own. Nobody else is promised them meanwhile."""
    with promised_ports(3) as three:
        monkeypatch.setattr(ports, "LOCKS", tmp_path / "locks")
        monkeypatch.setattr(ports, "RANGE", three)
        yield three


def test_a_port_is_promised_once_though_nobody_listens_there(few):
    with promised_ports(2) as first, promised_ports(1) as second:
        assert not set(first) & set(second)
        with pytest.raises(RuntimeError, match="none is free"), promised_ports(1):
            pass
    with promised_ports(3) as again:
        assert set(again) == {*first, *second}


def test_a_port_with_a_listener_is_passed_over(few):
    first, second, third = few
    with socket.create_server(("127.0.0.1", second)), promised_ports(2, second) as promised:
        assert set(promised) == {first, third}


def test_processes_are_promised_different_ports():
    children = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        promised = [int(port) for child in children for port in child.stdout.readline().split()]
    finally:
        for child in children:
            child.communicate(timeout=60)
    assert len(set(promised)) == 20


def test_the_system_gives_no_promised_port_to_a_socket_that_asks_for_any():
    settings = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not settings.exists():
        pytest.skip("Linux has this file")
    first, _ = map(int, settings.read_text().split())
    assert ports.RANGE.stop <= first


@once
@needs_a_browser
@pytest.mark.slow
def test_a_browser_leaves_nothing_in_the_home_of_who_runs_the_tests(tmp_path, monkeypatch):
    for folder in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(folder, str(tmp_path))
    with chromium() as browser:
        assert browser.new_page().evaluate("1 + 1") == 2
    assert list(tmp_path.iterdir()) == []


TESTS = """
import os, signal, time
import psutil
import pytest

@pytest.mark.xdist_group("one")
def test_that_kills_its_process():
    os.kill(os.getpid(), signal.SIGKILL)

@pytest.mark.xdist_group("one")
def test_of_the_same_group():
    pass

@pytest.mark.timeout(0.2)
@pytest.mark.xdist_group("two")
def test_that_hangs():
    time.sleep(60)
"""


@once
@pytest.mark.slow
def test_a_run_ends_though_a_process_of_it_dies_and_a_test_hangs(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ["--config-file", REPOSITORY / "pyproject.toml", "--rootdir", tmp_path, "--confcutdir", tmp_path]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "-n",
            "2",
            "--dist",
            "loadgroup",
            "-p",
            "no:cacheprovider",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    )
    assert run.returncode == 1, run.stdout
    assert "crashed while running" in run.stdout
    assert "Timeout" in run.stdout


# The launcher, with parts that do nothing but tell their numbers; of which one ends, as one does that cannot start.
LAUNCH = """
import os, sys, time
from demo import launcher

def run(part, *_):
    print("part", os.getpid(), flush=True)
    if part == "scheduler":
        sys.exit(3)
    time.sleep(600)

launcher.IMPORTED, launcher._migrate, launcher._run = (), lambda: None, run
launcher.main()
"""


@pytest.mark.slow
def test_an_airflow_of_which_a_part_ends_by_itself_ends_whole(tmp_path):
    """Who waits for it hears at once, and not after minutes, that it will never be healthy."""
    launched = subprocess.run(
        [sys.executable, "-c", LAUNCH],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )
    assert launched.returncode == 1, launched.stderr
    assert "scheduler has ended with the exit code 3" in launched.stdout
    parts = [int(number) for number in re.findall(r"part (\d+)", launched.stdout)]
    assert parts
    assert not any(psutil.pid_exists(number) for number in parts)
    assert "fernet_key = " in (tmp_path / "airflow.cfg").read_text()
