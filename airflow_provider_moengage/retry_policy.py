"""What Airflow is to do about an error of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import MoEngageError, RateLimitError

try:
    from airflow.providers.common.compat.sdk import RetryPolicy
except ImportError:  # Airflow before 3.3 has no retry policies, and evaluates none
    RetryPolicy = object  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, RetryDecision


@contextmanager
def no_retry_for_permanent_errors() -> Iterator[None]:
    """
    Fail the task without a retry for what no retry can mend, and leave the rest to Airflow's own retries.

    :raises AirflowFailException: for bad input and for what MoEngage refuses: a wrong key, a missing segment, a
        taken name. Its message is that of the :class:`~airflow_provider_moengage.client.errors.MoEngageError`.
    """
    try:
        yield
    except MoEngageError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error


def say_if_no_retries(error: MoEngageError, retries: int | None) -> None:
    """
    Add to an error that a later try could mend what to set, when the task has no later try.

    :param error: what is to be raised.
    :param retries: how many retries the task has.
    """
    if retries or not error.retryable:
        return
    wait = "" if error.retry_after is None else f" (and before Airflow 3.3 a retry_delay of {error.retry_after:.0f} s)"
    error.way_out = (
        f"{error.way_out} The task has no retries: set retries=3, say{wait}, and Airflow tries again.".strip()
    )


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
