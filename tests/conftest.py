"""What every test has: a sandbox in either dialect, an Airflow of its own, and real DAG runs."""

from __future__ import annotations

import functools
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from packaging.version import Version

# Until all is there that stays: see pytest_collection_finish.
gc.disable()

REPOSITORY = Path(__file__).parents[1]
AIRFLOW_VERSION = Version(version("apache-airflow"))
# A database for each process that runs tests at the same time.
AIRFLOW_HOME = REPOSITORY / ".airflow" / f"tests-{AIRFLOW_VERSION}{os.environ.get('PYTEST_XDIST_WORKER', '')}"

# Airflow reads these when it is first imported.
os.environ.update(
    AIRFLOW_HOME=str(AIRFLOW_HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(AIRFLOW_HOME / "dags"),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{AIRFLOW_HOME / 'airflow.db'}",
    # Only sockets on this machine are reached, and no proxy of the environment is asked for them.
    no_proxy="*",
)

from airflow_provider_moengage.client import MoEngageClient  # noqa: E402
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER  # noqa: E402
from airflow_provider_moengage.sandbox import Sandbox  # noqa: E402
from airflow_provider_moengage.triggers.intervals import SHORTEST_INTERVALS  # noqa: E402
from tests.figures import FIGURES, Figures  # noqa: E402
from tests.support import Clock, client_of  # noqa: E402

DIALECTS = ("seeds", "today")


def pytest_configure(config: pytest.Config) -> None:
    """
    Warnings are errors on the newest Airflow.

    An older one warns of what its own libraries have done since: hundreds of lines, beneath which a failure is hidden.
    """
    config.pluginmanager.register(BetweenProcesses())
    # A shell lets what runs in the background ignore these, and so would do what the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if Version("3.3") > AIRFLOW_VERSION:
        config.addinivalue_line("filterwarnings", "default")
        config.option.disable_warnings = True


# The seconds that a test may take, where a wait has no end of its own: on a busy machine ten times what it needs.
# One with a running Airflow waits for that to start, and for several things then, each with a deadline of its own.
TIMEOUT, TIMEOUT_WITH_AIRFLOW = 300, 1_800


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file in one process, and those that share a running Airflow. End those that hang."""
    item.add_marker(pytest.mark.xdist_group(_group_of(item)))
    if _is_slow(item):
        item.add_marker(pytest.mark.slow)
    if not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(TIMEOUT_WITH_AIRFLOW if _needs_airflow(item) else TIMEOUT))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Begin with what takes longest, most of it waiting for a running Airflow.

    The dialects differ for the client only. Of a DAG run in both, which takes a second, one is left out. Of any other
    test in both, one is slow, but for those about what is sent and answered.
    """
    others = _the_other_dialect(items)
    left_out = {item for item in others if "run_dag" in item.fixturenames}
    for item in others:
        item.add_marker(pytest.mark.second_dialect)
        if item.path.relative_to(REPOSITORY / "tests").parts[0] not in FOLDERS_OF_DIALECTS:
            item.add_marker(pytest.mark.slow)
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = sorted((item for item in items if item not in left_out), key=_turn_of)


def _turn_of(item: pytest.Item) -> int:
    if _needs_airflow(item):
        # The one that many tests share comes after those of one test each: it runs until the last test of its folder.
        return int("airflow" in item.fixturenames and item.path.parent.name == "system")
    return 2 if item.path.parent.name in {"client", "transfers"} else 3


FOLDERS_OF_DIALECTS = {"client", "hooks", "sandbox"}


def _the_other_dialect(items: list[pytest.Item]) -> list[pytest.Item]:
    """Find the tests that are there in both dialects, and of each one of the two: now this one, now that."""
    named = {item.nodeid for item in items}
    others = []
    for item in items:
        dialect = item.callspec.params.get("sandbox") if hasattr(item, "callspec") else None
        if dialect not in DIALECTS:
            continue
        (other,) = set(DIALECTS) - {dialect}
        whichever = item.nodeid.replace(dialect, "").replace(other, "")
        is_the_one = DIALECTS[zlib.crc32(whichever.encode()) % len(DIALECTS)] == dialect
        if item.nodeid.replace(dialect, other) in named and not is_the_one:
            others.append(item)
    return others


# What `make test-fast` leaves out, beside DAG runs, what runs on a whole Airflow and a second dialect: tests that start
# processes which import Airflow, pytest or mypy, browsers and builds, that fill a workspace to its limits or make
# hundreds of calls, that wait out real time, or hours, poll by poll, on a clock of their own.
SLOW_FILES = {
    "test_command_line",
    "test_conformance",
    "test_contributing",
    "test_distribution",
    "test_docs",
    "test_event_loop",
    "test_failure_tolerance",
    "test_fault_matrix",
    "test_filter_types",
    "test_filters",
    "test_filters_against_the_sandbox",
    "test_package",
    "test_page",
    "test_parsing",
    "test_polling",
    "test_pytest_plugin",
    "test_quota",
    "test_reference",
    "test_scale",
    "test_segment_created",
    "test_shared_stream",
    "test_state",
    "test_tls",
}
SLOW_TESTS = {
    "TestKilling",
    "TestManyAtOnce",
    "TestTheAnswerIsLost",
    "test_a_body_that_comes_byte_by_byte",
    "test_a_thousand_wait_with_one_request_an_interval",
    "test_a_value_that_is_there_a_million_times_is_in_memory_once",
    "test_an_answer_that_never_ends",
    "test_interim_answers_without_end",
    "test_no_more_than_calls_at_once",
    "test_one_more_than_the_limit_is_refused",
    "test_the_command_line",
    "test_the_first_poll_of_a_process_imports_nothing_on_the_loop",
    "test_within_the_limits_and_all_in_turn",
}


def _is_slow(item: pytest.Item) -> bool:
    return (
        _needs_airflow(item)
        or item.path.stem in SLOW_FILES
        or not SLOW_TESTS.isdisjoint(node.name.partition("[")[0] for node in item.listchain())
        or not {"airflow_database", "run_dag"}.isdisjoint(item.fixturenames)
    )


def _needs_airflow(item: pytest.Item) -> bool:
    return item.path.parent.name in FOLDERS_WITH_AIRFLOW


FOLDERS_WITH_AIRFLOW = {"system", "distributed"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out of `make test-fast` what it would only import, for a second in each process."""
    is_slow = collection_path.stem in SLOW_FILES | FOLDERS_WITH_AIRFLOW
    return True if is_slow and config.option.markexpr.startswith("not slow and ") else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """
    Keep the garbage collector off Airflow's modules and the tests, half a million objects: they stay until the end.

    To go through them again and again takes a quarter of the processor's time of a collection, and of a run.
    """
    gc.freeze()
    gc.enable()


# Of the tests with an Airflow, those that take turns with the distributed one.
SECOND_AIRFLOW = {"test_segment_created", "test_user_interface"}


def _group_of(item: pytest.Item) -> str:
    """Let two Airflows run at a time: each uses a fifth of a processor for nothing, as long as it runs."""
    if not _needs_airflow(item):
        return _name_of(item.path)
    is_second = item.path.parent.name == "distributed" or item.path.stem in SECOND_AIRFLOW
    return "second airflow" if is_second else "airflow"


@functools.cache
def _name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let those go first who wait for an Airflow, and the Airflow: all others compute, and use what these leave."""
    if "PYTEST_XDIST_WORKER" in os.environ and not _needs_airflow(item) and os.nice(0) == 0:
        os.nice(NICE)


NICE = 5


class BetweenProcesses:
    """Brings what is counted in one process to the one that prints it."""

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["figures"] = FIGURES.as_json()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        FIGURES.join(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that the tests have counted."""
    if lines := FIGURES.lines():
        terminalreporter.section("what was tried")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where a test counts what it tries; the sums are printed at the end."""
    return FIGURES


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """
    A clock for the provider on which waiting takes no time, and pauses that are random by half.

    Nothing else is faked in these tests. A pause that is next to nothing would now and then be no pause at all.
    """
    RATE_LIMITER.reset()
    clock = Clock()
    modules = ("client.retry", "client.transport", "sensors.segments", "triggers.segments")
    for module in (*modules, "triggers.polling", "segments.bulk_run", "operators.bulk_base"):
        monkeypatch.setattr(f"airflow_provider_moengage.{module}.time", clock)
    for module in ("client.retry", "client.transport"):
        monkeypatch.setattr(f"airflow_provider_moengage.{module}.random", SimpleNamespace(random=lambda: 0.5))
    return clock


@pytest.fixture(params=DIALECTS)
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Sandbox]:
    """A workspace that the connection moengage_default leads to, and whose time passes when the client waits."""
    with Sandbox(dialect=request.param) as sandbox:
        clock.when_slept.append(lambda seconds: sandbox.move_clock(timedelta(seconds=seconds)))
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        yield sandbox


@pytest.fixture
def triggers_follow_the_sandbox(sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's DateTimeTrigger goes by the sandbox's clock, which an hour passes on at each of its naps."""
    from airflow.providers.standard.triggers import temporal

    async def sleep(_: float) -> None:
        sandbox.move_clock(timedelta(hours=1))
        clock.move(3_600)

    now = SimpleNamespace(**{**vars(temporal.timezone), "utcnow": lambda: sandbox.now})
    monkeypatch.setattr(temporal, "timezone", now)
    monkeypatch.setattr(temporal, "asyncio", SimpleNamespace(sleep=sleep))


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test poll as often as it says; what is done between two polls is sleep."""
    for call in SHORTEST_INTERVALS:
        monkeypatch.setitem(SHORTEST_INTERVALS, call, 1e-6)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[MoEngageClient]:
    with client_of(sandbox) as client:
        yield client


@dataclass(frozen=True)
class Run:
    """A DAG run that has ended."""

    state: str
    tasks: dict[str, Any]
    log: str

    @property
    def states(self) -> dict[str, str]:
        return {task_id: str(ti.state) for task_id, ti in self.tasks.items()}

    @property
    def tries(self) -> dict[str, int]:
        return {task_id: ti.try_number for task_id, ti in self.tasks.items()}

    @property
    def xcoms(self) -> dict[str, Any]:
        # Airflow 3.1 fails to pull in this process what several mapped tasks have given.
        pulls_many = AIRFLOW_VERSION.release[:2] != (3, 1)
        return {
            task_id: ti.xcom_pull(task_ids=task_id)
            for task_id, ti in self.tasks.items()
            if pulls_many or ti.map_index < 0
        }


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The metadata database, made anew: by one of the processes, and copied by the others."""
    folder = tmp_path_factory.getbasetemp()
    made = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "airflow.db"
    with FileLock(made.with_suffix(".lock")):
        if not made.exists():
            airflow = Path(sys.executable).with_name("airflow")
            url = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made}"}
            migration = subprocess.run(
                [airflow, "db", "migrate"], env={**os.environ, **url}, capture_output=True, text=True, check=False
            )
            assert migration.returncode == 0, migration.stderr
    (AIRFLOW_HOME / "dags").mkdir(parents=True, exist_ok=True)
    # With SQLite's own files beside it, which a run that was killed leaves behind.
    for leftover in AIRFLOW_HOME.glob("airflow.db*"):
        leftover.unlink()
    shutil.copy(made, AIRFLOW_HOME)
    if Version("3") <= AIRFLOW_VERSION < Version("3.3"):
        _make_the_execution_api_once()


def _make_the_execution_api_once() -> None:
    """
    Let all tasks of a process have one Execution API, as Airflow 3.3 does.

    ``dag.test()`` of its predecessors makes one for each task, in all versions that it has had so far: a second of the
    processor in place of a tenth.
    """
    from airflow.sdk.execution_time import supervisor

    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


@pytest.fixture
def run_dag(airflow_database: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a DAG: a run in the database, rendered templates, XComs through Airflow's own API, triggers run inline."""

    def run(dag: Any, logical_date: datetime | None = None) -> Run:
        if Version("3") <= AIRFLOW_VERSION < Version("3.1") and any(
            getattr(task, "mode", None) == "reschedule" for task in dag.tasks
        ):
            pytest.skip("dag.test() of Airflow 3.0 counts each reschedule as a try")
        _save(dag)
        name = "logical_date" if Version("3") <= AIRFLOW_VERSION else "execution_date"
        dag_run = dag.test(**({name: logical_date} if logical_date else {}))
        tasks = {ti.task_id: ti for ti in dag_run.get_task_instances()}
        log = "".join(capfd.readouterr())
        return Run(str(dag_run.state), tasks, log if Version("3.1") <= AIRFLOW_VERSION else plain(log))

    return run


def plain(log: str) -> str:
    """
    Make a log of Airflow 3.0 like those of its successors.

    It writes down all that a task and its supervisor say to each other, masked or not; and it colours errors and breaks
    their lines.
    """
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", log)
    said = [line for line in uncoloured.splitlines() if not re.search(r"type='\w+'|\[debug|DEBUG", line)]
    return re.sub(r" *\n *(?!\[?20\d\d-)", " ", "\n".join(said))


@functools.cache
def _name_the_bundles_once() -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()


def _save(dag: Any) -> None:
    """Write the DAG to the database, as the DAG processor does with what it finds in a file. Airflow 2 needs none."""
    if Version("3") > AIRFLOW_VERSION:
        return
    from airflow.models.serialized_dag import SerializedDagModel

    _name_the_bundles_once()
    if Version("3.1") > AIRFLOW_VERSION:
        from airflow.serialization.serialized_objects import SerializedDAG

        serialized = SerializedDAG.from_dict(SerializedDAG.to_dict(dag))
        SerializedDAG.bulk_write_to_db("dags-folder", None, [serialized])
        SerializedDagModel.write_dag(dag, bundle_name="dags-folder")
        return
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:  # before Airflow 3.2
        from airflow.serialization.serialized_objects import SerializedDAG

    serialized = LazyDeserializedDAG.from_dag(dag)
    SerializedDAG.bulk_write_to_db("dags-folder", None, [serialized])
    SerializedDagModel.write_dag(serialized, bundle_name="dags-folder")
