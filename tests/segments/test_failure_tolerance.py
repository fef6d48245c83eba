from __future__ import annotations

import logging

import pytest

from airflow_provider_moengage.client.errors import ConnectionFailedError, RateLimitError, ServerError
from airflow_provider_moengage.segments.failure_tolerance import (
    TOLERATED_SECONDS,
    FailedPolls,
    FailureTolerance,
    GaveUpWaitingError,
    wanted,
)

NOW = 1_800_000_000.0
log = logging.getLogger(__name__)


@pytest.fixture
def tolerance(caplog):
    caplog.set_level(logging.INFO, logger=log.name)
    return FailureTolerance("the segment 'camp'", log)


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == log.name]


def test_an_id_says_more_than_a_name():
    assert wanted(None, "camp") == "the segment 'camp'"
    assert wanted("63d8cec0c085939e6c1ab727", "camp") == "the segment with the id '63d8cec0c085939e6c1ab727'"


def test_says_each_change_once(tolerance, caplog):
    for number in range(10):
        tolerance.record_failure(ServerError("ill", status=503, response_id=str(number)), NOW + number)
    tolerance.record_failure(ServerError("ill", status=500), NOW + 10)
    tolerance.record_failure(RateLimitError("wait", status=429), NOW + 11)
    tolerance.record_failure(ServerError("ill", status=503), NOW + 12)

    assert len(said(caplog)) == 4
    assert said(caplog)[0].startswith(
        "Could not poll for the segment 'camp', which counts as not yet (failed polls in a row: 1)."
    )
    assert said(caplog)[2] == (
        "Could not poll for the segment 'camp', which counts as not yet (failed polls in a row: 12). MoEngage's rate "
        "limit is used up: wait [429] Try again later; an operator with deferrable=True waits without holding a "
        "worker."
    )


def test_says_when_it_is_over(tolerance, caplog):
    tolerance.record_success(NOW)
    tolerance.record_failure(ServerError("ill", status=503), NOW)
    tolerance.record_failure(ServerError("ill", status=503), NOW + 300)
    tolerance.record_success(NOW + 600)
    tolerance.record_success(NOW + 900)
    assert said(caplog)[1:] == ["MoEngage answers again. Failed polls: 2 in 600 s."]


def test_gives_up_in_the_end(tolerance):
    tolerance.record_failure(ServerError("ill", status=503), NOW)
    tolerance.record_failure(ServerError("ill", status=503), NOW + TOLERATED_SECONDS)
    with pytest.raises(GaveUpWaitingError) as caught:
        tolerance.record_failure(ConnectionFailedError("no route to host"), NOW + TOLERATED_SECONDS + 1)
    assert str(caught.value) == (
        "Gave up waiting for the segment 'camp': for 6 hours no poll has succeeded (3 in a row have failed). The last "
        "cause: MoEngage could not be reached: no route to host. Check the network, and the connection's host and "
        "data center."
    )


def test_one_good_poll_in_between_is_enough(tolerance):
    for hour in range(100):
        tolerance.record_failure(ServerError("ill", status=503), NOW + hour * 3_600)
        if hour % 6 == 5:
            tolerance.record_success(NOW + hour * 3_600)


def test_a_wait_that_the_server_asks_for_is_one_failed_poll(tolerance):
    """The limit of a day is used up: one failed poll, then none until there is room again."""
    tolerance.record_failure(RateLimitError("wait", status=429, retry_after=80_000), NOW)
    tolerance.record_success(NOW + 80_000)
    tolerance.record_failure(ServerError("ill", status=503), NOW + 80_300)


def test_failed_polls_are_read_elsewhere():
    failed = FailedPolls.after(FailedPolls(NOW, 4, "ServerError 500"), ServerError("ill", status=503), NOW + 5)
    saved = failed.as_json()
    assert saved == {"since": NOW, "in_a_row": 5, "cause": "ServerError 503"}
    read = FailedPolls.from_json(saved)
    assert read is not None
    assert read.as_json() == saved


def test_failed_polls_of_elsewhere_count(caplog):
    caplog.set_level(logging.INFO, logger=log.name)
    tolerance = FailureTolerance("the segment 'camp'", log, FailedPolls(NOW, 4, "ConnectionFailedError"))
    tolerance.record_failure(ConnectionFailedError("no route to host"), NOW + 5)
    assert tolerance.failed is not None
    assert tolerance.failed.as_json() == {"since": NOW, "in_a_row": 5, "cause": "ConnectionFailedError"}
    assert said(caplog) == []


@pytest.mark.parametrize("saved", [None, {}, "yesterday", {"since": None, "in_a_row": 1, "cause": "x"}, [1]])
def test_what_another_version_has_saved_counts_for_nothing(saved):
    assert FailedPolls.from_json(saved) is None


def test_two_polls_that_fail_prove_nothing_however_far_apart(tolerance):
    """Where many share a rate limit, each polls every eight hours, say; in between the others may have had answers."""
    tolerance.record_failure(ServerError("ill", status=503), NOW)
    tolerance.record_failure(ServerError("ill", status=503), NOW + TOLERATED_SECONDS + 7_200)
    with pytest.raises(GaveUpWaitingError):
        tolerance.record_failure(ServerError("ill", status=503), NOW + 2 * (TOLERATED_SECONDS + 7_200))
