"""Archiving under MoEngage's limits: how long it takes, what it costs, and what is said before the first call."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.limits import ARCHIVE, LIMITS
from airflow_provider_moengage.operators.bulk import ArchiveSegmentsOperator, UnarchiveSegmentsOperator
from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.segments.bulk_run import KilledError
from airflow_provider_moengage.segments.estimate import SentCalls, duration, estimate_of
from airflow_provider_moengage.segments.log_lines import count_of
from tests.benchmarks.on_the_clock import archived_under_limits
from tests.benchmarks.quota import WANTED, least_of
from tests.support import once

NOON = datetime(2026, 11, 2, 17, 5, tzinfo=timezone.utc)


def segments_of(count):
    return [{"name": f"camp_{number:05}"} for number in range(count)]


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (1, ""),
        (50, ""),
        (100, "100 segments: at least 1 min 1 s, MoEngage archives 50 a minute; done about 17:06 UTC."),
        (201, "201 segments: at least 1 h 1 min, MoEngage archives 200 an hour; done about 18:05 UTC."),
        (1_000, "1,000 segments: at least 4 h 4 min, MoEngage archives 200 an hour; done about 21:08 UTC."),
        (3_000, "3,000 segments: at least 2 d 5 h, MoEngage archives 1,000 a day; done about 2026-11-04 21:08 UTC."),
    ],
)
def test_how_long_it_takes_at_best(count, sentence):
    assert estimate_of(count, LIMITS[ARCHIVE]).sentence("archive", NOON) == sentence


def test_what_was_sent_before_counts():
    sent = SentCalls()
    for _ in range(150):
        sent.record(NOON.timestamp() - 1_800)
    again = SentCalls(sent.as_json(NOON.timestamp()))
    assert again.as_json(NOON.timestamp()) == [[int(NOON.timestamp()) - 1_800, 150]]
    estimate = estimate_of(100, LIMITS[ARCHIVE], again.before(NOON.timestamp()))
    # Fifty now, and the others when those of half an hour ago are an hour old.
    assert estimate.seconds == pytest.approx(1_800 + 1)
    assert estimate.limit.calls == 200
    assert again.as_json(NOON.timestamp() + 90_000) == []


def test_how_it_is_written():
    assert [count_of(number, "segment") for number in (0, 1, 1_000)] == ["0 segments", "1 segment", "1,000 segments"]
    written = [duration(seconds) for seconds in (0, 9.9, 59, 65, 3_600, 14_599, 86_399, 86_400, 100_000)]
    assert written == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "1 min 5 s",
        "1 h 0 min",
        "4 h 4 min",
        "24 h 0 min",
        "1 d 0 h",
        "1 d 4 h",
    ]


@once
@pytest.mark.parametrize("begin", [0, 100_000, 990_000])
@pytest.mark.parametrize(("count", "concurrency"), [(100, 1), (450, 4), (450, 16)])
def test_a_deferrable_task_fills_the_windows(count, concurrency, begin):
    """At any moment of a second, since MoEngage tells in whole ones when a window ends."""
    taken, xcom = archived_under_limits(count, concurrency, begin=NOON.replace(microsecond=begin))
    least = least_of(count)

    assert taken["archived"] == len(xcom["succeeded"]) == count
    assert least["least_seconds"] <= taken["seconds"] <= WANTED["time"] * least["least_seconds"]
    assert taken["requests"] <= WANTED["requests"] * count
    assert taken["refused"] == 0
    assert taken["slot_seconds"] <= WANTED["slot"] * taken["seconds"]
    assert taken["deferrals"] == least["windows"] - 1
    assert taken["bytes_taken_along"] < 1_000


@once
def test_more_than_a_day():
    """All deferrals together may take longer than a day, where the plan does."""
    taken, xcom = archived_under_limits(1_101, 16)
    assert len(xcom["succeeded"]) == 1_101
    assert 86_400 <= taken["seconds"] <= 86_400 * 1.02
    assert taken["refused"] == 0


@once
def test_without_deferrable_it_waits_in_the_worker(capsys):
    taken, xcom = archived_under_limits(250, 4, deferrable=False)
    assert len(xcom["succeeded"]) == 250
    assert taken["deferrals"] == taken["refused"] == 0
    assert taken["slot_seconds"] == taken["seconds"] <= 3_600 * 1.02
    lines = capsys.readouterr().out.splitlines()
    hint = "With deferrable=True the task would not hold its worker slot for all that time."
    assert sum(hint in line for line in lines) == 1
    (hour,) = [line for line in lines if "There is room again in 56 min" in line]
    assert re.search(r"200 of 250 segments, .*at least 56 min \d+ s left\. There is room again in 56 min \d+ s\.", hour)


class TestBeforeTheFirstCall:
    @pytest.mark.parametrize("operator", [ArchiveSegmentsOperator, UnarchiveSegmentsOperator])
    @pytest.mark.parametrize(
        ("count", "arguments", "said"),
        [
            (100, {"execution_timeout": timedelta(seconds=50)}, "take at least 1 min 1 s: MoEngage {}s 50 a minute"),
            (1_000, {"execution_timeout": timedelta(hours=2)}, "execution_timeout allows 2 h 0 min. Leave it out or"),
            (1_000, {"execution_timeout": timedelta(hours=2), "deferrable": True}, "more than 4 h 4 min; or give"),
            (1_001, {}, "Set deferrable=True, which holds none meanwhile"),
        ],
    )
    def test_what_cannot_be_done_fails(self, sandbox, operator, count, arguments, said):
        one = operator(task_id="it", segments=segments_of(count), max_segments=count, **arguments)
        with pytest.raises(AirflowFailException, match="Nothing was sent") as caught:
            one.execute({})
        assert said.format(one.action) in str(caught.value)
        assert sandbox.requests == []

    def test_what_an_earlier_try_has_sent_is_of_the_same_quota(self, sandbox):
        import time

        from airflow_provider_moengage.segments.bulk_plan import plan_of
        from airflow_provider_moengage.segments.checkpoint import Checkpoint

        segments = segments_of(900)
        plan = plan_of(segments, max_segments=900, include_file_segments=True)
        checkpoint = Checkpoint(None, None, plan.segments, None)
        saved = checkpoint.pack([one.key for one in plan.segments[:300]], [[int(time.time()) - 7_200, 500]])

        class Store(dict):
            def set(self, key, value):
                self[key] = value

        one = ArchiveSegmentsOperator(task_id="it", segments=segments, max_segments=900)
        with pytest.raises(AirflowFailException, match="600 segments take at least"):
            one.execute({"task_state_store": Store(moengage_done=saved)})
        assert sandbox.requests == []

    def test_it_is_the_first_line(self, sandbox, capsys):
        segments = segments_of(1_000)
        ArchiveSegmentsOperator(task_id="it", segments=segments, max_segments=1_000, dry_run=True).execute({})
        said = [line for line in capsys.readouterr().out.splitlines() if "cannot be called outside" not in line]
        assert "1,000 segments: at least 4 h 4 min, MoEngage archives 200 an hour; done about " in said[0]


def test_a_server_without_limits_is_called_at_full_speed(monkeypatch, capsys):
    import json

    with Sandbox(rate_limits=False) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        monkeypatch.setattr("airflow_provider_moengage.segments.bulk_run.PROGRESS_SECONDS", 0.0)
        for segment in segments_of(120):
            sandbox.add_segment(**segment)
        one = ArchiveSegmentsOperator(task_id="it", segments=segments_of(120), max_segments=120)
        assert len(one.execute({})["succeeded"]) == 120
    progress = [line for line in capsys.readouterr().out.splitlines() if " left." in line]
    assert progress
    assert not any("at least" in line for line in progress)


def test_a_kill_ends_the_wait_between_two_windows(sandbox, clock):
    for segment in segments_of(60):
        sandbox.add_segment(**segment)
    one = ArchiveSegmentsOperator(task_id="it", segments=segments_of(60))
    clock.when_slept.append(lambda _: one.on_kill())
    with pytest.raises(KilledError, match="The task was killed. 10 segments were not tried."):
        one.execute({})
    assert len(sandbox.requests) == 50
