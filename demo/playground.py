"""An Airflow with the example DAGs and a connection, and a sandbox with segments, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from airflow_provider_moengage.sandbox import Sandbox
from demo import say
from demo.launcher import SECONDS_TO_ANSWER
from demo.ports import promised_ports
from demo.standalone import running_airflow
from demo.warehouse import running_warehouse
from demo.workspace import fill

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = REPOSITORY / ".airflow" / "standalone"
# For DAG files of one's own: git ignores it, and make clean leaves it alone.
DAGS = REPOSITORY / "dags"
EXAMPLES = REPOSITORY / "example_dags"
CONNECTION = "moengage_default"
SETTINGS = {
    # Whoever triggers a DAG that is paused sends two requests at once: they may wait for each other as long as that.
    SECONDS_TO_ANSWER: "5",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    # sync_audience waits for what the sandbox posts.
    "AIRFLOW__MOENGAGE__RECEIVE_CALLBACKS": "True",
    # Whoever has written a file wants to see its DAG within 10 s, of which parsing takes a few. By default Airflow
    # looks for new files every 300 s, and every 30 s into those that it knows.
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(home: Path = HOME, dags: Path = DAGS, ports: tuple[int, int] = (8080, 8900)) -> int:
    """
    Start both, and stop them at Ctrl-C.

    :param home: where Airflow keeps its database and logs.
    :param dags: the folder of one's own DAGs, beside the examples.
    :param ports: those of Airflow and of the sandbox, if they are free; 0 is for any.
    :return: the exit code.
    """
    for number in SIGNALS:
        signal.signal(number, _end)
    home.mkdir(parents=True, exist_ok=True)
    dags.mkdir(parents=True, exist_ok=True)
    with (
        suppress(KeyboardInterrupt),
        promised_ports(1, ports[1]) as (port,),
        Sandbox(port=port) as sandbox,
        running_warehouse(home) as warehouse,
    ):
        fill(sandbox)
        # What the params of the examples name.
        sandbox.add_segment(name="camp_diwali_2026", source="DASHBOARD")
        sandbox.add_segment(name="camp_cities", id="63d8cec0c085939e6c1ab727")
        say("Airflow starts; the first time it creates its database ...")
        settings = {**SETTINGS, **warehouse, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles(dags)}
        with running_airflow(home, dags, settings, port=ports[0]) as airflow:
            # One that was killed has left its own, which leads to a sandbox that is gone.
            with suppress(requests.HTTPError):
                airflow.call("DELETE", f"connections/{CONNECTION}")
            with airflow.connection(CONNECTION, with_port(sandbox.connection)):
                say(
                    f"\n  Airflow   {airflow.url}  (the example DAGs, and the connection {CONNECTION})"
                    f"\n  MoEngage  {sandbox.url}  (its sandbox, {len(sandbox.segments)} segments)"
                    f"\n  Your DAGs {dags}  (a new file shows within 10 s)"
                    "\n\nThe DAGs are paused. Switch one on: what has times in its schedule, and a start_date, runs"
                    "\nonce by itself. Trigger any other that has no run by then."
                    "\nBegin with archive_expired_segments: switch it on, and its plan waits for you under Browse >"
                    "\nRequired Actions."
                    "\n\nCtrl-C ends both."
                )
                airflow.parent.wait()
                say(f"Airflow has ended by itself; its log is {airflow.log}.")
    say("\nBoth have ended.")
    return 0


def bundles(dags: Path) -> str:
    """Name the folders of DAGs, as Airflow's setting has them."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    folders = {"dags-folder": dags, "examples": EXAMPLES}
    return json.dumps(
        [{"name": name, "classpath": local, "kwargs": {"path": str(path)}} for name, path in folders.items()]
    )


def with_port(connection: dict[str, Any]) -> dict[str, Any]:
    """Put the port of the host where Airflow has it: its Test button fails for a connection without one."""
    host, _, port = connection["host"].rpartition(":")
    return {**connection, "host": host, "port": int(port)}


def _end(_number: int, _frame: FrameType | None) -> None:
    # The first signal ends the wait. Those that follow must not interrupt what comes then.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run())
