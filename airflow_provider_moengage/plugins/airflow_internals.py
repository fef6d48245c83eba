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

if TYPE_CHECKING:
    from airflow_provider_moengage.segments.callbacks import FileRequest

Recorded = Literal["recorded", "known", "unexpected"]


def record_callback(
    request: FileRequest, outcome: dict[str, Any], asset_uri: str | None, extra: dict[str, Any]
) -> Recorded:
    """
    Store what a callback says as an XCom of the task instance that expects it, and as an event of its segment's asset.

    Both in one transaction, and once: the second of two at the same moment fails at the primary key of the XCom. Blocks
    while the database works.

    :param request: what the callback is about.
    :param outcome: what it says, in JSON values.
    :param asset_uri: the URI of the segment's asset, None when it is not known.
    :param extra: what the event says.
    :return: ``known`` when it was recorded before, ``unexpected`` when no task instance expects it, or not any more;
        then nothing is changed.
    """
    try:
        with create_session() as session:
            expected = session.scalar(_xcom_of(request, request.expected_key))
            if expected is None:
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
            session.add(XComModel(dag_run_id=expected.dag_run_id, value=outcome, **where))
            session.flush()
            if asset_uri is not None:
                _register_events(session, request, asset_uri, extra)
    except IntegrityError:
        with create_session() as session:
            if session.scalar(_xcom_of(request, request.outcome_key)) is None:
                raise
        return "known"
    return "recorded"


def _xcom_of(request: FileRequest, key: str) -> Any:
    return select(XComModel).where(
        XComModel.dag_id == request.dag_id,
        XComModel.run_id == request.run_id,
        XComModel.task_id == request.task_id,
        XComModel.map_index == request.map_index,
        XComModel.key == key,
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
