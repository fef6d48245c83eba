#!/usr/bin/env bash
# Airflow 3.3.2 with common-sql 2.4.0 and the sqlite provider 4.3.4.
#
# SqlSensor says of itself that it keeps waiting while the first cell is 0, '0', '' or NULL. It goes on at '0': the cell
# is only put into bool(). A flag or a count that a database keeps as text lets the tasks after it run at once, on data
# that is not there.
#
# Seen: documented '0' True; 0 False, '0' True, '' False, NULL False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-sql==2.4.0 apache-airflow-providers-sqlite==4.3.4
export AIRFLOW_HOME="$folder/airflow"
export AIRFLOW_CONN_FLAGS="{\"conn_type\": \"sqlite\", \"host\": \"$folder/flags.db\"}"
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PY' | tail -n 1
from airflow.providers.common.sql.sensors.sql import SqlSensor

documented = "``'0'``" in SqlSensor.__doc__
cells = ["0", "'0'", "''", "NULL"]
passes = [
    SqlSensor(task_id=f"cell_{number}", conn_id="flags", sql=f"SELECT {cell}").poke({})
    for number, cell in enumerate(cells)
]
print(f"documented '0' {documented}; " + ", ".join(f"{cell} {passed}" for cell, passed in zip(cells, passes)))
PY
)
echo "$seen"
[ "$seen" = "documented '0' True; 0 False, '0' True, '' False, NULL False" ]
