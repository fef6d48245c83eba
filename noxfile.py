"""The tests on every supported Airflow and Python: `make matrix`."""

from __future__ import annotations

import shutil

import nox
from uv import find_uv_bin

nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

# The newest patch of each Airflow, with the other packages as they were when it came: it breaks with later ones.
# The newest Airflow, with the packages of constraints.txt, is what `make test` runs.
AIRFLOWS = {
    "2.11.2": ("2026-06-30", ("3.10", "3.11", "3.12")),
    "3.0.6": ("2025-09-30", ("3.10", "3.11", "3.12")),
    "3.1.8": ("2026-03-31", ("3.10", "3.11", "3.12", "3.13")),
    "3.2.2": ("2026-06-30", ("3.10", "3.11", "3.12", "3.13")),
    "3.3.2": (None, ("3.10", "3.11", "3.12", "3.13", "3.14")),
}
# Not every machine has it yet.
WHERE_FOUND = {"3.14"}


@nox.session
@nox.parametrize(
    ("airflow", "python"),
    [
        nox.param(airflow, python, id=f"{airflow}-{python}")
        for airflow, (_, pythons) in AIRFLOWS.items()
        for python in pythons
        if python not in WHERE_FOUND or shutil.which(f"python{python}")
    ],
)
def tests(session: nox.Session, airflow: str) -> None:
    """Run pytest, with the arguments that follow `--`."""
    date, _ = AIRFLOWS[airflow]
    of_its_time = ["--constraint", "constraints.txt"]
    if date:
        # Of common-compat we need more than the first versions, and it supports all of these.
        of_its_time = [
            "--exclude-newer",
            date,
            "--exclude-newer-package",
            "apache-airflow-providers-common-compat=false",
        ]
    dependencies = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")
    # By the uv beside nox: the one among these packages is of their time too, and would be taken the next time.
    install = [find_uv_bin(), "pip", "install", *of_its_time, f"apache-airflow=={airflow}", "--editable", "."]
    session.run_install(*install, *dependencies, external=True, silent=True)
    # With CI set, the sandbox's tests of any input try eight times as much: once is enough, in `make test`.
    session.env["CI"] = ""
    session.run("pytest", "--numprocesses", "3", "--dist", "loadgroup", "-p", "no:cacheprovider", *session.posargs)
