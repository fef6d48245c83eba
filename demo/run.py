"""
Run example_dags/archive_expired_segments.py on a real Airflow against the sandbox, and show what happens.

This process is MoEngage, and the person who approves: it holds the sandbox and tells what reaches it. Airflow runs in
processes of its own, its database and logs below .airflow/demo.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from airflow_provider_moengage.sandbox import RecordedRequest, Sandbox
from demo import say
from demo.standalone import AirflowFailedError, Standalone, running_airflow
from demo.workspace import GROUPS, fill

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = REPOSITORY / ".airflow" / "demo"
DAG_ID = "archive_expired_segments"
FAILING = "camp_old_017"
ROWS_OF_THE_PLAN = 5
ARCHIVED = 202


def main() -> int:
    """
    Run the demo.

    :return: the exit code, 0 when the DAG run succeeded.
    """
    began = time.monotonic()
    HOME.mkdir(parents=True, exist_ok=True)
    with Sandbox() as sandbox:
        fill(sandbox)
        sandbox.fail_next(2, path="*/archive", segment=FAILING, status=500)
        show_segments(f"MoEngage is a sandbox at {sandbox.url}, with these segments:", sandbox)
        say(
            f"\nAirflow {version('apache-airflow')} starts in .airflow/demo; the first time it creates its database ..."
        )
        environment = {
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        }
        try:
            with running_airflow(HOME, REPOSITORY / "example_dags", environment) as airflow:
                say(f"It runs at {airflow.url} after {time.monotonic() - began:.0f} s.")
                say(f"\nThe DAG run (example_dags/{DAG_ID}.py)\n")
                states = run_dag(airflow, sandbox)
        except AirflowFailedError as failed:
            say(f"\nThe demo ends here: {failed.what}. Airflow's logs are in {HOME.relative_to(REPOSITORY)}.")
            return 1
        show_segments("\nThe segments after it:", sandbox)
    if set(states.values()) == {"success"}:
        say(f"\nAll {len(states)} tasks succeeded; {time.monotonic() - began:.0f} s in all.")
        return 0
    say(f"\nThe DAG run failed: {', '.join(f'{task} {state}' for task, state in states.items())}.")
    say(f"Airflow's logs are in {HOME.relative_to(REPOSITORY)}.")
    return 1


def show_segments(title: str, sandbox: Sandbox) -> None:
    """Print how many segments of each kind there are, and how many are archived."""
    say(f"{title}\n")
    say(f"  {'':<42} {'active':>6} {'archived':>9}")
    archived = {segment["name"] for segment in sandbox.segments if segment["archived"]}
    for group in GROUPS:
        gone = len(archived.intersection(group.names()))
        say(f"  {group.title:<42} {group.count - gone:>6} {gone:>9}")


def run_dag(airflow: Standalone, sandbox: Sandbox) -> dict[str, str | None]:
    """Run the DAG, approve its plan, and tell what has happened after each step."""
    run_id = airflow.trigger(DAG_ID, conf={"newer_than": "P1Y"})
    question = airflow.question(DAG_ID, run_id, "approve")
    tell("find_expired", f"{len(sandbox.requests)} request, which lists all {len(sandbox.segments)} segments")
    plan = [line for line in question["body"].splitlines() if line.startswith("| `")]
    tell("show_plan", *plan[:ROWS_OF_THE_PLAN], f"... {len(plan)} segments in all")
    tell("approve", f"{question['subject']} The demo clicks Approve.")
    airflow.answer(DAG_ID, run_id, "approve", "Approve")
    airflow.wait_for_the_end(DAG_ID, run_id)
    say_what_was_archived([request for request in sandbox.requests if request.path.endswith("/archive")])
    states = airflow.states(DAG_ID, run_id)
    if states["report_room"] == "success":
        tell("report_room", airflow.xcom(DAG_ID, run_id, "report_room"))
    return states


def say_what_was_archived(requests: list[RecordedRequest]) -> None:
    """Sum up what has reached MoEngage."""
    of_failing = [str(request.status) for request in requests if request.json["name"] == FAILING]
    archived = sum(request.status == ARCHIVED for request in requests)
    connections = len({request.connection for request in requests})
    tell(
        "archive",
        f"{archived} segments archived with {len(requests)} requests on {connections} connections",
        f"{FAILING}, with which MoEngage failed twice, was sent again: {', '.join(of_failing)}",
    )


def tell(task: str, *lines: str) -> None:
    """Print what a task has done."""
    for line in lines:
        say(f"  {task:<13} {line}")
        task = ""


if __name__ == "__main__":
    sys.exit(main())
