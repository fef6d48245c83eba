#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0 and moto 5.2.5 as the storage.
#
# S3DeleteObjectsOperator takes from_datetime and to_datetime as text, as templates give them, and puts UTC in the place
# of the offset that the text has. "An hour ago", written in the time of Kolkata, is then a time four and a half hours
# ahead: what was written a moment ago is deleted. A datetime of the same instant deletes nothing.
#
# Seen: as a datetime 1 object left, as text with its offset 0
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
import datetime
import json
import os
import zoneinfo

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
from airflow.providers.amazon.aws.operators.s3 import S3DeleteObjectsOperator

now = datetime.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata"))
an_hour_ago = now - datetime.timedelta(hours=1)


def left(until):
    client.put_object(Bucket="bucket", Key="exports/fresh.csv", Body=b"1\n")
    S3DeleteObjectsOperator(
        task_id="clean_up", bucket="bucket", prefix="exports/", to_datetime=until, aws_conn_id="staging"
    ).execute({})
    return client.list_objects_v2(Bucket="bucket")["KeyCount"]


as_datetime, as_text = left(an_hour_ago), left(an_hour_ago.isoformat())
server.stop()
print(f"as a datetime {as_datetime} object left, as text with its offset {as_text}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'as a datetime 1 object left, as text with its offset 0' ]
