"""The proxy of the environment: what of it is shown, and what becomes of a setting that cannot work."""

from __future__ import annotations

import logging
import traceback

import pytest
import requests
import urllib3.exceptions

from airflow_provider_moengage.client import MoEngageClient, MoEngageError
from airflow_provider_moengage.client.errors import ConnectionFailedError, ProxyRefusedError, ProxySettingsError
from airflow_provider_moengage.client.proxies import proxy_address
from airflow_provider_moengage.client.retry import NO_RETRIES, RetryPolicy
from tests.support import trickling_server

URL = "https://moengage.invalid"
USER, SECRET = "corp-user", "cr3t"


@pytest.fixture
def failing(monkeypatch, caplog):
    """Send a request through a proxy; whatever is said of it, and wherever, has no part of its user and password."""

    def failing(setting, variable="HTTPS_PROXY", retry=NO_RETRIES):
        for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, setting)
        client = MoEngageClient("W", "K", base_url=URL, retry=retry)
        with caplog.at_level(logging.DEBUG), pytest.raises(ConnectionFailedError) as caught:
            client.list_segments()
        shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + caplog.text
        assert SECRET not in shown
        assert USER not in shown
        assert caught.value.__context__ is None
        return caught.value

    return failing


# Each has what the user of a proxy may have in a password, and urllib takes for the end of something.
PASSWORDS = ["Se/cr3t", "Se cr3t", "Se@cr3t", "Se#cr3t", "Se?cr3t", "Se%2Fcr3t", "Se:cr3t", "Se[cr3t", "Se\\cr3t"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["http://", "https://", ""])
@pytest.mark.parametrize("port", [9, 99_999])
def test_a_password_of_any_characters(failing, scheme, password, port):
    error = failing(f"{scheme}{USER}:{password}@127.0.0.1:{port}")
    if isinstance(error, ProxySettingsError):
        assert not error.retryable
        assert "the variable HTTPS_PROXY cannot be read" in str(error) or "has a scheme" in str(error)
    else:
        assert f"through the proxy 127.0.0.1:{port}: " in str(error)


def test_a_proxy_that_nobody_runs(failing, clock):
    error = failing(f"http://{USER}:{SECRET}@127.0.0.1:9", retry=RetryPolicy(tries=2))
    assert type(error) is ConnectionFailedError
    assert f"{URL}: through the proxy 127.0.0.1:9: Connection refused" in str(error)
    assert error.tries == 2
    assert error.retryable
    assert not error.is_outcome_unknown


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 " + SECRET.encode()])
def test_a_proxy_that_refuses(failing, status):
    with trickling_server([b"HTTP/1.1 " + status + b"\r\n\r\n"]) as proxy:
        error = failing(proxy.replace("//", f"//{USER}:{SECRET}@"))
    assert type(error) is ProxyRefusedError
    assert f"it answered {status[:3].decode()}" in str(error)


@pytest.mark.parametrize(
    ("setting", "variable", "said"),
    [
        ("socks5h://127.0.0.1:9", "HTTPS_PROXY", "HTTPS_PROXY names a SOCKS proxy, .* PySocks is missing"),
        (
            "socks4://corp-user:cr3t@127.0.0.1:9",
            "ALL_PROXY",
            "ALL_PROXY names a SOCKS proxy, .* install requests.socks",
        ),
        ("ftp://127.0.0.1:9", "https_proxy", "https_proxy has a scheme that is none of http, https, socks4"),
        ("http://", "HTTPS_PROXY", "HTTPS_PROXY cannot be read as http://user:password@host:port"),
        ("http://[::1", "HTTPS_PROXY", "HTTPS_PROXY cannot be read"),
        ("http://127.0.0.1:port", "HTTPS_PROXY", "HTTPS_PROXY cannot be read"),
        ("http://corp-user:cr3t@", "HTTPS_PROXY", "HTTPS_PROXY cannot be read"),
    ],
)
def test_a_setting_that_cannot_work(failing, clock, monkeypatch, setting, variable, said):
    monkeypatch.setattr("airflow_provider_moengage.client.proxies._has_socks", lambda: False)
    error = failing(setting, variable, RetryPolicy())
    assert type(error) is ProxySettingsError
    assert not error.retryable
    assert "HTTPS_PROXY" in str(error)
    assert clock.slept == []
    with pytest.raises(ProxySettingsError, match=said):
        proxy_address(URL, {"https": setting})


# What urllib3 and requests have said in several versions, and may say in one to come.
WORDS = [
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidProxyURL,
    lambda text: requests.exceptions.InvalidURL(f"Failed to parse: {text}"),
    lambda text: requests.exceptions.ConnectionError(urllib3.exceptions.ProxyError(text, OSError(text))),
    urllib3.exceptions.LocationParseError,
    urllib3.exceptions.ProxySchemeUnknown,
    ValueError,
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    "text", ["//corp-user:Se@cr3t@127.0.0.1:9", "Failed to resolve 'cr3t@127.0.0.1'", "corp-user: invalid port"]
)
def test_whatever_a_library_says(failing, monkeypatch, words, text):
    def fail(*_, **__):
        raise words(text)

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", fail)
    error = failing(f"http://{USER}:Se@{SECRET}@127.0.0.1:9")
    assert isinstance(error, MoEngageError)
    assert "through the proxy 127.0.0.1:9" in str(error)
    assert isinstance(error, ProxySettingsError) != error.retryable


def test_no_proxy():
    assert proxy_address(URL, {}) == ""
    assert proxy_address(URL, {"http": "http://127.0.0.1:9"}) == ""
    assert proxy_address(URL, {"https": "proxy.example"}) == "proxy.example"
