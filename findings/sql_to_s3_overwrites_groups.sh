#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0, common-sql 2.4.0, sqlite 4.3.4 and moto 5.2.5 as the storage.
#
# SqlToS3Operator names an object for each group of groupby_kwargs by the group's first column alone. With two columns
# the groups that share the first get one name: with replace=True the last of them is what is left, and the task that
# has lost the rows of the others succeeds.
#
# Seen: 3 rows in, 2 rows out: IN and US
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 "apache-airflow-providers-amazon[pandas]==9.39.0" \
  "apache-airflow-providers-common-sql[pandas]==2.4.0" apache-airflow-providers-sqlite==4.3.4 "moto[server]==5.2.5"
export AIRFLOW_HOME="$folder/airflow" WAREHOUSE="$folder/warehouse.db"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os
import sqlite3

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
os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite", "host": os.environ["WAREHOUSE"]})
with sqlite3.connect(os.environ["WAREHOUSE"]) as warehouse:
    warehouse.execute("create table users (id text, country text, city text)")
    warehouse.executemany(
        "insert into users values (?, ?, ?)", [("1", "IN", "Pune"), ("2", "IN", "Goa"), ("3", "US", "Austin")]
    )

from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator

SqlToS3Operator(
    task_id="export",
    query="select id, country, city from users",
    sql_conn_id="warehouse",
    s3_bucket="bucket",
    s3_key="users.csv",
    groupby_kwargs={"by": ["country", "city"]},
    df_kwargs={"index": False, "header": False},
    replace=True,
    aws_conn_id="staging",
).execute({})
rows = []
for found in client.list_objects_v2(Bucket="bucket")["Contents"]:
    body = client.get_object(Bucket="bucket", Key=found["Key"])["Body"].read().decode()
    rows += [line.split(",")[1] for line in body.splitlines()]
server.stop()
print(f"3 rows in, {len(rows)} rows out: {' and '.join(sorted(rows))}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = '3 rows in, 2 rows out: IN and US' ]
