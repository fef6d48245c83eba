"""The engine below the operators for many segments: what it plans, how it calls, and how it ends."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage import bulk
from airflow_provider_moengage.bulk import BulkRun, KilledError, Memory, Outcome, Report, Segment, SegmentsFailedError
from airflow_provider_moengage.client import errors
from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError
from airflow_provider_moengage.client.retry import NO_RETRIES
from airflow_provider_moengage.client.transport import _KEPT_CONNECTIONS
from airflow_provider_moengage.sandbox import Sandbox
from tests.any_values import ANYTHING, Case, cases, many, outcome_of
from tests.support import Clock, client_of

OPTIONS = {"concurrency": 4, "max_segments": 100, "on_error": "fail", "include_file_segments": False}


def plan(segments: Any, max_segments: int = 1_000, *, include_file_segments: bool = False) -> bulk.Plan:
    return bulk.plan_of(segments, max_segments=max_segments, include_file_segments=include_file_segments)


def nothing() -> None:
    """Stand for what is called now and then."""


def report_of(number: int) -> Report:
    return Report(Segment(f"camp_{index}") for index in range(number))


ENTRIES = st.fixed_dictionaries(
    {"name": st.sampled_from("abc")},
    optional={
        "segment_id": st.sampled_from([None, "1f", "1F", "2e"]),
        "type": st.sampled_from([None, "ELASTIC_SEARCH", "FILE"]),
        "created_time": st.just("2026-11-02"),
    },
)


class TestPlanning:
    @many()
    @given(case=cases(entries=st.lists(ENTRIES, max_size=12)))
    def test_each_segment_once_in_their_order(self, case: Case):
        planned = plan(case.entries, include_file_segments=True)
        ids = {entry["name"]: entry["segment_id"] for entry in reversed(case.entries) if entry.get("segment_id")}
        named = [(entry["name"], entry.get("segment_id") or ids.get(entry["name"])) for entry in case.entries]
        keys = [("id", segment_id.lower()) if segment_id else ("name", name) for name, segment_id in named]
        wanted = [one for index, one in enumerate(named) if keys.index(keys[index]) == index]
        assert [(one.name, one.segment_id) for one in planned.segments] == wanted
        assert planned.duplicates == len(case.entries) - len(set(keys))

    @many()
    @given(case=cases(entries=st.lists(ENTRIES, max_size=12), most=st.integers(1, 12)))
    def test_the_guards(self, case: Case):
        planned = plan(case.entries, include_file_segments=True)
        has_files = any(entry.get("type") == "FILE" for entry in case.entries)
        assert bool(planned.file_segments) == has_files
        if len(planned.segments) > case.most:
            with pytest.raises(InvalidInputError, match=f"set max_segments={len(planned.segments)} or more"):
                plan(case.entries, case.most, include_file_segments=True)
        elif has_files:
            with pytest.raises(InvalidInputError, match="include_file_segments=True"):
                plan(case.entries, case.most)
        else:
            assert plan(case.entries, case.most) == planned

    @many()
    @given(
        case=cases(
            segments=ANYTHING
            | st.lists(
                ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "segment_id", "type"), ANYTHING)),
                max_size=3,
            )
        )
    )
    def test_any_input(self, case: Case):
        planned = outcome_of(lambda: plan(case.segments, include_file_segments=True))
        if isinstance(planned, MoEngageError):
            assert str(planned).isprintable()
            assert len(str(planned)) < 1_500
        else:
            assert all(isinstance(segment.name, str) for segment in planned.segments)

    @pytest.mark.parametrize("kind", ["FILE", "file", "CSV_UPLOAD", 7])
    def test_what_is_no_filter_segment_may_be_a_file_segment(self, kind):
        with pytest.raises(InvalidInputError, match="deleted for good after 30 days in the archive"):
            plan([{"name": "vip", "type": kind}])

    def test_a_duplicate_does_not_hide_a_file_segment(self):
        with pytest.raises(InvalidInputError, match="'vip' .'FILE'."):
            plan([{"name": "vip"}, {"name": "vip", "type": "FILE"}])

    def test_the_output_of_mapped_tasks_is_a_sequence(self):
        assert plan(({"name": "a"}, {"name": "b"})).segments == (Segment("a"), Segment("b"))


@pytest.mark.parametrize(
    "changed",
    [
        *({"concurrency": value} for value in (0, -1, 17, True, 4.0, "4", None)),
        *({"max_segments": value} for value in (0, -1, True, 1e3, "100", None, float("inf"))),
        *({"on_error": value} for value in ("Fail", "ignore", None, 1)),
        *({"include_file_segments": value} for value in ("False", "", None, 1)),
    ],
)
def test_options_that_cannot_be_meant(changed):
    bulk.check_options(**OPTIONS)
    with pytest.raises(InvalidInputError, match=f"^{next(iter(changed))} must be .*, not ") as caught:
        bulk.check_options(**{**OPTIONS, **changed})
    assert str(caught.value).isprintable()


class TestDeciding:
    @pytest.mark.parametrize(
        ("kind", "ends"),
        [
            (errors.RateLimitError, True),
            (errors.AuthenticationError, True),
            (errors.WorkspaceNotFoundError, True),
            (errors.ApiSecretNotSetError, True),
            (errors.EndpointNotFoundError, True),
            (errors.RedirectError, True),
            (errors.TlsError, True),
            (errors.OtherSegmentError, True),
            (errors.ActiveSegmentLimitError, True),
            (errors.MoEngageError, False),
            (errors.BadRequestError, False),
            (errors.SegmentNotFoundError, False),
            (errors.ConflictError, False),
            (errors.ServerError, False),
            (errors.UnexpectedResponseError, False),
            (errors.ConnectionFailedError, False),
            (errors.RequestTimeoutError, False),
        ],
    )
    def test_what_ends_a_run(self, kind, ends):
        assert bulk.ends_the_run(kind("no")) is ends

    def test_a_segment_that_is_gone(self):
        gone = errors.SegmentNotFoundError("none of this name")
        assert bulk.outcome_of(Segment("a"), gone, gone_is_done=False).result == "failed"
        assert bulk.outcome_of(Segment("a"), gone, gone_is_done=True).result == "skipped"
        assert bulk.outcome_of(Segment("a"), errors.ServerError("no"), gone_is_done=True).result == "failed"


class TestRunning:
    def test_a_few_calls_at_once(self):
        report, lock, under_way, most = report_of(60), threading.Lock(), Counter(), Counter()

        def call(segment):
            with lock:
                under_way["calls"] += 1
                most["calls"] = max(most["calls"], under_way["calls"])
            time.sleep(0.002)
            with lock:
                under_way["calls"] -= 1

        BulkRun(call, report, concurrency=3).run(nothing, nothing)

        assert most["calls"] == 3
        assert report.keys_of("succeeded") == [segment.key for segment in report.segments]

    def test_an_error_that_is_none_of_moengages_goes_up(self):
        def call(segment):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            BulkRun(call, report_of(100), concurrency=2).run(nothing, nothing)

    def test_a_server_that_answers_nobody_ends_it(self):
        """A thousand segments, each tried for a minute, would take hours to say the same."""
        called, first_ten = [], {f"name:camp_{number}" for number in range(10)}

        def call(segment):
            called.append(segment)
            time.sleep(0.01)
            if segment.key not in first_ten:
                raise errors.ConnectionFailedError("no route to host")

        report = report_of(300)
        BulkRun(call, report, concurrency=4).run(nothing, nothing)

        assert isinstance(report.ended_by, errors.ConnectionFailedError)
        assert 30 <= len(called) < 150
        assert len(report.of("failed")) + 10 == len(called)
        with pytest.raises(errors.ConnectionFailedError):
            report.raise_if_failed(bear_failures=True)

    @pytest.mark.parametrize(
        "refusal",
        [
            errors.BadRequestError("externally managed"),
            # What no document shows, in MoEngage's own envelope.
            errors.MoEngageError("externally managed", status=422, code="Unprocessable"),
        ],
    )
    def test_refusals_in_a_row_do_not(self, refusal):
        def call(segment):
            raise refusal

        report = report_of(100)
        BulkRun(call, report, concurrency=4).run(nothing, nothing)
        assert len(report.of("failed")) == 100
        assert report.ended_by is None

    def test_a_rate_limit_leaves_the_rest_untried(self):
        def call(segment):
            if segment.name == "camp_10":
                raise errors.RateLimitError("too many", retry_after=3_600)

        report = report_of(50)
        BulkRun(call, report, concurrency=1).run(nothing, nothing)
        assert report.ended_by.retry_after == 3_600
        assert [len(report.of(result)) for result in ("succeeded", "skipped", "failed")] == [10, 0, 0]
        assert [segment.name for segment in report.untried] == [f"camp_{index}" for index in range(10, 50)]

    def test_progress(self, monkeypatch):
        clock, lines, kept = Clock(), [], []
        monkeypatch.setattr(bulk, "time", clock)
        report = report_of(40)
        report.note_known(["name:camp_0", "name:nobody"], "skipped", "an earlier try")

        def call(segment):
            clock.move(0.5)
            time.sleep(0.01)
            if segment.name == "camp_1":
                raise errors.ServerError("no")

        run = BulkRun(call, report, concurrency=1)
        run.run(lambda: lines.append(run.progress()), lambda: kept.append(len(report)))

        # Two calls in a second.
        assert 10 <= len(kept) <= 20
        assert kept == sorted(set(kept))
        # Ten calls in five seconds, give or take what the queue lets through.
        assert 2 <= len(lines) <= 4
        assert all(
            line.startswith(tuple(f"{done} of 40 segments (1 failed), " for done in range(9, 41))) for line in lines
        )
        assert all("a second, about" in line for line in lines)
        assert run.summary().endswith("38 succeeded, 1 skipped, 1 failed.")

    @pytest.mark.parametrize(
        ("seconds", "written"),
        [(0.0, "0.0 s"), (9.9, "9.9 s"), (10.0, "10 s"), (59.4, "59 s"), (60.0, "1 min 0 s"), (7_385.2, "123 min 5 s")],
    )
    def test_how_long_it_took(self, monkeypatch, seconds, written):
        clock = Clock()
        monkeypatch.setattr(clock, "monotonic", lambda: clock._ahead)
        monkeypatch.setattr(bulk, "time", clock)
        run = BulkRun(print, report_of(3), concurrency=1)
        clock.move(seconds)
        assert run.summary() == f"3 segments in {written}: 0 succeeded, 0 skipped, 0 failed, 3 not tried."

    def test_progress_before_anything_is_done(self):
        assert BulkRun(print, report_of(3), concurrency=1).progress().endswith("0.0 a second, time left unknown.")


class TestKilling:
    def test_no_call_is_begun_any_more(self):
        killed, called = threading.Event(), []

        def call(segment):
            called.append(segment)
            time.sleep(0.01)
            if len(called) > 20:
                killed.set()

        report = report_of(1_000)
        run = BulkRun(call, report, concurrency=4, is_killed=killed.is_set)
        with pytest.raises(KilledError, match="segments were not tried"):
            run.run(nothing, nothing)

        assert len(called) < 500
        # Those under way were waited for, since they did not take long.
        assert len(report) == len(called)

    def test_a_call_that_hangs_is_not_waited_for(self):
        killed, let_go = threading.Event(), threading.Event()

        def call(segment):
            killed.set()
            let_go.wait(60)

        run = BulkRun(call, report_of(10), concurrency=2, is_killed=killed.is_set)
        began = time.monotonic()
        with pytest.raises(KilledError):
            run.run(nothing, nothing)
        assert time.monotonic() - began < 10
        let_go.set()

    def test_what_is_raised_in_the_task_goes_on(self):
        called = []

        def call(segment):
            called.append(segment)
            time.sleep(0.01)

        def interrupt(*periodic):
            raise KeyboardInterrupt

        run = BulkRun(call, report_of(1_000), concurrency=2)
        run._collect = interrupt
        with pytest.raises(KeyboardInterrupt):
            run.run(nothing, nothing)
        so_far = len(called)
        time.sleep(0.2)
        assert len(called) == so_far < 500

    @pytest.mark.parametrize("trouble", ["slow", "back-off"])
    def test_a_process_ends_soon(self, trouble, tmp_path):
        """With all threads in the middle of a call, or asleep before a retry, which takes half a minute."""
        with Sandbox(rate_limits=False) as sandbox:
            sandbox.fail_next(100, **({"delay": 0.2} if trouble == "slow" else {"status": 503, "headers": RETRY_AFTER}))
            for number in range(100):
                sandbox.add_segment(name=f"camp_{number}")
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, sandbox.url, str(tmp_path / "done")],
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                text=True,
            )
            wait_until(lambda: len(sandbox.requests) >= 8 or (trouble == "back-off" and len(sandbox.requests) == 4))
            process.send_signal(signal.SIGTERM)
            killed_at = time.monotonic()
            output, _ = process.communicate(timeout=60)
            took = time.monotonic() - killed_at
            ended_at = sandbox.now
            time.sleep(1)

            assert output.splitlines()[-1] == "SystemExit"
            assert process.returncode == 143
            assert took < 8, "the machine may be slow, but half a minute of back-off is not to be waited for"
            assert [request for request in sandbox.requests if request.time > ended_at] == []
            archived = {segment["name"] for segment in sandbox.segments if segment["archived"]}
            done = set(json.loads((tmp_path / "done").read_text()))
            assert {key.removeprefix("name:") for key in done} <= archived
            assert len(archived) - len(done) <= 4
            assert len(archived) < 100


RETRY_AFTER = {"Retry-After": "30"}

KILLED = """
import json, pathlib, signal, sys
from airflow_provider_moengage.bulk import BulkRun, Report, Segment
from airflow_provider_moengage.client import MoEngageClient

def terminate(signum, frame):
    raise SystemExit(128 + signum)

signal.signal(signal.SIGTERM, terminate)
client = MoEngageClient("SANDBOXWORKSPACE", "sandbox-data-api-key", base_url=sys.argv[1])
report = Report(Segment(f"camp_{number}") for number in range(100))
try:
    BulkRun(lambda segment: client.archive_segment(segment.name), report, concurrency=4).run(lambda: None, lambda: None)
except SystemExit:
    pathlib.Path(sys.argv[2]).write_text(json.dumps(report.keys_of("succeeded")))
    print("SystemExit", flush=True)
    raise
"""


def wait_until(is_so, seconds=60):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


class TestConnections:
    @pytest.mark.parametrize("concurrency", [1, 4, 16])
    def test_no_more_than_calls_at_once(self, sandbox, concurrency):
        names = [f"camp_{number}" for number in range(200)]
        for name in names:
            sandbox.add_segment(name=name)
        report = Report(map(Segment, names))
        with client_of(sandbox, retry=NO_RETRIES) as client:
            BulkRun(lambda one: client.archive_segment(one.name), report, concurrency=concurrency).run(nothing, nothing)
        assert len(report.of("succeeded")) == len(sandbox.requests) == 200
        assert len({request.connection for request in sandbox.requests}) <= concurrency

    def test_the_client_keeps_as_many(self):
        assert _KEPT_CONNECTIONS >= bulk.MOST_CALLS_AT_ONCE


class TestTelling:
    def report(self, number, said="no"):
        report = report_of(number)
        for segment in report.segments:
            report.note(Outcome(segment, "failed", said))
        return report

    def test_a_table_of_so_many_rows(self):
        head, *rows, more = bulk.table_of_failures(self.report(50, "it was refused"))
        assert head.split() == ["name", "segment_id", "error"]
        assert len(rows) == 20
        assert {row.index("it was refused") for row in rows} == {head.index("error")}
        assert more == "... and 30 more, which the XCom has."
        assert bulk.table_of_failures(report_of(3)) == []

    @pytest.mark.parametrize("text", ["a\n[2026-11-02] INFO - all is well", "\x1b[2J", "\u2028", "x" * 5_000, "\u202e"])
    def test_no_text_makes_a_line_of_its_own(self, text):
        segment = Segment(text, text)
        report = Report([segment])
        error = errors.BadRequestError(text, status=400, code=text, response_id=text, call=text)
        report.note(bulk.outcome_of(segment, error, gone_is_done=False))
        lines = [*bulk.table_of_failures(report), str(SegmentsFailedError(report))]
        assert all(line.isprintable() and len(line) < 2_500 for line in lines)

    def test_a_retry_makes_sense_when_it_can_mend_one(self):
        report = self.report(3)
        assert not SegmentsFailedError(report).retryable
        report.note(Outcome(report.segments[2], "failed", "later", retryable=True))
        assert SegmentsFailedError(report).retryable
        with pytest.raises(SegmentsFailedError, match="3 of 3 have failed"):
            report.raise_if_failed(bear_failures=False)
        report.raise_if_failed(bear_failures=True)


class Store(dict[str, Any]):
    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))

    def delete(self, key):
        del self[key]


ALL = [Segment("a"), Segment("b", "1f"), Segment("c")]


def memory_of(store, log=None, segments=ALL, max_tries=2):
    return Memory(store, log, segments, max_tries)


class TestMemory:
    def test_between_two_tries(self):
        store = Store()
        memory = memory_of(store)
        assert memory.recall() == []
        memory.keep(["id:1f"])
        memory.keep(["name:a", "id:1f"])
        again = memory_of(store)
        assert again.recall() == ["name:a", "id:1f"]
        again.forget()
        assert store == {}

    def test_nothing_to_forget(self):
        memory_of(Store()).forget()
        memory_of(None).forget()

    @pytest.mark.parametrize(
        "other", [{"segments": ALL[:2]}, {"segments": [*reversed(ALL)]}, {"max_tries": 3}, {"max_tries": None}]
    )
    def test_what_was_kept_of_other_segments_or_before_a_clear(self, other):
        store = Store()
        memory_of(store).keep(["name:a"])
        assert memory_of(store, **other).recall() == []

    @pytest.mark.parametrize("kept", [None, "text", {"a": 1}, ["id:1f"]])
    def test_what_another_version_has_kept(self, kept):
        assert memory_of(Store(moengage_done=kept)).recall() == []

    def test_ten_thousand_fit_into_what_airflow_keeps(self):
        store = Store()
        segments = [Segment(f"camp_{number}", f"{number:024x}") for number in range(10_000)]
        memory_of(store, segments=segments).keep([segment.key for segment in segments[1:]])
        assert len(json.dumps(store["moengage_done"])) < 4_000
        assert memory_of(store, segments=segments).recall() == [segment.key for segment in segments[1:]]

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ("get", "What an earlier try has done is repeated"),
            ("set", "A retry will repeat what is done"),
            ("delete", "Airflow could not forget what this task has done"),
        ],
    )
    def test_a_store_that_fails_stops_nothing(self, caplog, broken, said):
        def fail(*_):
            raise RuntimeError("the API is not there")

        store = Store()
        memory_of(store).keep(["name:a"])
        setattr(store, broken, fail)
        memory = memory_of(store, logging.getLogger("it"))
        assert memory.recall() == ([] if broken == "get" else ["name:a"])
        memory.keep(["name:a", "id:1f"])
        memory.forget()
        (record,) = caplog.records
        assert record.getMessage().startswith(said)
        assert record.getMessage().endswith("the API is not there")
