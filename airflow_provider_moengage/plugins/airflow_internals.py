"""
All that this package uses of Airflow that is not public: what lets the API server write its own state.

No public Python API lets a plugin store an XCom or register the event of an asset; the public way is the REST API, with
the token of a user. A contract test runs this module on every supported Airflow 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from airflow_provider_moengage.segments.callbacks import EXPECTED, event_of_all

if TYPE_CHECKING:
    from airflow_provider_moengage.segments.callbacks import FileRequest

Recorded = Literal["recorded", "known", "unexpected"]


def record_callback(
    request: FileRequest, outcome: dict[str, Any], asset_uri: str | None, extra: dict[str, Any]
) -> Recorded:
    """
    Store what a callback says as an XCom of the task instance that expects it, and as an event of its segment's asset.

    Both in one transaction, and once: the second of two at the same moment fails at the primary key of the XCom. An
    audience of several files has one event, with the last callback. Blocks while the database works.

    :param request: what the callback is about.
    :param outcome: what it says, in JSON values.
    :param asset_uri: the URI of the segment's asset, None when it is not known.
    :param extra: what the event says.
    :return: ``known`` when it was recorded before, ``unexpected`` when no task instance expects it, or not any more;
        then nothing is changed.
    """
    try:
        with create_session() as session:
            # Locked, so that of the callbacks about several files at the same moment one is the last.
            columns = select(XComModel.key, XComModel.dag_run_id).where(*_of_task_instance(request))
            lock = columns.where(XComModel.key.startswith(EXPECTED, autoescape=True)).order_by(XComModel.key)
            expected = {row.key: row for row in session.execute(lock.with_for_update())}
            if request.expected_key not in expected:
                return "unexpected"
            if session.scalar(_xcom_of(request, request.outcome_key)) is not None:
                return "known"
            where: dict[str, Any] = {
                "dag_id": request.dag_id,
                "run_id": request.run_id,
                "task_id": request.task_id,
                "map_index": request.map_index,
                "key": request.outcome_key,
            }
            # As a task stores JSON. XComModel.set() would delete what another callback of the same moment has stored.
            session.add(XComModel(dag_run_id=expected[request.expected_key].dag_run_id, value=outcome, **where))
            session.flush()
            if asset_uri is not None:
                xcoms = select(XComModel.key, XComModel.value).where(*_of_task_instance(request))
                of_all = event_of_all(request, {row.key: row.value for row in session.execute(xcoms)}, extra)
                if of_all is not None:
                    _register_events(session, request, asset_uri, of_all)
    except IntegrityError:
        with create_session() as session:
            if session.scalar(_xcom_of(request, request.outcome_key)) is None:
                raise
        return "known"
    return "recorded"


def _xcom_of(request: FileRequest, key: str) -> Any:
    return select(XComModel).where(*_of_task_instance(request), XComModel.key == key)


def _of_task_instance(request: FileRequest) -> tuple[Any, ...]:
    return (
        XComModel.dag_id == request.dag_id,
        XComModel.run_id == request.run_id,
        XComModel.task_id == request.task_id,
        XComModel.map_index == request.map_index,
    )


def _register_events(session: Any, request: FileRequest, asset_uri: str, extra: dict[str, Any]) -> None:
    """Register an event of each asset with this URI, whatever their names; there is none that no DAG mentions."""
    task_instance = session.scalar(
        select(TaskInstance).where(
            TaskInstance.dag_id == request.dag_id,
            TaskInstance.run_id == request.run_id,
            TaskInstance.task_id == request.task_id,
            TaskInstance.map_index == request.map_index,
        )
    )
    for asset in session.scalars(select(AssetModel).where(AssetModel.uri == asset_uri)).all():
        asset_manager.register_asset_change(task_instance=task_instance, asset=asset, extra=extra, session=session)
