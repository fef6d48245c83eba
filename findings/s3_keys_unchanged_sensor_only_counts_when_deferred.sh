#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0.
#
# S3KeysUnchangedSensor compares the keys of a prefix in the worker, and their number in the triggerer. A writer that
# replaces a key by another between two looks, as those do that rename what they have finished, restarts the wait in
# the worker, and fails it with allow_delete=False; with deferrable=True nothing has changed and the sensor succeeds.
# [operators] default_deferrable makes that change for all DAGs at once.
#
# Seen: in the worker AirflowException, in the triggerer success
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 "apache-airflow-providers-amazon[aiobotocore]==9.39.0"
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import asyncio
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIST = """<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount><Contents><Key>%s</Key>
<LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>4</Size></Contents></ListBucketResult>"""
keys = []


class Storage(BaseHTTPRequestHandler):
    """The first list has the key of what is being written, each later one that of what is finished."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (LIST % (keys.pop(0) if keys else "exports/part-0.csv")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
threading.Thread(target=server.serve_forever, daemon=True).start()
extra = {"endpoint_url": f"http://127.0.0.1:{server.server_port}", "region_name": "us-east-1"}
os.environ["AIRFLOW_CONN_STAGING"] = json.dumps(
    {"conn_type": "aws", "login": "a-key", "password": "a-secret", "extra": extra}
)

from airflow.providers.amazon.aws.sensors.s3 import S3KeysUnchangedSensor
from airflow.sdk.exceptions import TaskDeferred


def outcome(deferrable):
    keys[:] = ["exports/part-0.tmp"]
    sensor = S3KeysUnchangedSensor(
        task_id="exported",
        bucket_name="bucket",
        prefix="exports/",
        allow_delete=False,
        inactivity_period=2,
        poke_interval=1,
        deferrable=deferrable,
        aws_conn_id="staging",
    )
    try:
        sensor.execute({})
    except TaskDeferred as deferred:
        return asyncio.run(first_event(deferred.trigger)).payload["status"]
    except Exception as error:
        return type(error).__name__
    return "success"


async def first_event(trigger):
    async for event in trigger.run():
        return event


print(f"in the worker {outcome(False)}, in the triggerer {outcome(True)}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'in the worker AirflowException, in the triggerer success' ]
