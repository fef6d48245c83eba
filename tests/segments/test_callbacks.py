"""What a callback is about, and what it may say: no Airflow, no HTTP."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.segments.callbacks import (
    FileRequest,
    RefusedCallbackError,
    never_called_back,
    read_body,
    read_fields,
    read_xcom,
)
from tests.any_values import JSON_VALUES, many

REQUEST = FileRequest("a dag", "scheduled__2026-11-01T00:00:00+00:00", "group.fill", 3, "0f" * 16)
FILLED = {
    "db_name": "do-not-keep",
    "segment_name": "vip",
    "request_id": "abc",
    "status": 201,
    "values_found": 10,
    "values_processed": 9,
    "user_count": 8,
}
FAILED = {
    "db_name": "do-not-keep",
    "segment_name": "vip",
    "request_id": "abc",
    "status": 400,
    "error_message": "File download failed.",
}


class TestBody:
    def test_filled(self):
        outcome = read_body(json.dumps(FILLED).encode())
        assert outcome.is_filled
        assert outcome.as_json() == {key: value for key, value in FILLED.items() if key != "db_name"}
        assert read_xcom(outcome.as_json()) == outcome
        assert read_xcom(json.dumps(outcome.as_json())) == outcome

    def test_failed(self):
        outcome = read_body(json.dumps(FAILED).encode())
        assert not outcome.is_filled
        assert outcome.as_json() == {key: value for key, value in FAILED.items() if key != "db_name"}
        assert "File download failed. (status 400)" in outcome.failure
        assert "do-not-keep" not in repr(outcome) + outcome.failure

    def test_what_is_not_published_is_not_kept(self):
        assert "users" not in read_fields({**FILLED, "users": ["1"]}).as_json()

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"status": "201"}, "status"),
            ({"status": True}, "status"),
            ({"status": 99}, "status"),
            ({"request_id": 7}, "request_id"),
            ({"segment_name": None}, "segment_name"),
            ({"values_found": "10"}, "values_found"),
            ({"values_processed": 1.5}, "values_processed"),
            ({"user_count": -1}, "user_count"),
            ({"user_count": True}, "user_count"),
            ({"user_count": 10**30}, "user_count"),
            ({"status": 500}, "error_message"),
        ],
    )
    def test_a_wrong_field(self, wrong, sentence):
        with pytest.raises(RefusedCallbackError, match=sentence):
            read_fields({**FILLED, **wrong})

    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 9_000, b"1" * 9_000])
    def test_no_callback(self, body):
        with pytest.raises(RefusedCallbackError):
            read_body(body)

    @many()
    @given(JSON_VALUES)
    def test_any_fields(self, fields):
        for body in (fields, {**FILLED, "user_count": fields}, {**FAILED, "error_message": fields}):
            try:
                outcome = read_fields(body)
            except RefusedCallbackError:
                continue
            assert read_fields(outcome.as_json()) == outcome

    def test_nobody_writes_lines_into_a_log(self):
        outcome = read_fields({**FAILED, "error_message": "a\nb\x1b[31m" + "x" * 1_000})
        assert "\n" not in outcome.failure
        assert "\x1b" not in outcome.failure
        assert len(outcome.error_message) == 500


class TestRequest:
    def test_as_text_and_back(self):
        assert FileRequest.from_text(REQUEST.as_text()) == REQUEST
        # Where templates become native objects.
        assert FileRequest.from_text(json.loads(REQUEST.as_text())) == REQUEST

    def test_each_call_has_a_nonce_of_its_own(self):
        nonces = {FileRequest.new("dag", "run", "task", -1).nonce for _ in range(50)}
        assert len(nonces) == 50

    @many()
    @given(JSON_VALUES)
    def test_anything_else(self, value):
        for text in (value, json.dumps(value)):
            with pytest.raises(InvalidInputError, match=r"request must be what an operator .*gives"):
                FileRequest.from_text(text)


def test_what_to_look_at():
    said = never_called_back("vip", 21_600)
    assert "has not called back within 21600 s about the segment 'vip'" in said
    assert "[moengage] receive_callbacks" in said
