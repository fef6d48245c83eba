"""TLS: a server is who its certificate says, and nothing that a user can set has the client believe it without."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_moengage.client.errors import (
    ConnectionFailedError,
    InvalidInputError,
    MoEngageError,
    RedirectError,
)
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from tests.any_values import new_client
from tests.support import NOTHING


class SecureServer(http.server.ThreadingHTTPServer):
    """Answers every GET alike, and keeps what it has been asked."""

    daemon_threads = True

    def __init__(self, certificate: trustme.LeafCert, location: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.location = location
        self.requests: list[dict[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        # The handshake is left to the handler's thread: a client that turns away must not end the server.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that turn away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SecureServer
    timeout = 5

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers.items()))
        body = json.dumps(NOTHING).encode()
        self.send_response(307 if self.server.location else 200)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(certificate: trustme.LeafCert, location: str | None = None) -> Iterator[SecureServer]:
    server = SecureServer(certificate, location)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[SecureServer]:
    with serving(authority.issue_cert("127.0.0.1")) as server:
        yield server


@pytest.fixture(autouse=True)
def _trust_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine that runs the tests may trust besides is not asked for."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of the authority, which REQUESTS_CA_BUNDLE says is trusted."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return bundle


def check_is_refused(server: SecureServer, ask: Callable[[], Any], *, word: str = "CERTIFICATE_VERIFY_FAILED") -> None:
    """Check that a client turns away in the handshake, and says why."""
    with pytest.raises(ConnectionFailedError) as caught:
        ask()
    assert word in str(caught.value)
    assert "sandbox-data-api-key" not in str(caught.value)
    assert server.requests == []


def test_an_unknown_authority_is_refused(server):
    check_is_refused(server, new_client(base_url=server.url).list_segments)


def test_an_authority_that_the_environment_trusts(server, trusted):
    assert new_client(base_url=server.url).list_segments() == []
    assert server.requests[0]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("host", ["api-01.moengage.com", "localhost", "127.0.0.2", "*.0.0.1"])
def test_a_certificate_of_another_host_is_refused(authority, trusted, host):
    with serving(authority.issue_cert(host)) as server:
        check_is_refused(server, new_client(base_url=server.url).list_segments, word="IP address mismatch")


def test_an_expired_certificate_is_refused(authority, trusted):
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    with serving(authority.issue_cert("127.0.0.1", not_before=past, not_after=past.replace(year=2021))) as server:
        check_is_refused(server, new_client(base_url=server.url).list_segments, word="certificate has expired")


NAMES = ["verify", "verify_ssl", "ssl_verify", "insecure", "verify_certs", "ssl", "cert", "tls_verify", "trust_env"]


@pytest.mark.parametrize("value", [False, True, "false", 0, 1, None, ""])
@pytest.mark.parametrize("name", NAMES)
def test_no_extra_of_a_connection_switches_it_off(server, monkeypatch, name, value):
    connection = {
        "conn_type": "moengage",
        "login": "SANDBOXWORKSPACE",
        "password": "sandbox-data-api-key",
        "host": server.url,
        "extra": {name: value},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(connection))
    check_is_refused(server, MoEngageHook().client.list_segments)


@pytest.mark.parametrize("name", NAMES)
def test_no_argument_switches_it_off(server, name):
    with pytest.raises(TypeError, match=name):
        new_client(base_url=server.url, **{name: False})


@pytest.mark.parametrize("tail", ["/?verify=false", "#verify=false", "?insecure", "/;verify=0", "//"])
def test_no_base_url_switches_it_off(server, tail):
    with pytest.raises((InvalidInputError, ConnectionFailedError)):
        new_client(base_url=server.url + tail).list_segments()
    assert server.requests == []


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
@pytest.mark.parametrize(
    "name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY", "SSL_NO_VERIFY", "CURL_INSECURE"]
)
def test_no_variable_switches_it_off(server, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConnectionFailedError):
        new_client(base_url=server.url).list_segments()
    assert server.requests == []


def test_it_stays_on_after_a_failure(server):
    client = new_client(base_url=server.url)
    for _ in range(2):
        check_is_refused(server, client.list_segments)


def test_a_redirect_to_another_host_is_not_followed(authority, trusted):
    with serving(authority.issue_cert("127.0.0.1")) as second:
        for location in (f"{second.url}/v3/custom-segments", f"//127.0.0.1:{second.server_port}/"):
            with serving(authority.issue_cert("127.0.0.1"), location) as first:
                with pytest.raises(RedirectError):
                    new_client(base_url=first.url).list_segments()
                assert len(first.requests) == 1
        assert second.requests == []


def test_a_server_without_tls_is_told_from_one_whose_certificate_is_wrong(sandbox):
    client = new_client(base_url=sandbox.url.replace("http://", "https://"))
    with pytest.raises(MoEngageError) as caught:
        client.list_segments()
    assert "CERTIFICATE" not in str(caught.value)
    assert not any("authorization" in request.headers for request in sandbox.requests)
