"""S3 as moto's server has it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from demo.ports import promised_ports

BUCKET = "audiences"
REGION = "eu-central-1"
SECONDS_TO_START = 300


@contextmanager
def running_s3() -> Iterator[dict[str, Any]]:
    """
    Run a storage with an empty bucket.

    :return: an Airflow connection that leads to it.
    """
    with promised_ports(1) as (port,):
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_for(url, server)
                connection = {
                    "conn_type": "aws",
                    "login": "AKIAIOSFODNN7EXAMPLE",
                    "password": "do-not-show-this-secret",
                    "extra": {"endpoint_url": url, "region_name": REGION},
                }
                where = {"LocationConstraint": REGION}
                client_of(connection).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
                yield connection
            finally:
                server.terminate()


def client_of(connection: Mapping[str, Any]) -> Any:
    """Make a client that can do everything with the storage."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=connection["extra"]["endpoint_url"],
        region_name=REGION,
        aws_access_key_id=connection["login"],
        aws_secret_access_key=connection["password"],
    )


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not _is_up(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("moto's server did not start.")
        time.sleep(0.1)


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/moto-api/", timeout=5).ok
    except requests.ConnectionError:
        return False
