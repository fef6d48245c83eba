#!/usr/bin/env bash
# Airflow 3.3.2 with the microsoft-azure provider 15.2.1.
#
# A wasb connection has the account in its login, the key in its password, and the account's address as its host. With it
# WasbHook opens the storage, and so do the operators. ObjectStoragePath does not: the provider hands the key on, but not
# the login, and the library below wants the account's name. It raises a ValueError that speaks of neither login nor
# extra, until the name stands in the extra as account_name once more.
#
# Seen: hook an-account, object storage ValueError, with account_name in the extra an-account
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-microsoft-azure==15.2.1
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os

connection = {
    "conn_type": "wasb",
    "host": "https://an-account.blob.core.windows.net",
    "login": "an-account",
    "password": "YS1rZXk=",
}
os.environ["AIRFLOW_CONN_BLOBS"] = json.dumps(connection)
os.environ["AIRFLOW_CONN_NAMED"] = json.dumps({**connection, "extra": {"account_name": "an-account"}})

from airflow.providers.microsoft.azure.hooks.wasb import WasbHook
from airflow.sdk import ObjectStoragePath


def account_of(conn_id):
    try:
        return ObjectStoragePath(f"abfs://{conn_id}@exports/users.csv").fs.account_name
    except Exception as error:
        return type(error).__name__


hook = WasbHook(wasb_conn_id="blobs").get_conn().account_name
print(f"hook {hook}, object storage {account_of('blobs')}, with account_name in the extra {account_of('named')}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'hook an-account, object storage ValueError, with account_name in the extra an-account' ]
