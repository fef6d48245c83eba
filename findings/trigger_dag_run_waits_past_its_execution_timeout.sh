#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# execution_timeout does not end a TriggerDagRunOperator that waits for the run it has started: the wait takes place
# after execute() has raised, and the timeout is around execute() alone. Another task with the same timeout fails when
# it is over. This one holds its worker as long as the other run takes, hours or days, and then succeeds.
#
# Seen: with a second each: own work failed, waiting success after 5 looks, one a second
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
cat > "$AIRFLOW_HOME/dags/nightly.py" <<'PY'
import datetime
import time

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
from airflow.sdk.execution_time import task_runner

looks = 0


class CountedTime:
    """Ends the other run, at which nobody works, before the fifth look at it."""

    def sleep(self, seconds):
        global looks
        looks += 1
        time.sleep(seconds)
        if looks == 5:
            from airflow.models import DagRun
            from airflow.utils.session import create_session
            from sqlalchemy import update

            with create_session() as session:
                session.execute(update(DagRun).where(DagRun.dag_id == "exports").values(state="success"))

    def __getattr__(self, name):
        return getattr(time, name)


with DAG("exports", schedule=None):

    @task
    def export():
        pass

    export()

with DAG("nightly", schedule=None) as nightly:
    limit = {"execution_timeout": datetime.timedelta(seconds=1)}

    @task(**limit)
    def own_work():
        time.sleep(30)

    own_work()
    TriggerDagRunOperator(
        task_id="waiting", trigger_dag_id="exports", wait_for_completion=True, poke_interval=1, **limit
    )

if __name__ == "__main__":
    task_runner.time = CountedTime()
    states = {instance.task_id: instance.state for instance in nightly.test().get_task_instances()}
    print(
        f"with a second each: own work {states['own_work']}, "
        f"waiting {states['waiting']} after {looks} looks, one a second"
    )
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/nightly.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'with a second each: own work failed, waiting success after 5 looks, one a second' ]
