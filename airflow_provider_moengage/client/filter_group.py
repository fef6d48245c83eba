"""Structural checks of a filter group, before anything is sent."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import type_of


def check_filter_group(parameter: str, value: Any) -> None:
    """
    Check that a filter group has the two keys that the API documents as mandatory.

    The filters themselves are the server's to judge: payloads made by MoEngage's dashboard carry keys that no
    document lists, so nothing is rejected for being unknown.

    :param parameter: how the caller named it, ``included_filters`` or ``excluded_filters``.
    :param value: what the caller gave.
    :raises InvalidInputError: when it is no object, or lacks ``filter_operator`` or a list ``filters``.
    """
    example = '{"filter_operator": "and", "filters": [...]}'
    if not isinstance(value, dict):
        hint = (
            " JSON text needs json.loads(); a template renders to text unless the DAG has "
            "render_template_as_native_obj=True; another task's result is its .output."
            if isinstance(value, str)
            else ""
        )
        raise InvalidInputError(
            f"{parameter} must be a JSON object such as {example}, not {type_of(value)}.{hint}",
        )
    if value.get("filter_operator") not in ("and", "or"):
        raise InvalidInputError(
            f'{parameter} needs the key "filter_operator" with the value "and" or "or", '
            f"not {type_of(value.get('filter_operator'))}: {parameter} looks like {example}."
        )
    if not isinstance(value.get("filters"), list):
        raise InvalidInputError(
            f'{parameter} needs the key "filters" with a list of filters, not {type_of(value.get("filters"))}: '
            f"{parameter} looks like {example}."
        )
