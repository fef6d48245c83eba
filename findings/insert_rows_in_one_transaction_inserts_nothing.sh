#!/usr/bin/env bash
# Airflow 3.3.2 with common-sql 2.4.0 and the sqlite provider 4.3.4.
#
# insert_rows() takes commit_every=0 for "all rows in one transaction". With executemany, which the hook of the postgres
# provider 7.1.1 uses by itself, it inserts no row at all, says so in one line of the log, and succeeds. GenericTransfer
# has emptied the table by then if its preoperator does that; S3ToSqlOperator hands its commit_every on in the same way.
#
# Seen: 3 rows to copy, row by row 3 of them arrive, with executemany 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-sql==2.4.0 apache-airflow-providers-sqlite==4.3.4
export AIRFLOW_HOME="$folder/airflow" SOURCE="$folder/source.db" TARGET="$folder/target.db"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os
import sqlite3

for name in ("SOURCE", "TARGET"):
    os.environ[f"AIRFLOW_CONN_{name}"] = json.dumps({"conn_type": "sqlite", "host": os.environ[name]})
    with sqlite3.connect(os.environ[name]) as database:
        database.execute("create table users (id text)")
        database.executemany("insert into users values (?)", [("1",), ("2",), ("3",)])

from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer


def copied(executemany):
    GenericTransfer(
        task_id="copy",
        sql="select id from users",
        source_conn_id="source",
        destination_conn_id="target",
        destination_table="users",
        preoperator="delete from users",
        insert_args={"commit_every": 0, "executemany": executemany},
    ).execute({})
    with sqlite3.connect(os.environ["TARGET"]) as database:
        return database.execute("select count(*) from users").fetchone()[0]


row_by_row, at_once = copied(executemany=False), copied(executemany=True)
print(f"3 rows to copy, row by row {row_by_row} of them arrive, with executemany {at_once}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = '3 rows to copy, row by row 3 of them arrive, with executemany 0' ]
