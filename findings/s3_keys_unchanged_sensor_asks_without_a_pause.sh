#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0.
#
# S3KeysUnchangedSensor(deferrable=True) asks the bucket once in the worker, and then the triggerer asks for the whole
# list again as soon as it has it, without a pause: poke_interval does not reach the trigger, whose own is 0. An hour of
# inactivity to wait for is tens of thousands of lists, each of which S3 charges for, and a triggerer that is busy.
#
# Seen: with poke_interval=60 more than 20 lists in 3 seconds (68 on a busy machine)
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

LIST = b"""<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount><Contents>
<Key>exports/part-0.csv</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>4</Size>
</Contents></ListBucketResult>"""
lists = 0


class Storage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global lists
        lists += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(LIST)))
        self.end_headers()
        self.wfile.write(LIST)

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

sensor = S3KeysUnchangedSensor(
    task_id="exported",
    bucket_name="bucket",
    prefix="exports/",
    inactivity_period=3600,
    poke_interval=60,
    deferrable=True,
    aws_conn_id="staging",
)
try:
    sensor.execute({})
except TaskDeferred as deferred:
    trigger = deferred.trigger


async def wait():
    async for event in trigger.run():
        return event


async def for_three_seconds():
    global lists
    waiting = asyncio.create_task(wait())
    while not lists and not waiting.done():
        await asyncio.sleep(0.01)
    lists = 0
    await asyncio.sleep(3)
    waiting.cancel()


lists = 0
asyncio.run(for_three_seconds())
print(f"{lists} lists in 3 seconds", "more than 20" if lists > 20 else "")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[[ "$seen" == *'more than 20' ]]
