"""
The object storages of Google and Azure, as the providers have them: from a query to the segment, on emulators.

The providers and what stands for the storages are in an environment of their own: `make storage`.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from demo.ports import promised_ports
from tests.benchmarks.storage import SECONDS_TO_START

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("sandbox", ["today"], indirect=True),
    # Of aiohttp, by which both libraries upload.
    pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning"),
]

AZURITE = Path(sys.prefix) / "node_modules" / ".bin" / "azurite-blob"
needs_google = pytest.mark.skipif(
    not (find_spec("gcsfs") and find_spec("gcp_storage_emulator")),
    reason="not installed: gcsfs, gcp-storage-emulator; `make storage` has them",
)
needs_azure = pytest.mark.skipif(not find_spec("adlfs"), reason="not installed: adlfs; `make storage` has it")
needs_azurite = pytest.mark.skipif(
    not AZURITE.exists(), reason="not installed: azurite; `make storage` has it with npm"
)

# Of which an upload in pieces of 5 MiB makes two.
IDS = [f"{number:0100}" for number in range(60_000)]
OLD = f"20260101T000000Z-{'0' * 32}-0.csv"


@dataclass
class Storage:
    """
    A storage with an empty bucket.

    :param scheme: that of its URIs.
    :param connection: an Airflow connection that leads to it.
    :param objects: reads all that it has, by their names.
    :param put: stores an object.
    """

    scheme: str
    connection: dict[str, Any]
    objects: Callable[[], dict[str, bytes]]
    put: Callable[[str, bytes], object]


class Tokens(BaseHTTPRequestHandler):
    """Gives whoever asks a token, as Google does to a service account."""

    def do_POST(self) -> None:
        body = json.dumps({"access_token": "a-token", "token_type": "Bearer", "expires_in": 3_600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def service_account(token_uri: str) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"client_email": "sync@a-project.iam.gserviceaccount.com", "token_uri": token_uri}
    return json.dumps({"type": "service_account", "project_id": "a-project", "private_key": key.decode(), **account})


@pytest.fixture(scope="module")
def google() -> Iterator[Storage]:
    from gcp_storage_emulator.server import create_server

    with (
        promised_ports(1) as (port,),
        ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as tokens,
        pytest.MonkeyPatch.context() as environment,
    ):
        # gcsfs asks by gRPC what kind of bucket it is, which the emulator does not speak.
        environment.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        threading.Thread(target=tokens.serve_forever, daemon=True).start()
        # It runs in this process, and would log what it is asked for.
        logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
        emulator = create_server("127.0.0.1", port, in_memory=True)
        emulator.start()
        url = f"http://127.0.0.1:{port}"
        requests.post(f"{url}/storage/v1/b", params={"project": "a-project"}, json={"name": "audiences"}, timeout=30)

        def objects() -> dict[str, bytes]:
            listed = requests.get(f"{url}/storage/v1/b/audiences/o", timeout=30).json().get("items", [])
            return {found["name"]: requests.get(found["mediaLink"], timeout=30).content for found in listed}

        def put(name: str, content: bytes) -> None:
            where = {"uploadType": "media", "name": name}
            requests.post(f"{url}/upload/storage/v1/b/audiences/o", params=where, data=content, timeout=30)

        account = service_account(f"http://127.0.0.1:{tokens.server_port}")
        extra = {"keyfile_dict": account, "project": "a-project", "gcs.endpoint": url}
        yield Storage("gs", {"conn_type": "google_cloud_platform", "extra": extra}, objects, put)
        emulator.stop()
        tokens.shutdown()


# Azurite's own, which is the same for everybody.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def is_created(container: Any) -> bool:
    from azure.core.exceptions import ServiceRequestError

    try:
        container.create_container()
    except ServiceRequestError:
        return False
    return True


@pytest.fixture(scope="module")
def azure() -> Iterator[Storage]:
    from azure.storage.blob import ContainerClient

    with promised_ports(1) as (port,):
        where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
        command = [str(AZURITE), *where, "--silent", "--disableTelemetry"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            url = f"http://127.0.0.1:{port}/{ACCOUNT}"
            text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url};"
            container = ContainerClient.from_connection_string(text, "audiences", retry_total=0)
            try:
                deadline = time.monotonic() + SECONDS_TO_START
                while not is_created(container):
                    assert server.poll() is None, "Azurite has ended."
                    assert time.monotonic() < deadline, "Azurite did not start."
                    time.sleep(0.1)

                def objects() -> dict[str, bytes]:
                    return {name: container.download_blob(name).readall() for name in container.list_blob_names()}

                def put(name: str, content: bytes) -> None:
                    container.upload_blob(name, content)

                yield Storage("abfs", {"conn_type": "wasb", "extra": {"connection_string": text}}, objects, put)
            finally:
                server.terminate()


@pytest.fixture(
    params=[pytest.param("google", marks=needs_google), pytest.param("azure", marks=[needs_azure, needs_azurite])]
)
def storage(request) -> Storage:
    return request.getfixturevalue(request.param)


@pytest.fixture
def connect(monkeypatch):
    """Let a connection lead to a storage. Airflow keeps what it has made of one, so that each is another."""

    def use(name: str, scheme: str, connection: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        return {"staging": f"{scheme}://{name}@audiences/{name}", "public_url": None}

    return use


def test_from_the_query_to_the_segment(sandbox, warehouse, transfer, filled, connect, storage, log):
    staging = connect("whole", storage.scheme, storage.connection)
    warehouse.fill(IDS)
    operator = transfer(**staging)
    storage.put(f"whole/{operator.dag_id}/sync/{OLD}", b"u-1")
    storage.put(f"whole/{operator.dag_id}/sync/not-ours.csv", b"u-1")

    found = operator.execute({})

    (staged,) = found["staged_files"]
    name = staged.removeprefix(f"{storage.scheme}://whole@audiences/")
    stored = {name: content for name, content in storage.objects().items() if name.startswith("whole/")}
    assert sorted(stored) == sorted([name, f"whole/{operator.dag_id}/sync/not-ours.csv"])
    assert sorted(stored[name].decode().split("\n")) == IDS
    (done,) = filled()
    assert (done.status, done.user_count, done.explanation) == (201, len(IDS), "")
    query = parse_qs(urlsplit(sandbox.requests[-1].json["file_url"]).query)
    (signature,) = query.get("Signature") or query["sig"]
    said = log()
    # Neither of them, nor the name of the file.
    assert name.rpartition("/")[2] not in said
    assert signature not in said + json.dumps(found)
    assert IDS[-1] not in said + json.dumps(found)


def test_a_file_of_the_storage(sandbox, filled, connect, storage):
    from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator

    staging = connect("unloaded", storage.scheme, storage.connection)
    storage.put("of-others/ids.csv", b"u-1\nu-2\nu-1\n")
    operator = LocalFileToFileSegmentOperator(
        task_id="sync",
        path=f"{storage.scheme}://unloaded@audiences/of-others/ids.csv",
        name="vip",
        attribute_name="ID",
        attribute_type="string",
        expiry_days=30,
        **staging,
    )
    assert operator.execute({})["left_out"] == {"null": 0, "blank": 0, "duplicate": 1}
    assert filled()[0].user_count == 2


CANNOT_BE_USED = {
    "azure with a key that is not whole": (
        "abfs",
        {"conn_type": "wasb", "extra": {"account_name": ACCOUNT, "account_key": KEY[:-3]}},
        r"cannot sign an address for MoEngage \(\w+\)\. It needs connection_string, or account_name and a whole",
    ),
    "azure by its other name": (
        "az",
        {"conn_type": "wasb"},
        r"has the scheme az, .*knows\. Write abfs for a storage of",
    ),
    "google without a key": (
        "gs",
        {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "a-project"}},
        r"cannot sign an address for MoEngage \(\w+\)\. It needs a service-account key in its connection\.",
    ),
    "azure with login and password": (
        "abfs",
        {"conn_type": "wasb", "login": ACCOUNT, "password": KEY, "host": "https://an.example.com"},
        r"\(abfs://\) cannot be opened with its connection \(ValueError\)\. .* It needs connection_string, or",
    ),
}


@pytest.mark.parametrize(
    "which", [pytest.param(which, marks=needs_google if "google" in which else needs_azure) for which in CANNOT_BE_USED]
)
def test_what_cannot_be_used(sandbox, warehouse, transfer, connect, which, log):
    scheme, connection, sentence = CANNOT_BE_USED[which]
    warehouse.fill(["u-1"])
    with pytest.raises(AirflowFailException, match=sentence) as caught:
        transfer(**connect(which.replace(" ", "_"), scheme, connection)).execute({})
    assert KEY not in str(caught.value) + log()
    assert {request.method for request in sandbox.requests} <= {"GET"}


@needs_azure
@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        (
            "abfs://exports@account.dfs.core.windows.net/aud",
            "is written as Azure does. Airflow has the id of its connect",
        ),
        (
            "abfs://exports/aud",
            "(ValueError). Nothing was read or sent. Name one before an @: SCHEME://ID@BUCKET/PREFIX.",
        ),
    ],
)
def test_azure_without_a_connection(sandbox, transfer, uri, sentence):
    with pytest.raises(AirflowFailException, match=re.escape(sentence)):
        transfer(staging=uri, public_url=None).execute({})
    assert {request.method for request in sandbox.requests} <= {"GET"}


@needs_azure
@pytest.mark.parametrize("where", ["extra", "password"])
def test_azure_signs_with_a_key_in(sandbox, connect, where):
    from airflow_provider_moengage.transfers.staging import Staging

    key = {"extra": {"account_name": ACCOUNT, "account_key": KEY}}
    if where == "password":
        host = f"https://{ACCOUNT}.blob.core.windows.net"
        key = {"password": KEY, "host": host, "extra": {"account_name": ACCOUNT}}
    uri = connect(f"keyed_{where}", "abfs", {"conn_type": "wasb", **key})["staging"]
    signed = urlsplit(Staging(uri, None, "folder", 3_600).sign("ids.csv"))
    assert (signed.netloc, signed.path) == (
        f"{ACCOUNT}.blob.core.windows.net",
        f"/audiences/keyed_{where}/folder/ids.csv",
    )
    assert parse_qs(signed.query)["sp"] == ["r"]
