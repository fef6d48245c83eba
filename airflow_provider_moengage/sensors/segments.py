"""The sensor that waits until a segment exists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_moengage.client.errors import AuthenticationError, MoEngageError
from airflow_provider_moengage.links.segments import SegmentLink, set_segment_page
from airflow_provider_moengage.operators.templating import LEFT_OUT, PlainArguments, check_durations
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.failure_tolerance import (
    ConnectionChangedError,
    FailedPolls,
    FailureTolerance,
    GaveUpWaitingError,
    wanted,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.hooks.moengage import MoEngageHook


# Where failed polls are kept in Airflow's task state store.
_FAILED_POLLS = "moengage_failed_polls"


class _Execution:
    """
    What belongs to one execution of a sensor, and to no other; ``asked_wait`` are the seconds the server asked to wait.

    :param hook: the hook, kept between two pokes with its HTTP connection.
    :param tolerance: what the polls have met.
    :param started: when it began, on the monotonic clock.
    """

    def __init__(self, hook: MoEngageHook, tolerance: FailureTolerance, started: float) -> None:
        self.hook = hook
        self.tolerance = tolerance
        self.started = started
        self.asked_wait = 0.0


class MoEngageSensor(PlainArguments, BaseSensorOperator):
    """What all sensors share: what ``soft_fail`` and ``never_fail`` skip, and how long a deferral may take."""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume, and fail rather than skip for what no waiting can mend.

        :param next_method: the method to resume with.
        :param next_kwargs: its arguments.
        :param context: the task's context.
        :return: what the method returns.
        """
        with self._skipping_as_promised():
            return super().resume_execution(next_method, next_kwargs, context)

    def _longest_wait(self) -> timedelta:
        """Give how long a deferral may take: Airflow bounds what runs in a worker by execution_timeout, and no more."""
        timeouts = [timedelta(seconds=self.timeout), self.execution_timeout]
        return min(timeout for timeout in timeouts if timeout is not None)

    def _time_left(self, started: float) -> timedelta:
        """Give what is left of it, for an execution that has started at a moment of the monotonic clock."""
        return max(timedelta(), self._longest_wait() - timedelta(seconds=time.monotonic() - started))

    @contextmanager
    def _skipping_as_promised(self) -> Iterator[None]:
        """
        Make soft_fail skip a timeout and nothing else, and never_fail skip everything, in every mode alike.

        Airflow's own soft_fail skips a wrong key too, and that would pass for a segment that is not there.
        """
        try:
            yield
        except AirflowSkipException as skip:
            cause = skip.__cause__
            if self.soft_fail and cause is not None and not _is_timeout(cause):
                raise cause from cause.__cause__
            raise
        except AirflowSensorTimeout as timeout:  # of a deferral, which Airflow 3.0 does not skip itself
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(timeout)) from timeout
            raise
        except (AirflowFailException, GaveUpWaitingError) as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped, since never_fail is set: {error}") from error
            raise


class SegmentExistsSensor(MoEngageSensor):
    """
    Wait until a segment exists, by its id or by its exact name.

    Polls every 300 seconds by default. A workspace has 4,000 gets by id a day (API document: get by id): Airflow's
    usual 60 seconds spend 1,440 of them on one waiting sensor, so that two sensors would leave almost nothing for
    anybody else, where 300 seconds spend 288. The list by name has only 1,000 calls a day; on Airflow 3.3 all
    deferrable sensors that wait for names with the same connection and interval share one call.

    Returns the segment as XCom in every mode: ``{"name", "id", "created_time", "type", "source", ...}``. A rate limit,
    a failing server or a broken network counts as "not yet", for six hours in a row at most; then the task fails, and
    its ``retries`` start the wait again. What no waiting mends, such as a wrong key, fails the task at once without a
    retry. ``soft_fail`` skips a timeout and nothing else, ``never_fail`` skips everything. ``exponential_backoff`` and
    ``max_wait`` have no effect on a deferrable sensor. A deferral ends after ``timeout`` or ``execution_timeout``,
    whichever is shorter; Airflow checks that every 15 seconds. Before Airflow 3.3 nothing counts the six hours in the
    mode ``reschedule``: there only ``timeout`` ends the wait.

    :param segment_id: id of the segment; either this or the name. (templated)
    :param name: exact name of the segment; either this or the id. (templated)
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: wait in the triggerer, without a worker slot; the default is Airflow's
        ``[operators] default_deferrable``.
    :param poke_interval: seconds (or a timedelta) between two polls; at least 1 for an id and 1.2 for a name, which is
        what MoEngage's limit of a minute allows.
    """

    template_fields: Sequence[str] = ("segment_id", "name", "moengage_conn_id")
    operator_extra_links = (SegmentLink(),)

    segment_page = ""
    """Where people see the segment, once it was found."""

    def __init__(
        self,
        *,
        segment_id: str = LEFT_OUT,
        name: str = LEFT_OUT,
        moengage_conn_id: str = "moengage_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 300,
        **kwargs: Any,
    ) -> None:
        check_durations(poke_interval=poke_interval, timeout=kwargs.get("timeout"))
        super().__init__(poke_interval=poke_interval, **kwargs)
        self._given: list[str] = []
        self.segment_id = self._take("segment_id", segment_id)
        self.name = self._take("name", name)
        self.moengage_conn_id = moengage_conn_id
        self.deferrable = deferrable
        self._execution: _Execution | None = None

    @property
    def hook(self) -> MoEngageHook:
        """The hook of this execution; outside of one a new hook. It sends once: the next poke is the retry."""
        return self._execution.hook if self._execution else self._new_hook()

    def execute(self, context: Context) -> Any:
        """
        Poll, and wait in the mode that was chosen.

        :param context: the task's context.
        :return: the segment.
        :raises AirflowFailException: for what no waiting can mend.
        """
        with self._skipping_as_promised(), self._executing() as execution:
            self._say_what_is_odd(context)
            if not self.deferrable:
                return super().execute(context)
            # Polling first costs nothing when the segment is there, and a trigger that fires at once can fail its task.
            found = self.poke(context)
            if not found.is_done:
                self._defer(execution)
            return found.xcom_value

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Poll once.

        :param context: the task's context.
        :return: whether the segment exists, with the segment.
        :raises AirflowFailException: for what no waiting can mend.
        :raises GaveUpWaitingError: when polls have failed for too long.
        """
        from airflow_provider_moengage.task_failure import no_retry_for_permanent_errors

        with self._executing() as execution:
            with self._keeping_failed_polls(context, execution.tolerance):
                try:
                    with no_retry_for_permanent_errors():
                        segment = self._find(execution)
                except MoEngageError as error:
                    execution.asked_wait = error.retry_after or 0.0
                    execution.tolerance.record_failure(error, time.time())
                    return PokeReturnValue(is_done=False)
                execution.asked_wait = 0.0
                execution.tolerance.record_success(time.time())
            if segment:
                set_segment_page(self, context, segment.get("id"))
            log_lines.info(self.log, f"Found {self._wanted}." if segment else f"Not there yet: {self._wanted}.")
            return PokeReturnValue(is_done=segment is not None, xcom_value=segment)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """
        Carry on after the trigger.

        :param context: the task's context.
        :param event: what the trigger found.
        :return: the segment.
        :raises AirflowFailException: when the trigger met what no waiting can mend.
        :raises GaveUpWaitingError: when the polls of the trigger have failed for too long.
        :raises AirflowException: when the event is of a version that this one does not know.
        """
        self.segment_page = ""
        # The event went through the metadata database, and may be that of an older version of the trigger.
        match event:
            case {"status": "found", "segment": dict(segment)}:
                log_lines.info(self.log, f"Found {self._wanted}.")
                set_segment_page(self, context, segment.get("id"))
                return segment
            case {"status": "failed", "message": str(message)}:
                raise AirflowFailException(message)
            case {"status": "gave_up", "message": str(message)}:
                raise GaveUpWaitingError(message)
        raise AirflowException(f"SegmentExistsTrigger sent an event that this version does not know: {event!r}")

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Wait as long as MoEngage's limits and its answer ask for, too, but for the latter not past the timeout."""
        from airflow_provider_moengage.triggers.intervals import call_of, interval_of

        interval = float(super()._get_next_poke_interval(started_at, run_duration, poke_count))
        asked = self._execution.asked_wait if self._execution else 0.0
        return max(interval_of(interval, call_of(self.segment_id)), min(asked, self.timeout - run_duration()))

    @contextmanager
    def _executing(self) -> Iterator[_Execution]:
        """Begin an execution, with nothing left of another one; within one, as a poke is, go on with it."""
        if self._execution:
            yield self._execution
            return
        self.segment_page = ""
        tolerance = FailureTolerance(self._wanted, self.log)
        self._execution = _Execution(self._new_hook(), tolerance, time.monotonic())
        try:
            yield self._execution
        finally:
            self._execution = None

    def _say_what_is_odd(self, context: Context) -> None:
        """Warn of a name that no segment has, and of an interval that spends the limits. Once, whatever the mode."""
        from airflow_provider_moengage.segments.selection_criteria import hints_of_name
        from airflow_provider_moengage.triggers.intervals import call_of, warning_of

        hints = hints_of_name(self.name) if isinstance(self.name, str) and self.segment_id is None else []
        if warning := warning_of(self.poke_interval, call_of(self.segment_id)):
            hints.append(warning)
        # Airflow 2 does not say whether this is the first poke of many: there each says it.
        first_reschedule = getattr(context.get("ti"), "get_first_reschedule_date", None)
        if hints and not (self.reschedule and first_reschedule and first_reschedule(context)):
            for hint in hints:
                log_lines.warn(self.log, hint)

    def _find(self, execution: _Execution) -> dict[str, Any] | None:
        # Or what another task has not given would leave the other parameter alone to be waited for.
        self._check_given()
        client = execution.hook.client
        try:
            return client.find_segment(segment_id=self.segment_id, name=self.name)
        except AuthenticationError as error:
            fresh = self._new_hook()
            if fresh.client.has_same_access_as(client):
                raise
            execution.hook = fresh
            raise ConnectionChangedError(error.message, status=error.status) from None

    def _new_hook(self) -> MoEngageHook:
        from airflow_provider_moengage.client.retry import NO_RETRIES
        from airflow_provider_moengage.hooks.moengage import MoEngageHook

        return MoEngageHook(self.moengage_conn_id, retry=NO_RETRIES)

    @property
    def _wanted(self) -> str:
        return wanted(self.segment_id, self.name)

    @contextmanager
    def _keeping_failed_polls(self, context: Context, tolerance: FailureTolerance) -> Iterator[None]:
        """Keep the failed polls between two pokes of the mode reschedule, each of which is a process of its own."""
        store = context.get("task_state_store") if self.reschedule else None
        if store is None:
            yield
            return
        # What an earlier try of the task has met is over: it failed of it, or somebody has cleared the task since.
        key = f"{_FAILED_POLLS}_{context['ti'].try_number}"
        before = tolerance.failed = FailedPolls.from_json(store.get(key))
        yield
        if tolerance.failed:
            store.set(key, tolerance.failed.as_json())
        elif before:
            store.delete(key)

    def _defer(self, execution: _Execution) -> None:
        from airflow_provider_moengage.triggers.intervals import call_of, interval_of
        from airflow_provider_moengage.triggers.segments import SegmentExistsTrigger

        interval = interval_of(self.poke_interval, call_of(self.segment_id))
        log_lines.info(
            self.log,
            f"Polling for {self._wanted} every {interval:g} s from the triggerer. A triggerer runs 1,000 triggers by "
            "default ([triggerer] capacity, before Airflow 3 default_capacity); what is beyond is not polled for, and "
            "nothing says so.",
        )
        self.defer(
            trigger=SegmentExistsTrigger(
                segment_id=self.segment_id,
                name=self.name,
                moengage_conn_id=self.moengage_conn_id,
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=self._time_left(execution.started),
        )


def _is_timeout(cause: BaseException) -> bool:
    if isinstance(cause, (AirflowSensorTimeout, AirflowTaskTimeout)):
        return True
    # Airflow 2 tells the timeout of a deferral by its text only.
    return not isinstance(cause, AirflowFailException) and str(cause) == "Trigger/execution timeout"
