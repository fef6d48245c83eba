from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_moengage.client.errors import (
    ActiveSegmentLimitError,
    ConnectionFailedError,
    InvalidInputError,
    RateLimitError,
    SegmentNotFoundError,
    ServerError,
)
from airflow_provider_moengage.operators.segments import ArchiveSegmentOperator
from airflow_provider_moengage.retry_policy import MoEngageRetryPolicy
from tests.support import new_dag


@pytest.mark.skipif(not hasattr(BaseOperator, "retry_policy"), reason="retry policies came with Airflow 3.3")
class TestRetryPolicy:
    @pytest.mark.parametrize(
        ("error", "action", "seconds"),
        [
            (RateLimitError("wait", retry_after=90.5), "retry", 90.5),
            (ServerError("ill", status=503, retry_after=7), "retry", 7),
            (RateLimitError("wait"), "default", None),
            (RateLimitError("wait", retry_after=0.0), "default", None),
            (ServerError("ill", status=503, retry_after=0.0), "default", None),
            (ConnectionFailedError("reset"), "default", None),
            (SegmentNotFoundError("not there", status=404), "fail", None),
            (InvalidInputError("name is blank"), "fail", None),
            (ActiveSegmentLimitError("full", status=429, retry_after=60), "fail", None),
            (ValueError("of the task's own"), "default", None),
        ],
    )
    def test_decides(self, error, action, seconds):
        decision = MoEngageRetryPolicy().evaluate(error, try_number=1, max_tries=3)
        assert decision.action.value == action
        assert decision.retry_delay == (None if seconds is None else timedelta(seconds=seconds))

    @pytest.mark.parametrize(
        ("error", "action"),
        [
            (RateLimitError("wait", retry_after=1), "retry"),
            (RateLimitError("wait", retry_after=0.0), "default"),
            (ServerError("ill", retry_after=1), "default"),
            (ServerError("ill", retry_after=301), "retry"),
        ],
    )
    def test_a_failing_server_is_asked_no_sooner_than_usual(self, error, action):
        context = {"task": ArchiveSegmentOperator(task_id="it", name="camp")}
        assert MoEngageRetryPolicy().evaluate(error, 1, 3, context).action.value == action

    def test_is_one_of_airflows(self):
        from airflow.sdk import RetryPolicy

        policy = MoEngageRetryPolicy()
        assert isinstance(policy, RetryPolicy)
        assert isinstance(MoEngageRetryPolicy.deserialize(policy.serialize()), MoEngageRetryPolicy)

    @pytest.mark.parametrize("sandbox", ["today"], indirect=True)
    def test_is_the_default_of_the_operators_when_a_call_has_failed(self, sandbox):
        """Not before: Airflow asks it in the process that has made the call, and parses the file much more often."""
        operator = ArchiveSegmentOperator(task_id="default", name="camp")
        assert operator.retry_policy is None
        sandbox.fail_next(status=429, headers={"Retry-After": "86400"})
        with pytest.raises(RateLimitError):
            operator.execute({})
        assert isinstance(operator.retry_policy, MoEngageRetryPolicy)

    @pytest.mark.parametrize("sandbox", ["today"], indirect=True)
    def test_can_be_replaced(self, sandbox):
        own = MoEngageRetryPolicy()
        with new_dag("policies", default_args={"retry_policy": own}):
            by_default_args = ArchiveSegmentOperator(task_id="by_default_args", name="camp")
        assert by_default_args.retry_policy is own
        operator = ArchiveSegmentOperator(task_id="own", name="camp", retry_policy=own)
        sandbox.fail_next(status=429, headers={"Retry-After": "86400"})
        with pytest.raises(RateLimitError):
            operator.execute({})
        assert operator.retry_policy is own
