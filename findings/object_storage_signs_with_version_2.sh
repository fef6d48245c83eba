#!/usr/bin/env bash
# Airflow 3.3.2 with common-io 1.11.0 and the amazon provider 9.39.0.
#
# ObjectStoragePath.sign() of an s3 path makes an address of Amazon's signature version 2 when the connection names no
# region, and of version 4 when it does. Regions opened since 2014 take version 4 alone, so the address is refused there
# by whoever opens it, long after the task that made it has succeeded.
#
# Seen: without a region AWSAccessKeyId; with one X-Amz-Algorithm
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-io==1.11.0 \
  "apache-airflow-providers-amazon[s3fs]==9.39.0"
export AIRFLOW_HOME="$folder/airflow" AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_REGION AWS_DEFAULT_REGION AWS_PROFILE
keys='"conn_type": "aws", "login": "an-access-key", "password": "a-secret-key"'
export AIRFLOW_CONN_NOWHERE="{$keys}"
export AIRFLOW_CONN_MUMBAI="{$keys, \"extra\": {\"region_name\": \"ap-south-1\"}}"
seen=$("$folder/venv/bin/python" - <<'PY' | tail -n 1
from urllib.parse import parse_qs, urlsplit

from airflow.sdk import ObjectStoragePath


def first_key(connection):
    signed = ObjectStoragePath(f"s3://{connection}@bucket/ids.csv").sign(expiration=3600)
    return sorted(parse_qs(urlsplit(signed).query))[0]


print(f"without a region {first_key('nowhere')}; with one {first_key('mumbai')}")
PY
)
echo "$seen"
[ "$seen" = 'without a region AWSAccessKeyId; with one X-Amz-Algorithm' ]
