"""When Airflow is to retry a task that has met an error of the client: its retry policy, on Airflow 3.3."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.client.errors import MoEngageError, RateLimitError

try:
    from airflow.providers.common.compat.sdk import RetryPolicy
except ImportError:  # Airflow before 3.3 has no retry policies, and evaluates none
    RetryPolicy = object  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, RetryDecision


class MoEngageRetryPolicy(RetryPolicy):
    """
    Retry a task when MoEngage says that it makes sense, and not at all when it never will. Airflow 3.3 and newer.

    The operators have it by default; another ``retry_policy`` replaces it. For tasks that use the client themselves:

    .. code-block:: python

        @task(retries=3, retry_policy=MoEngageRetryPolicy())
        def active_segments() -> int:
            return len(MoEngageHook().client.list_segments())

    As every retry policy it works within the task's ``retries``: with none of those nothing is retried.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """
        Decide about a failure of the task.

        :param exception: what the task has raised.
        :param try_number: which try it was.
        :param max_tries: how many there may be.
        :param context: the task's context.
        :return: fail for what no retry can mend; retry exactly when a rate limit ends, and not before a failing server
            asks for it; Airflow's usual ``retry_delay`` for everything else, a wait of 0 seconds included.
        """
        from airflow.providers.common.compat.sdk import RetryDecision

        if not isinstance(exception, MoEngageError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail("MoEngage's answer would be the same")
        usual = context["task"].retry_delay.total_seconds() if context else 0.0
        earliest = 0.0 if isinstance(exception, RateLimitError) else usual
        # At once, as after a time that has passed already, all retries would be gone before anything can change.
        if not exception.retry_after or exception.retry_after < earliest:
            return RetryDecision.default()
        return RetryDecision.retry(
            timedelta(seconds=exception.retry_after), f"MoEngage asks to wait {exception.retry_after:.0f} s"
        )

    def serialize(self) -> dict[str, Any]:
        """
        Write the policy down: it has nothing to set.

        :return: its type.
        """
        return {"__type": type(self).__name__}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MoEngageRetryPolicy:  # noqa: ARG003 - Airflow's
        """
        Undo :meth:`serialize`.

        :param data: what it has returned.
        :return: a policy.
        """
        return cls()
