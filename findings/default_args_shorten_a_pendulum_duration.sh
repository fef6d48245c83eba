#!/usr/bin/env bash
# Airflow 2.11.2 with pendulum 3.1.0, which its dependencies allow.
#
# A deep copy of a pendulum Duration loses its weeks before pendulum 3.2, and Airflow copies default_args deeply: an
# operator that is given a duration of 90 days there sees 6 days. Given as its own argument it keeps all 90.
#
# Seen: as an argument 90 days, in default_args 6 days
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==2.11.2 pendulum==3.1.0
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PY' | tail -n 1
import pendulum
from airflow import DAG
from airflow.models.baseoperator import BaseOperator


class Aged(BaseOperator):
    def __init__(self, *, older_than, **kwargs):
        super().__init__(**kwargs)
        self.days = older_than.total_seconds() / 86_400


age = pendulum.duration(days=90)
with DAG("ages", schedule=None, start_date=pendulum.datetime(2026, 1, 1), default_args={"older_than": age}):
    given = Aged(task_id="given", older_than=age)
    default = Aged(task_id="default")
print(f"as an argument {given.days:.0f} days, in default_args {default.days:.0f} days")
PY
)
echo "$seen"
[ "$seen" = 'as an argument 90 days, in default_args 6 days' ]
