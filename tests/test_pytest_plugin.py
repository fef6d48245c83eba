"""The pytest plugin, as it works in other people's tests: each run is a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).parents[1]
PLUGIN = "airflow_provider_moengage.pytest_plugin"

Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file in a process of its own, where only this plugin is loaded."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", "as it was")

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", "--strict-markers")

    return run


CALL = """
    import http.client, json, os

    def call(method, path, body=None):
        connection = json.loads(os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"])
        http_connection = http.client.HTTPConnection(connection["host"].removeprefix("http://"))
        http_connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = http_connection.getresponse()
        answer.read()
        http_connection.close()
        return answer.status
"""


def test_the_fixture_is_a_sandbox_that_the_connection_leads_to(run: Run) -> None:
    run(
        CALL
        + """
    def test_archive(moengage_sandbox):
        moengage_sandbox.add_segment(name="Spring")
        moengage_sandbox.fail_next(status=503)
        assert call("PATCH", "/v2/custom-segments/archive", "{}") == 503
        assert [request.status for request in moengage_sandbox.requests] == [503]
        assert len(moengage_sandbox.segments) == 1

    def test_each_test_has_its_own(moengage_sandbox):
        assert moengage_sandbox.requests == []
        assert moengage_sandbox.segments == []
    """
    ).assert_outcomes(passed=2)


def test_the_environment_is_as_before_afterwards(run: Run) -> None:
    run(
        """
    import os

    def test_with(moengage_sandbox):
        assert moengage_sandbox.url in os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"]

    def test_without():
        assert os.environ["AIRFLOW_CONN_MOENGAGE_DEFAULT"] == "as it was"
    """
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v3/custom-segment"), ("DELETE", "/v3/custom-segments"), ("POST", "/")]
)
def test_an_unknown_call_fails_the_test(run: Run, method: str, path: str) -> None:
    result = run(
        CALL
        + f"""
    def test_typing_error(moengage_sandbox):
        call("{method}", "{path}", "")

    def test_afterwards(moengage_sandbox):
        call("GET", "/v3/custom-segments")
    """
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_typing_error*", "The sandbox does not know these calls*", f"  {method} {path}"]
    )


def test_no_later_call_hides_an_unknown_one(run: Run) -> None:
    run(
        CALL
        + """
    def test_many(moengage_sandbox):
        moengage_sandbox._journal._requests = __import__("collections").deque(maxlen=2)
        call("GET", "/v9")
        for _ in range(3):
            call("GET", "/v3/custom-segments")
        assert len(moengage_sandbox.requests) == 2
    """
    ).assert_outcomes(passed=1, errors=1)


def test_an_unknown_call_that_met_a_fault_fails_the_test_too(run: Run) -> None:
    run(
        CALL
        + """
    def test_fault(moengage_sandbox):
        moengage_sandbox.fail_next(status=500)
        assert call("GET", "/v9") == 500
    """
    ).assert_outcomes(passed=1, errors=1)


def test_the_marker_chooses_the_arguments(run: Run) -> None:
    run(
        """
    import pytest

    @pytest.mark.moengage_sandbox(dialect="today", workspace_id="of the class")
    class TestMarked:
        @pytest.mark.moengage_sandbox(workspace_id="of the test")
        def test_both(self, moengage_sandbox):
            assert moengage_sandbox.connection["login"] == "of the test"
    """
    ).assert_outcomes(passed=1)


def test_a_wrong_argument_is_explained(run: Run) -> None:
    result = run(
        """
    import pytest

    @pytest.mark.moengage_sandbox(dialect="tomorrow")
    def test_wrong(moengage_sandbox):
        pass
    """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dialect must be one of seeds, today, not 'tomorrow'*"])


def test_an_argument_without_a_name_is_explained(run: Run) -> None:
    result = run(
        """
    import pytest

    @pytest.mark.moengage_sandbox("today")
    def test_wrong(moengage_sandbox):
        pass
    """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes its arguments by name*"])


def test_the_plugin_loads_nothing_before_it_is_used() -> None:
    heavy = ("airflow", "requests", "http.server", "pendulum", "airflow_provider_moengage.sandbox")
    code = f"import sys, {PLUGIN}; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"
