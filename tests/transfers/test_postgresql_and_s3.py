"""
A real PostgreSQL, and S3 as moto's server has it, with the amazon provider's own object storage: end to end.

The amazon provider and moto are in an environment of their own: `make storage`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator
from airflow_provider_moengage.transfers.query import hook_of, values_of
from airflow_provider_moengage.transfers.sql_to_segment import SqlToFileSegmentOperator
from tests.benchmarks.storage import BUCKET, client_of, running_s3
from tests.distributed.services import program, running_postgresql

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (program("initdb") and find_spec("psycopg")), reason="not installed: postgresql, psycopg"),
]
needs_s3 = pytest.mark.skipif(
    not (find_spec("moto") and find_spec("s3fs")), reason="not installed: moto, s3fs; `make storage` has them"
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with running_postgresql() as address:
        yield address


@pytest.fixture
def postgres(database, monkeypatch):
    """Run SQL in the database that the connection ``warehouse`` leads to."""
    import psycopg

    user, _, rest = database.partition("@")
    host, _, rest = rest.partition(":")
    port, _, schema = rest.partition("/")
    connection = {"conn_type": "postgres", "login": user, "host": host, "port": int(port), "schema": schema}

    def use(**extra):
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**connection, "extra": extra}))

    use()

    def run(sql, extra=None):
        use(**(extra or {}))
        with psycopg.connect(f"postgresql://{database}", autocommit=True) as connected:
            connected.execute(sql)

    return run


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    """A connection to a storage with an empty bucket."""
    with running_s3() as connection:
        yield connection


@pytest.fixture
def storage(s3, monkeypatch):
    """Let a connection lead to the storage. Airflow keeps what it has made of one, so that each is another."""

    def use(name, **extra):
        connection = {**s3, "extra": {**s3["extra"], **extra}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        return f"s3://{name}@{BUCKET}/{name}"

    return use


def put(s3, key, content):
    client_of(s3).put_object(Bucket=BUCKET, Key=key, Body=content)


def objects(s3, folder):
    """Read what is in a folder of the bucket."""
    client = client_of(s3)
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/").get("Contents", [])
    return [client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read().decode() for found in listed]


def transfer(staging, sql="select id from users", **arguments):
    return SqlToFileSegmentOperator(
        **{
            "task_id": "sync",
            "sql": sql,
            "conn_id": "warehouse",
            "staging": staging,
            "name": "vip",
            "attribute_name": "ID",
            "attribute_type": "string",
            "expiry_days": 30,
            **arguments,
        }
    )


@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
class TestPostgresql:
    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            ("'9007199254740993'::bigint", "9007199254740993"),
            ("'9007199254740993'::numeric(20, 2)", "9007199254740993"),
            ("'0b9c8c9e-7f5d-4a53-8f0e-2b1a5d5f7c11'::uuid", "0b9c8c9e-7f5d-4a53-8f0e-2b1a5d5f7c11"),
            ("'u-1'::char(9)", "u-1"),
            ("'u-1'::text", "u-1"),
        ],
    )
    def test_what_is_written_as_it_is(self, sandbox, postgres, served, column, expected):
        transfer(**served.arguments, sql=f"select {column}").execute({})
        assert served.values() == [expected]

    @pytest.mark.parametrize(
        ("column", "sentence"),
        [
            ("'do-not-show'::bytea", "The value in row 1 is of type (bytes|memoryview)"),
            ("1.5::float8", "The value in row 1 is of type float"),
            ("1.5::numeric", "The value in row 1 is a Decimal that is not whole"),
            ("repeat('7', 5000)::numeric", "The value in row 1 has more than 100 digits. Nothing"),
            ("'NaN'::numeric", "The value in row 1 is no number"),
            ("true", "The value in row 1 is of type bool"),
            ("now()", "The value in row 1 is of type datetime"),
            ("array['do-not-show']", "The value in row 1 is of type list"),
            ("'do-not-show'::text::integer", "The database could not compute a row of the query"),
            ("1, 2", "The query gives 2 columns"),
            ("", "The query gives no columns"),
        ],
    )
    def test_what_is_refused(self, sandbox, postgres, served, log, column, sentence):
        with pytest.raises(AirflowFailException, match=sentence) as caught:
            transfer(**served.arguments, sql=f"select {column}").execute({})
        assert "do-not-show" not in str(caught.value) + log()
        assert served.files == []

    def test_a_number_that_is_all_but_nothing(self, sandbox, postgres, served):
        with pytest.raises(AirflowFailException, match="in row 1 has more than 100 digits after the point. Nothing"):
            transfer(**served.arguments, attribute_type="double", sql="select '1e-400'::numeric").execute({})
        assert served.files == []

    @pytest.mark.parametrize("extra", [{"cursor": "dictcursor"}, {"cursor": "namedtuplecursor"}])
    def test_rows_of_whatever_kind(self, sandbox, postgres, served, extra):
        """Of a row that is a dict the key would be taken for the value."""
        postgres("select 1", extra)
        transfer(**served.arguments, sql="select 'u-1' as id").execute({})
        assert served.values() == ["u-1"]

    def test_never_the_whole_result_at_once(self, sandbox, postgres):
        """The rows of a named cursor are computed as they are fetched: the last one of these cannot be."""
        batches = values_of(hook_of("warehouse"), "select 1 / (100000 - n) from generate_series(1, 100000) as n")
        assert len(next(batches)) == 5_000
        batches.close()


@needs_s3
@pytest.mark.parametrize("sandbox", ["today"], indirect=True)
class TestS3:
    def test_from_the_query_to_the_segment(self, sandbox, postgres, storage, s3, filled, log):
        staging = storage("whole")
        ids = [str(UUID(int=number)) for number in range(20_000)]
        postgres("drop table if exists users; create table users (id uuid)")
        postgres("insert into users select lpad(to_hex(n % 20000), 32, '0')::uuid from generate_series(0, 21999) as n")

        found = transfer(staging).execute({})

        assert (found["rows_read"], found["rows_written"], found["left_out"]["duplicate"]) == (22_000, 20_000, 2_000)
        assert found["staged_files"][0].startswith(f"s3://whole@{BUCKET}/whole/")
        (content,) = objects(s3, "whole")
        assert sorted(content.split("\n")) == sorted(ids)
        sent = sandbox.requests[-1].json["file_url"]
        query = parse_qs(urlsplit(sent).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["86400"]
        (done,) = filled()
        assert (done.status, done.values_found, done.user_count, done.explanation) == (201, 20_000, 20_000, "")
        said = log() + json.dumps(found)
        assert query["X-Amz-Signature"][0] not in said
        assert ids[-1] not in said

    def test_in_several_parts(self, sandbox, postgres, storage, s3, filled):
        """More than the five megabytes of a part."""
        postgres("select 1")
        sql = "select lpad(n::text, 100, 'u') from generate_series(1, 60000) as n"
        assert transfer(storage("parts"), sql).execute({})["bytes"] == 60_000 * 101 - 1
        assert len(objects(s3, "parts")[0]) == 60_000 * 101 - 1
        assert filled()[0].user_count == 60_000

    def test_what_another_task_has_unloaded(self, sandbox, storage, s3, filled):
        staging = storage("unloaded")
        put(s3, "of-others/ids.csv", b"u-1\nu-2\nu-1\n")
        operator = LocalFileToFileSegmentOperator(
            task_id="sync",
            path=f"s3://unloaded@{BUCKET}/of-others/ids.csv",
            staging=staging,
            name="vip",
            attribute_name="ID",
            attribute_type="string",
            expiry_days=30,
        )
        assert operator.execute({})["left_out"] == {"null": 0, "blank": 0, "duplicate": 1}
        assert sorted(objects(s3, "unloaded")[0].split("\n")) == ["u-1", "u-2"]

    @pytest.mark.parametrize(
        ("name", "extra", "sentence"),
        [
            ("no_region", {"region_name": None}, "signs with version 2, which S3 refuses for newer buckets"),
            (
                "version_2",
                {"region_name": "eu-central-1", "config_kwargs": {"signature_version": "s3"}},
                "signs with version 2",
            ),
        ],
    )
    def test_a_signature_of_which_s3_takes_no_notice(self, sandbox, postgres, storage, s3, name, extra, sentence):
        staging = storage(name, **extra)
        with pytest.raises(AirflowFailException, match=sentence):
            transfer(staging, "select 1").execute({})
        assert {request.method for request in sandbox.requests} <= {"GET"}
        assert objects(s3, name) == []

    def test_credentials_that_end(self, sandbox, postgres, storage, s3, log):
        staging = storage("for_a_while", aws_session_token="do-not-show-this-token")
        transfer(staging, "select 1").execute({})
        said = log()
        assert "the address of the file dies with them" in said
        assert "do-not-show" not in said

    def test_an_old_file_is_deleted(self, sandbox, postgres, storage, s3):
        staging = storage("old")
        operator = transfer(staging, "select 'u-2'")
        name = f"20260101T000000Z-{'0' * 32}-0.csv"
        put(s3, f"old/{operator.dag_id}/sync/{name}", b"u-1")
        operator.execute({})
        assert objects(s3, "old") == ["u-2"]

    def test_a_bucket_that_is_not_there(self, sandbox, postgres, storage):
        staging = storage("gone").replace(BUCKET, "nobodys")
        with pytest.raises(OSError, match=r"does not exist|NoSuchBucket"):
            transfer(staging, "select 1").execute({})
        assert {request.method for request in sandbox.requests} <= {"GET"}
