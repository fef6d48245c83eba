#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0 and the ftp provider 3.16.1, moto 5.2.5 as the storage and pyftpdlib
# 2.2.0 as the FTP server.
#
# FTPToS3Operator lists ftp_path when ftp_filenames is a prefix or "*", and fetches what the server has listed as it
# stands. A server that lists bare names, as pyftpdlib does, is then asked for that name in the folder of the login: a
# file of that name there goes to S3 instead, and the task succeeds. A list of names is looked for in ftp_path.
#
# Seen: orders.csv of /exports by its name "today", by a prefix "last year"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-amazon==9.39.0 apache-airflow-providers-ftp==3.16.1 \
  "moto[server]==5.2.5" pyftpdlib==2.2.0
export AIRFLOW_HOME="$folder/airflow" FILES="$folder/files"
mkdir -p "$FILES/exports"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os
import pathlib
import threading

import boto3
from moto.server import ThreadedMotoServer
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
storage.start()
address = "http://{}:{}".format(*storage.get_host_and_port())
client = boto3.client(
    "s3", endpoint_url=address, aws_access_key_id="a-key", aws_secret_access_key="a-secret", region_name="us-east-1"
)
client.create_bucket(Bucket="bucket")
extra = {"endpoint_url": address, "region_name": "us-east-1"}
os.environ["AIRFLOW_CONN_STAGING"] = json.dumps(
    {"conn_type": "aws", "login": "a-key", "password": "a-secret", "extra": extra}
)
files = pathlib.Path(os.environ["FILES"])
(files / "orders.csv").write_text("last year")
(files / "exports" / "orders.csv").write_text("today")
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("reader", "a-password", str(files), perm="elr")
server = FTPServer(("127.0.0.1", 0), FTPHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_FILES"] = json.dumps(
    {
        "conn_type": "ftp",
        "host": "127.0.0.1",
        "port": server.address[1],
        "login": "reader",
        "password": "a-password",
    }
)

from airflow.providers.amazon.aws.transfers.ftp_to_s3 import FTPToS3Operator


def transferred(filenames):
    FTPToS3Operator(
        task_id="transfer",
        ftp_path="/exports/",
        ftp_filenames=filenames,
        s3_bucket="bucket",
        s3_key="exports/",
        replace=True,
        ftp_conn_id="files",
        aws_conn_id="staging",
    ).execute({})
    return client.get_object(Bucket="bucket", Key="exports/orders.csv")["Body"].read().decode()


by_name, by_prefix = transferred(["orders.csv"]), transferred("orders")
server.close_all()
storage.stop()
print(f'orders.csv of /exports by its name "{by_name}", by a prefix "{by_prefix}"')
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'orders.csv of /exports by its name "today", by a prefix "last year"' ]
