from __future__ import annotations

import logging
from dataclasses import asdict

import pytest

from airflow_provider_moengage.client.errors import ConnectionFailedError, RateLimitError, ServerError
from airflow_provider_moengage.waiting import LONGEST_TROUBLE, GaveUpWaitingError, Patience, Trouble, wanted

NOW = 1_800_000_000.0
log = logging.getLogger(__name__)


@pytest.fixture
def patience(caplog):
    caplog.set_level(logging.INFO)
    return Patience("the segment 'camp'", log)


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def test_an_id_says_more_than_a_name():
    assert wanted(None, "camp") == "the segment 'camp'"
    assert wanted("63d8cec0c085939e6c1ab727", "camp") == "the segment with the id '63d8cec0c085939e6c1ab727'"


def test_says_each_change_once(patience, caplog):
    for number in range(10):
        patience.bear(ServerError("ill", status=503, response_id=str(number)), NOW + number)
    patience.bear(ServerError("ill", status=500), NOW + 10)
    patience.bear(RateLimitError("wait", status=429), NOW + 11)
    patience.bear(ServerError("ill", status=503), NOW + 12)

    assert len(said(caplog)) == 4
    assert said(caplog)[0].startswith(
        "Could not look for the segment 'camp', which counts as not yet (failed looks in a row: 1)."
    )
    assert said(caplog)[2] == (
        "Could not look for the segment 'camp', which counts as not yet (failed looks in a row: 12). MoEngage's rate "
        "limit is used up: wait [429] Try again later; an operator with deferrable=True waits without holding a "
        "worker."
    )


def test_says_when_it_is_over(patience, caplog):
    patience.relax(NOW)
    patience.bear(ServerError("ill", status=503), NOW)
    patience.bear(ServerError("ill", status=503), NOW + 300)
    patience.relax(NOW + 600)
    patience.relax(NOW + 900)
    assert said(caplog)[1:] == ["MoEngage answers again. Failed looks: 2 in 600 s."]


def test_gives_up_in_the_end(patience):
    patience.bear(ServerError("ill", status=503), NOW)
    patience.bear(ServerError("ill", status=503), NOW + LONGEST_TROUBLE)
    with pytest.raises(GaveUpWaitingError) as caught:
        patience.bear(ConnectionFailedError("no route to host"), NOW + LONGEST_TROUBLE + 1)
    assert str(caught.value) == (
        "Gave up waiting for the segment 'camp': for 6 hours no look has succeeded (3 in a row have failed). The last "
        "cause: MoEngage could not be reached: no route to host Check the network, and the connection's host and data "
        "center."
    )


def test_one_good_look_in_between_is_enough(patience):
    for hour in range(100):
        patience.bear(ServerError("ill", status=503), NOW + hour * 3_600)
        if hour % 6 == 5:
            patience.relax(NOW + hour * 3_600)


def test_a_wait_that_the_server_asks_for_is_no_trouble(patience):
    """The limit of a day is used up: one failed look, then none until there is room again."""
    patience.bear(RateLimitError("wait", status=429, retry_after=80_000), NOW)
    patience.relax(NOW + 80_000)
    patience.bear(ServerError("ill", status=503), NOW + 80_300)


def test_trouble_is_remembered_elsewhere():
    trouble = Trouble.after(Trouble(NOW, 4, "ServerError 500"), ServerError("ill", status=503), NOW + 5)
    assert trouble == Trouble(NOW, 5, "ServerError 503")
    assert Trouble.remembered(asdict(trouble)) == trouble


def test_trouble_of_elsewhere_goes_on(caplog):
    caplog.set_level(logging.INFO)
    patience = Patience("the segment 'camp'", log, Trouble(NOW, 4, "ConnectionFailedError"))
    patience.bear(ConnectionFailedError("no route to host"), NOW + 5)
    assert patience.trouble == Trouble(NOW, 5, "ConnectionFailedError")
    assert said(caplog) == []


@pytest.mark.parametrize("kept", [None, {}, "yesterday", {"since": None, "looks": 1, "cause": "x"}, [1]])
def test_what_another_version_remembers_is_no_trouble(kept):
    assert Trouble.remembered(kept) is None


def test_two_looks_that_fail_prove_nothing_however_far_apart(patience):
    """Where many take turns, each looks every eight hours, say; and in between the others may have looked well."""
    patience.bear(ServerError("ill", status=503), NOW)
    patience.bear(ServerError("ill", status=503), NOW + LONGEST_TROUBLE + 7_200)
    with pytest.raises(GaveUpWaitingError):
        patience.bear(ServerError("ill", status=503), NOW + 2 * (LONGEST_TROUBLE + 7_200))
