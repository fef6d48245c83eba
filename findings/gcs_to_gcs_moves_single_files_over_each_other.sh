#!/usr/bin/env bash
# Airflow 3.3.2 with the google provider 22.8.0, and gcp-storage-emulator 2026.7.19 as the storage.
#
# GCSToGCSOperator moves what is below a prefix into a folder. Two objects or more keep the folders that they are in
# below the prefix; a single one loses them and becomes the folder and its own name. A task that archives what has come
# since its last run, with one object in a folder for each day, writes each over that of the day before, deletes the
# source (move_object=True), and succeeds. Of the names apache/airflow#37576 has told in 2024; its fix was taken back.
#
# Seen: 2 days in one run leave 2 objects, 2 days in two runs leave 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-google==22.8.0 gcp-storage-emulator==2026.7.19
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import json
import os
import socket

from gcp_storage_emulator.server import create_server

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
server = create_server("127.0.0.1", port, in_memory=True)
server.start()
os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
os.environ["AIRFLOW_CONN_STORAGE"] = json.dumps(
    {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "a-project"}}
)

from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

client = storage.Client(project="a-project", credentials=AnonymousCredentials())


def left(bucket_name, *runs):
    bucket = client.create_bucket(bucket_name)
    for days in runs:
        for day in days:
            bucket.blob(f"incoming/{day}/orders.csv").upload_from_string(day)
        GCSToGCSOperator(
            task_id="archive",
            source_bucket=bucket_name,
            source_object="incoming/",
            destination_bucket=bucket_name,
            destination_object="archive/",
            move_object=True,
            gcp_conn_id="storage",
        ).execute({})
    return len(list(client.list_blobs(bucket_name)))


in_one_run = left("in-one-run", ["2026-11-01", "2026-11-02"])
in_two_runs = left("in-two-runs", ["2026-11-01"], ["2026-11-02"])
server.stop()
print(f"2 days in one run leave {in_one_run} objects, 2 days in two runs leave {in_two_runs}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = '2 days in one run leave 2 objects, 2 days in two runs leave 1' ]
