#!/usr/bin/env bash
# Airflow 3.3.2 with common-io 1.11.0, the amazon provider 9.39.0 and moto 5.2.5 as the storage.
#
# When the body of `with path.open("wb")` raises, closing the file uploads what was written so far: the object is there,
# complete by all that storage can tell, and holds a part of the data. Who produces rows while writing hands a
# truncated file on, unless it is written under another name or locally first.
#
# Seen: RuntimeError, then the object is there with 4 bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-io==1.11.0 \
  "apache-airflow-providers-amazon[s3fs]==9.39.0" "moto[server]==5.2.5"
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PY' | tail -n 1
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

from airflow.sdk import ObjectStoragePath

try:
    with ObjectStoragePath("s3://staging@bucket/ids.csv").open("wb") as file:
        file.write(b"1\n2\n")
        raise RuntimeError("the query broke off after two of many rows")
except RuntimeError as error:
    raised = type(error).__name__
length = client.head_object(Bucket="bucket", Key="ids.csv")["ContentLength"]
server.stop()
print(f"{raised}, then the object is there with {length} bytes")
PY
)
echo "$seen"
[ "$seen" = 'RuntimeError, then the object is there with 4 bytes' ]
