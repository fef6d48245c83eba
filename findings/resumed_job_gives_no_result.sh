#!/usr/bin/env bash
# Airflow 3.3.2.
#
# An operator with ResumableJobMixin finds its job again when a worker has died. Its result is then not that of
# get_job_result, which is not called: the try that has found the job running returns what poll_until_complete returns,
# which by its signature is None. With the worker alive, or a job that has ended meanwhile, it is the job's result. The
# task succeeds all the same, and only the tasks after it find None, and only after a crash.
#
# Seen: undisturbed 10 rows; ended meanwhile 10 rows; still running None
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

from airflow.sdk import DAG, BaseOperator, ResumableJobMixin, task

seen = []


class Export(ResumableJobMixin, BaseOperator):
    def __init__(self, *, fails, status_then, **kwargs):
        super().__init__(**kwargs)
        self.fails = fails
        self.status_then = status_then

    def execute(self, context):
        return self.execute_resumable(context)

    def submit_job(self, context):
        return "job-1"

    def get_job_status(self, external_id, context):
        return self.status_then

    def is_job_active(self, status):
        return status == "RUNNING"

    def is_job_succeeded(self, status):
        return status == "SUCCEEDED"

    def poll_until_complete(self, external_id, context):
        if self.fails and context["ti"].try_number == 1:
            raise ConnectionError("as when a worker dies")

    def get_job_result(self, external_id, context):
        return "10 rows"


with DAG("exports", schedule=None) as dag:
    again = {"retries": 1, "retry_delay": datetime.timedelta(0)}
    undisturbed = Export(task_id="undisturbed", fails=False, status_then="RUNNING")
    ended = Export(task_id="ended", fails=True, status_then="SUCCEEDED", **again)
    running = Export(task_id="running", fails=True, status_then="RUNNING", **again)

    @task
    def read(*results):
        seen.extend(results)

    read(undisturbed.output, ended.output, running.output)

if __name__ == "__main__":
    dag.test()
    undisturbed, ended, running = seen
    print(f"undisturbed {undisturbed}; ended meanwhile {ended}; still running {running}")
PY
"$folder/venv/bin/airflow" db migrate >"$folder/log" 2>&1
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/exports.py" 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'undisturbed 10 rows; ended meanwhile 10 rows; still running None' ]
