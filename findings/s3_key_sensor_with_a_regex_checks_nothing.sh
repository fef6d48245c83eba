#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0 and moto 5.2.5 as the storage.
#
# S3KeySensor calls check_fn for what a key or a wildcard has found, and in the worker never for what a regular
# expression has: with use_regex=True it succeeds at the first key that matches, whatever the check would say. Who turns
# a wildcard into a regular expression loses the check, and nothing is said.
#
# Seen: wildcard checked 1 times, waits; regex checked 0 times, succeeds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-amazon==9.39.0 "moto[server]==5.2.5"
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
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
client.put_object(Bucket="bucket", Key="exports/orders.csv", Body=b"")

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor


def said_of(**pattern):
    checks = []

    def has_content(files, **_):
        checks.append(files)
        return all(file["Size"] for file in files)

    sensor = S3KeySensor(
        task_id="arrived", bucket_name="bucket", check_fn=has_content, aws_conn_id="staging", **pattern
    )
    outcome = "succeeds" if sensor.poke({}) else "waits"
    return f"checked {len(checks)} times, {outcome}"


wildcard = said_of(bucket_key="exports/*.csv", wildcard_match=True)
regex = said_of(bucket_key=r"exports/.*\.csv", use_regex=True)
server.stop()
print(f"wildcard {wildcard}; regex {regex}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'wildcard checked 1 times, waits; regex checked 0 times, succeeds' ]
