"""
The language of filters, as MoEngage has published it: what is surely wrong in a group of filters, and where.

A key that no document lists passes, since the dashboard sends such keys; so does a value where the documents differ. A
value outside of a published list does not. Nothing here is shared with the client, which has a check of its own: one
mistake cannot hide in both.
"""

from __future__ import annotations

from functools import partial

from airflow_provider_moengage.sandbox.attribute_filters import OF_A_USER, attribute_problems
from airflow_provider_moengage.sandbox.event_filters import action_problems, affinity_problems
from airflow_provider_moengage.sandbox.filter_parts import (
    CheckFilter,
    JsonObject,
    Problems,
    choice_problems,
    group_problems,
    is_given,
    text_problems,
)


def problems_of(group: object, place: str, *, may_be_empty: bool = False) -> Problems:
    """
    Find what is surely wrong in a group of filters.

    :param group: what was sent as a group.
    :param place: what it was sent as, such as ``included_filters``.
    :param may_be_empty: whether the group may do without filters.
    :return: the problems, in the order of the filters.
    """
    yield from group_problems(group, place, _filter_problems, may_be_empty=may_be_empty)


def form_problems_of(group: object, place: str) -> Problems:
    """
    Find what keeps a group of filters from being read at all, in whatever words.

    :param group: what stands where a group has to.
    :param place: where that is.
    """
    yield from group_problems(group, place, _form_problems, may_be_empty=True)


def _form_problems(item: JsonObject, place: str) -> Problems:
    if item.get("filter_type") == "nested_filters":
        yield from group_problems(item, place, _form_problems, may_be_empty=True)
    elif item.get("filter_type") == "custom_segments":
        yield from _reference_problems(item, place)
    else:
        yield from text_problems(item, place, "filter_type")


def _filter_problems(item: JsonObject, place: str) -> Problems:
    filter_type = item.get("filter_type")
    check = FILTER_TYPES.get(filter_type) if isinstance(filter_type, str) else None
    if check is None:
        yield from choice_problems(item, place, "filter_type", tuple(FILTER_TYPES), required=True)
    else:
        yield from check(item, place)


def _nested_problems(item: JsonObject, place: str) -> Problems:
    yield from group_problems(item, place, _filter_problems)


def _reference_problems(item: JsonObject, place: str) -> Problems:
    yield from text_problems(item, place, "id" if is_given(item, "id") else "name")


FILTER_TYPES: dict[str, CheckFilter] = {
    "user_attributes": partial(attribute_problems, filter_types=OF_A_USER),
    "actions": action_problems,
    "psychographic_event": affinity_problems,
    "custom_segments": _reference_problems,
    "nested_filters": _nested_problems,
}
"""From the type of a filter to its check."""
