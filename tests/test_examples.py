"""The README's snippets and the example DAGs, each run as a user would run it."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pendulum
import pytest
from packaging.version import Version

from tests.support import NOTHING, UNKNOWN_ID, dags_of

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
AIRFLOW_VERSION = Version(version("apache-airflow"))
SEGMENT = "camp_diwali_2026"


@pytest.mark.skipif(
    Version("3") > AIRFLOW_VERSION, reason="the README imports from airflow.sdk, which came with Airflow 3"
)
@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs(snippet, sandbox, run_dag, tmp_path, request):
    sandbox.add_segment(name=SEGMENT, id=UNKNOWN_ID)
    file = tmp_path / "snippet.py"
    file.write_text(snippet)

    if "def test_" in snippet:
        namespace: dict[str, Any] = {}
        exec(compile(snippet, file, "exec"), namespace)  # noqa: S102 - our own README
        (test,) = [value for name, value in namespace.items() if name.startswith("test_")]
        test(request.getfixturevalue("moengage_sandbox"))
    elif "with DAG(" in snippet:
        (dag,) = dags_of(file)
        assert run_dag(dag).state == "success"
    else:
        exec(compile(snippet, file, "exec"), {})  # noqa: S102 - our own README


def test_a_link_into_the_repository_leads_somewhere():
    headings = [line.lstrip("# ").lower() for line in README.splitlines() if line.startswith("#")]
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (REPOSITORY / target).exists(), target


def test_segment_lifecycle(sandbox, run_dag):
    """Whole: the segment is not there at first, and the run's dates reach MoEngage beside its own template."""
    segment_id = sandbox.add_segment(name=SEGMENT)["id"]
    sandbox.fail_next(status=200, body=NOTHING)
    (dag,) = dags_of(REPOSITORY / "example_dags" / "segment_lifecycle.py")
    dag.get_task("wait_for_segment").poke_interval = 0

    # A date for each dialect: a run of this DAG and date must not exist yet.
    date = pendulum.datetime(2026, 11, 9 if sandbox.connection["extra"] else 2)

    run = run_dag(dag, date)

    assert run.states == dict.fromkeys(("wait_for_segment", "update_filters", "archive", "unarchive"), "success")
    assert [(request.method, request.path) for request in sandbox.requests] == [
        ("GET", "/v3/custom-segments"),
        ("GET", "/v3/custom-segments"),
        ("PATCH", f"/v3/custom-segments/{segment_id}"),
        ("PATCH", "/v2/custom-segments/archive"),
        ("PATCH", "/v2/custom-segments/unarchive"),
    ]
    _, dynamic, dated = sandbox.requests[2].json["included_filters"]["filters"]
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
    # A date for each dialect: a run of this DAG and date must not exist yet.
    date = pendulum.datetime(2026, 11, 9 if sandbox.connection["extra"] else 2)

    run = run_dag(dag, date)

    assert run.state == "success"
    assert [segment["name"] for segment in sandbox.segments if segment["archived"]] == expired
    assert len(sandbox.requests) == 1 + len(expired)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "example_dags").glob("*.py")), ids=lambda file: file.stem)
def test_an_example_says_what_it_is_for(file):
    for dag in dags_of(file):
        assert dag.doc_md
        assert dag.description
