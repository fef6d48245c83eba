"""An Airflow with the example DAGs and a connection, and a sandbox with segments, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from airflow_provider_moengage.sandbox import Sandbox
from demo import say
from demo.standalone import free_port, running_airflow
from demo.workspace import fill

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = REPOSITORY / ".airflow" / "standalone"
CONNECTION = "moengage_default"
SETTINGS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(home: Path = HOME) -> int:
    """
    Start both, and stop them at Ctrl-C.

    :param home: where Airflow keeps its database and logs.
    :return: the exit code.
    """
    for number in SIGNALS:
        signal.signal(number, _end)
    home.mkdir(parents=True, exist_ok=True)
    with suppress(KeyboardInterrupt), Sandbox(port=free_port(8900)) as sandbox:
        fill(sandbox)
        # What the params of the examples name.
        sandbox.add_segment(name="camp_diwali_2026", source="DASHBOARD")
        sandbox.add_segment(name="camp_cities", id="63d8cec0c085939e6c1ab727")
        say("Airflow starts; the first time it creates its database ...")
        with running_airflow(home, REPOSITORY / "example_dags", SETTINGS, port=8080) as airflow:
            # One that was killed has left its own, which leads to a sandbox that is gone.
            with suppress(requests.HTTPError):
                airflow.call("DELETE", f"connections/{CONNECTION}")
            with airflow.connection(CONNECTION, with_port(sandbox.connection)):
                say(
                    f"\n  Airflow   {airflow.url}  (the example DAGs, and the connection {CONNECTION})"
                    f"\n  MoEngage  {sandbox.url}  (its sandbox, {len(sandbox.segments)} segments)"
                    "\n\nThe DAGs are paused: switch one on, and trigger it. Begin with archive_expired_segments, whose"
                    "\nplan then waits for you under Browse > Required Actions."
                    "\n\nCtrl-C ends both."
                )
                airflow.parent.wait()
                say(f"Airflow has ended by itself; its log is {airflow.log}.")
    say("\nBoth have ended.")
    return 0


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
