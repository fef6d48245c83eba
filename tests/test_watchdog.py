"""What `make demo`, `make airflow` and the tests start ends with them, even when they are killed."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.conftest import REPOSITORY

# A process of Airflow, as far as it matters here: a task has a session of its own.
FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("started", flush=True)
time.sleep(600)
"""
PARENT = """
import os, sys, time
from pathlib import Path
from demo.standalone import started
log = Path(sys.argv[1])
with started([sys.executable, "-c", sys.argv[2]], os.environ, log) as process:
    while "started" not in log.read_text():
        time.sleep(0.05)
    print("all run", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path):
    command = [sys.executable, "-c", PARENT, tmp_path / "log", FAMILY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPOSITORY, **pipes) as process:
        assert process.stdout.readline() == b"all run\n"
        yield process
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "ends"])
def test_the_family_ends_with_its_parent(parent, is_killed):
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 3, "Airflow, its task, and who watches"
    if is_killed:
        parent.kill()
    else:
        parent.stdin.close()
    _, alive = psutil.wait_procs(family, timeout=60)
    for process in alive:
        process.kill()
    assert alive == []
