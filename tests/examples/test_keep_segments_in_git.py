"""The example DAG keep_segments_in_git: only what differs is changed, only what was approved, and nothing is lost."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from tests.pages import REPOSITORY
from tests.support import dags_of, filters

EXAMPLES = REPOSITORY / "example_dags"
NAMES = ["git_above_their_average", "git_buyers_in_pune"]


@pytest.fixture
def folder(tmp_path):
    """A copy of the folder of definitions, to change, beside a copy of the DAG's file."""
    shutil.copy(EXAMPLES / "keep_segments_in_git.py", tmp_path)
    return shutil.copytree(EXAMPLES / "segments", tmp_path / "segments")


@pytest.fixture
def dag(folder, monkeypatch):
    """The DAG as it is before Airflow 3.1, which has nobody to ask: a click on it is in tests/system."""
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.hitl", None)
    (dag,) = dags_of(folder.parent / "keep_segments_in_git.py")
    return dag


def write(folder, name, definition):
    (folder / f"{name}.json").write_text(json.dumps(definition))


def set_approved(dag, number):
    for params in (dag.params, *(task.params for task in dag.tasks)):
        params["approved"] = number


def number_in(plan):
    return re.match("Plan ([0-9a-f]{8}):\n", plan)[1]


def applied(run_dag, dag):
    """Run it, approve the plan, run it again."""
    set_approved(dag, None)
    plan = run_dag(dag).xcoms["show_plan"]
    set_approved(dag, number_in(plan))
    run = run_dag(dag)
    assert run.state == "success", run.log
    return run


def methods(sandbox):
    return [request.method for request in sandbox.requests]


def writes(sandbox):
    return sorted(method for method in methods(sandbox) if method != "GET")


def definitions_in(sandbox):
    return {
        segment["name"]: [segment["included_filters"], segment.get("excluded_filters")] for segment in sandbox.segments
    }


def definitions_of(folder):
    read = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return {each["name"]: [each["included_filters"], each.get("excluded_filters")] for each in read}


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_what_is_in_the_files_is_made_and_then_nothing_is_left_to_do(sandbox, run_dag, dag, folder, caplog):
    sandbox.add_segment(name="git_old", included_filters=filters())
    sandbox.add_segment(name="camp_other", included_filters=filters(["Agra"]))

    run = run_dag(dag)

    plan = run.xcoms["show_plan"]
    assert plan.splitlines()[2:] == [
        "- create ` 'git_above_their_average' `",
        "    - ` Included: 1 filter: Cart value (greaterThan). `",
        "    - ` Excluded: 1 filter: Plan (in). `",
        "- create ` 'git_buyers_in_pune' `",
        "    - ` Included: 2 filters: City (in), event Purchase (atleast). `",
        "- without a file, and left as it is: ` 'git_old' `",
    ]
    assert (run.states["approve"], run.states["apply"]) == ("success", "skipped")
    assert "These segments have no file, and are left as they are: ['git_old']" in run.log + caplog.text
    assert methods(sandbox) == ["GET"], "nobody has approved it"

    set_approved(dag, number_in(plan))
    run = run_dag(dag)

    assert run.state == "success", run.log
    assert {name: definitions_in(sandbox)[name] for name in NAMES} == definitions_of(folder)
    assert not any(segment["archived"] for segment in sandbox.segments)
    assert methods(sandbox) == ["GET", "GET", "POST", "POST"]

    set_approved(dag, None)
    run = run_dag(dag)

    assert run.states == {
        "compare": "success",
        **dict.fromkeys(("show_plan", "approve", "choose", "apply"), "skipped"),
    }
    assert "Nothing differs from the files." in run.log + caplog.text
    assert methods(sandbox)[4:] == ["GET"] * (1 + len(NAMES)), "one list, and a get for each that is there"


@pytest.mark.parametrize("sandbox", ["seeds"], indirect=True)
def test_a_server_that_shows_no_definition(sandbox, run_dag, dag, folder):
    """What has a file is proposed as an update each time, and changed when somebody approves that."""
    run = applied(run_dag, dag)
    assert run.xcoms["show_plan"].count("- create") == len(NAMES)
    assert definitions_in(sandbox) == definitions_of(folder)
    made = len(sandbox.requests)

    set_approved(dag, None)
    run = run_dag(dag)

    assert run.xcoms["show_plan"].count("- update") == len(NAMES)
    assert run.xcoms["show_plan"].count("MoEngage does not show what it is now.") == len(NAMES)
    assert methods(sandbox)[made:] == ["GET"] * (1 + len(NAMES))


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_one_changed_and_one_new_file(sandbox, run_dag, dag, folder):
    applied(run_dag, dag)
    kept, changed = NAMES
    before = definitions_in(sandbox)
    definition = json.loads((folder / f"{changed}.json").read_text())
    definition["included_filters"]["filters"][0]["value"].append("Mumbai")
    write(folder, changed, definition)
    write(folder, "new", {"name": "git_new", "included_filters": filters(["Delhi"])})

    run = applied(run_dag, dag)

    plan = run.xcoms["show_plan"]
    assert plan.splitlines()[2:] == [
        "- create ` 'git_new' `",
        "    - ` Included: 1 filter: City (in). `",
        "- update ` 'git_buyers_in_pune' `",
        "    - ` Included: 2 filters before, 2 after; with other values or options: City (in). `",
        "- the same: ` 'git_above_their_average' `",
    ]
    assert not any(city in plan for city in ("Mumbai", "Delhi", "'Pune'"))
    assert writes(sandbox) == ["PATCH", *["POST"] * 3]
    assert definitions_in(sandbox) == definitions_of(folder)
    assert definitions_in(sandbox)[kept] == before[kept]


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_another_plan_is_not_the_one_that_was_approved(sandbox, run_dag, dag, folder, caplog):
    set_approved(dag, number_in(run_dag(dag).xcoms["show_plan"]))
    write(folder, "new", {"name": "git_new", "included_filters": filters(["Delhi"])})

    run = run_dag(dag)

    assert "This is not the plan that was approved" in run.log + caplog.text
    assert run.states["apply"] == "upstream_failed"
    assert writes(sandbox) == []


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_one_that_was_made_since_the_plan_is_not_overwritten(sandbox, dag):
    found = dag.get_task("compare").python_callable()
    chosen = dag.get_task("choose").python_callable(found)
    assert {each["name"]: each["if_exists"] for each in chosen} == dict.fromkeys(NAMES, "fail")

    sandbox.add_segment(name=NAMES[0], included_filters=filters(["Agra"]))
    found = dag.get_task("compare").python_callable()

    assert [each["name"] for each in found["update"]] == NAMES[:1]
    chosen = dag.get_task("choose").python_callable(found)
    assert {each["name"]: each["if_exists"] for each in chosen} == dict(zip(NAMES, ["update", "fail"], strict=True))


GOOD = {"name": "git_new", "included_filters": filters(["Delhi"])}
BROKEN = {
    "no_json": ("{\n  oops", "It is no JSON. Expecting property name enclosed in double quotes: line 2 column 3"),
    "a_list": ("[]", "It has to be an object with name, included_filters"),
    "no_filters": ('{"name": "git_x"}', "It has to be an object with name, included_filters"),
    "a_typo": (json.dumps({**GOOD, "exclude_filters": filters()}), "excluded_filters; nothing else."),
    "a_name": (json.dumps({**GOOD, "name": "git:x"}), "name has the character : at position 4"),
    "no_name": (json.dumps({**GOOD, "name": 3}), "name must be"),
    "prefix": (json.dumps({**GOOD, "name": "camp"}), "name has to begin with git_, as all names of this folder."),
    "twice": (json.dumps({**GOOD, "name": NAMES[1]}), "Another file has a segment of this name."),
    "dated": (json.dumps({**GOOD, "included_filters": filters(["{{ ds }}"])}, indent=1), "Line 12 has a template"),
    "nobody": (
        json.dumps({**GOOD, "included_filters": {"filter_operator": "and", "filters": []}}),
        "included_filters.filters: The list is empty",
    ),
    "empty": (
        json.dumps({**GOOD, "excluded_filters": filters([])}),
        "excluded_filters.filters[0].value: The list is empty",
    ),
    "operator": (
        json.dumps(GOOD).replace('"in"', '"equals"'),
        'included_filters.filters[0].operator: string has no operator "equals"',
    ),
}


def test_mistakes_in_files_are_said_all_at_once(sandbox, dag, folder):
    for name, (text, _) in BROKEN.items():
        (folder / f"{name}.json").write_text(text)

    with pytest.raises(AirflowFailException) as caught:
        dag.get_task("compare").python_callable()

    message = str(caught.value)
    assert message.startswith("There are mistakes in the files; nothing was changed.")
    for name, (_, sentence) in BROKEN.items():
        of_the_file = message.partition(f" {name}.json: ")[2].partition(".json: ")[0]
        assert sentence in of_the_file, name
    assert "Delhi" not in message
    assert sandbox.requests == []


def test_a_folder_without_files(sandbox, dag, folder):
    shutil.rmtree(folder)

    with pytest.raises(AirflowFailException, match=r"There is no \*.json in the folder segments"):
        dag.get_task("compare").python_callable()

    assert sandbox.requests == []


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
def test_a_plan_shows_what_others_wrote_as_a_text(sandbox, dag, folder):
    """Airflow shows the plan as Markdown."""
    sandbox.add_segment(name="git_\n\n``![x](https://example.com/pixel) {{ conn }}")
    image = filters(["Agra"])
    image["filters"][0]["name"] = "![x](https://example.com/pixel)"
    sandbox.add_segment(name=NAMES[0], included_filters=image)

    plan = dag.get_task("show_plan").python_callable(dag.get_task("compare").python_callable())

    assert plan.splitlines()[-1].endswith(r"``` 'git_\n\n``![x](https://example.com/pixel) {{ conn }}' ```")
    (changed,) = [line for line in plan.splitlines() if "gone:" in line]
    assert re.fullmatch("    - ` .*gone: !.x..https://example.com/pixel. .in.. `", changed)
