"""A file becomes an audience: what of it is written, and what is refused."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.transfers import local_file_to_segment
from airflow_provider_moengage.transfers.local_file_to_segment import LocalFileToFileSegmentOperator


@pytest.fixture
def transfer(served):
    def make(path, **arguments):
        return LocalFileToFileSegmentOperator(
            **{
                "task_id": "sync",
                "path": str(path),
                "name": "vip",
                "attribute_name": "ID",
                "attribute_type": "string",
                "expiry_days": 30,
                **served.arguments,
                **arguments,
            }
        )

    return make


@pytest.mark.parametrize("bytes_at_once", [1, 7, 1 << 20])
@pytest.mark.parametrize("as_uri", [False, True])
def test_its_lines_are_the_users(sandbox, served, transfer, filled, tmp_path, monkeypatch, bytes_at_once, as_uri):
    monkeypatch.setattr(local_file_to_segment, "_BYTES_AT_ONCE", bytes_at_once)
    file = tmp_path / "ids.csv"
    file.write_bytes("\ufeffu-1\r\nu-2\r\n\r\nu-1\r\nü-3".encode())
    found = transfer(file.as_uri() if as_uri else file).execute({})
    assert served.values() == ["u-1", "u-2", "ü-3"]
    assert (found["rows_read"], found["left_out"]) == (5, {"null": 0, "blank": 1, "duplicate": 1})
    assert filled()[0].explanation == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"ID\nu-1", "Row 1 is the name of the attribute: the file must have no header"),
        (b"\xef\xbb\xbf id \r\nu-1", "Row 1 is the name of the attribute"),
        (b"u-1\n\xff", "Row 2 is not UTF-8"),
        (b'u-1\n"u-2"', "The value in row 2 has a double quote"),
        (b"u-1,Pune", "The value in row 1 has a comma"),
        (b"", "There are 0 values to write, and min_rows is 1"),
    ],
)
def test_what_cannot_work_is_not_sent(sandbox, served, transfer, tmp_path, content, sentence):
    file = tmp_path / "ids.csv"
    file.write_bytes(content)
    with pytest.raises(AirflowFailException, match=sentence):
        transfer(file).execute({})
    assert served.files == []
    assert {request.method for request in sandbox.requests} <= {"GET"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nobody.csv", "There is no file file:///.*nobody.csv"),
        (" ", "path is blank"),
        ("file://ids.csv", "path has 'ids.csv' where a file:// URI has the name of a machine"),
        ("nowhere://ids.csv", "path has the scheme nowhere"),
    ],
)
def test_no_file(sandbox, transfer, path, sentence):
    with pytest.raises(AirflowFailException, match=sentence):
        transfer(path).execute({})
    assert sandbox.requests == []
