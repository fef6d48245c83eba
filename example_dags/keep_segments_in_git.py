"""
Keep segments as files in git: a person approves what differs from the workspace, and that is created or updated.

The folder "segments" beside this file has a segment in each file, in JSON: {"name": ..., "included_filters": ...} and,
if wanted, "excluded_filters". Names begin with PREFIX: that is how people see in MoEngage which segments are this
folder's, and how this DAG finds those that have no file any more.

1. compare: reads the files, when the run comes to it, and the workspace: one list request, and a get for each file
   whose segment is there. A mistake in a file fails the run, with the place of each, before anything is asked.
2. show_plan: what would be created, what updated (by attribute and operator, never by value), what is the same, and
   which segments have no file. When nothing differs, nobody is asked.
3. approve: a person clicks Approve or Reject in Airflow (Browse > Required Actions), within 23 hours; then the run
   fails, and nothing is changed. There is one run at a time: reject a plan that is out of date. Before Airflow 3.1 the
   run ends here; who agrees triggers the DAG once more, with the number that the plan begins with as the param
   "approved".
4. apply: a task for each segment that differs, with the definitions that were approved, whatever is in the files by
   now. One that somebody has created under such a name meanwhile is not overwritten: that task fails.

No segment is archived: what has no file is in the plan and in the log, and left as it is. A segment that is archived
counts as there, since MoEngage does not show which are; an update of one fails, and says so. Older servers do not show
definitions: whatever has a file is then proposed as an update in every run.
"""

from __future__ import annotations

import json
import logging
import re
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    Param,
    chain,
    task,
)

from airflow_provider_moengage.operators.segments import CreateSegmentOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    WITHOUT_A_PERSON = {}
except (ImportError, AirflowException):  # before Airflow 3.1
    ApprovalOperator = None
    WITHOUT_A_PERSON = {
        "approved": Param(None, type=["null", "string"], description="The number of the plan that is to be applied."),
    }

log = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("segments")
PREFIX = "git_"
# A file says the same in every run. MoEngage's own templates, {{MoeUserAttribute['...']}}, are part of a definition.
TEMPLATE_OF_AIRFLOW = re.compile(r"\{\{(?!-?\s*Moe[A-Z])|\{[%#]")


def read_definitions() -> list[dict[str, Any]]:
    """Read all files. Whatever is wrong with any of them is said at once, with the name of the file and the place."""
    definitions: dict[str, dict[str, Any]] = {}
    mistakes = []
    for file in sorted(FOLDER.glob("*.json")):
        try:
            text = file.read_text(encoding="utf-8")
            definition = json.loads(text)
        except ValueError as error:
            mistakes.append(f"{file.name}: It is no JSON. {error}.")
            continue
        found = mistakes_in(text, definition)
        if not found and definition["name"] in definitions:
            found = ["Another file has a segment of this name."]
        if not found:
            definitions[definition["name"]] = definition
        mistakes += [f"{file.name}: {mistake}" for mistake in found]
    if mistakes:
        raise AirflowFailException("There are mistakes in the files; nothing was changed. " + " ".join(mistakes))
    if not definitions:
        raise AirflowFailException(f"There is no *.json in the folder {FOLDER.name} beside the DAG's file.")
    return list(definitions.values())


def mistakes_in(text: str, definition: Any) -> list[str]:
    """Say what MoEngage would not take, and what the DAG cannot keep."""
    from airflow_provider_moengage.client.errors import InvalidInputError
    from airflow_provider_moengage.client.names import check_segment_name
    from airflow_provider_moengage.segments.filters import check_filters

    needed, optional = {"name", "included_filters"}, {"excluded_filters"}
    if not isinstance(definition, dict) or not needed <= definition.keys() <= needed | optional:
        return ["It has to be an object with name, included_filters and, if wanted, excluded_filters; nothing else."]
    mistakes = []
    try:
        name = check_segment_name("name", definition["name"])
    except InvalidInputError as error:
        mistakes.append(str(error))
    else:
        if not name.startswith(PREFIX):
            mistakes.append(f"name has to begin with {PREFIX}, as all names of this folder.")
    if template := TEMPLATE_OF_AIRFLOW.search(text):
        line = text.count("\n", 0, template.start()) + 1
        mistakes.append(f"Line {line} has a template, which a file cannot have: it says the same in every run.")
    for key in ("included_filters", "excluded_filters"):
        if key in definition:
            mistakes += [f"{place}: {sentence}" for place, sentence in check_filters(definition[key], key)]
    if not mistakes and not definition["included_filters"]["filters"]:
        mistakes.append("included_filters.filters: The list is empty: MoEngage may select nobody, or everybody.")
    return mistakes


def as_code(text: str) -> str:
    """Write a line in Markdown so that it cannot be more than a text."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}"


with DAG(
    dag_id="keep_segments_in_git",
    description="Create and update the segments of a folder of files, after a person has approved what differs.",
    doc_md=__doc__,
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params=WITHOUT_A_PERSON,
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):

    @task
    def compare() -> dict[str, Any]:
        """Find out what differs between the files and the workspace. Changes nothing."""
        from airflow_provider_moengage.client.same_definition import is_definition_shown, is_same_definition
        from airflow_provider_moengage.hooks.moengage import MoEngageHook
        from airflow_provider_moengage.segments.definition_changes import changes_between, outline_of

        definitions = read_definitions()
        client = MoEngageHook().client
        ids = {segment["name"]: segment["id"] for segment in client.list_segments()}
        found: dict[str, Any] = {"create": [], "update": [], "same": [], "changes": {}}
        for definition in definitions:
            name = definition["name"]
            segment = client.get_segment(ids[name]) if name in ids else None
            if segment is not None and is_same_definition(definition, segment):
                found["same"].append(name)
                continue
            found["create" if segment is None else "update"].append(definition)
            if segment is None:
                found["changes"][name] = outline_of(definition)
            elif is_definition_shown(segment):
                found["changes"][name] = changes_between(segment, definition)
            else:
                found["changes"][name] = ["MoEngage does not show what it is now.", *outline_of(definition)]
        in_files = {definition["name"] for definition in definitions}
        found["without_a_file"] = sorted(name for name in ids if name.startswith(PREFIX) and name not in in_files)
        if found["without_a_file"]:
            log.warning("These segments have no file, and are left as they are: %s", found["without_a_file"])
        return found

    @task
    def show_plan(found: dict[str, Any]) -> str:
        """Write what would be done as a list in Markdown, with a number that another plan does not have."""
        if not (found["create"] or found["update"]):
            raise AirflowSkipException("Nothing differs from the files.")
        to_do = json.dumps([found["create"], found["update"], found["changes"]], sort_keys=True)
        rows = [f"Plan {zlib.crc32(to_do.encode()):08x}:\n"]
        for action in ("create", "update"):
            for definition in found[action]:
                rows.append(f"- {action} {as_code(repr(definition['name']))}")
                rows += [f"    - {as_code(change)}" for change in found["changes"][definition["name"]]]
        rows += [f"- the same: {as_code(repr(name))}" for name in found["same"]]
        rows += [f"- without a file, and left as it is: {as_code(repr(name))}" for name in found["without_a_file"]]
        return "\n".join(rows)

    found = compare()
    plan = show_plan(found)

    if ApprovalOperator:
        approve = ApprovalOperator(
            task_id="approve",
            subject="Make the MoEngage segments as the files say?",
            body=plan,
            response_timeout=timedelta(hours=23),
            retries=0,
        )
    else:

        @task.short_circuit(task_id="approve", ignore_downstream_trigger_rules=False)
        def was_approved(plan: str, params: Any = None) -> bool:
            """Carry on if whoever has read the plan has triggered the DAG once more, with its number."""
            if params["approved"] and not plan.startswith(f"Plan {params['approved']}:"):
                raise AirflowFailException(
                    "This is not the plan that was approved: the files or the workspace have changed since. Read it, "
                    "and trigger the DAG with its number."
                )
            return bool(params["approved"])

        approve = was_approved(plan)

    @task
    def choose(found: dict[str, Any]) -> list[dict[str, Any]]:
        """Give what differs, and nothing else, as arguments of the operator."""
        return [
            *({**definition, "if_exists": "fail"} for definition in found["create"]),
            *({**definition, "if_exists": "update"} for definition in found["update"]),
        ]

    differing = choose(found)
    CreateSegmentOperator.partial(
        task_id="apply",
        map_index_template="{{ task.name }}",
        max_active_tis_per_dagrun=4,
        deferrable=True,
    ).expand_kwargs(differing)

    chain(approve, differing)
