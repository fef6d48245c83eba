"""Reading one column of a query piece by piece, whatever the database: never the whole result at once."""

from __future__ import annotations

import re
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
            "provider of Airflow reads with SQL. Nothing was sent."
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


class RowsNotReadError(RuntimeError):
    """The driver of a database has failed while rows were fetched. To try again may mend it, as with a lost network."""


def values_of(hook: DbApiHook, statement: str) -> Iterator[list[Any]]:
    """
    Run a query, and give its one column.

    What a driver says while it has rows in hand may quote one of their values, and is never shown.

    :param hook: what reads the database.
    :param statement: the query.
    :return: some thousand values at a time, in their order.
    :raises InvalidInputError: when it gives another number of columns, or the database cannot compute a row.
    :raises RowsNotReadError: when the driver fails in another way while rows are fetched; what it raises before that
        goes on.
    """
    with closing(hook.get_conn()) as connection, closing(_cursor_of(connection)) as cursor:
        is_fetching = False
        try:
            cursor.execute(statement)
            _check_columns(cursor.description, is_known=not _is_named(connection))
            is_fetching = True
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                # psycopg2 tells the columns of a named cursor once it has fetched.
                _check_columns(cursor.description)
                yield _column_of(rows)
            _check_columns(cursor.description)
        except InvalidInputError:
            raise
        except Exception as error:
            if not is_fetching and not _is_of_data(error):
                raise
            failure = _without_words(error)
        else:
            return
        # Out here, where what is raised has nothing hanging on to it.
        raise failure


def _is_of_data(error: Exception) -> bool:
    """Tell whether an error is about a value, whose words have it in them."""
    is_named_so = "DataError" in (kind.__name__ for kind in type(error).__mro__)
    # Python 3.10's sqlite3 reads the first row as it executes, and calls that another error.
    return is_named_so or _state_of(error).startswith("22") or str(error).startswith("Could not decode")


def _without_words(error: Exception) -> Exception:
    state = _state_of(error)
    which = f"({type(error).__name__}{f', SQLSTATE {state}' if state else ''})"
    hidden = "Its message is left out, since it may hold a value. Run the query by hand to see it."
    if _is_of_data(error):
        return InvalidInputError(
            f"The database could not compute a row of the query {which}. Nothing was uploaded or sent. {hidden}"
        )
    return RowsNotReadError(
        f"The database failed while the rows of the query were read {which}. Nothing was uploaded or sent. {hidden}"
    )


def _state_of(error: Exception) -> str:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state if isinstance(state, str) and re.fullmatch("[0-9A-Z]{5}", state) else ""


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
            "the values. Nothing was uploaded or sent."
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
