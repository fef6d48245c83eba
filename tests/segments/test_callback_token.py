"""The token in the address of a callback: no Airflow, no HTTP."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.segments.callback_token import Ticket, is_signed_with, ticket_of, token_of
from airflow_provider_moengage.segments.callbacks import FileRequest, RefusedCallbackError
from tests.any_values import JSON_VALUES, many

KEY = "data-api-key"
NOW = 1_800_000_000
REQUEST = FileRequest("a dag", "scheduled__2026-11-01T00:00:00+00:00", "group.fill", 3, "0f" * 16)
TICKET = Ticket(REQUEST, "moengage_default", "63d8cec0c085939e6c1ab727", NOW + 60)
# Airflow's ids and keys are what a database stores, which takes no half of a character.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def test_it_says_what_was_signed():
    token = token_of(TICKET, KEY)
    assert ticket_of(token, NOW) == TICKET
    assert is_signed_with(token, KEY)
    assert token == token_of(TICKET, KEY)


@many()
@given(TEXTS, TEXTS, TEXTS, st.integers(-1, 5_000), TEXTS, st.none() | TEXTS, TEXTS)
def test_of_any_task_instance(dag_id, run_id, task_id, map_index, conn_id, segment_id, key):
    ticket = Ticket(FileRequest(dag_id, run_id, task_id, map_index, "ab" * 16), conn_id, segment_id, NOW)
    token = token_of(ticket, key)
    assert ticket_of(token, NOW - 1) == ticket
    assert is_signed_with(token, key)
    assert not is_signed_with(token, f"{key}.")


def test_it_needs_no_encoding_in_an_address():
    assert set(token_of(TICKET, KEY)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize("position", range(0, 300, 7))
def test_one_changed_character_is_noticed(position):
    token = token_of(TICKET, KEY)
    position %= len(token)
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
    assert not is_signed_with(changed, KEY)


@pytest.mark.parametrize("key", [None, ""])
def test_nothing_is_signed_with_no_key(key):
    assert not is_signed_with(token_of(TICKET, ""), key)


@pytest.mark.parametrize(
    "changed",
    [
        {"request": FileRequest("another", REQUEST.run_id, REQUEST.task_id, 3, REQUEST.nonce)},
        {"request": FileRequest(REQUEST.dag_id, REQUEST.run_id, REQUEST.task_id, 3, "1f" * 16)},
        {"expires": NOW + 61},
        {"segment_id": None},
        {"moengage_conn_id": "another"},
    ],
)
def test_what_it_says_is_all_signed(changed):
    forged = token_of(Ticket(**{**vars(TICKET), **changed}), "another key")
    said = forged.partition(".")[0]
    assert not is_signed_with(f"{said}.{token_of(TICKET, KEY).partition('.')[2]}", KEY)


def test_it_expires():
    assert ticket_of(token_of(TICKET, KEY), NOW + 59) == TICKET
    with pytest.raises(RefusedCallbackError, match="expired"):
        ticket_of(token_of(TICKET, KEY), NOW + 60)


@many()
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")) | st.just("." * 9_000))
def test_any_text(text):
    for token in (text, f"{text}.{text}"):
        with pytest.raises(RefusedCallbackError):
            ticket_of(token, NOW)


@many()
@given(JSON_VALUES)
def test_any_content(content):
    said = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    with pytest.raises(RefusedCallbackError):
        ticket_of(f"{said}.signature", NOW)
