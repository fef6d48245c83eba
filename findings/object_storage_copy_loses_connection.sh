#!/usr/bin/env bash
# Airflow 3.3.2 with common-io 1.11.0 and the amazon provider 9.39.0.
#
# The connection that an ObjectStoragePath takes from its address (s3://staging@bucket/...) is lost when the path is
# copied or pickled: the copy asks storage with no connection at all. Paths derived from it (parent, /, with_suffix) and
# Airflow's own serialize() keep it. Who hands such a path to a process, or has it in default_args (which Airflow
# copies), reads or writes with other credentials than the ones named.
#
# Seen: parent staging, joined staging, serialized staging, copy None, deepcopy None, pickle None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-common-io==1.11.0 \
  "apache-airflow-providers-amazon[s3fs]==9.39.0"
export AIRFLOW_HOME="$folder/airflow"
export AIRFLOW_CONN_STAGING='{"conn_type": "aws", "login": "an-access-key", "password": "a-secret-key"}'
seen=$("$folder/venv/bin/python" - <<'PY' | tail -n 1
import copy
import pickle

from airflow.sdk import ObjectStoragePath

path = ObjectStoragePath("s3://staging@bucket/ids/today.csv")
others = {
    "parent": path.parent,
    "joined": path / "part",
    "serialized": ObjectStoragePath.deserialize(path.serialize(), 1),
    "copy": copy.copy(path),
    "deepcopy": copy.deepcopy(path),
    "pickle": pickle.loads(pickle.dumps(path)),
}
print(", ".join(f"{name} {other.conn_id}" for name, other in others.items()))
PY
)
echo "$seen"
[ "$seen" = 'parent staging, joined staging, serialized staging, copy None, deepcopy None, pickle None' ]
