"""How a task fails when it has met an error of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import MoEngageError


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
