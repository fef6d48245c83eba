#!/usr/bin/env bash
# Airflow 3.3.2 with the sftp provider 7.0.0, and asyncssh 2.24.1 as the SFTP servers.
#
# SFTPOperator takes an SFTPHook of one's own. In the worker it uses that hook. With deferrable=True it hands on the id
# of the hook's connection, and what the hook has been given besides (remote_host, port, username, password, key_file)
# is lost: the triggerer works on the server that the connection names, where a delete hits files that nobody meant,
# and the task succeeds. [operators] default_deferrable makes the change for all DAGs at once.
#
# Seen: in the worker the file of the staging server is deleted, from the triggerer that of production
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-sftp==7.0.0 asyncssh==2.24.1
export AIRFLOW_HOME="$folder/airflow" FILES="$folder/files"
mkdir -p "$FILES/production" "$FILES/staging"
seen=$("$folder/venv/bin/python" - 2>"$folder/log" <<'PY' | tail -n 1
import asyncio
import json
import os
import pathlib
import threading

import asyncssh

SERVERS = ("production", "staging")
files = pathlib.Path(os.environ["FILES"])


class Login(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == "a-password"


async def listening(name):
    server = await asyncssh.create_server(
        Login,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(files / name).encode()),
    )
    return server.get_port()


loop = asyncio.new_event_loop()
ports = {name: loop.run_until_complete(listening(name)) for name in SERVERS}
threading.Thread(target=loop.run_forever, daemon=True).start()
os.environ["AIRFLOW_CONN_PARTNER"] = json.dumps(
    {
        "conn_type": "sftp",
        "host": "127.0.0.1",
        "port": ports["production"],
        "login": "writer",
        "password": "a-password",
        "extra": {"no_host_key_check": True, "look_for_keys": False},
    }
)

from airflow.providers.sftp.hooks.sftp import SFTPHook
from airflow.providers.sftp.operators.sftp import SFTPOperator
from airflow.sdk.exceptions import TaskDeferred


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload


def deleted(deferrable):
    for name in SERVERS:
        (files / name / "orders.csv").write_text("1\n")
    operator = SFTPOperator(
        task_id="clean_up",
        sftp_hook=SFTPHook(ssh_conn_id="partner", port=ports["staging"]),
        remote_filepath="/orders.csv",
        operation="delete",
        deferrable=deferrable,
    )
    try:
        operator.execute({})
    except TaskDeferred as deferred:
        operator.execute_complete({}, asyncio.run(first_event(deferred.trigger)))
    return " ".join(name for name in SERVERS if not (files / name / "orders.csv").exists())


at_once, deferred = deleted(deferrable=False), deleted(deferrable=True)
print(f"in the worker the file of the {at_once} server is deleted, from the triggerer that of {deferred}")
PY
) || { cat "$folder/log"; exit 1; }
echo "$seen"
[ "$seen" = 'in the worker the file of the staging server is deleted, from the triggerer that of production' ]
