#!/usr/bin/env bash
# Airflow 3.3.2 with common-io 1.11.0.
#
# With XComObjectStorageBackend a task that pulls an XCom whose object is no longer there, since a lifecycle rule of the
# bucket has deleted it before somebody cleared the task, does not fail: it gets the address of the object as the value,
# without a word in the log. A list is text then, and whoever loops over it loops over letters.
#
# Seen: list ['asha', 'ravi'], then str file:///.../xcoms/names/...
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-io==1.11.0
export AIRFLOW_HOME="$folder/airflow" AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__CORE__XCOM_BACKEND=airflow.providers.common.io.xcom.backend.XComObjectStorageBackend
export AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH="file://$folder/xcoms"
export AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD=0
mkdir -p "$AIRFLOW_HOME/dags"
cat > "$AIRFLOW_HOME/dags/names.py" <<'PY'
import os
import shutil

from airflow.sdk import DAG, task

seen = []

with DAG("names", schedule=None) as dag:

    @task
    def find():
        return ["asha", "ravi"]

    @task
    def use(names):
        seen.append(names)

    @task(do_xcom_push=False)
    def expire():
        shutil.rmtree(os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"].removeprefix("file://"))

    names = find()
    use(names) >> expire() >> use.override(task_id="use_later")(names)

if __name__ == "__main__":
    dag.test()
    first, later = seen
    folder = os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"].removesuffix("/xcoms")
    start = f"{folder}/xcoms/names/"
    address = "file:///.../xcoms/names/..." if str(later).startswith(start) else later
    print(f"{type(first).__name__} {first}, then {type(later).__name__} {address}")
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/names.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = "list ['asha', 'ravi'], then str file:///.../xcoms/names/..." ]
