#!/usr/bin/env bash
# Airflow 3.3.2 with common-io 1.11.0.
#
# FileTransferOperator does not overwrite unless overwrite=True, and raises if its destination is a file. A destination
# that is a folder is taken as the place to put the file into, under its own name, and there nothing is looked at: the
# file of that name is overwritten, and the task succeeds.
#
# Seen: to exports/orders.csv ValueError and "old", to exports success and "new"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-io==1.11.0
export AIRFLOW_HOME="$folder/airflow" FILES="$folder/files"
mkdir -p "$FILES/incoming" "$FILES/exports"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import os
import pathlib

from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

files = pathlib.Path(os.environ["FILES"])
there = files / "exports" / "orders.csv"
(files / "incoming" / "orders.csv").write_text("new")


def transferred(destination):
    there.write_text("old")
    operator = FileTransferOperator(
        task_id="transfer",
        src=(files / "incoming" / "orders.csv").as_uri(),
        dst=destination.as_uri(),
        overwrite=False,
    )
    try:
        operator.execute({})
        outcome = "success"
    except Exception as error:
        outcome = type(error).__name__
    return f'{outcome} and "{there.read_text()}"'


print(f"to exports/orders.csv {transferred(there)}, to exports {transferred(there.parent)}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'to exports/orders.csv ValueError and "old", to exports success and "new"' ]
