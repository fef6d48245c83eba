"""
The pytest plugin of this provider: a MoEngage workspace on localhost for the tests of your own DAGs.

pytest finds it by itself. A test that takes the fixture ``moengage_sandbox`` gets a sandbox, to which the connection
``moengage_default`` leads; see :func:`moengage_sandbox`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.sandbox import Sandbox

_WHY = "because MoEngage has no such call, or because they are about cohort sync, which it does not have yet"

DEFAULT_CONNECTION = "moengage_default"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known that chooses the sandbox's arguments."""
    config.addinivalue_line(
        "markers",
        "moengage_sandbox(*, conn_ids=(), **arguments): let these connection ids lead to the sandbox besides "
        'moengage_default, and start it with these arguments, for example dialect="today".',
    )


@pytest.fixture
def moengage_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    Start a MoEngage workspace on a free port of localhost, to which the connection ``moengage_default`` leads.

    Fill it with ``add_segment``, let requests fail with ``fail_next``, let time pass with ``move_clock``, and look at
    ``segments`` and ``requests`` afterwards. The marker ``moengage_sandbox`` takes arguments of
    :class:`~airflow_provider_moengage.sandbox.Sandbox`, and ``conn_ids``: more connections that lead to it. The test
    fails when it has called anything that the sandbox does not know.

    Nothing else is reached meanwhile, whatever secrets backend Airflow has: a hook whose connection leads elsewhere,
    and a client with another address, raise InvalidInputError before anything is sent. That holds in the process of
    the test, its threads and its forks. Programs that it starts only get the variables ``AIRFLOW_CONN_...``, which
    Airflow reads after its secrets backends.

    :return: the sandbox, which stops after the test.
    """
    # Here and not above: most test runs load the plugin and never use it.
    from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
    from airflow_provider_moengage.sandbox import Sandbox

    # A sandbox of an earlier test may have listened on the same port.
    RATE_LIMITER.reset()
    arguments: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("moengage_sandbox"))):
        if marker.args:
            pytest.fail('The marker moengage_sandbox takes its arguments by name: dialect="today".', pytrace=False)
        arguments.update(marker.kwargs)
    conn_ids = _checked_ids(arguments.pop("conn_ids", ()))
    with Sandbox(**arguments) as sandbox:
        for conn_id in conn_ids:
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(sandbox.connection))
        _lead_to(sandbox, conn_ids, monkeypatch)
        _refuse_other_addresses(sandbox, monkeypatch)
        yield sandbox
    _fail_on_unknown_calls(sandbox)


def _checked_ids(conn_ids: object) -> frozenset[str]:
    if not isinstance(conn_ids, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in conn_ids):
        pytest.fail('conn_ids takes a list of connection ids, such as ["moengage_eu"].', pytrace=False)
    return frozenset({DEFAULT_CONNECTION, *conn_ids})


def _lead_to(sandbox: Sandbox, conn_ids: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hook find the sandbox under these ids, without a question to any secrets backend."""
    from airflow.providers.common.compat import connection as compat
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_moengage.hooks.moengage import MoEngageHook

    find, find_on_the_loop = MoEngageHook.get_connection, compat.get_async_connection

    def connection_of(conn_id: str) -> Connection:
        fields = sandbox.connection
        extra = {"extra": json.dumps(fields["extra"])} if "extra" in fields else {}
        return Connection(conn_id=conn_id, **{**fields, **extra})

    def get_connection(_hook: type[MoEngageHook], conn_id: str) -> Connection:
        return connection_of(conn_id) if conn_id in conn_ids else find(conn_id)

    async def get_async_connection(conn_id: str, *args: Any, **options: Any) -> Connection:
        if conn_id in conn_ids:
            return connection_of(conn_id)
        return await find_on_the_loop(conn_id, *args, **options)

    monkeypatch.setattr(MoEngageHook, "get_connection", classmethod(get_connection))
    monkeypatch.setattr(compat, "get_async_connection", get_async_connection)


def _refuse_other_addresses(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shut both doors: where a connection, which has an id, becomes a client; and that of every request."""
    from airflow_provider_moengage.client.errors import InvalidInputError
    from airflow_provider_moengage.client.transport import Transport
    from airflow_provider_moengage.hooks import moengage

    make_client, send = moengage.client_of, Transport.request

    def check(client: Transport, who: str, way_out: str) -> None:
        if not _is_at(sandbox.url, client.base_url):
            raise InvalidInputError(
                f"{who} leads to {client.base_url}, and a test with moengage_sandbox calls nothing but its sandbox at "
                f"{sandbox.url}: nothing was sent. {way_out}"
            )

    def client_of(connection: Any, *args: Any, **options: Any) -> MoEngageClient:
        client = make_client(connection, *args, **options)
        conn_id = connection.conn_id
        marker = f"@pytest.mark.moengage_sandbox(conn_ids=[{conn_id!r}])"
        check(client, f"The connection {conn_id!r}", f"If it is to lead there, mark the test with {marker}.")
        return client

    def request(client: Transport, *args: Any, **options: Any) -> dict[str, Any]:
        check(client, "This client", "Make one in the test itself: it may be left of an earlier one.")
        return send(client, *args, **options)

    monkeypatch.setattr(moengage, "client_of", client_of)
    monkeypatch.setattr(Transport, "request", request)


def _is_at(url: str, address: str) -> bool:
    from airflow_provider_moengage.client.urls import is_loopback

    given, wanted = urlsplit(address), urlsplit(url)
    return given.scheme == wanted.scheme and given.port == wanted.port and is_loopback(given.hostname or "")


def _fail_on_unknown_calls(sandbox: Sandbox) -> None:
    unknown = [f"  {call.method or '?'} {call.path}" for call in sandbox.unknown_requests]
    if unknown:
        calls = "\n".join(unknown)
        pytest.fail(f"The sandbox does not know these calls, {_WHY}:\n{calls}", pytrace=False)
