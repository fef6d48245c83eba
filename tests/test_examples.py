"""The snippets of the README and of the pages, and the example DAGs, each run as a user would run it."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.models.dagrun import DagRun
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import event, insert, select

from demo.warehouse import running_warehouse
from tests.benchmarks.summary import ROWS, comparison, summary
from tests.pages import DOCS, PAGES, REPOSITORY
from tests.support import NOTHING, UNKNOWN_ID, dags_of

try:
    from airflow.models.asset import AssetEvent as Event
    from airflow.models.asset import association_table as consumed_events

    ASSET_ID = "asset_id"
except ImportError:  # before Airflow 3
    from airflow.models.dataset import DatasetEvent as Event
    from airflow.models.dataset import association_table as consumed_events

    ASSET_ID = "dataset_id"

SNIPPETS = {
    f"{page.relative_to(REPOSITORY)}:{number}": snippet
    for page in (REPOSITORY / "README.md", *PAGES)
    for number, snippet in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text()), 1)
}
# A get by id shows a segment's filters on newer servers only.
NEED_TODAY = [name for name, snippet in SNIPPETS.items() if '["included_filters"]' in snippet]
AIRFLOW_VERSION = Version(version("apache-airflow"))
SEGMENT = "camp_diwali_2026"


needs_airflow_3 = pytest.mark.skipif(
    Version("3") > AIRFLOW_VERSION, reason="the snippets import from airflow.sdk, which came with Airflow 3"
)


@pytest.fixture
def run_snippet(run_dag, tmp_path, request, monkeypatch):
    # The Variables that the page on file segments names.
    monkeypatch.setenv("AIRFLOW_VAR_VIP_FILE_URL", "http://127.0.0.1:9/ids.csv")
    monkeypatch.setenv("AIRFLOW_VAR_VIP_ADDITIONS_URL", "http://127.0.0.1:9/more.csv")

    def run(name):
        file = tmp_path / "snippet.py"
        file.write_text(SNIPPETS[name])
        if "def test_" in SNIPPETS[name]:
            namespace: dict[str, Any] = {}
            exec(compile(SNIPPETS[name], file, "exec"), namespace)  # noqa: S102 - our own pages
            (test,) = [value for name, value in namespace.items() if name.startswith("test_")]
            test(request.getfixturevalue("moengage_sandbox"))
        elif 'callback_url="airflow"' in SNIPPETS[name]:
            # tests/operators/test_callbacks.py runs the like, with a receiver and a file.
            assert dags_of(file)
        elif "with DAG(" in SNIPPETS[name]:
            assert run_dag(dags_of(file)[0]).state == "success"
        else:
            exec(compile(SNIPPETS[name], file, "exec"), {})  # noqa: S102 - our own pages

    return run


@needs_airflow_3
@pytest.mark.parametrize("snippet", [name for name in SNIPPETS if name not in NEED_TODAY])
def test_a_snippet_runs(snippet, sandbox, run_snippet):
    sandbox.add_segment(name=SEGMENT, id=UNKNOWN_ID)
    run_snippet(snippet)


@needs_airflow_3
@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
@pytest.mark.parametrize("snippet", NEED_TODAY)
def test_a_snippet_that_reads_filters_runs(snippet, sandbox, run_snippet):
    in_mumbai = {"filter_type": "user_attributes", "name": "City", "data_type": "string", "operator": "in"}
    filters = {"filter_operator": "and", "filters": [{**in_mumbai, "value": ["Mumbai"]}]}
    sandbox.add_segment(name=SEGMENT, id=UNKNOWN_ID, included_filters=filters)

    run_snippet(snippet)

    assert sandbox.segments[0]["included_filters"]["filters"][0]["value"] == ["Mumbai", "Pune"]


def test_segment_lifecycle(sandbox, run_dag):
    """Whole: the segment is not there at first, and the run's dates reach MoEngage beside its own template."""
    segment_id = sandbox.add_segment(name=SEGMENT)["id"]
    sandbox.fail_next(status=200, body=NOTHING)
    (dag,) = dags_of(REPOSITORY / "example_dags" / "segment_lifecycle.py")
    dag.get_task("wait_for_segment").poke_interval = 0

    date = pendulum.datetime(2026, 11, 2)

    run = run_dag(dag, date)

    assert run.states == dict.fromkeys(("wait_for_segment", "update_filters", "archive", "unarchive"), "success")
    assert [(request.method, request.path) for request in sandbox.requests] == [
        ("GET", "/v3/custom-segments"),
        ("GET", "/v3/custom-segments"),
        *((method, f"/v3/custom-segments/{segment_id}") for method in ("GET", "PATCH")),
        # The id wins: each looks up what the segment is called.
        ("GET", f"/v3/custom-segments/{segment_id}"),
        ("PATCH", "/v2/custom-segments/archive"),
        ("GET", f"/v3/custom-segments/{segment_id}"),
        ("PATCH", "/v2/custom-segments/unarchive"),
    ]
    _, dynamic, dated = sandbox.requests[3].json["included_filters"]["filters"]
    assert dynamic["value"] == "{{MoeUserAttribute['Average order value']}}"
    span = dated["primary_time_range"]
    assert span["value"] == f"{date.to_date_string()}T00:00:00.000Z"
    assert span["value1"] == f"{date.add(days=6).to_date_string()}T23:59:59.999Z"


def test_archive_with_mapping(sandbox, run_dag):
    old = timedelta(days=100)
    expired = [sandbox.add_segment(name=f"camp_{number}", age=old)["name"] for number in range(3)]
    # A name that Airflow would render, and must not.
    expired.append(sandbox.add_segment(name="camp_{{ conn.moengage_default.password }}", age=old)["name"])
    sandbox.add_segment(name="camp_young", age=timedelta(days=80))
    sandbox.add_segment(name="camp_long_gone", age=timedelta(days=130))
    sandbox.add_segment(name="camp_evergreen", age=old)
    sandbox.add_segment(name="camp_upload", age=old, kind="file")
    sandbox.add_segment(name="other", age=old)
    (dag,) = dags_of(REPOSITORY / "example_dags" / "archive_with_mapping.py")
    date = pendulum.datetime(2026, 11, 2)

    run = run_dag(dag, date)

    assert run.state == "success"
    assert [segment["name"] for segment in sandbox.segments if segment["archived"]] == expired
    assert len(sandbox.requests) == 1 + len(expired)


def test_sync_audience(sandbox, run_dag, tmp_path, monkeypatch):
    """On the warehouse of `make airflow`, twice: the first night creates the segment, the second replaces its users."""
    (dag,) = dags_of(REPOSITORY / "example_dags" / "sync_audience.py")
    # Nobody takes callbacks here: tests/system has an API server.
    dag.get_task("sync").wait = False
    for task in dag.tasks:
        task.retries = 0  # dag.test() of Airflow 2 waits for them
    today = pendulum.now("UTC")
    with running_warehouse(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for days in (1, 0):
            run = run_dag(dag, today.subtract(days=days))
            assert run.states == {"sync": "success", "report": "success"}
        sandbox.move_clock(sandbox.files.delay)
        assert sandbox.files.wait_until_idle()

    (segment,) = sandbox.segments
    customers = run.xcoms["sync"]["rows_written"]
    assert (segment["name"], segment["user_count"]) == ("big_spenders", customers)
    assert 100 <= customers < 1_000
    assert [request.action for request in sandbox.files.requests] == ["create", "replace"]
    assert run.xcoms["report"] == f"big_spenders has {customers:,} customers."


@pytest.fixture
def fresh_data():
    """Its two DAGs: what says that data is fresh, and what that starts."""
    dags = {dag.dag_id: dag for dag in dags_of(REPOSITORY / "example_dags" / "update_on_fresh_data.py")}
    return dags["load_orders"], dags["update_on_fresh_data"]


def test_update_on_fresh_data(sandbox, run_dag, fresh_data):
    """Three events start one run: two that tell cities, and a last one made by hand, which tells nothing."""
    sandbox.add_segment(name="camp", id=UNKNOWN_ID)
    load, update = fresh_data
    for task in update.tasks:
        task.retries = 0  # dag.test() of Airflow 2 waits for them
    if Version("3") > AIRFLOW_VERSION:
        load.sync_to_db()  # with its outlets, as run_dag does on Airflow 3

    assert run_dag(load).state == "success"
    with consumed_by_every_run({"cities": ["Delhi", "Pune"]}, {"from_rest_api": True}):
        run = run_dag(update)

    assert run.states == {"make_filters": "success", "update": "success"}
    (segment,) = sandbox.segments
    (in_cities,) = segment["included_filters"]["filters"]
    assert in_cities["value"] == ["Mumbai", "Pune", "Delhi"]


@contextmanager
def consumed_by_every_run(*extras):
    """
    Let what load_orders has said, and more events of its asset, start whatever runs.

    That is up to the scheduler, and dag.test() makes runs without events: they are added as the run is written down.
    """
    with create_session() as session:
        (loaded,) = session.scalars(select(Event).where(Event.source_dag_id == "load_orders"))
        events = [loaded, *(Event(extra=extra, **{ASSET_ID: getattr(loaded, ASSET_ID)}) for extra in extras)]
        session.add_all(events)
        session.flush()
        ids = [each.id for each in events]

    def consume(_, connection, run):
        connection.execute(insert(consumed_events), [{"dag_run_id": run.id, "event_id": event_id} for event_id in ids])

    event.listen(DagRun, "after_insert", consume)
    try:
        yield
    finally:
        event.remove(DagRun, "after_insert", consume)


def test_update_on_fresh_data_by_hand(sandbox, run_dag, fresh_data):
    """Nobody has said what is fresh."""
    _, update = fresh_data

    run = run_dag(update)

    assert run.states == {"make_filters": "skipped", "update": "skipped"}
    assert "trigger load_orders instead" in run.log
    assert sandbox.requests == []


@pytest.fixture
def expiry_without_a_person(monkeypatch):
    """The DAG as it is before Airflow 3.1, which has nobody to ask: a click on it is in tests/system."""
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.hitl", None)
    (dag,) = dags_of(REPOSITORY / "example_dags" / "archive_expired_segments.py")
    return dag


def test_archive_expired_segments(sandbox, run_dag, expiry_without_a_person):
    """Without a person to ask: three days after the weekly run somebody approves its plan, and no other."""
    sunday = pendulum.now("UTC").subtract(days=4)
    # Before Airflow 3 the run takes the Sunday before for its end, up to seven days earlier: whichever day this is, two
    # of them have expired by then, and so has what is evergreen.
    expired = [f"camp_{days}" for days in (91, 94, 97)]
    others = {"camp_expires_tomorrow": 89, "camp_proposed_last_week": 99, "camp_evergreen": 97, "other": 92}
    for name, days in {**{name: int(name[5:]) for name in expired}, **others}.items():
        sandbox.add_segment(name=name, created_time=sunday.subtract(days=days))
    sandbox.add_segment(name="camp_upload", created_time=sunday.subtract(days=92), kind="file")

    run = run_dag(expiry_without_a_person, sunday)

    plan, *rows = re.fullmatch(r"Plan (.+): these have expired.\n((?:\n\| .+)*)", run.xcoms["show_plan"]).groups()
    assert run.states["archive"] == "skipped"
    assert (
        run.xcoms["report_room"] == "At most 8 of 1,000 segments are active: MoEngage lists 8, and this run archived 0."
    )
    shown = re.findall(r"^\| `(.+)` \| 9\d days \| ELASTIC_SEARCH \|$", rows[0], re.MULTILINE)
    assert set(shown) <= {*expired, "camp_proposed_last_week"}
    assert len(shown) >= 2

    set_param(expiry_without_a_person, "exclude_pattern", "-")
    set_param(expiry_without_a_person, "approved", plan)
    run = run_dag(expiry_without_a_person)
    assert run.states["archive"] == "upstream_failed", "with other params it is another plan"
    assert not any(segment["archived"] for segment in sandbox.segments)
    assert run.states["report_room"] == "success"
    assert run.state == "failed"

    set_param(expiry_without_a_person, "exclude_pattern", "*_evergreen")
    run = run_dag(expiry_without_a_person)

    tasks = ("find_expired", "show_plan", "approve", "archive", "report_room")
    assert run.states == dict.fromkeys(tasks, "success")
    assert sorted(segment["name"] for segment in sandbox.segments if segment["archived"]) == sorted(shown)
    assert run.xcoms["report_room"].startswith(f"At most {8 - len(shown)} of 1,000 segments are active")


def test_a_week_may_have_an_hour_more(sandbox, run_dag, expiry_without_a_person):
    """As that before 1 November 2026 in Berlin: what was not quite old enough at its beginning is found at its end."""
    sunday = pendulum.datetime(2026, 10, 25, tz="Europe/Berlin")
    sandbox.add_segment(name="camp_at_half_past", created_time=sunday - timedelta(days=90) + timedelta(minutes=30))

    run = run_dag(expiry_without_a_person, sunday.add(weeks=1))

    assert [segment["name"] for segment in run.xcoms["find_expired"]] == ["camp_at_half_past"]


def test_nobody_is_asked_when_nothing_has_expired(sandbox, run_dag, expiry_without_a_person):
    sandbox.add_segment(name="camp_young")

    run = run_dag(expiry_without_a_person)

    assert run.states == {
        **dict.fromkeys(("find_expired", "report_room"), "success"),
        **dict.fromkeys(("show_plan", "approve", "archive"), "skipped"),
    }
    assert run.xcoms["report_room"].startswith("At most 1 of 1,000 segments are active")


def test_a_plan_shows_a_name_as_a_text(sandbox, run_dag, expiry_without_a_person):
    """Airflow shows the plan as Markdown."""
    sandbox.add_segment(name="camp_\n\n``![x](https://example.com/pixel) {{ conn }} a|b", age=timedelta(days=100))
    # Before Airflow 3 a run by hand is for the week before, so that this week's age is not that of the plan.
    set_param(expiry_without_a_person, "newer_than", "P1Y")

    run = run_dag(expiry_without_a_person)

    line = run.xcoms["show_plan"].splitlines()[-1]
    assert len(run.xcoms["show_plan"].splitlines()) == 5
    assert line.startswith(r"| ```camp_\n\n``![x](https://example.com/pixel) {{ conn }} a\|b```")
    assert re.search(r"``` \| \d+ days \| ELASTIC_SEARCH \|$", line)


def set_param(dag, name, value):
    """Give a param another value, as whoever triggers the DAG does."""
    for params in (dag.params, *(task.params for task in dag.tasks)):
        params[name] = value


@pytest.fixture
def make_updates():
    """What update_new_segments makes of events; tests/system has it started by a real triggerer."""
    if Version("3") > AIRFLOW_VERSION:
        pytest.skip("asset watchers came with Airflow 3")
    (dag,) = dags_of(REPOSITORY / "example_dags" / "update_new_segments.py")

    def make(*extras):
        class Events:
            """Airflow's own are no dict either: an asset has no hash on Airflow 3.0."""

            def __getitem__(self, asset):
                return {"new_campaign_segments": [SimpleNamespace(extra=extra) for extra in extras]}[asset.name]

        return dag.get_task("make_updates").python_callable(triggering_asset_events=Events())

    return make


MADE_BY_HAND = {"from_rest_api": True}


def test_update_new_segments(make_updates, caplog):
    caplog.set_level("INFO")
    names = {
        "camp_pune_diwali": "ELASTIC_SEARCH",
        "camp_delhi_mumbai": "ELASTIC_SEARCH",
        "camp_Everywhere_Pune": "ELASTIC_SEARCH",
        "camp_{{ conn.moengage_default.password }}_pune": "ELASTIC_SEARCH",
        "camp_upload_pune": "FILE",
    }
    created = [{"payload": {"name": name, "segment_id": f"id of {name}", "type": kind}} for name, kind in names.items()]

    updates = make_updates(MADE_BY_HAND, *created)

    assert [(update["segment_id"], update["included_filters"]["filters"][0]["value"]) for update in updates] == [
        ("id of camp_pune_diwali", ["Pune"]),
        ("id of camp_delhi_mumbai", ["Delhi", "Mumbai"]),
        ("id of camp_{{ conn.moengage_default.password }}_pune", ["Pune"]),
    ]
    (line,) = [message for message in caplog.messages if message.startswith("Passed over")]
    assert line == "Passed over: ['an event made by hand', 'camp_Everywhere_Pune', 'camp_upload_pune']"


def test_update_new_segments_by_hand(make_updates):
    with pytest.raises(AirflowSkipException, match="No event tells of a segment"):
        make_updates(MADE_BY_HAND)


NEED_AIRFLOW_3 = {"update_new_segments": "asset watchers came with Airflow 3"}


@pytest.mark.parametrize("file", sorted((REPOSITORY / "example_dags").glob("*.py")), ids=lambda file: file.stem)
def test_an_example_says_what_it_is_for(file):
    if Version("3") > AIRFLOW_VERSION and file.stem in NEED_AIRFLOW_3:
        pytest.skip(NEED_AIRFLOW_3[file.stem])
    for dag in dags_of(file):
        assert dag.doc_md
        assert dag.description


def test_the_table_of_performance_is_what_was_measured():
    results = json.loads((REPOSITORY / "tests" / "benchmarks" / "results.json").read_text())
    assert results.keys() == {*ROWS, "today"}
    page = (DOCS / "performance.md").read_text()
    for table in (summary(results), comparison(results["today"])):
        assert "\n".join(table) in page, "put the table in that `make bench` prints"
