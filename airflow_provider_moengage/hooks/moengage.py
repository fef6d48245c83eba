"""MoEngageHook: an Airflow Connection becomes a MoEngageClient, and nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_api_key, check_seconds, check_text, check_workspace_id

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.retry import RetryPolicy

# What Airflow shows, and its form may send, in place of a saved password.
_MASK = "***"
# Under which people write the key into the extra; app_key is another field.
_NAME_OF_A_KEY = r'(?i)"(?!app_key")([a-z _-]{0,20}(?:key|secret|password|token))"\s*:'
# As a URI has it between brackets, which Airflow takes off.
_BARE_IPV6 = "(?i)[0-9a-f.]*:[0-9a-f.]*:[0-9a-f.:]*"

# A shorter one may be the same as something else, in a test say.
_SHORTEST_KEY = 8

_RETYPE = " Airflow 2 sends no saved key to a test: type it in again."


class NoConnectionError(InvalidInputError):
    """Airflow has no connection of this id, or cannot read it: it does not tell a failing secrets backend apart."""


class MoEngageHook(BaseHook):
    """
    Give access to the MoEngage workspace of an Airflow Connection.

    The connection has the type ``moengage``; its login is the Workspace ID, its password the Data API key. Its extra
    takes ``data_center`` (01, 02, 03, 04, 05, 06 or 101) and, where needed, ``app_key``, ``database_name``,
    ``connect_timeout`` (seconds, default 5) and ``read_timeout`` (seconds, default 30). A host replaces the data
    center's address, for the sandbox or a proxy.

    .. code-block:: python

        @task
        def active_segments() -> int:
            return len(MoEngageHook().client.list_segments())

    :param moengage_conn_id: id of the connection.
    :param retry: how often and for how long the client sends a call again before it fails; the default of
        :class:`~airflow_provider_moengage.client.retry.RetryPolicy` is 6 times within 75 seconds.
    """

    conn_name_attr = "moengage_conn_id"
    default_conn_name = "moengage_default"
    conn_type = "moengage"
    hook_name = "MoEngage"

    def __init__(
        self, moengage_conn_id: str = default_conn_name, *, retry: RetryPolicy | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.moengage_conn_id = moengage_conn_id
        self.retry = retry

    @cached_property
    def client(self) -> MoEngageClient:
        """
        The client of this connection's workspace, made on first use and kept with its HTTP connection.

        :raises InvalidInputError: when the connection is missing or cannot work; the message says why.
        """
        return client_of(self._connection(), self.retry)

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """
        Give the form's fields to Airflow before 3.2; newer ones read the provider's metadata.

        :return: the fields of the extra by name.
        """
        from airflow_provider_moengage.hooks import connection_form

        return connection_form.widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """
        Give the form's other labels to Airflow before 3.2; newer ones read the provider's metadata.

        :return: which fields are hidden, and what the others are called.
        """
        from airflow_provider_moengage.hooks import connection_form

        return connection_form.behaviour()

    def get_conn(self) -> MoEngageClient:
        """
        Give the client, under the name that every hook has.

        :return: :attr:`client`.
        """
        return self.client

    async def aget_client(self) -> MoEngageClient:
        """
        Make the client on the event loop of a triggerer.

        The connection is resolved here, so that its calls may run in a thread: Airflow itself must not.

        :return: a new client, whose calls block.
        :raises InvalidInputError: as :attr:`client`.
        """
        from airflow.providers.common.compat.connection import get_async_connection

        check_text("moengage_conn_id", self.moengage_conn_id)
        try:
            connection = await get_async_connection(self.moengage_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        # In a thread, since it imports requests the first time; it calls nothing of Airflow.
        return await asyncio.to_thread(client_of, connection, self.retry)

    def test_connection(self) -> tuple[bool, str]:
        """
        Try the connection with one authenticated GET, without a retry and for half a minute at most.

        :return: whether MoEngage accepts it, and a sentence for the person who pressed the button.
        """
        from airflow_provider_moengage.client.retry import NO_RETRIES
        from airflow_provider_moengage.hooks.connection_test import try_credentials

        try:
            connection = self._connection()
        except InvalidInputError as error:
            return False, str(error)
        try:
            # Without the connection's id: the form tests under a random one.
            client = _client_of(connection, NO_RETRIES)
        except InvalidInputError as error:
            retype = "" if connection.password or AIRFLOW_V_3_0_PLUS else _RETYPE
            return False, f"The connection cannot be used: {error}{retype}"
        with client:
            return try_credentials(client)

    def _connection(self) -> Connection:
        check_text("moengage_conn_id", self.moengage_conn_id)
        try:
            return self.get_connection(self.moengage_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None

    def _no_connection(self) -> InvalidInputError:
        variable = f"AIRFLOW_CONN_{self.moengage_conn_id.upper()}"
        return NoConnectionError(
            f"There is no Airflow connection {self.moengage_conn_id!r} that Airflow could read. Create one of type "
            f"moengage (Admin > Connections, or the variable {variable}), or name another with moengage_conn_id. If "
            "it is there, Airflow cannot read it: JSON must be valid, its login, password and host strings; a URI must "
            "be percent-encoded."
        )


def client_of(connection: Connection, retry: RetryPolicy | None = None) -> MoEngageClient:
    """
    Make the client that a connection describes. Reads plain attributes only, so that it works on any thread.

    :param connection: a connection of type ``moengage``.
    :param retry: how often and for how long the client sends a call again; its own default when left out.
    :return: the client.
    :raises InvalidInputError: when the connection cannot work; the message names the connection and the field.
    """
    try:
        return _client_of(connection, retry)
    except InvalidInputError as error:
        raise InvalidInputError(f"The connection {connection.conn_id!r} cannot be used: {error}") from None


def _client_of(connection: Connection, retry: RetryPolicy | None) -> MoEngageClient:
    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.client.retry import RETRIES

    check_workspace_id("its login (Workspace ID)", connection.login)
    _check_password(connection)
    extra = _extra_of(connection)
    base_url = _base_url_of(connection)
    if not base_url and not extra.get("data_center"):
        # Of keys only those that may be a misspelling: the API key may be among them.
        known = [key for key in extra if re.fullmatch("[a-z_ -]{1,30}", key, flags=re.IGNORECASE)]
        has = f" (the extra has {', '.join(known)})" if known else ""
        raise InvalidInputError(
            f'it names no data center{has}. Set data_center in its extra, for example {{"data_center": "01"}}, to the '
            "number in the address of your MoEngage dashboard."
        )
    return MoEngageClient(
        connection.login or "",
        connection.password or "",
        data_center=extra.get("data_center"),
        base_url=base_url,
        app_key=extra.get("app_key"),
        database_name=extra.get("database_name"),
        timeout=(
            check_seconds("connect_timeout in its extra", extra.get("connect_timeout", 5)),
            check_seconds("read_timeout in its extra", extra.get("read_timeout", 30)),
        ),
        retry=retry or RETRIES,
    )


def _check_password(connection: Connection) -> None:
    """Check the API key, and look for it where people put it otherwise; it is shown nowhere."""
    password, extra = connection.password, connection.extra or ""
    if not (password or "").strip() and (named := re.search(_NAME_OF_A_KEY, extra)):
        raise InvalidInputError(
            f"its password (Data API key) is missing, and its extra has {named[1]}: move the key from there into "
            "the password, where Airflow encrypts and masks it."
        )
    check_api_key("its password (Data API key)", password)
    if password == _MASK:
        raise InvalidInputError(
            f"its password is {_MASK}, which Airflow shows, and its form may send, in place of a saved key. Type the "
            "Data API key in again."
        )
    if len(password or "") >= _SHORTEST_KEY and json.dumps(password) in extra:
        raise InvalidInputError(
            "its extra has the Data API key, which nobody masks there: take it out, and generate another, since this "
            "one has been shown."
        )


def _extra_of(connection: Connection) -> dict[str, Any]:
    """Read the extra without ``extra_dejson``, which calls Airflow; a field left empty in a form counts as not set."""
    try:
        extra = json.loads(connection.extra or "{}")
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise InvalidInputError('its extra is not a JSON object such as {"data_center": "01"}.')
    return {key: value for key, value in extra.items() if value not in (None, "")}


def _base_url_of(connection: Connection) -> str | None:
    """Put together the address: a connection given as a URI has it in parts."""
    from airflow_provider_moengage.client.urls import is_loopback

    if not connection.host:
        return None
    address = connection.host
    if "://" not in address:
        host = f"[{address}]" if re.fullmatch(_BARE_IPV6, address) else address
        try:
            is_this_machine = is_loopback(urlsplit(f"//{host}").hostname or "")
        except ValueError:
            is_this_machine = False  # the client says what is wrong with it
        address = f"{connection.schema or ('http' if is_this_machine else 'https')}://{host}"
    if not connection.port:  # a form sends 0 for none
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return address  # the client says what is wrong with it
    return parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()
