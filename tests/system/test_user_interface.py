"""What `make airflow` starts, used as a person uses it: by clicks and keys, in a real browser."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from airflow_provider_moengage.hooks.connection_form import EXTRA_FIELDS
from demo.standalone import (
    SECONDS_TO_PARSE,
    SECONDS_TO_RUN,
    SECONDS_TO_START,
    SECONDS_TO_WAIT_TO_WRITE,
    AirflowFailedError,
    Standalone,
    watched,
)
from tests.browser import chromium, needs_a_browser
from tests.system.settings import SOMEBODY_ELSES_CONNECTION, needs_shared_streams

pytestmark = [needs_shared_streams, needs_a_browser]

sync_api = pytest.importorskip("playwright.sync_api")

MILLISECONDS = 120_000
# On ports that nobody else wants.
START = (
    "import sys, pathlib as p; from demo.playground import run; sys.exit(run(*map(p.Path, sys.argv[1:]), ports=(0, 0)))"
)
KEY = "sandbox-data-api-key"


@dataclass
class Playground:
    """What runs, where, and what it has printed."""

    airflow: Standalone
    moengage: str
    printed: str

    @property
    def own_dags(self):
        return Path(re.search(r"^  Your DAGs (.*?)  \(a new file shows within 10 s\)$", self.printed, re.MULTILINE)[1])

    def segment(self, **wanted):
        segments = requests.get(f"{self.moengage}/_sandbox/segments", timeout=120).json()
        return [segment for segment in segments if wanted.items() <= segment.items()]


@pytest.fixture(scope="module")
def playground(tmp_path_factory) -> Iterator[Playground]:
    """Start it, and see that Ctrl-C stops every process of it."""
    home = tmp_path_factory.mktemp("playground")
    process = subprocess.Popen(
        [sys.executable, "-c", START, home, home / "own"],
        env={**os.environ, "AIRFLOW_CONN_MOENGAGE_DEFAULT": SOMEBODY_ELSES_CONNECTION},
        stdout=subprocess.PIPE,
        text=True,
    )
    family = []
    try:
        printed = ""
        while "Ctrl-C ends both." not in printed:
            line = process.stdout.readline()
            assert line, "it has ended"
            printed += line
        addresses = dict(re.findall(r"^  (Airflow|MoEngage) +(\S+)", printed, re.MULTILINE))
        family = psutil.Process(process.pid).children(recursive=True)
        with watched(process):
            yield Playground(Standalone(addresses["Airflow"], home, {}, process), addresses["MoEngage"], printed)
        process.send_signal(signal.SIGINT)
        assert "Both have ended." in process.communicate(timeout=SECONDS_TO_START)[0]
        assert process.returncode == 0
        _, alive = psutil.wait_procs(family, timeout=120)
        assert alive == []
    finally:
        for member in [*family, psutil.Process(process.pid)] if process.returncode is None else family:
            if member.is_running():
                member.kill()
        process.wait(SECONDS_TO_START)
        process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, playground):
    sync_api.expect.set_options(timeout=MILLISECONDS)
    page = browser.new_page(viewport={"width": 1280, "height": 860}, base_url=playground.airflow.url)
    page.set_default_timeout(MILLISECONDS)
    yield page
    page.close()


@pytest.fixture
def picture(page, tmp_path):
    """Take a picture: for the pages when `make pictures` asks for it."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)

    def take(name, element=None):
        # Colours that still change, and what opens, have come to rest.
        page.wait_for_timeout(1_000)
        (element or page).screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 10_000

    return take


def test_the_form_of_a_new_connection(page, playground, picture):
    page.set_viewport_size({"width": 1280, "height": 1500})
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=connection_id]").fill("moengage_india")
    dialog.get_by_role("combobox").first.click()
    page.get_by_role("option", name="MoEngage", exact=True).click()
    dialog.locator("input[name=login]").fill("YOUR_WORKSPACE_ID")
    dialog.locator("input[name=password]").fill("your-data-api-key")
    for label in ("Host (empty: choose the Data center under Extra Fields)", "Workspace ID", "Data API key"):
        sync_api.expect(dialog.get_by_text(label, exact=True)).to_be_visible()
    for hidden in ("Port", "Schema"):
        sync_api.expect(dialog.get_by_text(hidden, exact=True)).to_have_count(0)

    dialog.get_by_role("button", name="Extra Fields", exact=True).click()
    for extra in EXTRA_FIELDS.values():
        sync_api.expect(dialog.get_by_text(extra.label, exact=True)).to_be_visible()
        sync_api.expect(dialog.get_by_text(extra.description, exact=True)).to_be_visible()
    dialog.get_by_role("combobox").nth(1).click()
    picture("connection-form", dialog)
    page.get_by_role("option", name="03 (India)").click()
    dialog.get_by_role("button", name="Save").click()
    sync_api.expect(dialog).to_be_hidden()

    saved = playground.airflow.call("GET", "connections/moengage_india")
    playground.airflow.call("DELETE", "connections/moengage_india")
    assert (saved["conn_type"], saved["login"], saved["host"]) == ("moengage", "YOUR_WORKSPACE_ID", None)
    assert '"data_center": "03"' in saved["extra"]


def test_the_test_button(page, picture):
    page.goto("/connections")
    test = page.get_by_role("button", name="Test Connection")
    answers = []
    for key in ("another-key", KEY):
        page.get_by_role("button", name="Edit Connection").click()
        page.locator("input[name=password]").fill(key)
        page.get_by_role("button", name="Save").click()
        sync_api.expect(page.get_by_role("dialog")).to_be_hidden()
        with page.expect_response("**/connections/test") as response:
            test.click()
        answers.append(response.value.json())
        if key != KEY:  # the last one stays for the other tests
            reason = page.get_by_text("The Data API key is wrong: the workspace has another.")
            sync_api.expect(reason).to_be_visible()
            assert key not in page.content()
            picture("test-button")
    assert [answer["status"] for answer in answers] == [False, True]
    assert answers[1]["message"].startswith("MoEngage accepts the credentials of workspace SANDBOXWORKSPACE")


def trigger(page, dag_id):
    """Trigger a DAG by hand, and give the run's id when its page is there."""
    page.goto(f"/dags/{dag_id}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog").filter(has_text="Run Parameters")
    dialog.get_by_role("button", name="Trigger", exact=True).last.click()
    page.wait_for_url("**/runs/manual__*")
    return page.url.rpartition("/")[2]


def test_a_click_is_answered_while_something_else_writes(playground):
    """A click on Trigger froze every page for 100 s: for so long its two requests waited for each other to write."""
    airflow = playground.airflow
    airflow.wait_until(lambda: "archive_expired_segments" in dags_of(airflow), "its file is parsed", SECONDS_TO_PARSE)
    with closing(sqlite3.connect(airflow.home / "airflow.db", isolation_level=None, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(AirflowFailedError, match="answered with 500"):
            airflow.call("PATCH", "dags/archive_expired_segments", json={"is_paused": True})
        assert time.monotonic() - began < SECONDS_TO_WAIT_TO_WRITE / 2
        database.execute("ROLLBACK")
    assert airflow.call("PATCH", "dags/archive_expired_segments", json={"is_paused": True})["is_paused"]


def test_a_run_ends_green_and_its_link_leads_to_the_segment(page, playground, picture):
    run_id = trigger(page, "segment_lifecycle")
    sync_api.expect(page.get_by_text("Success").first).to_be_visible()
    page.wait_for_function("document.body.innerText.match(/Success/g)?.length >= 5")  # the run, and its four tasks

    page.goto(f"/dags/segment_lifecycle/runs/{run_id}/tasks/update_filters/details")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open in MoEngage").click()
    (segment,) = playground.segment(name="camp_diwali_2026")
    moengage = opened.value
    assert moengage.url == f"{playground.moengage}/#{segment['id']}"
    sync_api.expect(moengage.locator(".linked")).to_contain_text("camp_diwali_2026")
    picture("open-in-moengage")
    moengage.evaluate("window.scrollTo(0, 0)")
    picture("sandbox-page", moengage)


OWN = """
from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

SOME_TIME_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)

# Without a start_date Airflow waits for the next time, unless the last one is less than a tenth of the period ago: this
# one is half a year away, whenever the test runs.
FAR_AWAY = f"0 0 1 {(datetime.now(timezone.utc).month + 5) % 12 + 1} *"

for name, schedule, start_date in (
    ("daily", "@daily", SOME_TIME_AGO),
    ("yearly_from_now", FAR_AWAY, None),
    ("unscheduled", None, SOME_TIME_AGO),
):
    with DAG(f"my_own_{name}", schedule=schedule, start_date=start_date):
        EmptyOperator(task_id="it")
"""


def test_a_file_of_ones_own_shows_soon(playground):
    """Beside the examples, in the folder that is printed; it took 75 s."""
    airflow = playground.airflow
    before = len(airflow.log.read_text(errors="replace"))
    (playground.own_dags / "my_own.py").write_text(OWN)
    airflow.wait_until(lambda: "my_own_daily" in dags_of(airflow), "the new file shows", SECONDS_TO_PARSE)
    assert dags_of(airflow) >= {"my_own_unscheduled", "segment_lifecycle"}
    said = airflow.log.read_text(errors="replace")[before:]
    # How long that is, tests/test_playground.py knows. One look may have been under way when the file was written.
    looks = said[: said.index("new files to the front of the queue")].count("Refreshing bundle dags-folder")
    assert looks <= 2


def test_what_is_done_as_the_words_say_runs_once(playground):
    airflow = playground.airflow
    words = "Switch one on: what has times in its schedule, and a start_date, runs once by itself. "
    words += "Trigger any other that has no run by then."
    assert words in " ".join(playground.printed.split())
    (playground.own_dags / "my_own.py").write_text(OWN)
    own = ("my_own_daily", "my_own_yearly_from_now", "my_own_unscheduled")
    for dag_id in own:
        airflow.unpause(dag_id)
    for dag_id in own[1:]:
        airflow.trigger(dag_id)
    for dag_id in own:
        airflow.wait_until(lambda dag_id=dag_id: runs_of(playground, dag_id), f"{dag_id} runs", SECONDS_TO_RUN)
        (run_id,) = runs_of(playground, dag_id)
        airflow.wait_for_the_end(dag_id, run_id)
        assert runs_of(playground, dag_id) == [run_id]


def dags_of(airflow):
    return {dag["dag_id"] for dag in airflow.call("GET", "dags")["dags"]}


def test_a_person_approves_the_plan_by_clicking(page, playground, picture):
    """As the words say that `make airflow` prints: switched on, it runs, and runs once."""
    dag_id = re.search(r"Begin with (\w+): switch it on, and its plan waits for you", playground.printed)[1]
    playground.airflow.unpause(dag_id)
    playground.airflow.wait_until(lambda: runs_of(playground, dag_id), "its schedule starts it", SECONDS_TO_RUN)
    (run_id,) = runs_of(playground, dag_id)
    playground.airflow.question(dag_id, run_id, "approve")
    page.goto(f"/dags/{dag_id}/runs/{run_id}/tasks/approve/required_actions")
    sync_api.expect(page.get_by_text("camp_old_006").first).to_be_visible()
    picture("approval")
    assert playground.segment(archived=True) == []

    page.get_by_role("button", name="Approve").click()

    page.goto(f"/dags/{dag_id}/runs/{run_id}/tasks/report_room")
    sync_api.expect(page.get_by_text("segments are active: MoEngage lists 302").first).to_be_visible()
    archived = [segment["name"] for segment in playground.segment(archived=True)]
    assert "camp_old_006" in archived
    assert all(name.startswith(("camp_old_00", "camp_old_01")) for name in archived)
    assert runs_of(playground, dag_id) == [run_id]
    logs = "".join(log.read_text(errors="replace") for log in playground.airflow.home.glob("logs/**/*.log"))
    assert dag_id in logs
    assert "too short" not in logs, "Airflow has been given an extra that it cannot mask"


def runs_of(playground, dag_id):
    runs = playground.airflow.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
    return [run["dag_run_id"] for run in runs]
