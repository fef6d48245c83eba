"""What those who carry on rely on: the hooks before a commit, the workflow, and what the pages name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import once

yaml = pytest.importorskip("yaml")

REPOSITORY = Path(__file__).parents[1]
HOOKS = REPOSITORY / ".pre-commit-config.yaml"
WORKFLOW = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
PROGRAMS = Path(sys.executable).parent

pytestmark = once


@pytest.fixture
def commit(tmp_path):
    """Let the hooks look at the files of a new repository, which has this environment as its .venv."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not here")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home"), "GIT_CONFIG_GLOBAL": os.devnull}
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / ".venv").symlink_to(PROGRAMS.parent)
    for name in (".gitignore", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, repository)
    shutil.copy(HOOKS, repository)
    subprocess.run([git, "init", "--quiet"], cwd=repository, env=environment, check=True)

    def commit(name, text):
        file = repository / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        subprocess.run([git, "add", name], cwd=repository, env=environment, check=True)
        command = [sys.executable, "-m", "pre_commit", "run", "--color", "never"]
        ran = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
        hooks = dict(re.findall(r"(?m)^([a-z].*?)\.{3,}(?:\(.*\))?(Passed|Failed|Skipped)$", ran.stdout))
        assert ran.returncode == any(result == "Failed" for result in hooks.values()), ran.stdout + ran.stderr
        return {hook: result for hook, result in hooks.items() if result != "Skipped"}

    return commit


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_what_a_page_names_is_there(page):
    text = (REPOSITORY / page).read_text()
    targets = set(re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text))
    targets |= set(re.findall(r"\btests/[\w/]+\.py\b", text))
    assert targets
    assert [target for target in sorted(targets) if not (REPOSITORY / target).exists()] == []
    made = set(re.findall(r"`make ([a-z-]+)", text))
    assert made <= set(re.findall(r"(?m)^([a-z-]+):", (REPOSITORY / "Makefile").read_text()))


def test_the_map_names_every_file_and_only_those_that_are_there():
    section = re.search(r"(?ms)^## I want to change.*?(?=^## )", (REPOSITORY / "CONTRIBUTING.md").read_text())[0]
    paths = re.findall(r"`([\w/]+\.(?:py|html))`", section)
    package = REPOSITORY / "airflow_provider_moengage"
    there = {str(file.relative_to(package)) for file in package.rglob("*.py") if file.name != "__init__.py"}
    assert there - set(paths) == set(), "add them to the map"
    assert [path for path in paths if not (package / path).is_file()] == []


def test_the_hooks_run_the_programs_of_make_lint():
    makefile = (REPOSITORY / "Makefile").read_text()
    lint = re.search(r"(?ms)^lint:.*?\n(.*?)\n\n", makefile)[1]
    in_lint = {re.sub(r" --check| --quiet| \.github\S+", "", line) for line in re.findall(r"@\$\(BIN\)/(.+)", lint)}
    hooks = [hook for repository in yaml.safe_load(HOOKS.read_text())["repos"] for hook in repository["hooks"]]
    assert {hook["entry"].removeprefix(".venv/bin/") for hook in hooks} == in_lint


@pytest.mark.parametrize(
    ("name", "good", "bad", "hooks"),
    [
        ("demo/one.py", '"""One."""\n', '"""One."""\nx = [1,2]\n', {"ruff format"}),
        ("demo/one.py", '"""One."""\n', '"""One."""\n\nimport os\n', {"ruff check"}),
        ("airflow_provider_moengage/__init__.py", '"""One."""\n', '"""One."""\n\nx: int = "1"\n', {"mypy"}),
        (
            ".github/workflows/one.yml",
            "on: push\njobs: {one: {runs-on: here, steps: [{run: make}]}}\n",
            "on: push\njobs: {one: {steps: [{run: make}]}}\n",
            {"check-jsonschema (workflows)"},
        ),
        (
            ".github/ISSUE_TEMPLATE/one.yml",
            "name: one\ndescription: one\nbody: [{type: markdown, attributes: {value: one}}]\n",
            "name: one\nbody: []\n",
            {"check-jsonschema (issue forms)"},
        ),
    ],
)
def test_a_hook_stops_what_is_wrong(commit, name, good, bad, hooks):
    assert "Failed" not in commit(name, good).values()
    assert {hook for hook, result in commit(name, bad).items() if result == "Failed"} == hooks


def test_the_workflow_makes_what_has_to_pass():
    steps = [step.get("run", "") for step in WORKFLOW["jobs"]["check"]["steps"]]
    has_to_pass = re.findall(r"(?m)^(make (?!matrix).+)$", (REPOSITORY / ".ci" / "run").read_text())
    assert has_to_pass
    assert set(has_to_pass) <= set(steps)


def test_the_workflow_runs_every_session_of_nox(tmp_path):
    pytest.importorskip("nox")
    (listing,) = [step for step in WORKFLOW["jobs"]["sessions"]["steps"] if step.get("id") == "list"]
    output = tmp_path / "output"
    environment = {**os.environ, "GITHUB_OUTPUT": str(output), "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["/bin/bash", "-euc", listing["run"]], cwd=REPOSITORY, env=environment, check=True)
    (line,) = output.read_text().splitlines()
    sessions = json.loads(line.removeprefix("sessions="))
    assert {"tests(2.11.2-3.10)", "tests(3.3.2-3.13)"} <= {session["session"] for session in sessions}
    assert all(session["python"] in session["session"] for session in sessions)
    matrix = WORKFLOW["jobs"]["matrix"]
    assert matrix["strategy"]["matrix"]["include"] == "${{ fromJSON(needs.sessions.outputs.sessions) }}"
    used = set(re.findall(r"\$\{\{ matrix\.(\w+) \}\}", str(matrix)))
    assert used == {"session", "python"}
