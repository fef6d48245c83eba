"""Where MoEngage's callback goes when it goes to Airflow, and what has come of it: for operators and sensors."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.operators.one_segment import OneSegmentOperator
from airflow_provider_moengage.operators.templating import check_durations
from airflow_provider_moengage.segments.callback_token import SECONDS_VALID, Ticket, check_wait, token_of
from airflow_provider_moengage.segments.callbacks import (
    PATH,
    FileRequest,
    Outcome,
    RefusedCallbackError,
    counts_of,
    expectation,
    never_called_back,
    read_xcom,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_TO_AIRFLOW = "airflow"
_SECTION = "moengage"

# Longer than the trigger's own deadline: by this the scheduler ends a wait that no triggerer looks after.
_MARGIN = timedelta(minutes=10)


def callback_address(moengage_url: str, *, for_wait: bool = False) -> str:
    """
    Tell where MoEngage is to post callbacks for this Airflow.

    :param moengage_url: the address of MoEngage's API: to one on this machine, which the sandbox is, this machine may
        be named as well.
    :param for_wait: whether ``wait`` is all that was set, which the messages name then instead of ``callback_url``.
    :return: the address, without a token.
    :raises InvalidInputError: when it is not known, or none that MoEngage may be given; and before Airflow 3.
    """
    from airflow_provider_moengage.client.urls import is_loopback

    if not AIRFLOW_V_3_0_PLUS:
        needs = "wait=True needs Airflow 3" if for_wait else 'callback_url="airflow" needs Airflow 3'
        raise InvalidInputError(
            f"{needs}: nothing of an older one takes the callback. Give another callback_url and no wait, or emails."
        )
    option, base = f"[{_SECTION}] callback_base_url", conf.get(_SECTION, "callback_base_url", fallback="")
    if not base and conf.getboolean(_SECTION, "receive_callbacks", fallback=False):
        option, base = "[api] base_url", conf.get("api", "base_url", fallback="")
    if not base:
        needs = 'callback_url="airflow" needs to know where MoEngage reaches Airflow'
        if for_wait:
            needs = "wait=True needs to know where MoEngage reaches Airflow"
        raise InvalidInputError(
            f"{needs}. Set [moengage] receive_callbacks to True and [api] base_url to the public address of the API "
            "server, for the API server and for the workers alike; or [moengage] callback_base_url to that of a relay."
        )
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidInputError(f"{option} must be an http(s) address without a query, or MoEngage cannot call it.")
    if is_loopback(host) and not is_loopback(urlsplit(moengage_url).hostname or ""):
        raise InvalidInputError(
            f"{option} names this very machine, which MoEngage cannot reach: set it to a public one."
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidInputError(
            f"{option} is plain http: set it to an https address, or everybody between reads along."
        )
    return f"{base.rstrip('/')}{PATH}"


def pull_outcomes(ti: Any, requests: Iterable[FileRequest]) -> list[Any]:
    """
    Look for the callbacks of some requests.

    :param ti: the task instance that runs.
    :param requests: the requests.
    :return: what has come for each, None where nothing has.
    """
    return [
        ti.xcom_pull(
            dag_id=request.dag_id,
            run_id=request.run_id,
            task_ids=request.task_id,
            map_indexes=request.map_index,
            key=request.outcome_key,
        )
        for request in requests
    ]


def outcome_of(came: Any) -> Outcome:
    """
    Read what has come for a request.

    :param came: the value of its XCom.
    :return: what it says: the segment is filled.
    :raises AirflowFailException: when MoEngage could not fill it, or it is not what a callback says.
    """
    try:
        outcome = read_xcom(came)
    except RefusedCallbackError as error:
        raise AirflowFailException(
            f"The XCom of the callback is not what MoEngage says: {error} Who writes it, such as a relay, must post "
            "the body of the callback as it came."
        ) from None
    if not outcome.is_filled:
        raise AirflowFailException(outcome.failure)
    return outcome


def mask_in_logs(address: str) -> None:
    """
    Let Airflow mask what signs an address wherever it would write it.

    :param address: the address.
    """
    from airflow_provider_moengage.client.file_inputs import secrets_in

    try:
        from airflow.providers.common.compat.sdk import mask_secret
    except ImportError:  # before common-compat 1.22: nothing of this package writes one anyway
        return
    for secret in secrets_in([address]):
        mask_secret(secret)


class CallbackOperator(OneSegmentOperator):
    """
    What comes back to Airflow of the requests of a task: whom MoEngage tells, and the wait for it.

    A subclass has a ``callback_url``. It makes each call with an address of its own, by :meth:`new_callback_url`, calls
    :meth:`record_accepted` after each that was accepted, and :meth:`wait_for_callbacks` after the last.

    :param wait: succeed when MoEngage has called back, instead of when it has accepted the request.
    :param wait_timeout: for how long, in seconds or as a timedelta: 7 days at most.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    """

    callback_url: str | None

    def __init__(
        self,
        *,
        wait: bool = False,
        wait_timeout: timedelta | float = timedelta(hours=6),
        poll_interval: timedelta | float = 15,
        **kwargs: Any,
    ) -> None:
        check_durations(wait_timeout=wait_timeout, poll_interval=poll_interval)
        super().__init__(**kwargs)
        self.wait = wait
        self.wait_timeout = wait_timeout
        self.poll_interval = poll_interval
        self._check_wait()
        # The task instance that runs, and the request of the call that is being made.
        self._ti: Any = None
        self._request: FileRequest | None = None

    def _call_or_defer(self, context: Context, waiting_since: str | None) -> Any:
        self._ti, self._request = context.get("ti"), None
        return super()._call_or_defer(context, waiting_since)

    def call_api(self, context: Context) -> dict[str, Any]:
        """
        Make the call, and wait for its callback where that is wanted.

        :param context: the task's context.
        :return: the server's answer, with what the callback says; or what a dry run has found out.
        :raises MoEngageError: when MoEngage has not accepted it.
        """
        return self.wait_for_callbacks(context, super().call_api(context))

    def calls_back_to_airflow(self) -> bool:
        """
        Tell whether the callback comes to this Airflow.

        :return: whether it does: ``callback_url`` is ``airflow``, or left out by a task that waits.
        """
        return self.callback_url == _TO_AIRFLOW or (self.wait is True and self.callback_url is None)

    def check_callback(self) -> None:
        """
        Check what was given for the callback and the wait, before anything is done. A dry run needs no task instance.

        :raises InvalidInputError: when it cannot be used, or nothing runs here that a callback could be for.
        """
        if not isinstance(self.wait, bool):
            raise InvalidInputError(f"wait must be True or False, not {type(self.wait).__name__}.")
        if self.wait and not self.calls_back_to_airflow():
            raise InvalidInputError(
                'wait=True waits for a callback that comes to Airflow: set callback_url to "airflow", or leave it out.'
            )
        for parameter, value in (
            ("wait_timeout", self._wait_seconds()),
            ("poll_interval", _seconds(self.poll_interval)),
        ):
            if not isinstance(value, (int, float)) or not value > 0:
                raise InvalidInputError(f"{parameter} must be more than 0 seconds.")
        self._check_wait()
        if self.calls_back_to_airflow() and self._ti is None and not self.is_dry_run:
            given = "wait=True" if self.callback_url is None else 'callback_url="airflow"'
            raise InvalidInputError(
                f"{given} is for a task that Airflow runs: there is no task instance, and nothing was done. In a test, "
                "give execute() a context with a ti, or run the DAG."
            )

    def _check_wait(self) -> None:
        if self.wait is True:
            check_wait("wait_timeout", self._wait_seconds())

    def receiver_address(self) -> str:
        """
        Tell where MoEngage is to post callbacks for this Airflow.

        :return: the address, without a token.
        :raises InvalidInputError: when no callback can come to this Airflow.
        """
        return callback_address(self.hook.client.base_url, for_wait=self.callback_url is None)

    def _wait_seconds(self) -> Any:
        """Give how long to wait; Airflow does not bound a deferral by execution_timeout itself."""
        seconds = _seconds(self.wait_timeout)
        if isinstance(self.execution_timeout, timedelta) and isinstance(seconds, (int, float)):
            return min(seconds, self.execution_timeout.total_seconds())
        return seconds

    def new_callback_url(self, segment_id: str | None, number: int = 1, count: int = 1) -> str:
        """
        Make the address for the callback of one call, and let Airflow expect it.

        :param segment_id: the segment whose asset gets an event of the callback; None while it has no id.
        :param number: which of the calls for one audience: the event is one for all of them.
        :param count: how many calls there are.
        :return: the address, with a token.
        :raises InvalidInputError: when no callback can come to this Airflow.
        """
        ti = self._ti
        self._request = FileRequest.new(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        ticket = Ticket(self._request, self.moengage_conn_id, segment_id, int(time.time()) + SECONDS_VALID)
        address = self.receiver_address()
        key = self.hook.get_connection(self.moengage_conn_id).password
        address = f"{address}?token={token_of(ticket, key or '')}"
        mask_in_logs(address)
        # Before the call: Airflow takes it away when the task starts again, and nothing expects the old callback then.
        ti.xcom_push(key=self._request.expected_key, value=expectation(number, count))
        return address

    def record_accepted(self) -> None:
        """Keep which request MoEngage has accepted: its callback is waited for. After a deferral, too."""
        if self._request:
            self.progress.setdefault("requests", []).append(self._request.as_text())
            self._request = None

    def wait_for_callbacks(self, context: Context, answer: dict[str, Any]) -> dict[str, Any]:
        """
        Wait until MoEngage has called back about each call that it has accepted, where that is wanted.

        Gives the last of them as the XCom ``request`` to sensors.

        :param context: the task's context.
        :param answer: the XCom of the task, in JSON values; ``cs_name`` in it is the segment.
        :return: the same; once it was waited, with what the callback says.
        :raises AirflowFailException: when MoEngage could not carry one out, or has not called back in time.
        """
        requests = [FileRequest.from_text(text) for text in self.progress.get("requests", ())]
        if not requests:
            return answer
        self._ti.xcom_push(key="request", value=requests[-1].as_text())
        if not self.wait:
            return answer
        seconds = self._wait_seconds()
        deadline = time.time() + seconds
        self.log.info("Waiting for MoEngage to call back, for %g s at most.", seconds)
        if self.deferrable:
            self._defer_until_called_back(requests, deadline, answer)
        while True:
            came = [value for value in pull_outcomes(self._ti, requests) if value is not None]
            outcomes = [outcome_of(value) for value in came]
            if len(outcomes) == len(requests):
                return self.finish(context, answer, outcomes)
            if time.time() >= deadline:
                raise AirflowFailException(self._never_called_back(answer))
            time.sleep(max(0.0, min(_seconds(self.poll_interval), deadline - time.time())))

    def _defer_until_called_back(self, requests: list[FileRequest], deadline: float, answer: dict[str, Any]) -> None:
        from airflow_provider_moengage.triggers.file_segments import FileSegmentReadyTrigger, as_arguments

        self.defer(
            trigger=FileSegmentReadyTrigger(
                requests=as_arguments(requests),
                deadline=deadline,
                poll_interval=_seconds(self.poll_interval),
                carried=answer,
            ),
            method_name="take_callbacks",
            timeout=timedelta(seconds=deadline - time.time()) + _MARGIN,
        )

    def take_callbacks(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """
        Carry on after the trigger has waited for the callbacks.

        :param context: the task's context.
        :param event: what it has found.
        :return: as :meth:`wait_for_callbacks`.
        :raises AirflowFailException: likewise.
        :raises AirflowException: when the event is of a version that this one does not know.
        """
        self._start({})
        match event:
            case {"status": "called_back", "outcomes": list(came), "carried": dict(answer)}:
                return self.finish(context, answer, [outcome_of(value) for value in came])
            case {"status": "timeout", "carried": dict(answer)}:
                raise AirflowFailException(self._never_called_back(answer))
        raise AirflowException(f"FileSegmentReadyTrigger sent an event that this version does not know: {event!r}")

    def finish(self, context: Context, answer: dict[str, Any], outcomes: list[Outcome]) -> dict[str, Any]:
        """
        Put together the XCom once MoEngage has called back about every call. A subclass may clean up here.

        :param context: the task's context.
        :param answer: what it was before the wait.
        :param outcomes: what the callbacks say, in the order of the calls.
        :return: the XCom: of several calls with the values of all, and the users that the last callback counts.
        """
        from airflow_provider_moengage.assets.segments import attach_change
        from airflow_provider_moengage.links.segments import set_segment_page

        counts = counts_of(outcomes)
        set_segment_page(self, context, answer.get("cs_id"))
        attach_change(self.outlets, context, {"action": "ready", "name": answer.get("cs_name"), **counts})
        self.log.info(
            "MoEngage has called back: %(values_found)d values found, %(values_processed)d processed.", counts
        )
        return {**answer, "request_id": outcomes[-1].request_id, **counts}

    def _never_called_back(self, answer: dict[str, Any]) -> str:
        return never_called_back(answer.get("cs_name"), self._wait_seconds())


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
