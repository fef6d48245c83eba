#!/usr/bin/env bash
# Airflow 3.3.2 with the amazon provider 9.39.0 and the ssh provider 7.0.1, moto 5.2.5 as the storage and asyncssh
# 2.24.1 as the SFTP server.
#
# SFTPToS3Operator does not overwrite a key unless it is told to: replace is False, and the task fails if the key is
# there. With use_temp_file=False, which streams what is too large for the worker's disk, replace does not reach the
# upload, nor does gzip: the key is overwritten all the same, and the task succeeds.
#
# Seen: with a temporary file ValueError and "old", streamed success and "new"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-amazon==9.39.0 apache-airflow-providers-ssh==7.0.1 \
  "moto[server]==5.2.5" asyncssh==2.24.1
export AIRFLOW_HOME="$folder/airflow" FILES="$folder/files"
mkdir "$FILES"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import asyncio
import json
import os
import pathlib
import threading

import asyncssh
import boto3
from moto.server import ThreadedMotoServer


class Login(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == "a-password"


async def listening():
    server = await asyncssh.create_server(
        Login,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.environ["FILES"].encode()),
    )
    return server.get_port()


loop = asyncio.new_event_loop()
port = loop.run_until_complete(listening())
threading.Thread(target=loop.run_forever, daemon=True).start()
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
os.environ["AIRFLOW_CONN_FILES"] = json.dumps(
    {
        "conn_type": "ssh",
        "host": "127.0.0.1",
        "port": port,
        "login": "reader",
        "password": "a-password",
        "extra": {"no_host_key_check": True, "look_for_keys": False},
    }
)
pathlib.Path(os.environ["FILES"], "orders.csv").write_text("new")

from airflow.providers.amazon.aws.transfers.sftp_to_s3 import SFTPToS3Operator


def transferred(use_temp_file):
    client.put_object(Bucket="bucket", Key="orders.csv", Body=b"old")
    operator = SFTPToS3Operator(
        task_id="transfer",
        sftp_path="/orders.csv",
        s3_bucket="bucket",
        s3_key="orders.csv",
        use_temp_file=use_temp_file,
        replace=False,
        sftp_conn_id="files",
        aws_conn_id="staging",
    )
    try:
        operator.execute({})
        outcome = "success"
    except Exception as error:
        outcome = type(error).__name__
    body = client.get_object(Bucket="bucket", Key="orders.csv")["Body"].read().decode()
    return f'{outcome} and "{body}"'


with_a_file, streamed = transferred(use_temp_file=True), transferred(use_temp_file=False)
storage.stop()
print(f"with a temporary file {with_a_file}, streamed {streamed}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'with a temporary file ValueError and "old", streamed success and "new"' ]
