from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import InvalidInputError, RateLimitError, SegmentNotFoundError
from airflow_provider_moengage.task_failure import no_retry_for_permanent_errors


@pytest.mark.parametrize("error", [InvalidInputError("name is blank"), SegmentNotFoundError("not there", status=404)])
def test_what_no_retry_mends_fails_with_its_sentence(error):
    with pytest.raises(AirflowFailException) as caught, no_retry_for_permanent_errors():
        raise error
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error


def test_what_waiting_mends_is_left_as_it_is():
    error = RateLimitError("wait", status=429)
    with pytest.raises(RateLimitError) as caught, no_retry_for_permanent_errors():
        raise error
    assert caught.value is error
