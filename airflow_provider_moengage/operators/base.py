"""What all operators share: the connection, what was given, the deferral of a long rate limit."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_moengage.client.errors import MoEngageError, RateLimitError
from airflow_provider_moengage.operators.templating import LEFT_OUT, PlainArguments
from airflow_provider_moengage.segments import log_lines

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.hooks.moengage import MoEngageHook

__all__ = ["LEFT_OUT", "MoEngageOperator"]

# The longest window of MoEngage's limits is a day: a task still refused after that waits in vain.
LONGEST_DEFERRAL = timedelta(days=1, minutes=5)

# A server that refuses again and again, and each time asks for a second, is not to be asked all day long.
_SHORTEST_DEFERRAL = timedelta(seconds=30)


class MoEngageOperator(PlainArguments, BaseOperator):
    """
    What all operators share: the connection, and what happens when a call does not succeed.

    A subclass implements :meth:`call_api`. It runs once, and once more from its beginning after each deferral. Between
    two executions an operator keeps nothing but its parameters: a test may execute it again, on another server.

    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    """

    def __init__(
        self,
        *,
        moengage_conn_id: str = "moengage_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.moengage_conn_id = moengage_conn_id
        self.deferrable = deferrable
        self._given: list[str] = []
        # What of an execution is done already, in JSON values: call_api() sets it, and finds it after a deferral.
        self.progress: dict[str, Any] = {}
        self._own_hook: MoEngageHook | None = None

    @cached_property
    def hook(self) -> MoEngageHook:
        """The hook of the connection, for one execution."""
        from airflow_provider_moengage.hooks.moengage import MoEngageHook

        self._own_hook = MoEngageHook(self.moengage_conn_id)
        return self._own_hook

    def _start(self, progress: dict[str, Any]) -> None:
        """
        Begin an execution, with nothing left of another one. A subclass adds what it keeps for an execution.

        :param progress: what was done before a deferral.
        """
        # A hook that somebody has set, such as a test, stays.
        if vars(self).get("hook") is self._own_hook:
            vars(self).pop("hook", None)
        self.progress = progress

    @abstractmethod
    def call_api(self, context: Context) -> Any:
        """
        Do what the operator is for.

        :param context: the task's context.
        :return: what the operator returns as XCom.
        :raises MoEngageError: when MoEngage has not done it; the base decides whether the task fails, retries or waits.
        """

    def execute(self, context: Context) -> Any:
        """
        Call MoEngage; when it asks for a long wait, defer until that is over.

        :param context: the task's context.
        :return: what the operator returns as XCom.
        :raises AirflowFailException: for what no retry can mend.
        :raises MoEngageError: for what a later try can mend; ``retry_after`` says when, where the server said so.
        """
        self._start({})
        return self._call_or_defer(context, None)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        waiting_since: str | None = None,
        progress: dict[str, Any] | None = None,
    ) -> Any:
        """
        Carry on once there is room again.

        :param context: the task's context.
        :param event: the moment at which the trigger has fired.
        :param waiting_since: when the task has deferred for the first time.
        :param progress: what it has done before.
        :return: as :meth:`execute`.
        """
        self._start(progress or {})
        return self._call_or_defer(context, waiting_since)

    def _last_xcom(self, context: Context) -> Any:
        """
        Look up what the last run of this task has returned: Airflow's state stores belong to one run.

        :param context: the task's context.
        :return: it; None when there is nothing.
        """
        ti: Any = context.get("ti")
        if not hasattr(ti, "xcom_pull"):
            return None
        # Without map_indexes Airflow 3 gives a list of what all runs have returned, from the third run on.
        return ti.xcom_pull(task_ids=self.task_id, include_prior_dates=True, map_indexes=getattr(ti, "map_index", -1))

    def _call_or_defer(self, context: Context, waiting_since: str | None) -> Any:
        from airflow_provider_moengage.task_failure import no_retry_for_permanent_errors, say_if_no_retries

        try:
            with no_retry_for_permanent_errors():
                self._check_given()
                return self.call_api(context)
        except MoEngageError as error:
            if self.deferrable and error.retry_after and self._is_too_long_for_the_client(error):
                self._defer(error, waiting_since)
            say_if_no_retries(error, self.retries)
            # Only Airflow 3.3 has the attribute, and asks it now. Not set before: it would cost each parsing of a file.
            if getattr(self, "retry_policy", self) is None:
                from airflow_provider_moengage.retry_policy import MoEngageRetryPolicy

                self.retry_policy = MoEngageRetryPolicy()
            raise

    def _is_too_long_for_the_client(self, error: MoEngageError) -> bool:
        """Tell a wait that did not fit into the client's budget. One for a rate limit fits, or is over by now."""
        return isinstance(error, RateLimitError) or (error.retry_after or 0) > self.hook.client.retry.budget

    def _longest_wait(self) -> timedelta:
        """How long all deferrals of an execution together may take."""
        return min(LONGEST_DEFERRAL, self.execution_timeout or LONGEST_DEFERRAL)

    def _shortest_deferral(self) -> timedelta:
        """How long a deferral takes at least."""
        return _SHORTEST_DEFERRAL

    def _defer(self, error: MoEngageError, waiting_since: str | None) -> None:
        """Leave the worker until the wait is over, unless all waits together take longer than they may."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = pendulum.now("UTC")
        moment = now + max(timedelta(seconds=error.retry_after or 0), self._shortest_deferral())
        since = datetime.fromisoformat(waiting_since) if waiting_since else now
        if moment - self._longest_wait() > since:
            return
        # Without the way out, which is to defer.
        what = f"{error.headline}: {error.message}"
        log_lines.warn(self.log, f"The task is deferred until {moment.to_datetime_string()} UTC. {what}")
        self.defer(
            trigger=DateTimeTrigger(moment=moment),
            method_name="execute_complete",
            kwargs={"waiting_since": since.isoformat(), "progress": self.progress},
        )
