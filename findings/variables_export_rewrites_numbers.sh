#!/usr/bin/env bash
# Airflow 3.3.2.
#
# A variable is a text, and `airflow variables export` reads each text as JSON: one that looks like a number is written
# as a number, and `airflow variables import` makes another text of it. The version "1.10" of an API arrives as "1.1",
# the month "2026.10" as "2026.1", the id "7e12" as "7000000000000.0". Both commands count every variable as done, and a
# move to another Airflow calls another version of an API, or reads another month.
#
# Seen: 1.10 -> 1.1, 2026.10 -> 2026.1, 7e12 -> 7000000000000.0, 0042 -> 0042, v1.10 -> v1.10
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2
export AIRFLOW_HOME="$folder/airflow"
cat > "$folder/variables.py" <<'PY'
import sys

from airflow.models import Variable

TEXTS = ["1.10", "2026.10", "7e12", "0042", "v1.10"]

if sys.argv[1] == "set":
    for number, text in enumerate(TEXTS):
        Variable.set(f"setting_{number}", text)
else:
    print(", ".join(f"{text} -> {Variable.get(f'setting_{number}')}" for number, text in enumerate(TEXTS)))
PY
(
  "$folder/venv/bin/airflow" db migrate
  "$folder/venv/bin/python" "$folder/variables.py" set
  "$folder/venv/bin/airflow" variables export "$folder/variables.json"
  rm -r "$AIRFLOW_HOME"
  "$folder/venv/bin/airflow" db migrate
  "$folder/venv/bin/airflow" variables import "$folder/variables.json"
) >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
seen=$("$folder/venv/bin/python" "$folder/variables.py" get 2>"$folder/log" | tail -n 1)
echo "$seen"
[ "$seen" = '1.10 -> 1.1, 2026.10 -> 2026.1, 7e12 -> 7000000000000.0, 0042 -> 0042, v1.10 -> v1.10' ]
