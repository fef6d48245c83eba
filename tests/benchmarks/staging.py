"""
Bring the ids of a query to a signed address, once, in a process that does nothing else: which way comes as JSON on
standard input, and what it took goes as JSON into the last line of standard output.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.storage import BUCKET


def main() -> None:
    order = json.load(sys.stdin)
    from airflow.providers.standard.operators.empty import EmptyOperator

    EmptyOperator(task_id="empty").execute({})
    resident, began, cpu = _peak_mib(), time.monotonic(), _cpu_seconds()
    url = WAYS[order["way"]](order["table"])
    taken = {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(_cpu_seconds() - cpu, 2),
        "mib": round(_peak_mib() - resident, 1),
        "url": url,
    }
    sys.stdout.write(f"\n{json.dumps(taken)}\n")


def operator(table: str) -> str:
    from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator

    task = SqlToFileSegmentOperator(
        task_id=table,
        sql=f"select id from {table}",  # noqa: S608 - the benchmark names it
        conn_id="warehouse",
        staging=f"s3://storage@{BUCKET}/operator",
        name=table,
        attribute_name="ID",
        attribute_type="string",
        expiry_days=30,
        # Of a contract that takes more.
        max_users=5_000_000,
    )
    task.execute({})
    return task.file_url


def by_hand(table: str) -> str:
    """As people write it: whole, and with no check of what is in it."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    frame = PostgresHook("warehouse").get_df(f"select id from {table}")  # noqa: S608 - likewise
    key = f"by_hand/{table}.csv"
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        frame.drop_duplicates().to_csv(file.name, index=False, header=False)
        hook = S3Hook("storage")
        hook.load_file(file.name, key, BUCKET)
    return hook.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, expires_in=86_400)


WAYS: dict[str, Callable[[str], str]] = {"operator": operator, "by_hand": by_hand}


def _peak_mib() -> float:
    """The most that this process has held, and any child of it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says of a process begins with what its parent held.
        own = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return (own + children) / 2**10
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + children) / 2**20  # macOS counts in bytes


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
