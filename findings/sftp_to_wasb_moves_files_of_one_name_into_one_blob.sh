#!/usr/bin/env bash
# Airflow 3.3.2 with the microsoft-azure provider 15.2.1 and the sftp provider 7.0.0, and asyncssh 2.24.1 as the SFTP
# server. A small server on 127.0.0.1 stands for the blob storage.
#
# SFTPToWasbOperator walks the whole tree below its path and names each blob by the last part of the file's path alone.
# Files of one name in several folders become one blob. With wasb_overwrite_object=True, which a second run with the
# same names needs, the last of them is what is left, and move_object=True then deletes all of them at the source: the
# task that has lost the others succeeds.
#
# Seen: 2 files on the server, moved to 1 blob, 0 files left on the server
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-microsoft-azure==15.2.1 apache-airflow-providers-sftp==7.0.0 \
  asyncssh==2.24.1
export AIRFLOW_HOME="$folder/airflow" FILES="$folder/files"
mkdir -p "$FILES/exports/in" "$FILES/exports/us"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import asyncio
import json
import os
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import asyncssh

files = pathlib.Path(os.environ["FILES"])
blobs = {}


class Login(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == "a-password"


class Storage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        name = self.path.split("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        taken = name in blobs and self.headers.get("If-None-Match") == "*"
        if not taken:
            blobs[name] = body
        self.send_response(409 if taken else 201)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
        self.end_headers()

    def log_message(self, *_):
        pass


async def listening():
    server = await asyncssh.create_server(
        Login,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(files).encode()),
    )
    return server.get_port()


loop = asyncio.new_event_loop()
port = loop.run_until_complete(listening())
threading.Thread(target=loop.run_forever, daemon=True).start()
storage = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
threading.Thread(target=storage.serve_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_FILES"] = json.dumps(
    {
        "conn_type": "sftp",
        "host": "127.0.0.1",
        "port": port,
        "login": "reader",
        "password": "a-password",
        "extra": {"no_host_key_check": True, "look_for_keys": False},
    }
)
endpoint = f"http://127.0.0.1:{storage.server_port}/account"
text = f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey=YS1zZWNyZXQ=;BlobEndpoint={endpoint};"
os.environ["AIRFLOW_CONN_BLOBS"] = json.dumps({"conn_type": "wasb", "extra": {"connection_string": text}})


def left():
    return list(files.rglob("*.csv"))


for country in ("in", "us"):
    (files / "exports" / country / "orders.csv").write_text(country)
before = len(left())

from airflow.providers.microsoft.azure.transfers.sftp_to_wasb import SFTPToWasbOperator

SFTPToWasbOperator(
    task_id="move",
    sftp_source_path="/exports",
    container_name="exports",
    move_object=True,
    wasb_overwrite_object=True,
    sftp_conn_id="files",
    wasb_conn_id="blobs",
).execute({})
storage.shutdown()
print(f"{before} files on the server, moved to {len(blobs)} blob, {len(left())} files left on the server")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = '2 files on the server, moved to 1 blob, 0 files left on the server' ]
