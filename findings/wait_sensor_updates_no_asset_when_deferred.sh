#!/usr/bin/env bash
# Airflow 3.3.2 with the standard provider 1.21.0.
#
# A task that succeeds updates the assets in its outlets, and the DAGs scheduled by them run. One that the triggerer
# ends by itself does not (apache/airflow#49347): WaitSensor(deferrable=True) always ends so, as other time sensors do
# with end_from_trigger=True. The task succeeds, no asset event is made, and the DAGs after it never start. [operators]
# default_deferrable makes that change for all DAGs at once, without a line of theirs.
#
# Seen: in the worker success with 1 asset event, from the triggerer success with 0
set -euo pipefail
folder=$(mktemp -d)
standalone=
stop() {
  [ -z "$standalone" ] || pkill -KILL --session "$standalone" || true
  wait "$standalone" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-standard==1.21.0
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
export PATH="$folder/venv/bin:$PATH" AIRFLOW_HOME="$folder/airflow"
export AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT="$port"
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://127.0.0.1:$port/execution/"
AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=$(free_port)
AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=$(free_port)
export AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT
mkdir -p "$AIRFLOW_HOME/dags"
cat > "$AIRFLOW_HOME/dags/waits.py" <<'PY'
import datetime

from airflow.providers.standard.sensors.time_delta import WaitSensor
from airflow.sdk import DAG, Asset

with DAG("waits", schedule=None, is_paused_upon_creation=False):
    second = datetime.timedelta(seconds=1)
    WaitSensor(task_id="worker", time_to_wait=second, outlets=[Asset("worker")])
    WaitSensor(task_id="triggerer", time_to_wait=second, outlets=[Asset("triggerer")], deferrable=True)
PY
cat > "$folder/seen.py" <<'PY'
import time

from airflow.models.asset import AssetEvent
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import func, select

for _ in range(90):
    with create_session() as session:
        states = dict(session.execute(select(TaskInstance.task_id, TaskInstance.state)).all())
        events = dict(
            session.execute(select(AssetEvent.source_task_id, func.count()).group_by(AssetEvent.source_task_id)).all()
        )
    if states and all(state in ("success", "failed") for state in states.values()):
        break
    time.sleep(1)
print(
    f"in the worker {states['worker']} with {events.get('worker', 0)} asset event, "
    f"from the triggerer {states['triggerer']} with {events.get('triggerer', 0)}"
)
PY
airflow db migrate >"$folder/log" 2>&1
setsid airflow standalone >>"$folder/log" 2>&1 &
standalone=$!
for _ in $(seq 120); do
  (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.5
done
for _ in $(seq 10); do
  airflow dags trigger waits >>"$folder/log" 2>&1 && break
  sleep 1
done
seen=$("$folder/venv/bin/python" "$folder/seen.py" 2>>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = 'in the worker success with 1 asset event, from the triggerer success with 0' ]
