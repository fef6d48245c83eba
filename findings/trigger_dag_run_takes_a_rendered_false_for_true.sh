#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# TriggerDagRunOperator has two flags among its templated fields, wait_for_completion and skip_when_already_exists. A
# template renders to text, and the text "False" is true. With a parameter that is False the operator waits for the run
# all the same, and a run that is there already makes it skipped, and the tasks after it as well, where it is to fail.
#
# Seen: plain False: goes on, then failed as it exists; rendered False: waits, then skipped as it exists
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
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task

with DAG("exports", schedule=None):

    @task
    def export():
        pass

    export()

with DAG("nightly", schedule=None, params={"flag": False}) as nightly:
    for name, flag in {"plain": False, "rendered": "{{ params.flag }}"}.items():
        # The new run is queued, as nobody works at it: who waits sees that at the first look, and fails.
        first = TriggerDagRunOperator(
            task_id=f"{name}_first",
            trigger_dag_id="exports",
            trigger_run_id=name,
            wait_for_completion=flag,
            failed_states=["queued"],
            poke_interval=1,
        )
        first >> TriggerDagRunOperator(
            task_id=f"{name}_again",
            trigger_dag_id="exports",
            trigger_run_id=name,
            skip_when_already_exists=flag,
            trigger_rule="all_done",
        )

if __name__ == "__main__":
    states = {instance.task_id: instance.state for instance in nightly.test().get_task_instances()}
    first = {"success": "goes on", "failed": "waits"}
    print(
        "; ".join(
            f"{name} False: {first[states[f'{name}_first']]}, then {states[f'{name}_again']} as it exists"
            for name in ("plain", "rendered")
        )
    )
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/nightly.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'plain False: goes on, then failed as it exists; rendered False: waits, then skipped as it exists' ]
