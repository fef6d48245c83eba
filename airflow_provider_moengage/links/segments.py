"""The link from a task to its segment: in MoEngage's dashboard, or on the page of the sandbox."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client.datacenters import DataCenter

_SEGMENT_ID = "[0-9a-fA-F]{24}"


class SegmentLink(BaseOperatorLink):
    """
    "Open in MoEngage": the page of the segment that a task has changed or found.

    There is none rather than a wrong one: not while the segment's id is unknown, and not when the connection's host is
    neither that of a data center nor the sandbox, and no data center stands beside it.
    """

    name = "Open in MoEngage"
    xcom_key = "moengage_segment_page"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """
        Give the address that the task has set. Calls nothing of MoEngage.

        :param operator: the task's operator.
        :param ti_key: the task instance.
        :return: the address, or an empty string when there is none.
        """
        # Airflow 3 asks in the worker, where the task has just run, and keeps the answer itself. Airflow 2 asks in the
        # webserver, which has neither the rendered id nor, perhaps, the connection.
        if AIRFLOW_V_3_0_PLUS:
            return getattr(operator, "segment_page", "")
        from airflow.providers.common.compat.sdk import XCom

        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


def set_segment_page(task: Any, context: Context, segment_id: object) -> None:
    """
    Set where people see a segment, for :class:`SegmentLink`. Never raises.

    :param task: the operator or sensor, which has a ``hook``.
    :param context: the task's context.
    :param segment_id: id of the segment, or anything else when it is unknown.
    """
    try:
        client = task.hook.client
        task.segment_page = segment_page(client.base_url, segment_id, client.data_center)
        if task.segment_page and not AIRFLOW_V_3_0_PLUS and "ti" in context:
            context["ti"].xcom_push(key=SegmentLink.xcom_key, value=task.segment_page)
    except Exception as error:  # noqa: BLE001 - no task may fail for want of a link, whatever an XCom backend raises
        task.log.warning("There is no link to the segment (%s).", type(error).__name__)


def segment_page(base_url: str, segment_id: object, behind: DataCenter | None = None) -> str:
    """
    Tell where people see a segment.

    :param base_url: the checked address of the API that the segment was found at.
    :param segment_id: its id.
    :param behind: the data center that the connection names: what an address leads to that is not itself of one.
    :return: the address of the page, or an empty string when it is not known.
    """
    from airflow_provider_moengage.client.datacenters import DATA_CENTERS

    if not isinstance(segment_id, str) or not re.fullmatch(_SEGMENT_ID, segment_id):
        return ""
    of_api = {data_center.api_url: data_center for data_center in DATA_CENTERS.values()}
    # A proxy on this machine is plain http as well: the sandbox it is only when nobody says what is behind it.
    if data_center := of_api.get(base_url.lower(), behind):
        # No document shows this path, but it is the one that other programs of MoEngage's clients link to.
        return f"{data_center.dashboard_url}/v4/segmentation/all-segments/custom-segments/{segment_id.lower()}"
    address = urlsplit(base_url)
    if address.scheme == "http" and not address.path:  # which is for loopback alone: the sandbox
        return f"{base_url}/#{segment_id.lower()}"
    return ""
