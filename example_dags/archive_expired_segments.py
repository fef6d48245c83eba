"""
Every week, archive the segments of campaigns that are over, after a person has approved it.

1. find_expired: the campaign segments that have become 90 days old in the week before this run, or in the day before
   that week. Each is proposed in one weekly run or two, and later ones leave it out, though MoEngage may go on to list
   it.
2. show_plan: all of them, to read before anything happens. When there are none, nobody is asked.
3. approve: a person clicks Approve or Reject in Airflow (Browse > Required Actions), within six days; then the run
   fails, and nothing is archived. Before Airflow 3.1 the run ends here; who agrees triggers the DAG once more, with the
   number that the plan begins with as the param "approved", and the other params as they were.
4. archive: all of them in one task. Until 180 days later, unarchiving brings them back.
5. report_room: how near the workspace is to its 1,000 active segments, whatever became of the rest.

The first time, after some weeks without it, and for what was rejected or has failed in an earlier week, trigger it by
hand with a greater "newer_than", such as P2Y.
"""

from __future__ import annotations

import re
import zlib
from datetime import timedelta
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

from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator, ListSegmentsOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    WITHOUT_A_PERSON = {}
except (ImportError, AirflowException):  # before Airflow 3.1
    ApprovalOperator = None
    WITHOUT_A_PERSON = {
        "approved": Param(None, type=["null", "string"], description="The number of the plan that is to be archived."),
    }

# The same in every try and every clear, and in the run that archives a plan of before, whose number begins with it.
AS_OF = "{{ (params.get('approved') or '').partition('#')[0] or data_interval_end | default(dag_run.run_after, true) }}"
MOST_ACTIVE_SEGMENTS = 1_000
MOST_LISTED_SEGMENTS = 10_000  # archived ones are listed, too
FILTER_SEGMENTS = ["ELASTIC_SEARCH"]  # a file segment's users are lost for good after 30 days in the archive


def number_of(segments: list[dict[str, Any]], as_of: str) -> str:
    """Give a plan a number that another plan does not have: its moment, and what it says."""
    return f"{as_of}#{zlib.crc32(repr(sorted(segment['segment_id'] for segment in segments)).encode()):08x}"


def as_code(name: str) -> str:
    """Write a name in a cell of a Markdown table so that it cannot be more than a text."""
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in name).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in (text[0], text[-1]) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def age_of(segment: dict[str, Any], as_of: str) -> str:
    """Count the days of a segment until a moment."""
    days = (pendulum.parse(as_of) - pendulum.parse(segment["created_time"])).days
    return "1 day" if days == 1 else f"{days} days"


with DAG(
    dag_id="archive_expired_segments",
    description="Archive the segments of campaigns that are over, after a person has approved it.",
    doc_md=__doc__,
    schedule="@weekly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "name_pattern": Param("camp_*", type="string", description="Which segments belong to campaigns."),
        "exclude_pattern": Param(
            "*_evergreen", type="string", description="Which of those are never archived; - for archiving them all."
        ),
        "older_than": Param("P90D", type="string", description="The age at which a campaign is over."),
        "newer_than": Param(
            "P98D",
            type="string",
            description="What is older was proposed in an earlier week. A day more than a week after older_than: where "
            "clocks change, a week may have an hour more, and archiving again changes nothing.",
        ),
        **WITHOUT_A_PERSON,
    },
    tags=["moengage", "example"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    find_expired = ListSegmentsOperator(
        task_id="find_expired",
        name_pattern="{{ params.name_pattern }}",
        exclude_pattern="{{ params.exclude_pattern }}",
        older_than="{{ params.older_than }}",
        newer_than="{{ params.newer_than }}",
        as_of=AS_OF,
        types=FILTER_SEGMENTS,
    )

    @task
    def show_plan(segments: list[dict[str, Any]], as_of: str) -> str:
        """Write what would be archived as a table in Markdown."""
        if not segments:
            raise AirflowSkipException("Nothing has expired since last week.")
        rows = [f"| {as_code(one['name'])} | {age_of(one, as_of)} | {one['type']} |" for one in segments]
        # A person who triggers the DAG once more needs the number; one who clicks does not.
        head = "These" if ApprovalOperator else f"Plan {number_of(segments, as_of)}: these"
        return "\n".join([f"{head} have expired.\n", "| name | age | type |", "| --- | ---: | --- |", *rows])

    plan = show_plan(find_expired.output, AS_OF)

    if ApprovalOperator:
        approve = ApprovalOperator(
            task_id="approve",
            subject="Archive {{ ti.xcom_pull(task_ids='find_expired') | length }} expired MoEngage segments?",
            body=plan,
            response_timeout=timedelta(days=6),
            retries=0,
        )
    else:

        @task.short_circuit(task_id="approve", ignore_downstream_trigger_rules=False)
        def was_approved(plan: str, params: Any = None) -> bool:
            """Carry on if whoever has read the plan has triggered the DAG once more, with its number."""
            if params["approved"] and not plan.startswith(f"Plan {params['approved']}:"):
                raise AirflowFailException(
                    "This is not the plan that was approved: trigger the DAG with the params of the run that showed it."
                )
            return bool(params["approved"])

        approve = was_approved(plan)

    archive = ArchiveSegmentsOperator(
        task_id="archive",
        segments=find_expired.output,
        max_segments=MOST_LISTED_SEGMENTS,  # a person has seen how many there are
        deferrable=True,
    )

    @task
    def report_room(outcome: dict[str, Any] | None) -> str:
        """
        Count the active segments.

        At most: MoEngage may list archived ones, does not say which they are, and archives unused ones by itself.
        """
        from airflow_provider_moengage.hooks.moengage import MoEngageHook

        listed = {segment["id"] for segment in MoEngageHook().client.list_segments()}
        # What an earlier try of the task has archived was skipped by the last one.
        done = [*outcome["succeeded"], *outcome["skipped"]] if outcome else []
        active = listed - {segment["segment_id"] for segment in done}
        return (
            f"At most {min(len(active), MOST_ACTIVE_SEGMENTS):,} of {MOST_ACTIVE_SEGMENTS:,} segments are active: "
            f"MoEngage lists {len(listed)}, and this run archived {len(done)}."
        )

    # A teardown runs whatever became of the rest, and leaves it to the rest whether the run has succeeded.
    chain(approve, archive, report_room(archive.output).as_teardown())
