"""
Segments as code: what the files in the folder keep_segments_in_git say is what MoEngage has, once a person agrees.

Each file there is the definition of one segment: its name, its included_filters, and excluded_filters if it has some.

1. compare: one list request, and a get for each segment of a file that is there. Its log and the plan say what differs,
   by attribute and operator, never by value; and which names MoEngage lists that nobody has a file for. Those are
   reported and never touched.
2. approve: a person reads the plan and clicks Approve or Reject (Browse > Required Actions), within a day. Before
   Airflow 3.1 the run ends here; who agrees triggers the DAG once more, with the param "apply".
3. apply: creates or updates what differs, and nothing else. Whatever changed meanwhile is compared once more.

When nothing differs, nobody is asked. A renamed file's old segment stays: archive it yourself.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowSkipException, Param, task

from airflow_provider_moengage.operators.segments import CreateSegmentOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    WITHOUT_A_PERSON = {}
except (ImportError, AirflowException):  # before Airflow 3.1
    ApprovalOperator = None
    WITHOUT_A_PERSON = {"apply": Param(default=False, type="boolean", description="Apply what the last run has shown.")}

DEFINITIONS = Path(__file__).with_suffix("")

with DAG(
    dag_id="keep_segments_in_git",
    description="Create and update the segments that have a file, after a person has approved it.",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params=WITHOUT_A_PERSON,
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):

    @task
    def compare() -> dict[str, Any]:
        """Say what differs from the files, and what has none."""
        from airflow_provider_moengage.client.definitions import is_same_definition
        from airflow_provider_moengage.hooks.moengage import MoEngageHook
        from airflow_provider_moengage.segments.definition_changes import changes_between, outline_of

        wanted = [json.loads(file.read_text()) for file in sorted(DEFINITIONS.glob("*.json"))]
        client = MoEngageHook().client
        listed = {segment["name"]: segment["id"] for segment in client.list_segments()}
        differing, lines = [], []
        for definition in wanted:
            name = definition["name"]
            segment = client.get_segment(listed[name]) if name in listed else None
            if segment and is_same_definition(definition, segment):
                continue
            changes = changes_between(segment, definition) if segment else outline_of(definition)
            differing.append(definition)
            lines.append(f"- {'update' if segment else 'create'} {name!r}: {' '.join(changes)}")
        without_a_file = sorted(listed.keys() - {definition["name"] for definition in wanted})
        lines += [f"- no file for {name!r}: it stays as it is" for name in without_a_file]
        print(*lines, sep="\n")  # noqa: T201 - into the log
        return {"differing": differing, "plan": "\n".join(lines), "without_a_file": without_a_file}

    @task
    def show_plan(compared: dict[str, Any]) -> str:
        """Give what a person reads, if there is something to decide."""
        if not compared["differing"]:
            raise AirflowSkipException("MoEngage has what the files say.")
        return compared["plan"]

    compared = compare()
    plan = show_plan(compared)

    if ApprovalOperator:
        approve = ApprovalOperator(
            task_id="approve",
            subject="Create and update these MoEngage segments?",
            body=plan,
            response_timeout=timedelta(days=1),
            retries=0,
        )
    else:

        @task.short_circuit(task_id="approve")
        def was_approved(plan: str, params: Any = None) -> bool:  # noqa: ARG001 - it waits for the plan
            """Carry on if whoever has read the plan has triggered the DAG once more."""
            return bool(params["apply"])

        approve = was_approved(plan)

    @task
    def differing(compared: dict[str, Any]) -> list[dict[str, Any]]:
        """Give what is to be applied, one definition for each task."""
        return compared["differing"]

    apply = CreateSegmentOperator.partial(task_id="apply", if_exists="update", max_active_tis_per_dagrun=4)
    approve >> apply.expand_kwargs(differing(compared))
