#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# ExternalTaskSensor divides the number of instances that have succeeded by the number of task ids that it was given. A
# mapped task of the other DAG has an instance for each of its items, and "load" of two items counts as two tasks: a
# sensor for "load" and "check" succeeds when both items are loaded, whatever has become of "check". For "load" alone
# two is too many, and the sensor waits for a task that has succeeded until it times out.
#
# Seen: load success success, check failed; sensors: load and check success, load failed, check failed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-standard==1.21.0
export AIRFLOW_HOME="$folder/airflow" AIRFLOW__CORE__LOAD_EXAMPLES=False
mkdir -p "$AIRFLOW_HOME/dags"
cat > "$AIRFLOW_HOME/dags/reports.py" <<'PY'
import datetime

from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, task

with DAG("loads", schedule=None) as loads:

    @task
    def load(part):
        pass

    @task
    def check():
        raise ValueError("a part is missing")

    load.expand(part=["a", "b"])
    check()

with DAG("reports", schedule=None) as reports:
    common = {"external_dag_id": "loads", "poke_interval": 1, "timeout": 2}
    ExternalTaskSensor(task_id="both", external_task_ids=["load", "check"], **common)
    ExternalTaskSensor(task_id="load", external_task_id="load", **common)
    ExternalTaskSensor(task_id="check", external_task_id="check", **common)


def states(dag):
    run = dag.test(logical_date=datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc))
    states = {}
    for instance in sorted(run.get_task_instances(), key=lambda instance: instance.map_index):
        states.setdefault(instance.task_id, []).append(instance.state)
    return {task_id: " ".join(states) for task_id, states in states.items()}


if __name__ == "__main__":
    loaded = states(loads)
    seen = states(reports)
    print(
        f"load {loaded['load']}, check {loaded['check']}; "
        f"sensors: load and check {seen['both']}, load {seen['load']}, check {seen['check']}"
    )
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/reports.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'load success success, check failed; sensors: load and check success, load failed, check failed' ]
