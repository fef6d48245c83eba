"""
Bring the ids of a query to a signed address: SqlToFileSegmentOperator beside what people write by hand, in turn, from a
real PostgreSQL to S3 as moto's server has it. What the address gives is read back and counted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from demo import say
from tests.benchmarks.in_a_process import result_of
from tests.benchmarks.show import table
from tests.benchmarks.slow_moengage import running_sandbox
from tests.benchmarks.storage import running_s3
from tests.distributed.services import running_postgresql

SIZES = (100_000, 2_000_000, 5_000_000)
COMPARED = (2_000_000, 5_000_000)
WANTED = {"time": 0.5, "mib": 96}
ID_CHARACTERS = 32


def measure(_options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :return: the raw figures of each run.
    """
    with (
        running_postgresql() as database,
        running_s3() as storage,
        # It would fetch the files, while the next run is measured.
        running_sandbox("--no-rate-limits") as moengage,
    ):
        user, _, rest = database.partition("@")
        host, _, rest = rest.partition(":")
        port, _, schema = rest.partition("/")
        warehouse = {"conn_type": "postgres", "login": user, "host": host, "port": int(port), "schema": schema}
        environment = {
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(warehouse),
            "AIRFLOW_CONN_STORAGE": json.dumps(storage),
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": json.dumps(moengage.connection),
        }
        return {"runs": list(_runs(database, environment))}


def _runs(database: str, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    import psycopg

    for rows in SIZES:
        say(f"audiences: {rows:,} ids are made")
        distinct = rows - rows // 10
        with psycopg.connect(f"postgresql://{database}", autocommit=True) as connection:
            connection.execute(
                # Numbers of this benchmark's own.
                f"create table ids_{rows} as select md5((n % {distinct})::text) as id from generate_series(1, {rows}) n"  # noqa: S608
            )
        for way in ("operator", *(("by_hand",) if rows in COMPARED else ())):
            say(f"audiences: {rows:,} ids, {way}")
            taken = result_of("staging", {"way": way, "table": f"ids_{rows}"}, environment)
            _check(taken.pop("url"), distinct)
            yield {"way": way, "rows": rows, **taken}


def _check(url: str, distinct: int) -> None:
    """Read back what the address gives, as MoEngage does."""
    response = requests.get(url, timeout=300)
    response.raise_for_status()
    values = response.content.split()
    if len(values) != distinct or len(set(values)) != distinct or {len(value) for value in values} != {ID_CHARACTERS}:
        raise RuntimeError(f"The address gives {len(values):,} values in place of {distinct:,} different ones.")


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them.

    :param figures: what :func:`measure` gives.
    """
    by_hand = {run["rows"]: run for run in figures["runs"] if run["way"] == "by_hand"}
    rows = [
        (
            f"{run['rows']:,} ids, {run['way']}",
            f"{run['seconds']:.1f}",
            _ratio(run, by_hand, "seconds"),
            f"{run['cpu_seconds']:.1f}",
            _ratio(run, by_hand, "cpu_seconds"),
            f"{run['mib']:.0f}",
        )
        for run in figures["runs"]
    ]
    return [
        "Audiences: from a query to a signed address, a tenth of the ids twice.",
        "",
        *table(("", "s", "ratio", "cpu s", "ratio", "MiB"), rows),
        "",
        f"MiB: the peak over that of an empty task. Wanted: at most {WANTED['time']} times the time by hand, and",
        f"{WANTED['mib']} MiB, however many ids there are.",
    ]


def _ratio(run: Mapping[str, Any], by_hand: Mapping[int, Mapping[str, Any]], what: str) -> str:
    if run["way"] == "by_hand" or run["rows"] not in by_hand:
        return ""
    return f"{run[what] / by_hand[run['rows']][what]:.2f}"
