"""
Segments as assets of Airflow: ``moengage://<workspace id>/segments/<segment id>``.

Airflow finds these functions by the provider's metadata; those about outlets are for the operators.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_workspace_id

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset, Context

_log = logging.getLogger(__name__)

_SCHEME = "moengage"
_PATH = r"/segments/([0-9a-fA-F]{24})/?"
_FORM = "A segment's asset is moengage://<workspace id>/segments/<segment id>"


def create_asset(*, workspace_id: str, segment_id: str, extra: dict[str, Any] | None = None) -> Asset:
    """
    Make the asset of a segment, for ``outlets`` and ``schedule``.

    Its name is its normalised URI: on Airflow 3 two assets whose names differ are not the same, even if their URIs are.

    :param workspace_id: the Workspace ID, as in the connection's login.
    :param segment_id: id of the segment, 24 hexadecimal characters.
    :param extra: what Airflow is to keep with the asset.
    :return: the asset; a Dataset on Airflow 2.
    :raises InvalidInputError: when one of the ids cannot be one. It is a ``ValueError``.
    """
    from airflow.providers.common.compat.sdk import Asset

    check_workspace_id("workspace_id", workspace_id)
    path = f"/segments/{quote(str(segment_id), safe='')}"
    uri = urlunsplit(sanitize_uri(SplitResult(_SCHEME, quote(workspace_id, safe=""), path, "", "")))
    return Asset(uri=uri, extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Normalise the URI of a segment. Airflow calls it for every URI of the scheme ``moengage``, when a DAG is parsed.

    The id becomes lower case, since MoEngage does not tell the cases of its letters apart; the workspace keeps its own.
    Percent-encoding is brought to one form, and a slash at the end is dropped.

    :param uri: the URI in its parts.
    :return: the same, normalised.
    :raises InvalidInputError: when it is no URI of a segment; it is a ``ValueError``, and fails the DAG's import.
    """
    # The workspace's part is never shown: what has an @ or a colon in it may be a connection's URI, with its key.
    if "@" in uri.netloc or ":" in uri.netloc:
        raise InvalidInputError(f"{_FORM}: take out what is no Workspace ID. Credentials belong in the connection.")
    workspace_id = unquote(uri.netloc)
    check_workspace_id(f"{_FORM}: the workspace id", workspace_id)
    if uri.query or uri.fragment:
        raise InvalidInputError(f"{_FORM}: it ends with the id, without a query or a fragment.")
    path = re.fullmatch(_PATH, unquote(uri.path))
    if path is None:
        raise InvalidInputError(f"{_FORM}, with an id of 24 hexadecimal characters, not {uri.path[:100]!r} at its end.")
    return SplitResult(_SCHEME, quote(workspace_id, safe=""), f"/segments/{path[1].lower()}", "", "")


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> OpenLineageDataset:  # noqa: ARG001 - Airflow's
    """
    Name a segment as OpenLineage does. Called by Airflow's OpenLineage provider, and only where that is installed.

    :param asset: the asset of a segment.
    :param lineage_context: the operator or hook that has it as an inlet or outlet.
    :return: the dataset, its namespace the workspace: ``moengage://<workspace id>``, ``segments/<segment id>``.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    uri = sanitize_uri(urlsplit(asset.uri))
    return OpenLineageDataset(namespace=f"{_SCHEME}://{uri.netloc}", name=uri.path.removeprefix("/"))


def has_segments(outlets: Iterable[Any]) -> bool:
    """
    Tell whether a task has segments as outlets.

    :param outlets: the outlets of a task.
    :return: whether one of them at least is a segment.
    """
    return bool(_segments_among(outlets))


def check_outlets(outlets: Iterable[Any], workspace_id: str, segment_id: str | None) -> None:
    """
    Keep a task from an event for a segment that it does not change.

    :param outlets: the outlets of a task; those that are no segments pass.
    :param workspace_id: the workspace in which it changes a segment. An outlet of another one only makes a warning:
        nothing but the ids of two segments tells for certain that they are not the same.
    :param segment_id: the segment that it changes, None while only its name is known.
    :raises InvalidInputError: when an outlet is another segment, or none.
    """
    for outlet in _segments_among(outlets):
        workspace, named = _parts_of(outlet)
        if segment_id is not None and named != str(segment_id).lower():
            raise InvalidInputError(
                f"The outlet names the segment {named}, and the segment of this task is {segment_id}: an event would "
                "tell of a change that was none. Give the task the outlet of its own segment, or none."
            )
        if workspace != workspace_id:
            _log.warning(
                "The outlet %s names the workspace %s, and the connection of this task is for %s: whoever waits for an "
                "asset of that workspace does not hear of this change.",
                outlet.uri,
                workspace,
                workspace_id,
            )


def refuse_outlets(outlets: Iterable[Any]) -> None:
    """
    Keep a task that changes many segments from an event for a certain one, whatever became of that.

    :param outlets: the outlets of a task; those that are no segments pass.
    :raises InvalidInputError: when an outlet is a segment.
    """
    for outlet in _segments_among(outlets):
        raise InvalidInputError(
            f"The outlet names the segment {_parts_of(outlet)[1]}, and this task changes many: Airflow would tell of a "
            "change of that one even when it has failed. Take the outlet away, or change that segment with an operator "
            "for one segment."
        )


def attach_change(outlets: Iterable[Any], context: Context, change: dict[str, Any]) -> None:
    """
    Attach what has changed to the events of a task's outlets: Airflow stores them when the task succeeds.

    :param outlets: the outlets of a task, checked; those that are no segments are left alone.
    :param context: the task's context.
    :param change: what has changed, for the event's ``extra``; nothing secret.
    """
    for outlet in _segments_among(outlets):
        if "outlet_events" in context:
            context["outlet_events"][outlet].extra.update({"segment_id": _parts_of(outlet)[1], **change})


def _segments_among(outlets: Iterable[Any]) -> list[Any]:
    # An outlet can be anything: an alias has no URI, a reference has one and is no asset.
    return [outlet for outlet in outlets if str(getattr(outlet, "uri", "")).lower().startswith(f"{_SCHEME}:")]


def _parts_of(outlet: Any) -> tuple[str, str]:
    uri = sanitize_uri(urlsplit(outlet.uri))
    return unquote(uri.netloc), uri.path.rpartition("/")[2]
