#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# The operators that ask a human have params for a form, and say that what is entered is added to the XCom of the
# result. HITLEntryOperator does that, with the options and who has chosen them beside it. HITLBranchOperator leaves
# nothing: to skip the tasks that were not chosen it raises, so that no result is pushed, and the tasks after it see
# neither the form nor who answered. ApprovalOperator does the same when the answer is to reject. All of them succeed.
#
# Seen: entry {'limit': 5}, branch nothing, approval approved {'limit': 5}, approval rejected nothing
set -euo pipefail
folder=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || pkill -KILL --session "$server" || true
  wait "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-standard==1.21.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PATH="$folder/venv/bin:$PATH" AIRFLOW_HOME="$folder/airflow" ADDRESS="http://127.0.0.1:$port"
export AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True
mkdir -p "$AIRFLOW_HOME/dags"
cat > "$AIRFLOW_HOME/dags/questions.py" <<'PY'
import json
import os
import threading
import time
import urllib.request

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLBranchOperator, HITLEntryOperator
from airflow.sdk import DAG, Param, task

ANSWERS = {"entry": "OK", "branch": "publish", "approved": "Approve", "rejected": "Reject"}
seen = []

with DAG("questions", schedule=None) as dag:
    form = {"subject": "How many rows?", "params": {"limit": Param(10, type="integer")}}

    @task
    def publish():
        pass

    @task
    def discard():
        pass

    @task(trigger_rule="all_done")
    def read(*, ti):
        for task_id in ANSWERS:
            result = ti.xcom_pull(task_ids=task_id)
            seen.append(result["params_input"] if result else "nothing")

    HITLBranchOperator(task_id="branch", options=["publish", "discard"], **form) >> [publish(), discard()]
    HITLEntryOperator(task_id="entry", **form) >> publish.override(task_id="after_entry")()
    for task_id in ("approved", "rejected"):
        ApprovalOperator(task_id=task_id, **form) >> publish.override(task_id=f"after_{task_id}")()
    dag.leaves >> read()


def call(method, path, body=None, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["ADDRESS"] + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def answer_all():
    token = call("GET", "/auth/token")["access_token"]
    waiting = set(ANSWERS)
    while waiting:
        time.sleep(1)
        path = "/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&state=awaiting_input"
        for detail in call("GET", path, token=token)["hitl_details"]:
            instance = detail["task_instance"]
            task_id = instance["task_id"]
            call(
                "PATCH",
                f"/api/v2/dags/questions/dagRuns/{instance['dag_run_id']}/taskInstances/{task_id}/-1/hitlDetails",
                {"chosen_options": [ANSWERS[task_id]], "params_input": {"limit": 5}},
                token,
            )
            waiting.discard(task_id)


if __name__ == "__main__":
    threading.Thread(target=answer_all, daemon=True).start()
    dag.test()
    entry, branch, approved, rejected = seen
    print(f"entry {entry}, branch {branch}, approval approved {approved}, approval rejected {rejected}")
PY
airflow db migrate >"$folder/log" 2>&1
setsid airflow api-server --host 127.0.0.1 --port "$port" >>"$folder/log" 2>&1 &
server=$!
for _ in $(seq 120); do
  (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.5
done
seen=$("$folder/venv/bin/python" "$AIRFLOW_HOME/dags/questions.py" 2>>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = "entry {'limit': 5}, branch nothing, approval approved {'limit': 5}, approval rejected nothing" ]
