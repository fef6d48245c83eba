#!/usr/bin/env bash
# Airflow 3.3.2 with the http provider 6.3.0.
#
# HttpHook keeps the extra_options of a run() for the next run() that has none, as long as the connection has no extra.
# After one call with {"check_response": False}, to see whether something is there, a later call on the same hook that
# the server answers with 500 raises nothing, and its answer is taken for data. A timeout is kept likewise.
#
# Seen: fresh hook AirflowException, after a call without the check 500
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
import http.server
import json
import os
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/maybe" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_API"] = json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": server.server_port})

from airflow.providers.http.hooks.http import HttpHook


def outcome(hook):
    try:
        return hook.run("orders").status_code
    except Exception as error:
        return type(error).__name__


used = HttpHook(method="GET", http_conn_id="api")
used.run("maybe", extra_options={"check_response": False})
fresh = HttpHook(method="GET", http_conn_id="api")
print(f"fresh hook {outcome(fresh)}, after a call without the check {outcome(used)}")
PY
)
echo "$seen"
[ "$seen" = 'fresh hook AirflowException, after a call without the check 500' ]
