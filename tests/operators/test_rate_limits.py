"""A long rate limit costs no worker slot: the task defers until the window ends, or is retried exactly then."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.metadata import version

import pendulum
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from packaging.version import Version

from airflow_provider_moengage.client.errors import RateLimitError, ServerError
from airflow_provider_moengage.client.rate_limiter import RATE_LIMITER
from airflow_provider_moengage.client.retry import RetryPolicy
from airflow_provider_moengage.operators.segments import CreateSegmentOperator, UpdateSegmentOperator
from tests.support import client_of, filters, new_dag

HAS_RETRY_POLICIES = Version(version("apache-airflow")) >= Version("3.3")


def update_dag(dag_id, segment_id, **arguments):
    with new_dag(f"{dag_id}_{segment_id}") as dag:
        UpdateSegmentOperator(
            task_id="update", segment_id=segment_id, included_filters=filters("Agra"), updated_by="a@b.c", **arguments
        )
    return dag


def create_dag(dag_id, **arguments):
    with new_dag(f"{dag_id}_create") as dag:
        CreateSegmentOperator(task_id="create", name="new", included_filters=filters("Agra"), **arguments)
    return dag


@pytest.fixture
def segment_id(sandbox):
    return sandbox.add_segment(name="camp")["id"]


@pytest.fixture
def used_up_hour(sandbox, segment_id):
    """All 200 updates of an hour are spent; the sandbox's clock went on while the client waited for each minute."""
    with client_of(sandbox) as client:
        for number in range(200):
            client.update_segment(segment_id, filters(str(number)))


@pytest.mark.usefixtures("used_up_hour", "triggers_follow_the_sandbox")
def test_a_deferrable_operator_defers_until_the_window_ends(sandbox, segment_id, run_dag):
    ahead = sandbox.now - pendulum.now("UTC")

    run = run_dag(update_dag("deferred", segment_id, deferrable=True))

    assert run.states == {"update": "success"}
    assert run.tries == {"update": 1}
    assert run.xcoms["update"]["included_filters"] == filters("Agra")
    assert [request.status for request in sandbox.requests if request.method == "PATCH"] == [200] * 201
    until = re.search(r"The task is deferred until (\S+ \S+) UTC\.", run.log)[1]
    assert "MoEngage's rate limit is used up" in run.log
    end_of_the_window = sandbox.requests[0].time + timedelta(hours=1)
    assert abs(pendulum.parse(until) + ahead - end_of_the_window) < timedelta(seconds=5)


@pytest.mark.usefixtures("used_up_hour")
def test_one_that_does_not_defer_raises_at_once(sandbox, segment_id, run_dag, clock):
    slept = len(clock.slept)

    run = run_dag(update_dag("raised", segment_id))

    assert run.states == {"update": "failed"}
    assert "MoEngage's rate limit is used up" in run.log
    assert "; retry after 3" in run.log
    assert len(clock.slept) == slept
    assert sum(request.method == "PATCH" for request in sandbox.requests) == 200


@pytest.fixture
def short_budget(monkeypatch):
    """A client that waits for no window, so that a few seconds are as long as an hour."""
    monkeypatch.setattr("airflow_provider_moengage.client.retry.RETRIES", RetryPolicy(budget=0.5))


@pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with Airflow 3.3")
@pytest.mark.usefixtures("short_budget")
def test_the_retry_comes_exactly_when_there_is_room_again(sandbox, segment_id, run_dag):
    sandbox.fail_next(status=429, headers={"Retry-After": "3"})

    run = run_dag(update_dag("retried", segment_id, retries=1, retry_delay=timedelta(hours=1)))

    assert run.states == {"update": "success"}
    assert run.tries == {"update": 2}
    refused, _, done = sandbox.requests
    assert done.time - refused.time >= timedelta(seconds=3)
    assert "MoEngage asks to wait 3 s" in run.log


@pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with Airflow 3.3")
@pytest.mark.usefixtures("short_budget")
def test_so_does_that_of_a_create(sandbox, run_dag):
    sandbox.fail_next(status=429, headers={"Retry-After": "3"})

    run = run_dag(create_dag("retried", retries=1, retry_delay=timedelta(hours=1)))

    assert run.states == {"create": "success"}
    assert run.tries == {"create": 2}
    refused, lookup, done = sandbox.requests
    assert [request.method for request in (refused, lookup, done)] == ["POST", "GET", "POST"]
    assert done.time - refused.time >= timedelta(seconds=3)
    assert len(sandbox.segments) == 1


@pytest.mark.usefixtures("triggers_follow_the_sandbox")
def test_a_create_defers_as_its_siblings_do(sandbox, run_dag):
    sandbox.fail_next(status=429, headers={"Retry-After": "600"})

    run = run_dag(create_dag("deferred", deferrable=True))

    assert run.states == {"create": "success"}
    assert run.tries == {"create": 1}
    assert "The task is deferred until" in run.log
    assert [request.status for request in sandbox.requests] == [429, 201]
    assert len(sandbox.segments) == 1


class TestDeferring:
    @pytest.fixture
    def operator(self, sandbox, segment_id):
        return self.new_operator(segment_id)

    def new_operator(self, segment_id, **arguments):
        return UpdateSegmentOperator(
            task_id="update", segment_id=segment_id, included_filters=filters("Agra"), deferrable=True, **arguments
        )

    def deferred(self, resume):
        with pytest.raises(TaskDeferred) as caught:
            resume()
        return caught.value

    @pytest.mark.parametrize("asked", [76, 600, 86_400])
    def test_until_when(self, sandbox, operator, asked):
        sandbox.fail_next(status=429, headers={"Retry-After": str(asked)})
        deferral = self.deferred(lambda: operator.execute({}))
        wait = deferral.trigger.moment - pendulum.now("UTC")
        assert asked - 5 < wait.total_seconds() <= asked
        assert deferral.method_name == "execute_complete"
        assert len(sandbox.requests) == 1

    def test_a_failing_server_that_says_when(self, sandbox, operator):
        sandbox.fail_next(status=503, headers={"Retry-After": "600"})
        self.deferred(lambda: operator.execute({}))

    @pytest.mark.parametrize("asked", ["0", "1", "5"])
    def test_not_for_what_the_client_has_waited_for(self, sandbox, operator, asked):
        """Or a server that says so for a day would be asked twenty thousand times."""
        sandbox.fail_next(6, status=503, headers={"Retry-After": asked})
        with pytest.raises(ServerError):
            operator.execute({})

    def test_a_wait_that_does_not_fit_into_what_is_left_of_the_budget(self, sandbox, operator):
        """Two tasks that share a limit of a minute are both refused, and then once more."""
        sandbox.fail_next(2, status=429, headers={"Retry-After": "40"})
        wait = self.deferred(lambda: operator.execute({})).trigger.moment - pendulum.now("UTC")
        assert 35 < wait.total_seconds() <= 40
        assert len(sandbox.requests) == 2

    def test_never_for_a_moment_only(self, sandbox, operator):
        sandbox.fail_next(6, status=429, headers={"Retry-After": "1"})
        wait = self.deferred(lambda: operator.execute({})).trigger.moment - pendulum.now("UTC")
        assert 25 < wait.total_seconds() <= 30

    def test_again_and_again_for_a_day(self, sandbox, operator, clock):
        sandbox.fail_next(4, status=429, headers={"Retry-After": "600"})
        first = self.deferred(lambda: operator.execute({}))
        clock.move(600)
        again = self.deferred(lambda: operator.execute_complete({}, None, **first.kwargs))
        assert again.kwargs == first.kwargs
        clock.move(600)
        since = pendulum.now("UTC").subtract(hours=23, minutes=56)
        with pytest.raises(RateLimitError):
            operator.execute_complete({}, None, waiting_since=since.isoformat())

    def test_not_past_the_execution_timeout(self, sandbox, segment_id):
        """Airflow does not hold it against a deferred task."""
        sandbox.fail_next(2, status=429, headers={"Retry-After": "600"})
        with pytest.raises(RateLimitError):
            self.new_operator(segment_id, execution_timeout=timedelta(minutes=9)).execute({})
        RATE_LIMITER.reset()
        self.deferred(lambda: self.new_operator(segment_id, execution_timeout=timedelta(minutes=11)).execute({}))

    def test_not_without_a_moment(self, sandbox, operator):
        sandbox.fail_next(6, status=429)
        with pytest.raises(RateLimitError):
            operator.execute({})
