"""Reading one column of a query piece by piece, whatever the database: never the whole result at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text
from airflow_provider_moengage.transfers.staging import get_connection

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

_ROWS_AT_ONCE = 5_000

# Whose ordinary cursor takes the whole result from the server at once, and whose named one does not.
_WITH_NAMED_CURSORS = ("psycopg", "psycopg2")


def hook_of(conn_id: str) -> DbApiHook:
    """
    Find what reads a database.

    :param conn_id: the connection.
    :return: its hook.
    :raises InvalidInputError: when there is no such connection, or it is of no database.
    """
    check_text("conn_id", conn_id)
    try:
        from airflow.providers.common.sql.hooks.sql import DbApiHook
    except ImportError:
        raise InvalidInputError(
            "To read a database, the package needs its extra: install airflow-provider-moengage[sql]."
        ) from None

    connection = get_connection("conn_id", conn_id)
    try:
        hook = connection.get_hook()
    except (AirflowException, ImportError):
        hook = None
    if not isinstance(hook, DbApiHook):
        raise InvalidInputError(
            f"The connection {conn_id!r} is of type {connection.conn_type}, which is no database that an installed "
            "provider of Airflow reads with SQL."
        )
    return hook


def statement_of(sql: str) -> str:
    """
    Find the one statement of a query.

    :param sql: what the caller gave.
    :return: the statement, without the semicolon at its end.
    :raises InvalidInputError: when there is none, or more than one.
    """
    import sqlparse

    check_text("sql", sql)
    statements = [part for part in sqlparse.split(sql) if not _is_comment(part)]
    if len(statements) != 1:
        raise InvalidInputError(f"sql must be one statement that gives one column; it has {len(statements)}.")
    return statements[0].strip().rstrip(";").rstrip()


def values_of(hook: DbApiHook, statement: str) -> Iterator[list[Any]]:
    """
    Run a query, and give its one column.

    :param hook: what reads the database.
    :param statement: the query.
    :return: some thousand values at a time, in their order.
    :raises InvalidInputError: when it gives another number of columns, or the database cannot compute a row; whatever
        else its driver raises goes on.
    """
    with closing(hook.get_conn()) as connection, closing(_cursor_of(connection)) as cursor:
        try:
            cursor.execute(statement)
            _check_columns(cursor.description, is_known=not _is_named(connection))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                # psycopg2 tells the columns of a named cursor once it has fetched.
                _check_columns(cursor.description)
                yield _column_of(rows)
            _check_columns(cursor.description)
        except Exception as error:
            # Its words have the value that could not be computed.
            if "DataError" in (kind.__name__ for kind in type(error).__mro__):
                state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
                raise InvalidInputError(
                    f"The database could not compute a row of the query ({type(error).__name__}"
                    f"{f', SQLSTATE {state}' if state else ''}). Its message is left out, since it may hold a value. "
                    "Run the query by hand to see it."
                ) from None
            raise


def _is_named(connection: Any) -> bool:
    return type(connection).__module__.partition(".")[0] in _WITH_NAMED_CURSORS


def _cursor_of(connection: Any) -> Any:
    return connection.cursor(name=f"moengage_{uuid4().hex}") if _is_named(connection) else connection.cursor()


def _check_columns(description: Any, *, is_known: bool = True) -> None:
    if not is_known and description is None:
        return
    count = len(description or ())
    if count != 1:
        raise InvalidInputError(
            f"The query gives {count or 'no'} columns, and the file of an audience has one: let it select nothing but "
            "the values."
        )


def _column_of(rows: list[Any]) -> list[Any]:
    # A connection can ask for rows that are dicts, of which the key would be taken for the value.
    if isinstance(rows[0], Mapping):
        return [value for row in rows for value in row.values()]
    return [value for (value,) in rows]


def _is_comment(part: str) -> bool:
    from sqlparse.lexer import tokenize
    from sqlparse.tokens import Comment, Punctuation, Whitespace

    return all(kind in Comment or kind in Whitespace or kind in Punctuation for kind, _ in tokenize(part))  # type: ignore[no-untyped-call]
