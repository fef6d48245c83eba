"""
One run of the example DAG, as ``airflow dags test segment_lifecycle`` makes it.

Only that the sensor looks more often and nothing is retried: nobody watches a demo for ten minutes.

Called by run.py, in a process of its own: SECONDS_BETWEEN_LOOKS, STATES_FILE.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

dag = DagBag(Path(__file__).resolve().parents[1] / "example_dags").dags["segment_lifecycle"]
dag.get_task("wait_for_segment").poke_interval = float(sys.argv[1])
for task in dag.tasks:
    task.retries = 0
run = dag.test()
states = {task.task_id: str(task.state) for task in run.get_task_instances()}
Path(sys.argv[2]).write_text(json.dumps(states))
