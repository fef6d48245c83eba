#!/usr/bin/env bash
# Airflow 3.3.2 with the databricks provider 7.23.0. A small server on 127.0.0.1 stands for Databricks.
#
# DatabricksSQLStatementsSensor waits for a statement only with deferrable=True. Without it, which is the default,
# execute() submits the statement and returns; poke() is never called, whatever wait_for_termination and timeout say.
# The task succeeds at once while the statement runs or fails, and the tasks after it read a table that is not there.
#
# Seen: a statement that fails: deferrable AirflowException after 1 look, otherwise success after 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-databricks==7.23.0
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

looks = 0


class Warehouse(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, **content):
        body = json.dumps({"statement_id": "statement-1", **content}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(status={"state": "PENDING"})

    def do_GET(self):
        global looks
        looks += 1
        error = {"error_code": "BAD_REQUEST", "message": "no such table"}
        self.answer(status={"state": "FAILED", "error": error})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Warehouse)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(
    {
        "conn_type": "databricks",
        "schema": "http",
        "host": "127.0.0.1",
        "port": server.server_port,
        "login": "token",
        "password": "a-token",
    }
)

from airflow.providers.databricks.sensors.databricks import DatabricksSQLStatementsSensor


def outcome(deferrable):
    global looks
    looks = 0
    sensor = DatabricksSQLStatementsSensor(
        task_id="built",
        statement="create table users as select * from people",
        warehouse_id="a-warehouse",
        wait_for_termination=True,
        do_xcom_push=False,
        deferrable=deferrable,
        databricks_conn_id="warehouse",
    )
    try:
        sensor.execute({})
    except Exception as error:
        return type(error).__name__, looks
    return "success", looks


(deferred, deferred_looks), (at_once, at_once_looks) = outcome(deferrable=True), outcome(deferrable=False)
server.shutdown()
print(
    f"a statement that fails: deferrable {deferred} after {deferred_looks} look,",
    f"otherwise {at_once} after {at_once_looks}",
)
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'a statement that fails: deferrable AirflowException after 1 look, otherwise success after 0' ]
