"""What Airflow is to do about an error of the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import MoEngageError


@contextmanager
def failing_for_good() -> Iterator[None]:
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
