"""
Run example_dags/segment_lifecycle.py on a real Airflow against the sandbox, and show what happens to the segments.

This process is MoEngage: it holds the sandbox and tells what reaches it. Airflow is another process, with a metadata
database of its own below .airflow/demo; its output goes to .airflow/demo/run.log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote

from airflow_provider_moengage.sandbox import RecordedRequest, Sandbox
from airflow_provider_moengage.sandbox.demo import demo_segments

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = REPOSITORY / ".airflow" / "demo"
LOG = HOME / "run.log"
SEGMENT = "camp_diwali_2026"
SECONDS_BETWEEN_LOOKS = 2
SECONDS_AT_MOST = 300


def main() -> int:
    """
    Run the demo.

    :return: the exit code, 0 when the DAG run succeeded.
    """
    started = time.monotonic()
    HOME.mkdir(parents=True, exist_ok=True)
    with Sandbox() as sandbox:
        for fields in demo_segments():
            sandbox.add_segment(**fields)
        say(f"MoEngage is a sandbox at {sandbox.url}, Airflow {version('apache-airflow')} runs in .airflow/demo.")
        show_segments("The segments before", sandbox)
        environment = airflow_environment(sandbox)
        prepare_database(environment)
        say("\nThe DAG run (example_dags/segment_lifecycle.py)\n")
        states = run_dag(sandbox, environment)
        show_segments("The segments after", sandbox)
    seconds = time.monotonic() - started
    if states and all(state == "success" for state in states.values()):
        say(f"\nAll {len(states)} tasks succeeded, {seconds:.0f} s in all. Airflow's own log: {relative(LOG)}")
        return 0
    outcome = ", ".join(f"{task} {state}" for task, state in states.items()) or "it did not end in time"
    say(f"\nThe DAG run failed: {outcome}. The end of {relative(LOG)}:\n")
    say("\n".join(LOG.read_text(errors="replace").splitlines()[-40:]))
    return 1


def airflow_environment(sandbox: Sandbox) -> dict[str, str]:
    """Set up Airflow inside the repository, its connection leading to the sandbox."""
    return {
        **os.environ,
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
        "AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(sandbox.connection),
    }


def prepare_database(environment: dict[str, str]) -> None:
    """Create Airflow's metadata database, the first time."""
    if (HOME / "airflow.db").exists():
        return
    say("\nAirflow creates its metadata database, once ...")
    airflow = Path(sys.executable).with_name("airflow")
    migration = subprocess.run([airflow, "db", "migrate"], env=environment, capture_output=True, text=True, check=False)
    if migration.returncode:
        (HOME / "airflow.db").unlink(missing_ok=True)
        sys.exit(f"`airflow db migrate` failed:\n{migration.stderr[-4_000:]}")


def run_dag(sandbox: Sandbox, environment: dict[str, str]) -> dict[str, str]:
    """Run the DAG in a process of its own, and tell what reaches MoEngage meanwhile."""
    states_file = HOME / "states.json"
    states_file.unlink(missing_ok=True)
    script = Path(__file__).with_name("dag_run.py")
    with LOG.open("w") as log:
        airflow = subprocess.Popen(
            [sys.executable, script, str(SECONDS_BETWEEN_LOOKS), states_file],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            for request in requests_until_the_end(sandbox, airflow):
                tell(request, sandbox)
        finally:
            airflow.kill()
            airflow.wait()
    return json.loads(states_file.read_text()) if states_file.exists() else {}


def requests_until_the_end(sandbox: Sandbox, airflow: subprocess.Popen[bytes]) -> Iterator[RecordedRequest]:
    """Give each request once, until Airflow has ended or its time is up."""
    told = 0
    deadline = time.monotonic() + SECONDS_AT_MOST
    while time.monotonic() < deadline:
        ended = airflow.poll() is not None
        fresh = sandbox.requests[told:]
        told += len(fresh)
        yield from fresh
        if ended:
            return
        time.sleep(0.05)


def tell(request: RecordedRequest, sandbox: Sandbox) -> None:
    """Say what a request did; when the sensor has looked in vain, be marketing and create the segment."""
    task, outcome = step_of(request)
    missing = all(segment["name"] != SEGMENT for segment in sandbox.segments)
    if request.status is None or request.status >= 400:
        outcome = "refused"
    elif missing:
        outcome = f"not there yet; the task defers, the trigger looks every {SECONDS_BETWEEN_LOOKS} s"
    target = request.path + (f"?{unquote(request.query)}" if request.query else "")
    say(f"  {task:<17} {request.method:<6} {target}\n{'':<20}{request.status}, {outcome}")
    if missing:
        sandbox.add_segment(name=SEGMENT, source="DASHBOARD")
        say(f"  {'':<17} (now marketing creates {SEGMENT} in the dashboard; 300 s is the default between two looks)")


def step_of(request: RecordedRequest) -> tuple[str, str]:
    """Tell which task sends such a request, and what has happened when it succeeds."""
    match request.method, request.path.rpartition("/")[2]:
        case "GET", _:
            return "wait_for_segment", "it exists"
        case _, "archive":
            return "archive", "archived"
        case _, "unarchive":
            return "unarchive", "active again"
    return "update_filters", "the filters are those of this run"


def show_segments(title: str, sandbox: Sandbox) -> None:
    """Print the segments as a table."""
    now = datetime.now(timezone.utc)
    say(f"\n{title}\n")
    say(f"  {'name':<30} {'age':>9}  {'kind':<7} {'state':<9} filters")
    for segment in sandbox.segments:
        age = now - datetime.fromisoformat(segment["created_time"]).replace(tzinfo=timezone.utc)
        kind = "filter" if "included_filters" in segment else "file"
        state = "archived" if segment["archived"] else "active"
        say(f"  {segment['name']:<30} {in_words(age):>9}  {kind:<7} {state:<9} {summary(segment)}".rstrip())


def summary(segment: dict[str, object]) -> str:
    """Shorten a segment's filters to what fits a table."""
    group = segment.get("included_filters")
    filters = group["filters"] if isinstance(group, dict) else []
    parts = []
    for item in filters:
        span = item.get("primary_time_range", {})
        dates = f" {span['value'][:10]}..{span['value1'][:10]}" if "value1" in span else ""
        parts.append(f"{item.get('name') or item.get('action_name')}{dates}")
    return ", ".join(parts)


def in_words(age: timedelta) -> str:
    """Say how old something is."""
    return f"{age.days} days" if age.days else "today"


def relative(path: Path) -> Path:
    """Shorten a path to what a person types."""
    return path.relative_to(REPOSITORY)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
