#!/usr/bin/env bash
# Airflow 3.3.2 with the imap provider 3.13.1, and pymap 0.36.7 as the mail server.
#
# ImapAttachmentSensor opens the folder for writing and fetches whole mails, which marks them as read. With
# mail_filter="UNSEEN" in the sensor and in the task after it, so that a file is not processed twice, the sensor finds
# the file and the task does not; a sensor that is cleared waits in vain. Mails without the file are marked as well.
#
# Seen: sensor True, unread mails 2 then 0, task after it 0 files, sensor again False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  apache-airflow==3.3.2 apache-airflow-providers-imap==3.13.1 pymap==0.36.7
export AIRFLOW_HOME="$folder/airflow"
seen=$("$folder/venv/bin/python" - "$folder/venv/bin/pymap" 2>/dev/null <<'PY' | tail -n 1
import imaplib
import json
import os
import socket
import subprocess
import sys
import time
from email.message import EmailMessage

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]


def connected():
    for _ in range(600):
        try:
            return imaplib.IMAP4("127.0.0.1", port)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the mail server did not start")


def unread():
    reader.select("INBOX", readonly=True)
    return len(reader.search(None, "UNSEEN")[1][0].split())


def mail(subject):
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content("See the file.")
    return message


command = [sys.argv[1], "--no-tls", "--host", "127.0.0.1", "--port", str(port), "dict"]
server = subprocess.Popen([*command, "--demo-user", "reader", "--demo-password", "a-password", "--demo-data"])
try:
    reader = connected()
    reader.login("reader", "a-password")
    reader.select("INBOX")
    reader.store("1:*", "+FLAGS", r"(\Seen)")
    with_file = mail("The ids of today")
    with_file.add_attachment(b"1\n2\n", maintype="text", subtype="csv", filename="ids.csv")
    for message in (with_file, mail("Something else")):
        reader.append("INBOX", "", None, message.as_bytes())
    os.environ["AIRFLOW_CONN_MAIL"] = json.dumps(
        {
            "conn_type": "imap",
            "host": "127.0.0.1",
            "port": port,
            "login": "reader",
            "password": "a-password",
            "extra": {"use_ssl": False},
        }
    )

    from airflow.providers.imap.hooks.imap import ImapHook
    from airflow.providers.imap.sensors.imap_attachment import ImapAttachmentSensor

    before = unread()
    sensor = ImapAttachmentSensor(task_id="find", conn_id="mail", attachment_name="ids.csv", mail_filter="UNSEEN")
    found = sensor.poke({})
    after = unread()
    with ImapHook("mail") as hook:
        files = hook.retrieve_mail_attachments("ids.csv", mail_filter="UNSEEN", not_found_mode="ignore")
    again = sensor.poke({})
finally:
    server.terminate()
    server.wait()
print(f"sensor {found}, unread mails {before} then {after}, task after it {len(files)} files, sensor again {again}")
PY
)
echo "$seen"
[ "$seen" = 'sensor True, unread mails 2 then 0, task after it 0 files, sensor again False' ]
