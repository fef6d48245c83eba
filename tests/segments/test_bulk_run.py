"""A few calls at once, one for each of many segments: how they run, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_moengage.client import errors
from airflow_provider_moengage.client.retry import NO_RETRIES
from airflow_provider_moengage.client.transport import _KEPT_CONNECTIONS
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments import bulk_run
from airflow_provider_moengage.segments.bulk_plan import MOST_CALLS_AT_ONCE, Segment
from airflow_provider_moengage.segments.bulk_report import Report
from airflow_provider_moengage.segments.bulk_run import BulkRun, KilledError, ends_the_run
from tests.support import Clock, client_of


def nothing() -> None:
    """Stand for what is called now and then."""


def report_of(number: int) -> Report:
    return Report(Segment(f"camp_{index}") for index in range(number))


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
def test_what_ends_a_run(kind, ends):
    assert ends_the_run(kind("no")) is ends


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
            report.raise_if_failed(tolerate_failures=True)

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
        monkeypatch.setattr(bulk_run, "time", clock)
        report = report_of(40)
        report.record_keys(["name:camp_0", "name:nobody"], "skipped", "an earlier try")

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
        [(0.0, "0.0 s"), (9.9, "9.9 s"), (10.0, "10 s"), (59.4, "59 s"), (60.0, "1 min 0 s"), (7_385.2, "2 h 4 min")],
    )
    def test_how_long_it_took(self, monkeypatch, seconds, written):
        clock = Clock()
        monkeypatch.setattr(clock, "monotonic", lambda: clock._ahead)
        monkeypatch.setattr(bulk_run, "time", clock)
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

    def test_it_counts_after_the_calls_under_way(self):
        """Or it says that 16 were not tried, and the summary in the next line 12."""
        killed, all_called = threading.Event(), threading.Barrier(4)

        def call(segment):
            all_called.wait(60)
            killed.set()
            time.sleep(0.1)

        run = BulkRun(call, report_of(16), concurrency=4, is_killed=killed.is_set)
        with pytest.raises(KilledError, match="The task was killed. 12 segments were not tried."):
            run.run(nothing, nothing)
        assert "12 not tried" in run.summary()

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

    def test_what_is_done_is_known_wherever_the_task_is_interrupted(self):
        """A signal may raise between a call that has ended and the line that records it."""

        class Interrupted(Report):
            is_interrupted = False

            def record(self, outcome):
                if not self.is_interrupted:
                    self.is_interrupted = True
                    raise KeyboardInterrupt
                super().record(outcome)

        called = []
        report = Interrupted(Segment(f"camp_{index}") for index in range(1_000))
        run = BulkRun(called.append, report, concurrency=2)
        with pytest.raises(KeyboardInterrupt):
            run.run(nothing, nothing)
        assert report.is_interrupted
        assert len(called) == len(report) > 0

    @pytest.mark.parametrize("fault", ["slow", "backoff"])
    def test_a_process_ends_soon(self, fault, tmp_path):
        """With all threads in the middle of a call, or asleep before a retry, which takes half a minute."""
        with Sandbox(rate_limits=False) as sandbox:
            sandbox.fail_next(100, **({"delay": 0.2} if fault == "slow" else {"status": 503, "headers": RETRY_AFTER}))
            for number in range(100):
                sandbox.add_segment(name=f"camp_{number}")
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, sandbox.url, str(tmp_path / "done")],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                text=True,
            )
            wait_until(lambda: len(sandbox.requests) >= 8 or (fault == "backoff" and len(sandbox.requests) == 4))
            process.send_signal(signal.SIGTERM)
            killed_at = time.monotonic()
            output, _ = process.communicate(timeout=60)
            took = time.monotonic() - killed_at
            ended_at = sandbox.now
            time.sleep(1)

            assert output.splitlines()[-1] == "SystemExit"
            assert process.returncode == 143
            assert took < 8, "the machine may be slow, but half a minute of backoff is not to be waited for"
            assert [request for request in sandbox.requests if request.time > ended_at] == []
            archived = {segment["name"] for segment in sandbox.segments if segment["archived"]}
            done = set(json.loads((tmp_path / "done").read_text()))
            assert {key.removeprefix("name:") for key in done} <= archived
            assert len(archived) - len(done) <= 4
            assert len(archived) < 100


RETRY_AFTER = {"Retry-After": "30"}

KILLED = """
import json, pathlib, signal, sys
from airflow_provider_moengage.client import MoEngageClient
from airflow_provider_moengage.segments.bulk_plan import Segment
from airflow_provider_moengage.segments.bulk_report import Report
from airflow_provider_moengage.segments.bulk_run import BulkRun

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
    def test_no_more_than_calls_at_once(self, concurrency):
        names = [f"camp_{number}" for number in range(200)]
        report = Report(map(Segment, names))
        with Sandbox(rate_limits=False) as sandbox, client_of(sandbox, retry=NO_RETRIES) as client:
            for name in names:
                sandbox.add_segment(name=name)
            BulkRun(lambda one: client.archive_segment(one.name), report, concurrency=concurrency).run(nothing, nothing)
            assert len(report.of("succeeded")) == len(sandbox.requests) == 200
            assert len({request.connection for request in sandbox.requests}) <= concurrency

    def test_the_client_keeps_as_many(self):
        assert _KEPT_CONNECTIONS >= MOST_CALLS_AT_ONCE
