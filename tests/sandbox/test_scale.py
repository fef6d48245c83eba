"""Ten thousand segments, two hundred clients at once, and a start that nobody waits for."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_moengage.sandbox import Sandbox
from tests.sandbox.calling import Caller, attribute, group, run

SEGMENTS = 10_000
CLIENTS = 200
CALLS = 8

Model = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def large() -> Iterator[Sandbox]:
    with Sandbox(rate_limits=False) as sandbox:
        for number in range(SEGMENTS):
            sandbox.add_segment(name=f"segment {number}")
        yield sandbox


def named(segments: list[dict[str, Any]]) -> Model:
    return {segment["id"]: segment for segment in segments}


class Client:
    """Makes calls by chance to segments that are its own, and notes what has to come of each."""

    def __init__(self, sandbox: Sandbox, number: int, start: threading.Barrier, ids: list[str], model: Model) -> None:
        self._caller = Caller(sandbox, "segment_id", timeout=60)
        self._number = number
        self._start = start
        self._ids = ids
        self._model = model
        self._chance = random.Random(number)  # noqa: S311 - the same calls in every run

    def run(self) -> None:
        with self._caller.session:
            self._start.wait(60)
            for turn in range(CALLS):
                call = self._chance.choice([self.update, self.rename, self.archive, self.unarchive, self.create])
                call(turn)

    def update(self, turn: int) -> None:
        known = self._model[self._chance.choice(self._ids)]
        filters = group(attribute(f"client {self._number}, turn {turn}"))
        answer = self._caller.update(known["id"], filters, updated_by=f"client {self._number}")
        assert answer.status_code == (403 if known["archived"] else 200), answer.text
        if answer.ok:
            known.update(included_filters=filters, updated_by=f"client {self._number}")

    def rename(self, turn: int) -> None:
        known = self._model[self._chance.choice(self._ids)]
        name = f"client {self._number}, name {turn}"
        answer = self._caller.update(known["id"], known["included_filters"], name=name)
        if answer.ok:
            known["name"] = name

    def archive(self, _turn: int) -> None:
        known = self._model[self._chance.choice(self._ids)]
        assert self._caller.archive("ignored", known["id"]).status_code == 202
        known["archived"] = True

    def unarchive(self, _turn: int) -> None:
        known = self._model[self._chance.choice(self._ids)]
        assert self._caller.unarchive(known["name"]).json()["cs_name"] == known["name"]
        known["archived"] = False

    def create(self, turn: int) -> None:
        # All clients want the same names: each is for one of them.
        answer = self._caller.create(f"for one {turn}", group(attribute(f"{self._number} {turn}")))
        assert answer.status_code in (201, 409, 429)


def test_no_update_is_lost_or_doubled(large: Sandbox) -> None:
    before = named(large.segments)
    ids = sorted(before)
    start = threading.Barrier(CLIENTS)
    clients = [Client(large, number, start, ids[number::CLIENTS], before) for number in range(CLIENTS)]
    first = len(large.requests)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client.run) for client in clients]:
            done.result()

    after = named(large.segments)
    shown = ("name", "included_filters", "updated_by", "archived")
    assert {key: [after[key][field] for field in shown] for key in ids} == {
        key: [before[key][field] for field in shown] for key in ids
    }
    assert len(large.requests) - first == CLIENTS * CALLS
    assert len({request.connection for request in large.requests[first:]}) == CLIENTS
    assert len({segment["name"] for segment in large.segments}) == len(large.segments)


def test_only_one_of_two_hundred_gets_a_name_or_filters() -> None:
    with Sandbox(rate_limits=False) as sandbox:
        start = threading.Barrier(CLIENTS)

        def create(number: int) -> int:
            caller = Caller(sandbox, "segment_id", timeout=60)
            with caller.session:
                start.wait(60)
                name, value = ("the one", str(number)) if number % 2 else (f"another {number}", "the one")
                return caller.create(name, group(attribute(value))).status_code

        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = list(pool.map(create, range(CLIENTS)))

    assert sorted(statuses) == [201] * 2 + [409] * (CLIENTS - 2)
    assert {statuses[0::2].count(201), statuses[1::2].count(201)} == {1}


def test_ten_thousand_segments_are_listed_and_found(large: Sandbox) -> None:
    caller = Caller(large, "segment_id")
    with caller.session:
        names = {segment["name"] for segment in caller.list().json()["data"]}
        assert len(names) >= SEGMENTS
        name = min(names)
        assert [segment["name"] for segment in caller.list(f"?name={name}").json()["data"]] == [name]


def test_a_start_loads_little_and_does_little() -> None:
    # Counted, not timed: a slow machine is no reason to fail.
    code = (
        "import sys, threading\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_moengage.sandbox import Sandbox\n"
        "loaded = set(sys.modules) - before\n"
        "calls = 0\n"
        "def count(frame, event, argument):\n"
        "    global calls\n"
        "    calls += event == 'call'\n"
        "sys.setprofile(count)\n"
        "sandbox = Sandbox()\n"
        "sandbox.start()\n"
        "sys.setprofile(None)\n"
        "heavy = {'asyncio', 'unittest', 'multiprocessing', 'zipfile', 'xml', 'sqlite3'} & loaded\n"
        "print(len(loaded), calls, sorted(heavy), threading.active_count())\n"
        "sandbox.stop()\n"
    )
    modules, calls, heavy, threads = run(sys.executable, "-c", code).stdout.split(maxsplit=3)
    # Python 3.14 needs a dozen more than 3.11 for the same imports.
    assert int(modules) < 170
    assert int(calls) < 1_000
    assert (heavy, threads) == ("[]", "2\n")
