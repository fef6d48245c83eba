"""The pytest plugin, as it works in other people's tests: each run is a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_moengage.sandbox import Sandbox

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).parents[1]
PLUGIN = "airflow_provider_moengage.pytest_plugin"
OPTIONS = ("-p", PLUGIN, "-p", "no:cacheprovider", "--strict-markers")

Run = Callable[[str], pytest.RunResult]


@pytest.fixture(autouse=True)
def as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an environment in which only this plugin is loaded."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", "as it was")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run a test file where Airflow is imported already, which takes two seconds."""

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*OPTIONS)

    return run


@pytest.fixture
def run_apart(pytester: pytest.Pytester) -> Run:
    """Run a test file in a process of its own, with an Airflow that has read nothing of this environment before."""

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess(*OPTIONS)

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


# A secrets backend as a company has it: it knows production under every id, and Airflow asks it first.
BACKEND = """
import json

from airflow.secrets import BaseSecretsBackend

class Backend(BaseSecretsBackend):
    def __init__(self, **kwargs):
        super().__init__()

    def get_conn_value(self, conn_id, team_name=None):
        return json.dumps(dict(conn_type="moengage", login="PRODUCTION", password="k", host="{host}"))
"""


@pytest.fixture
def production(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A workspace that no test may touch, in a real secrets backend."""
    with Sandbox(workspace_id="PRODUCTION", api_key="k") as production:
        production.add_segment(name="Spring")
        pytester.makepyfile(backend_of_a_company=BACKEND.format(host=production.url))
        monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY}{os.pathsep}{pytester.path}")
        for section in ("SECRETS__BACKEND", "WORKERS__SECRETS_BACKEND"):
            monkeypatch.setenv(f"AIRFLOW__{section}", "backend_of_a_company.Backend")
        monkeypatch.setenv("AIRFLOW_HOME", str(pytester.path / "airflow"))
        yield production
        assert production.requests == []
        assert not production.segments[0]["archived"]


def test_no_secrets_backend_leads_out_of_the_sandbox(run_apart: Run, production: Sandbox) -> None:
    run_apart(
        """
    import asyncio

    import pytest
    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_provider_moengage.client.errors import InvalidInputError
    from airflow_provider_moengage.hooks.moengage import MoEngageHook
    from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator

    def test_the_backend_is_a_real_one():
        assert BaseHook.get_connection("moengage_default").login == "PRODUCTION"

    def test_an_operator(moengage_sandbox):
        moengage_sandbox.add_segment(name="Spring")
        ArchiveSegmentOperator(task_id="archive", name="Spring").execute({})
        assert moengage_sandbox.segments[0]["archived"]

    def test_the_loop_of_a_triggerer(moengage_sandbox):
        client = asyncio.run(MoEngageHook().aget_client())
        assert client.list_segments() == []
        assert len(moengage_sandbox.requests) == 1

    @pytest.mark.moengage_sandbox(conn_ids=["moengage_eu"])
    def test_another_connection(moengage_sandbox):
        for conn_id in ("moengage_eu", "moengage_default"):
            MoEngageHook(conn_id).client.list_segments()
            asyncio.run(MoEngageHook(conn_id).aget_client()).list_segments()
        assert len(moengage_sandbox.requests) == 4

    def test_all_others_are_refused(moengage_sandbox):
        hook = MoEngageHook("production")
        with pytest.raises(InvalidInputError, match="The connection 'production' leads to .*: nothing was sent"):
            hook.client
        with pytest.raises(InvalidInputError, match=r"conn_ids=\\['production'\\]"):
            asyncio.run(hook.aget_client())
        assert hook.test_connection()[0] is False
        with pytest.raises(Exception, match="'production' leads to"):
            ArchiveSegmentOperator(task_id="archive", name="Spring", moengage_conn_id="production").execute({})
        assert moengage_sandbox.requests == []
    """
    ).assert_outcomes(passed=5)


def test_a_client_with_another_address_is_refused(run_apart: Run, production: Sandbox) -> None:
    run_apart(
        f"""
    import pytest

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.errors import InvalidInputError

    LEFT = []

    def test_direct(moengage_sandbox):
        with MoEngageClient("PRODUCTION", "k", base_url="{production.url}") as client:
            with pytest.raises(InvalidInputError, match="This client leads to {production.url}"):
                client.archive_segment("Spring")
        with MoEngageClient("PRODUCTION", "k", data_center="01") as client:
            with pytest.raises(InvalidInputError, match="https://api-01.moengage.com"):
                client.list_segments()

    def test_under_another_name_of_this_machine(moengage_sandbox):
        connection = moengage_sandbox.connection
        base_url = connection["host"].replace("127.0.0.1", "localhost")
        with MoEngageClient(connection["login"], connection["password"], base_url=base_url) as client:
            LEFT.append(client)
            assert client.list_segments() == []

    def test_a_client_of_an_earlier_test(moengage_sandbox):
        with pytest.raises(InvalidInputError, match="left of an earlier one"):
            LEFT[0].list_segments()

    def test_without_the_fixture_nothing_is_refused():
        with MoEngageClient("PRODUCTION", "k", base_url="{production.url}") as client:
            assert client.base_url == "{production.url}"
    """
    ).assert_outcomes(passed=4)


def test_two_tests_of_one_dag_module_have_a_sandbox_each(run_apart: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        dag_module="""
    from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator

    try:
        from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator
    except ImportError:
        from airflow_provider_moengage.operators.segments import ArchiveSegmentsOperator

    one = ArchiveSegmentOperator(task_id="one", name="Spring")
    many = ArchiveSegmentsOperator(task_id="many", segments=[{"name": "Autumn"}])
    """
    )
    run_apart(
        """
    import dag_module
    import pytest

    @pytest.mark.parametrize("test", [1, 2])
    def test_each(moengage_sandbox, test):
        for name in ("Spring", "Autumn"):
            moengage_sandbox.add_segment(name=name)
        dag_module.one.execute({})
        dag_module.many.execute({})
        assert [segment["archived"] for segment in moengage_sandbox.segments] == [True, True]
    """
    ).assert_outcomes(passed=2)


def test_ids_that_are_no_list_are_explained(run: Run) -> None:
    result = run(
        """
    import pytest

    @pytest.mark.moengage_sandbox(conn_ids="moengage_eu")
    def test_wrong(moengage_sandbox):
        pass
    """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*conn_ids takes a list of connection ids*"])
