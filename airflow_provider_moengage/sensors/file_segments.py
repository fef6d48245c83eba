"""The sensor that waits until MoEngage has called back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowSensorTimeout, PokeReturnValue, conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.operators.templating import check_durations
from airflow_provider_moengage.sensors.segments import MoEngageSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.segments.callbacks import FileRequest

# By this the scheduler ends a wait that no triggerer looks after; the trigger's own deadline comes first.
_MARGIN = timedelta(minutes=10)


class FileSegmentReadySensor(MoEngageSensor):
    """
    Wait until MoEngage has called back about a request on a file segment. Airflow 3.

    The request is one that an operator has made with ``callback_url="airflow"``: the operator succeeds once MoEngage
    has accepted it, and gives the request as its XCom ``request``. The wait asks Airflow only, and spends
    nothing of MoEngage's limits. When the operator's task is cleared, it makes another request: clear the sensor, too.

    Returns what MoEngage says, in every mode: ``{"status": 201, "request_id", "segment_name", "values_found",
    "values_processed", "user_count"}``. Fails without a retry when MoEngage could not fill the segment, in its words,
    and when it has not called back after ``timeout`` or, deferred, ``execution_timeout``. ``soft_fail`` skips a timeout
    and nothing else, ``never_fail`` skips everything.

    :param request: which request: ``fill.output["request"]`` for the operator ``fill``, or
        ``"{{ ti.xcom_pull('fill', key='request') }}"``. The operator must have ``callback_url="airflow"``: without it
        there is no such XCom, and Airflow says ``with key="request" is not found``. (templated)
    :param deferrable: wait in the triggerer, without a worker slot; the default is Airflow's
        ``[operators] default_deferrable``.
    :param poke_interval: seconds (or a timedelta) between two looks.
    :param timeout: seconds (or a timedelta) to wait at most: 7 days at most.
    """

    template_fields: Sequence[str] = ("request",)

    def __init__(
        self,
        *,
        request: str,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 15,
        timeout: timedelta | float = timedelta(hours=6),
        **kwargs: Any,
    ) -> None:
        check_durations(poke_interval=poke_interval, timeout=timeout)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self._given: list[str] = []
        self.request = self._take("request", request)
        self.deferrable = deferrable
        self._check_wait()

    def execute(self, context: Context) -> Any:
        """
        Look for the callback, and wait in the mode that was chosen.

        :param context: the task's context.
        :return: what it says.
        :raises AirflowFailException: when MoEngage could not fill the segment.
        :raises AirflowSensorTimeout: when it has not called back in time.
        """
        started = time.monotonic()
        with self._skipping_as_promised():
            if self.deferrable:
                came = self.poke(context)
                if not came.is_done:
                    self._defer(started)
                return came.xcom_value
            try:
                return super().execute(context)
            except AirflowSensorTimeout as error:
                raise self._timed_out() from error

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Look once.

        :param context: the task's context.
        :return: whether MoEngage has called back, with what it says.
        :raises AirflowFailException: when MoEngage could not fill the segment.
        """
        from airflow_provider_moengage.operators.callbacks import outcome_of, pull_outcomes

        (came,) = pull_outcomes(context["ti"], [self._request()])
        if came is None:
            self.log.info("MoEngage has not called back yet.")
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=outcome_of(came).as_json())

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """
        Carry on after the trigger.

        :param context: the task's context.
        :param event: what the trigger has found.
        :return: what MoEngage says.
        :raises AirflowFailException: when it could not fill the segment.
        :raises AirflowSensorTimeout: when it has not called back in time.
        :raises AirflowException: when the event is of a version that this one does not know.
        """
        from airflow_provider_moengage.operators.callbacks import outcome_of

        match event:
            case {"status": "called_back", "outcomes": [came]}:
                return outcome_of(came).as_json()
            case {"status": "timeout"}:
                raise self._timed_out()
        raise AirflowException(f"FileSegmentReadyTrigger sent an event that this version does not know: {event!r}")

    def _request(self) -> FileRequest:
        from airflow_provider_moengage.segments.callbacks import FileRequest
        from airflow_provider_moengage.task_failure import no_retry_for_permanent_errors

        with no_retry_for_permanent_errors():
            if not AIRFLOW_V_3_0_PLUS:
                raise InvalidInputError(
                    "FileSegmentReadySensor needs Airflow 3: nothing of an older one takes callbacks."
                )
            self._check_given()
            return FileRequest.from_text(self.request)

    def _check_wait(self) -> None:
        from airflow_provider_moengage.segments.callback_token import check_wait

        # What execution_timeout bounds in the mode reschedule is one poke.
        is_one_poke = self.reschedule and not self.deferrable
        check_wait("timeout", self.timeout if is_one_poke else self._longest_wait().total_seconds())

    def _timed_out(self) -> AirflowSensorTimeout:
        from airflow_provider_moengage.segments.callbacks import never_called_back

        return AirflowSensorTimeout(never_called_back(None, self._longest_wait().total_seconds()))

    def _defer(self, started: float) -> None:
        from airflow_provider_moengage.triggers.file_segments import FileSegmentReadyTrigger, as_arguments

        left = self._time_left(started)
        self.log.info("Waiting for MoEngage to call back, for %g s at most.", left.total_seconds())
        self.defer(
            trigger=FileSegmentReadyTrigger(
                requests=as_arguments([self._request()]),
                deadline=time.time() + left.total_seconds(),
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=left + _MARGIN,
        )
