#!/usr/bin/env bash
# Airflow 3.3.2.
#
# A task asks for variables, connections and XComs over one socket, and takes what comes next for the answer. When
# execution_timeout strikes while it waits for one, that answer comes all the same, and is taken for the answer to the
# next request; from then on each gets that of the request before. In on_failure_callback, which runs in the same
# process, a variable that is set is not found, or gets its default. A task that fails otherwise finds it.
#
# Seen: failed: data-team, timed_out: nobody
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
  apache-airflow==3.3.2
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
export PATH="$folder/venv/bin:$PATH" NOTES="$folder/notes" AIRFLOW_HOME="$folder/airflow"
export AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT="$port"
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://127.0.0.1:$port/execution/"
AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=$(free_port)
AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=$(free_port)
export AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT
mkdir -p "$AIRFLOW_HOME/dags" "$AIRFLOW_HOME/plugins"
# An API server that is busy for once.
cat > "$AIRFLOW_HOME/plugins/busy.py" <<'PY'
import asyncio

from airflow.plugins_manager import AirflowPlugin


class Busy:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].endswith("/variables/export_key"):
            await asyncio.sleep(4)
        await self.app(scope, receive, send)


class BusyPlugin(AirflowPlugin):
    name = "busy"
    fastapi_root_middlewares = [{"name": "busy", "middleware": Busy, "args": [], "kwargs": {}}]
PY
cat > "$AIRFLOW_HOME/dags/exports.py" <<'PY'
import datetime
import os

from airflow.sdk import DAG, Variable, task


def tell(context):
    channel = Variable.get("channel", default="nobody")
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{context['ti'].task_id}: {channel}\n")


with DAG("exports", schedule=None, is_paused_upon_creation=False) as dag:

    @task(on_failure_callback=tell)
    def failed():
        raise ValueError("as a task fails")

    @task(execution_timeout=datetime.timedelta(seconds=2), on_failure_callback=tell)
    def timed_out():
        Variable.get("export_key")

    failed()
    timed_out()
PY
airflow db migrate >"$folder/log" 2>&1
airflow variables set export_key "the export's key" >>"$folder/log" 2>&1
airflow variables set channel data-team >>"$folder/log" 2>&1
setsid airflow standalone >>"$folder/log" 2>&1 &
standalone=$!
for _ in $(seq 60); do
  airflow dags trigger exports >>"$folder/log" 2>&1 && break
  sleep 1
done
for _ in $(seq 40); do
  [ ! -f "$NOTES" ] || [ "$(wc -l <"$NOTES")" -lt 2 ] || break
  sleep 1
done
seen=$(sort "$NOTES" | paste -sd, | sed 's/,/, /')
echo "$seen"
[ "$seen" = 'failed: data-team, timed_out: nobody' ]
