#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0, common-sql 2.4.0, sqlite 4.3.4 and moto 5.2.5 as the storage.
#
# S3ToSqlOperator has a schema parameter, which templates may fill, and hands it to the hook's insert_rows(). That of
# common-sql does not read it: the rows go into the table of that name in the schema that the connection has anyway. Who
# loads into a schema for staging, to look at the rows first, has written to the table that everybody reads. Even a
# schema that does not exist will do; the same schema as a part of the table's name is looked for.
#
# Seen: schema="staging" 2 rows in main.users, table="staging.users" OperationalError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-amazon==9.39.0 apache-airflow-providers-common-sql==2.4.0 \
  apache-airflow-providers-sqlite==4.3.4 "moto[server]==5.2.5"
export AIRFLOW_HOME="$folder/airflow" WAREHOUSE="$folder/warehouse.db"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import csv
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
client.put_object(Bucket="bucket", Key="users.csv", Body=b"1,Pune\n2,Austin\n")
extra = {"endpoint_url": address, "region_name": "us-east-1"}
os.environ["AIRFLOW_CONN_STORAGE"] = json.dumps(
    {"conn_type": "aws", "login": "a-key", "password": "a-secret", "extra": extra}
)
os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite", "host": os.environ["WAREHOUSE"]})
with sqlite3.connect(os.environ["WAREHOUSE"]) as warehouse:
    warehouse.execute("create table users (id text, city text)")

from airflow.providers.amazon.aws.transfers.s3_to_sql import S3ToSqlOperator


def rows_of(path):
    with open(path, newline="") as file:
        yield from csv.reader(file)


def loaded(**where):
    try:
        S3ToSqlOperator(
            task_id="load",
            s3_bucket="bucket",
            s3_key="users.csv",
            parser=rows_of,
            sql_conn_id="warehouse",
            aws_conn_id="storage",
            **where,
        ).execute({})
    except Exception as error:
        return type(error).__name__
    with sqlite3.connect(os.environ["WAREHOUSE"]) as warehouse:
        return f"{warehouse.execute('select count(*) from main.users').fetchone()[0]} rows in main.users"


as_schema, in_the_name = loaded(schema="staging", table="users"), loaded(table="staging.users")
server.stop()
print(f'schema="staging" {as_schema}, table="staging.users" {in_the_name}')
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'schema="staging" 2 rows in main.users, table="staging.users" OperationalError' ]
