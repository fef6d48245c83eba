#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# With use_task_logical_date=True, which is for backfills, BranchDayOfWeekOperator compares the day in UTC, though it
# takes the one in the zone of the DAG as long as it looks at the clock. In Kolkata the run of Monday, two in the
# morning, is then one of Sunday. BranchDateTimeOperator puts its hours, which are in the zone of the DAG, on the day in
# UTC, and that run is not between one and five. A run of the first hours of a day is judged by the day before, and west
# of UTC one of the last hours by the day after. Of the second operator apache/airflow#40151 has told in 2024; of the
# first one no issue was found.
#
# Seen: Monday 02:00 in UTC: Monday, between 1 and 5; in Asia/Kolkata: another day, not between 1 and 5
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
cat > "$AIRFLOW_HOME/dags/weekly.py" <<'PY'
import datetime

import pendulum

from airflow.providers.standard.operators.datetime import BranchDateTimeOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.weekday import BranchDayOfWeekOperator
from airflow.sdk import DAG

ZONES = ["UTC", "Asia/Kolkata"]
dags = []

for zone in ZONES:
    with DAG(f"weekly_{zone[:3]}", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz=zone)) as dag:
        BranchDayOfWeekOperator(
            task_id="day",
            week_day="Monday",
            use_task_logical_date=True,
            follow_task_ids_if_true="monday",
            follow_task_ids_if_false="another_day",
        ) >> [EmptyOperator(task_id="monday"), EmptyOperator(task_id="another_day")]
        BranchDateTimeOperator(
            task_id="hours",
            target_lower=datetime.time(1),
            target_upper=datetime.time(5),
            use_task_logical_date=True,
            follow_task_ids_if_true="between",
            follow_task_ids_if_false="not_between",
        ) >> [EmptyOperator(task_id="between"), EmptyOperator(task_id="not_between")]
    globals()[dag.dag_id] = dag
    dags.append(dag)

if __name__ == "__main__":
    seen = []
    for zone, dag in zip(ZONES, dags):
        run = dag.test(logical_date=pendulum.datetime(2026, 11, 2, 2, tz=zone))
        done = {instance.task_id for instance in run.get_task_instances() if instance.state == "success"}
        day = "Monday" if "monday" in done else "another day"
        hours = "between 1 and 5" if "between" in done else "not between 1 and 5"
        seen.append(f"in {zone}: {day}, {hours}")
    print("Monday 02:00 " + "; ".join(seen))
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/weekly.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'Monday 02:00 in UTC: Monday, between 1 and 5; in Asia/Kolkata: another day, not between 1 and 5' ]
