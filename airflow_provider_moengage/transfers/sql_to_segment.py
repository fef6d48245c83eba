"""From a query to an audience."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_moengage.transfers.audience_base import AudienceOperator


class SqlToFileSegmentOperator(AudienceOperator):
    """
    Make the ids that a query selects the users of a file segment.

    The query is read piece by piece with a server-side cursor, and its one column written into a file by MoEngage's
    rules; the file is uploaded to an object storage, its address signed, and MoEngage told to fetch it. Neither the
    query's result nor the file is ever held in memory.

    NULLs, blanks and duplicates are left out and counted, blanks around values are taken off. Texts, whole numbers and
    UUIDs are written; for anything else, and what a file cannot hold, such as a line break, the task fails before
    anything is uploaded, with the number of the row and never with the value.

    ``mode="replace"`` creates the segment when there is none of this name, and for that needs ``expiry_days``; ``add``
    and ``remove`` are for one that is there. What is more than 150 MB goes in several files: a replace, then adds, each
    a call of the ten that MoEngage takes an hour. With ``deferrable=True`` the task holds no worker slot while it waits
    for the next hour.

    A retry neither reads, uploads nor calls again what is done (Airflow 3.3; before, it begins anew, which changes
    nothing). Needs the extra ``airflow-provider-moengage[sql]``, and the provider of the storage.

    Returns as XCom ``cs_name``, ``cs_id``, ``mode``, ``rows_read``, ``rows_written``, ``left_out`` (``null``,
    ``blank``, ``duplicate``), ``blanks_stripped``, ``bytes``, ``calls`` (``action``, ``rows``, ``bytes`` and
    ``repeated`` of each) and ``staged_files``. Fails without a retry when a guard does not hold, a parameter or a value
    cannot be used, the segment is a filter segment, or there is none to add to or to remove from.

    :param sql: a query that gives one column, or the name of a ``.sql`` file. (templated)
    :param conn_id: the connection of the database: any that Airflow reads with SQL. (templated)
    :param staging: the folder for the file: the URI of an object storage, such as ``s3://aws_default@bucket/prefix``;
        what stands before the ``@`` is its connection. (templated)
    :param name: name of the segment. (templated)
    :param attribute_name: the user attribute that the column has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param mode: ``replace`` all users of the segment, ``add`` to them, or ``remove`` from them.
    :param expiry_days: after how many days MoEngage archives a segment that this task creates. (templated)
    :param min_rows: fail when there are fewer values to write. Without any nothing is ever sent.
    :param max_change: fail when their number differs by more than this share from that of the last run that succeeded
        and sent any; 10 at most, None for any number. From 1 upwards nothing guards against a fall.
    :param max_users: fail when there are more values to write: MoEngage takes two million a day of a workspace.
    :param url_expires_in: for how long the address of the file is good, in seconds or as a timedelta: from an hour to a
        week.
    :param public_url: for storage that does not sign: the address at which a web server serves ``staging`` to MoEngage.
        (templated)
    :param keep_staged_file: leave the file where it is; by default a later run of the task deletes it once its address
        has expired.
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed when MoEngage has called back that the segment is filled, instead of when it has accepted the
        calls; the file is deleted then, unless MoEngage may hold a call twice.
    :param wait_timeout: for how long, in seconds or as a timedelta: 7 days at most.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: read the query and hold the guards against it, upload and send nothing. The XCom has what it
        would be, with ``dry_run``, ``action`` and ``changes``.
    """

    template_fields: Sequence[str] = (
        "sql",
        "conn_id",
        "staging",
        "name",
        "attribute_name",
        "attribute_type",
        "expiry_days",
        "public_url",
        "callback_url",
        "emails",
        "moengage_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - as Airflow types it

    def __init__(self, *, sql: str, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = self._take("sql", sql)
        self.conn_id = self._take("conn_id", conn_id)

    @property
    def source(self) -> object:
        """The query and its database."""
        return self.sql, self.conn_id

    def check_source(self) -> None:
        """Check that it is one statement, for a database that is there."""
        from airflow_provider_moengage.transfers.query import hook_of, statement_of

        statement_of(self.sql)
        hook_of(self.conn_id)

    def read_values(self) -> Iterator[list[Any]]:
        """
        Run the query.

        :return: its values, some thousand at a time.
        """
        from airflow_provider_moengage.transfers.query import hook_of, statement_of, values_of

        return values_of(hook_of(self.conn_id), statement_of(self.sql))
