"""What users install: the wheel and the sdist, and the wheel alone beside a plain Airflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_provider_moengage import __version__
from tests.sandbox.calling import list_segments, read_export, run_in_bash
from tests.support import once, provider_seen_by

REPOSITORY = Path(__file__).parents[1]
AIRFLOW = version("apache-airflow")
pytestmark = once

INSTALLED_SIZE = """
from importlib.metadata import distribution
print(sum(file.locate().stat().st_size for file in distribution("airflow-provider-moengage").files))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    _build(REPOSITORY, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(built):
    (sdist,) = built.glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def plain_airflow(tmp_path_factory, wheel, figures):
    """The programs of an environment with an Airflow to which the wheel was added, and nothing else."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    uv = Path(sys.executable).with_name("uv")
    environment = {"UV_CACHE_DIR": str(REPOSITORY / ".venv" / "cache"), "UV_SYSTEM_CERTS": "1", **os.environ}

    def pip(*arguments):
        command = [uv, "pip", *arguments, "--quiet", "--python", folder / "bin" / "python"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def packages():
        return {package["name"] for package in json.loads(pip("list", "--format", "json"))}

    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], env=environment, check=True)
    constraints = ("--constraint", REPOSITORY / "constraints.txt")
    pip("install", f"apache-airflow=={AIRFLOW}", *constraints)
    before = packages()
    pip("install", wheel, *constraints)
    size = subprocess.run([folder / "bin" / "python", "-c", INSTALLED_SIZE], capture_output=True, text=True, check=True)
    figures.most("packages of a plain Airflow", len(before))
    figures.most("packages that the wheel adds to it", len(packages() - before))
    figures.most("size of the installed package", int(size.stdout) / 1024, "KiB")
    assert packages() - before == {"airflow-provider-moengage"}
    return folder / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"airflow_provider_moengage-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"airflow_provider_moengage", about}
    in_it = {"py.typed", "sandbox/__main__.py", "sandbox/page_template.html"}
    assert {f"airflow_provider_moengage/{name}" for name in in_it} | {f"{about}/licenses/LICENSE"} <= names


def test_the_wheel_names_its_entry_points(wheel):
    with zipfile.ZipFile(wheel) as files:
        entry_points = files.read(f"airflow_provider_moengage-{__version__}.dist-info/entry_points.txt").decode()
    assert "moengage-sandbox = airflow_provider_moengage.sandbox.__main__:main" in entry_points
    assert "moengage = airflow_provider_moengage.pytest_plugin" in entry_points
    assert "provider_info = airflow_provider_moengage:get_provider_info" in entry_points


def test_the_sdist_makes_the_same_wheel(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as files:
        files.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    beside_the_package = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert {path.name for path in root.iterdir()} == {"airflow_provider_moengage", *beside_the_package}
    _build(root, tmp_path / "again", "--target", "wheel")
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_twine_finds_nothing_wrong(wheel, sdist):
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_airflow_finds_the_provider_in_the_wheel(plain_airflow):
    provider, hook = provider_seen_by(plain_airflow / "airflow")
    assert provider["version"] == __version__
    assert hook["class"] == "airflow_provider_moengage.hooks.moengage.MoEngageHook"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_in_the_wheel_answers_and_ends(plain_airflow, how, tmp_path):
    process = subprocess.Popen(
        [plain_airflow / "moengage-sandbox", "--port", "0", "--seed-demo"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        connection = run_in_bash(read_export(process)[1])
        assert list_segments(connection).json()["data"]
        process.send_signal(how)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


def _build(source, folder, *options):
    command = [sys.executable, "-m", "hatchling", "build", "--directory", folder, *options]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
