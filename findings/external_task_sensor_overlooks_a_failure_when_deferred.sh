#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# ExternalTaskSensor(external_task_ids=[...], failed_states=["failed"]) fails at its next look once one of the tasks has
# failed. With deferrable=True it does not: the trigger divides the number of failed tasks by the number of all, rounds
# down, and sees none until each of them has failed. One of two that fails leaves it deferred until its timeout, seven
# days by default. [operators] default_deferrable makes that change for all DAGs at once, without a line of theirs.
#
# Seen: one of two failed: in the worker failed at look 1, in the triggerer waits 3 looks, failed once both had
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
import asyncio
import datetime

from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.triggers.external_task import WorkflowTrigger
from airflow.sdk import DAG, task

looks = {"worker": 0, "triggerer": 0}
look = WorkflowTrigger._get_count_af_3


def fail_the_check_as_well():
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.dag_id == "loads", TaskInstance.task_id == "check")
            .values(state="failed")
        )


async def counted_look(self, states):
    if states == self.failed_states:
        looks["triggerer"] += 1
        if looks["triggerer"] == 4:
            await asyncio.to_thread(fail_the_check_as_well)
    return await look(self, states)


class Sensor(ExternalTaskSensor):
    def poke(self, context):
        looks["worker"] += 1
        return super().poke(context)


with DAG("loads", schedule=None) as loads:

    @task
    def load():
        raise ValueError("no such file")

    @task
    def check():
        pass

    load()
    check()

with DAG("reports", schedule=None) as reports:
    common = {"external_dag_id": "loads", "external_task_ids": ["load", "check"], "failed_states": ["failed"]}
    worker = Sensor(task_id="worker", poke_interval=1, **common)
    worker >> Sensor(task_id="triggerer", poke_interval=1, deferrable=True, trigger_rule="all_done", **common)


def states(dag):
    run = dag.test(logical_date=datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc))
    return {instance.task_id: instance.state for instance in run.get_task_instances()}


if __name__ == "__main__":
    WorkflowTrigger._get_count_af_3 = counted_look
    loaded = states(loads)
    seen = states(reports)
    print(
        f"{'one' if loaded == {'load': 'failed', 'check': 'success'} else 'not one'} of two failed: "
        f"in the worker {seen['worker']} at look {looks['worker']}, "
        f"in the triggerer waits {looks['triggerer'] - 1} looks, {seen['triggerer']} once both had"
    )
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/reports.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'one of two failed: in the worker failed at look 1, in the triggerer waits 3 looks, failed once both had' ]
