#!/usr/bin/env bash
# Airflow 3.3.2.
#
# xcom_pull(key=..., include_prior_dates=True), with which a task finds what its last run has left, gives that value in
# the second run. From the third on it gives a list with the values of all runs so far, in no order that is promised.
# Airflow 2.11.2 gives the last one each time, and so does 3.3.2 with map_indexes=-1. A watermark passes every trial,
# and is a list on the third day.
#
# Seen: plain None, 10, [10, 20]; with map_indexes None, 10, 20
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2
export AIRFLOW_HOME="$folder/airflow" AIRFLOW__CORE__LOAD_EXAMPLES=False
mkdir -p "$AIRFLOW_HOME/dags"
cat > "$AIRFLOW_HOME/dags/exports.py" <<'PY'
import datetime

from airflow.sdk import DAG, task

seen = []

with DAG("exports", schedule=None) as dag:

    @task
    def export(*, ti, logical_date):
        plain = ti.xcom_pull(key="watermark", include_prior_dates=True)
        one = ti.xcom_pull(key="watermark", include_prior_dates=True, map_indexes=-1)
        seen.append((plain, one))
        ti.xcom_push(key="watermark", value=10 * logical_date.day)

    export()

if __name__ == "__main__":
    for day in range(1, 4):
        dag.test(logical_date=datetime.datetime(2026, 11, day, tzinfo=datetime.timezone.utc))
    plain, one = (", ".join(map(str, values)) for values in zip(*seen))
    print(f"plain {plain}; with map_indexes {one}")
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/exports.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'plain None, 10, [10, 20]; with map_indexes None, 10, 20' ]
