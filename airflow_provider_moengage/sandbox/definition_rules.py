"""The rules of a filter definition: its form, its limits, and when two of them are the same. Pure functions."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from airflow_provider_moengage.sandbox import errors, filter_parts
from airflow_provider_moengage.sandbox.filter_language import form_problems_of, problems_of

JsonObject = filter_parts.JsonObject

MAX_NESTING_LEVELS = 6
MAX_REFERENCED_SEGMENTS = 10
MAX_QUERY_LENGTH = 262_144

MAX_NAME_LENGTH = 200
FORBIDDEN_IN_NAMES = ':|*?\\<>=$"'
ALL_USERS = "All Users"
"""The name of the segment that every workspace has from the beginning."""

EXPLAINED_PROBLEMS = 5
"""How many problems of a definition the journal explains: enough to mend it, and not a page of them."""


@dataclass(frozen=True)
class Definition:
    """
    Whom a filter segment holds.

    :param included_filters: the filter group that its users match.
    :param excluded_filters: the filter group that its users do not match, if there is one.
    """

    included_filters: JsonObject
    excluded_filters: JsonObject | None = None

    def filters(self) -> Iterator[JsonObject]:
        """Walk through all filters, those inside nested filters included."""
        groups = [self.included_filters]
        if self.excluded_filters is not None:
            groups.append(self.excluded_filters)
        while groups:
            for item in groups.pop()["filters"]:
                yield item
                if item["filter_type"] == "nested_filters":
                    groups.append(item)

    def references(self) -> list[JsonObject]:
        """List the filters that refer to other segments."""
        return [item for item in self.filters() if item["filter_type"] == "custom_segments"]

    @cached_property
    def canonical(self) -> str:
        """
        The definition as text; equal texts mean equal definitions.

        Neither keys nor the filters of a group have an order, and an empty group of excluded filters is none.
        """
        groups = [_in_order(self.included_filters)]
        if self.excluded_filters is not None and self.excluded_filters["filters"]:
            groups.append(_in_order(self.excluded_filters))
        return _compact(groups)

    def has_nested_filters(self) -> bool:
        """Say whether any filter is a group of filters."""
        return any(item["filter_type"] == "nested_filters" for item in self.filters())


@dataclass(frozen=True)
class ReferencedSegment:
    """
    A filter segment that a definition refers to.

    :param id: its id.
    :param definition: its own definition, which counts toward the limits.
    """

    id: str
    definition: Definition


Resolve = Callable[[JsonObject], "ReferencedSegment | None"]
"""From a ``custom_segments`` filter to the segment it means; None for what does not count, such as file segments."""


def name_problem(name: str) -> str | None:
    """
    Find what MoEngage's rules of names forbid in a name.

    :return: what is wrong, as a sentence goes on after the name; None when nothing is.
    """
    if not name.strip():
        return "is blank"
    for position, character in enumerate(name, start=1):
        if character in FORBIDDEN_IN_NAMES:
            return f"has {character} at character {position}; none of {' '.join(FORBIDDEN_IN_NAMES)} may be in a name"
    if name.startswith("."):
        return "begins with a period"
    if len(name) > MAX_NAME_LENGTH:
        return f"has {len(name)} characters; {MAX_NAME_LENGTH} are the most"
    return None


def check_name(name: object, *, forbidden_pass: bool = False) -> str:
    """
    Check the name that a segment is to get.

    :param forbidden_pass: whether to let pass what only the newer rules forbid, for a server that drops such a segment
        without an error. It refuses a blank name and HTML characters all the same.
    :return: the name.
    :raises ApiError: 400 when it is not a text or breaks the published rules, 409 when it is ``All Users``.
    """
    if not isinstance(name, str):
        raise errors.invalid_format(explanation="name must be a text.")
    problem = name_problem(name)
    if problem and not (forbidden_pass and name.strip() and not set(name) & {"<", ">"}):
        raise errors.invalid_definition(explanation=f"name {problem}.")
    if name == ALL_USERS:
        raise errors.name_exists(name)
    return name


def check_group(group: object, place: str = "included_filters", *, may_be_empty: bool = False) -> JsonObject:
    """
    Check a filter group against the published language of filters. Unknown keys are welcome.

    :param place: what it was sent as, which the explanation of a refusal begins with.
    :param may_be_empty: whether the group may do without filters.
    :return: the group.
    :raises ApiError: when something is surely wrong with it. As MoEngage's own, the refusal names no field; its
        explanation does, and is not sent.
    """
    _refuse_if_any(problems_of(group, place, may_be_empty=may_be_empty))
    return cast("JsonObject", group)


def _refuse_if_any(found: filter_parts.Problems) -> None:
    problems = list(itertools.islice(found, EXPLAINED_PROBLEMS))
    if problems:
        refuse = errors.invalid_format if problems[0].is_malformed else errors.invalid_definition
        raise refuse(explanation=" ".join(map(str, problems)))


def checked_definition(included_filters: JsonObject, excluded_filters: JsonObject | None = None) -> Definition:
    """
    Make a definition of groups of the right form.

    :return: the definition, of copies.
    :raises ApiError: when the form of a group is wrong.
    """
    check_group(included_filters)
    if excluded_filters is not None:
        check_group(excluded_filters, "excluded_filters", may_be_empty=True)
    return copy.deepcopy(Definition(included_filters, excluded_filters))


def kept_definition(included_filters: JsonObject, excluded_filters: JsonObject | None = None) -> Definition:
    """
    Make a definition of groups that were accepted once: the language of filters may have been another one then.

    :return: the definition, of copies.
    :raises ApiError: when something is no group of filters.
    """
    groups = [("included_filters", included_filters)]
    if excluded_filters is not None:
        groups.append(("excluded_filters", excluded_filters))
    for place, group in groups:
        _refuse_if_any(form_problems_of(group, place))
    return copy.deepcopy(Definition(included_filters, excluded_filters))


def check_limits(definition: Definition, resolve: Resolve, *, own_id: str | None = None) -> None:
    """
    Check what a definition refers to.

    :param resolve: finds the segment behind a reference, or raises when there is none.
    :param own_id: the id of the segment that is to get this definition, when it already exists.
    :raises ApiError: when the definition contains itself or exceeds a limit.
    """
    if own_id is not None:
        _check_no_cycle(definition, resolve, own_id)
    if nesting_level(definition, resolve) > MAX_NESTING_LEVELS:
        raise errors.too_many_levels(MAX_NESTING_LEVELS)
    if len({segment.id for segment in _referenced(definition, resolve)}) > MAX_REFERENCED_SEGMENTS:
        raise errors.too_many_segments(MAX_REFERENCED_SEGMENTS)
    if expanded_length(definition, resolve) > MAX_QUERY_LENGTH:
        raise errors.query_too_long()


def _referenced(definition: Definition, resolve: Resolve) -> Iterator[ReferencedSegment]:
    for reference in definition.references():
        segment = resolve(reference)
        if segment is not None:
            yield segment


def _check_no_cycle(definition: Definition, resolve: Resolve, own_id: str) -> None:
    seen: set[str] = set()
    to_visit = [definition]
    while to_visit:
        for segment in _referenced(to_visit.pop(), resolve):
            if segment.id == own_id:
                raise errors.circular_reference()
            if segment.id not in seen:
                seen.add(segment.id)
                to_visit.append(segment.definition)


def nesting_level(definition: Definition, resolve: Resolve) -> int:
    """
    Count the levels of a definition.

    Filters make one level, nested ones too as long as the definition refers to no other segment. A referenced segment
    adds its own levels plus one, and only the deepest counts; beside it, nested filters add one level in all, however
    many there are. File segments count as no reference.

    :param resolve: finds the segment behind a reference.
    :raises ApiError: as soon as a chain of references alone exceeds the limit, which also ends circular ones.
    """
    known: dict[str, int] = {}

    def level(definition: Definition, chain: int) -> int:
        if chain > MAX_NESTING_LEVELS:
            raise errors.too_many_levels(MAX_NESTING_LEVELS)
        deepest = 0
        for segment in _referenced(definition, resolve):
            if segment.id not in known:
                known[segment.id] = level(segment.definition, chain + 1)
            deepest = max(deepest, known[segment.id])
        return deepest + 1 + (deepest > 0 and definition.has_nested_filters())

    return level(definition, 1)


def expanded_length(definition: Definition, resolve: Resolve) -> int:
    """
    Count the characters of a definition as compact JSON, every reference with the definition that it stands for.

    :param resolve: finds the segment behind a reference; the references must not be circular.
    """
    known: dict[str, int] = {}

    def length(definition: Definition) -> int:
        total = len(_compact(definition.included_filters))
        if definition.excluded_filters is not None:
            total += len(_compact(definition.excluded_filters))
        for segment in _referenced(definition, resolve):
            if segment.id not in known:
                known[segment.id] = length(segment.definition)
            total += known[segment.id]
        return total

    return length(definition)


def _in_order(group: JsonObject) -> JsonObject:
    filters = [_in_order(item) if item["filter_type"] == "nested_filters" else item for item in group["filters"]]
    return {**group, "filters": sorted(filters, key=_compact)}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
