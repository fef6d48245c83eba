#!/usr/bin/env bash
# vcrpy 9.4.2 with requests 2.34.2 and urllib3 2.8.0.
#
# vcrpy records by putting its own connection classes into urllib3's two pool classes. An adapter of requests whose pool
# manager has pool classes with a ConnectionCls of their own, as clients make them to bound a whole answer in time, is
# not seen: with a cassette of record mode "none", which is to let nothing out, the request reaches the network, and
# nothing is said. A test that replays a PATCH then sends it.
#
# Seen: plain CannotOverwriteExistingCassetteException, own classes 200; the server got 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export UV_SYSTEM_CERTS=1
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --exclude-newer 2026-11-20 \
  vcrpy==9.4.2 requests==2.34.2 urllib3==2.8.0
seen=$("$folder/venv/bin/python" - "$folder" <<'PY' | tail -n 1
import http.server
import sys
import threading

import requests
import vcr
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

got = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        got.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class OwnConnection(HTTPConnection):
    pass


class OwnPool(HTTPConnectionPool):
    ConnectionCls = OwnConnection


class OwnAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments, **keywords):
        super().init_poolmanager(*arguments, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"http": OwnPool}


def outcome(session):
    try:
        with vcr.use_cassette(f"{sys.argv[1]}/none.yaml", record_mode="none"):
            return session.get(address, timeout=5).status_code
    except Exception as error:
        return type(error).__name__


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/"
own = requests.Session()
own.mount("http://", OwnAdapter())
print(f"plain {outcome(requests.Session())}, own classes {outcome(own)}; the server got {len(got)}")
PY
)
echo "$seen"
[ "$seen" = 'plain CannotOverwriteExistingCassetteException, own classes 200; the server got 1' ]
