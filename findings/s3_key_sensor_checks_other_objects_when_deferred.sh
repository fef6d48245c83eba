#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0 and moto 5.2.5 as the storage.
#
# S3KeySensor hands its check_fn the objects that it has found, to look at their sizes, say. In the worker that is the
# object of bucket_key. From the triggerer it is every object whose key begins with it: a checksum or an older copy
# beside the file is checked as well, so that a check of all sizes waits for what nobody named.
#
# Seen: in the worker 1 object, from the triggerer orders.csv orders.csv.md5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 "apache-airflow-providers-amazon[aiobotocore]==9.39.0" "moto[server]==5.2.5"
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import asyncio
import json
import os

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
address = "http://{}:{}".format(*server.get_host_and_port())
client = boto3.client(
    "s3", endpoint_url=address, aws_access_key_id="a-key", aws_secret_access_key="a-secret", region_name="us-east-1"
)
client.create_bucket(Bucket="bucket")
extra = {"endpoint_url": address, "region_name": "us-east-1"}
os.environ["AIRFLOW_CONN_STAGING"] = json.dumps(
    {"conn_type": "aws", "login": "a-key", "password": "a-secret", "extra": extra}
)
for key in ("orders.csv", "orders.csv.md5"):
    client.put_object(Bucket="bucket", Key=key, Body=b"1\n")

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk.exceptions import TaskDeferred

checked = []


def at_the_second_look(files, **_):
    checked.append(files)
    return len(checked) > 1


async def first_event(trigger):
    async for event in trigger.run():
        return event


sensor = S3KeySensor(
    task_id="arrived",
    bucket_name="bucket",
    bucket_key="orders.csv",
    metadata_keys=["Size", "Key"],
    check_fn=at_the_second_look,
    poke_interval=1,
    deferrable=True,
    aws_conn_id="staging",
)
try:
    sensor.execute({})
except TaskDeferred as deferred:
    sensor.execute_complete({}, asyncio.run(first_event(deferred.trigger)).payload)
server.stop()
keys = " ".join(file["Key"] for file in checked[1])
print(f"in the worker {len(checked[0])} object, from the triggerer {keys}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'in the worker 1 object, from the triggerer orders.csv orders.csv.md5' ]
