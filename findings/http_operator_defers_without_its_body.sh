#!/usr/bin/env bash
# Airflow 3.3.2 with the http provider 6.3.0.
#
# HttpOperator(request_kwargs={"json": ...}) sends that body, and the same operator with deferrable=True sends the
# request without one: request_kwargs never reaches the trigger. A server that takes an empty POST answers 200 and the
# task succeeds; the log warns of sending it twice, not of that. [operators] default_deferrable makes the change for all
# DAGs at once, without a line of theirs.
#
# Seen: from the worker {"orders": [1, 2]}, from the trigger nothing, then success
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-http==6.3.0
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PY' | tail -n 1
import asyncio
import http.server
import json
import os
import threading

bodies = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_API"] = json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": server.server_port})

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk.exceptions import TaskDeferred


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload


def operator(task_id, deferrable):
    return HttpOperator(
        task_id=task_id,
        http_conn_id="api",
        endpoint="orders",
        request_kwargs={"json": {"orders": [1, 2]}},
        deferrable=deferrable,
    )


operator("at_once", deferrable=False).execute({})
try:
    operator("deferred", deferrable=True).execute({})
except TaskDeferred as deferred:
    event = asyncio.run(first_event(deferred.trigger))
print(f"from the worker {bodies[0]}, from the trigger {bodies[1] or 'nothing'}, then {event['status']}")
PY
)
echo "$seen"
[ "$seen" = 'from the worker {"orders": [1, 2]}, from the trigger nothing, then success' ]
