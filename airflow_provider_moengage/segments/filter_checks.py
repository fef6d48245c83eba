"""
What is surely wrong with filters, by what MoEngage has published on its language.

MoEngage answers a wrong filter with a 400 that names no field. Here each mistake has its place and a sentence. What is
not known passes: other kinds of filters, other keys, and the spellings that MoEngage's own dashboard makes. Values that
are not there yet, templates and outputs of other tasks, pass as well. No sentence shows a value: values are audiences.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider_moengage.segments.filter_attribute_checks import AUGUST_SPELLING, check_comparison
from airflow_provider_moengage.segments.filter_event_checks import check_event
from airflow_provider_moengage.segments.filter_findings import ON_BECAME_TRUE, Findings, listed, shown
from airflow_provider_moengage.segments.filter_values import LISTS, comes_later, kind_of

MOST_LEVELS = 6
MOST_REFERENCES = 10
MOST_CHARACTERS = 262_144

# Deeper than any people make, and than Python writes as JSON.
_DEEPEST = 300
_DEEPEST_VALUE = 1_000

_FOR_TEXT = (
    *("in", "is", "contains", "startsWith", "endsWith", "containsInTheFollowing", "startsWithInTheFollowing"),
    *("endsWithInTheFollowing", "exists"),
)
_FOR_NUMBERS = ("in", "lessThan", "greaterThan", "between", "exists")
_OPERATORS: dict[str, tuple[str, ...]] = {
    "string": _FOR_TEXT,
    "double": _FOR_NUMBERS,
    "bool": ("is", "exists"),
    "datetime": ("on", "between", "before", "after", "inTheLast", "inTheNext", "today", "is", "in", "exists"),
    "geopoint": (),
    "array_string": ("in", "contains", "startsWith", "endsWith", "is", "exists"),
    "array_double": _FOR_NUMBERS,
    "object": (),
    "array_object": (),
}
_KINDS = ("user_attributes", "actions", "psychographic_event", "custom_segments", "nested_filters")
_EVENT_ATTRIBUTES = ("action_attributes", "event_attributes")
_INNER_KINDS = (None, "user_attributes", *_EVENT_ATTRIBUTES)


class _Node(NamedTuple):
    """
    Something that is yet to be looked at: a group, or a filter.

    `within` says what the filters are about: anything, the attributes of a user, of an event, or of an affinity.
    """

    place: str
    value: Any
    is_group: bool
    within: str
    level: int


def mistakes_of(group: Any, place: str, *, allow_empty_values: bool) -> list[tuple[str, str]]:
    """
    Say what is surely wrong with a group of filters.

    :param group: what is to be sent.
    :param place: what it is called in the places.
    :param allow_empty_values: whether a list of values may be empty.
    :return: the places, in the order of the group, each with a sentence.
    """
    return mistakes_of_definition({place: group}, allow_empty_values=allow_empty_values)


def mistakes_of_definition(groups: Mapping[str, Any], *, allow_empty_values: bool) -> list[tuple[str, str]]:
    """
    Say what is surely wrong with a definition. MoEngage's limits hold for all of its groups together.

    :param groups: what is to be sent, by what it is called in the places.
    :param allow_empty_values: whether a list of values may be empty.
    :return: the places, in the order of the definition, each with a sentence; what concerns the size comes last.
    """
    walk = _Walk(Findings(allow_empty_values=allow_empty_values))
    for place, group in groups.items():
        walk.through(_Node(place, group, is_group=True, within="any", level=1))
    _check_size(walk.findings, groups)
    return walk.findings.found


def empty_lists_of(groups: Mapping[str, Any]) -> list[tuple[str, str]]:
    """
    Find the lists of values, and of a filter's own filters, that are empty, whatever language the filters are in.

    :param groups: what is to be sent, by what it is called in the places.
    :return: the places, in the order of the definition, each with a sentence.
    """
    findings = Findings(allow_empty_values=False)
    for name, group in groups.items():
        for place, value in _everything_in(name, group):
            if isinstance(value, dict):
                findings.check_not_empty(place, "value", value.get("value"))
                # A group without filters is none; a filter that asks for them is about nothing then.
                if "filter_type" in value or "data_type" in value:
                    findings.check_not_empty(place, "filters", value.get("filters"))
    return findings.found


class _Walk:
    """A look at all groups and filters of a definition, in their order; the segments count once in all of it."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        # Not Python's own stack: a definition may be deeper.
        self._pending: list[_Node] = []
        self._seen: set[int] = set()
        self._references: set[Any] = set()

    def through(self, top: _Node) -> None:
        self._seen.clear()
        self._pending.append(top)
        while self._pending:
            node = self._pending.pop()
            if comes_later(node.value):
                continue
            if node.is_group:
                self._group(node)
            else:
                self._filter(node)

    def _group(self, node: _Node) -> None:
        group = node.value
        if not isinstance(group, dict):
            example = '{"filter_operator": "and", "filters": [...]}'
            self.findings.say(node.place, f"A group of filters is an object such as {example}, not {kind_of(group)}.")
            return
        # A group may be there twice, or hold itself: it is looked at once.
        if id(group) in self._seen:
            return
        self._seen.add(id(group))
        if node.place.count(".filters[") >= _DEEPEST:
            self.findings.say(node.place, f"It is nested more than {_DEEPEST} groups deep, which cannot be sent.")
            return
        self.findings.is_word(node.place, "filter_operator", group.get("filter_operator"), ("and", "or"))
        filters = group.get("filters")
        if isinstance(filters, LISTS):
            rest = (False, node.within, node.level)
            members = [_Node(f"{node.place}.filters[{index}]", each, *rest) for index, each in enumerate(filters)]
            self._pending.extend(reversed(members))
        elif not comes_later(filters):
            self.findings.say(f"{node.place}.filters", f"A group needs a list of filters, not {kind_of(filters)}.")

    def _filter(self, node: _Node) -> None:
        if not isinstance(node.value, dict):
            self.findings.say(node.place, f"A filter is an object, not {kind_of(node.value)}.")
            return
        kind = node.value.get("filter_type")
        if kind == "nested_filters":
            self.findings.check_not_empty(node.place, "filters", node.value.get("filters"))
            self._pending.append(node._replace(is_group=True, level=node.level + 1))
        elif node.within == "any":
            self._any_filter(node, kind)
        else:
            self._inner_filter(node, kind)

    def _any_filter(self, node: _Node, kind: Any) -> None:
        where = f"{node.place}.filter_type"
        if kind == "user_attributes":
            self._attribute(node)
        elif kind in ("actions", "psychographic_event"):
            self._event(node, affinity=kind == "psychographic_event")
        elif kind == "custom_segments":
            self._reference(node)
        elif kind in _EVENT_ATTRIBUTES:
            self.findings.say(where, f"{kind} has its place in the attributes of an event.")
        elif not isinstance(kind, str) and not comes_later(kind):
            self.findings.say(where, f"It is missing: {listed(_KINDS)}.")

    def _inner_filter(self, node: _Node, kind: Any) -> None:
        where = f"{node.place}.filter_type"
        if node.within == "affinity" and kind is not None:
            self.findings.say(where, "What an affinity is about has no filter_type: leave it out.")
        elif kind in ("actions", "psychographic_event", "custom_segments"):
            self.findings.say(where, f"{kind} has no place here: only filters on attributes have.")
        elif kind in _INNER_KINDS:
            self._attribute(node)

    def _reference(self, node: _Node) -> None:
        reference = node.value.get("id")
        if not comes_later(reference) and (not isinstance(reference, str) or not reference.strip()):
            self.findings.say(f"{node.place}.id", "It is missing: the id that the list of segments shows.")
            return
        count = len(self._references)
        self._references.add(reference if isinstance(reference, str) else id(reference))
        if count == MOST_REFERENCES < len(self._references):
            self.findings.say(
                node.place, f"MoEngage lets a definition refer to {MOST_REFERENCES} segments: this is one more."
            )
        if node.level > MOST_LEVELS:
            self.findings.say(node.place, f"The segment stands {node.level} levels deep: MoEngage takes {MOST_LEVELS}.")

    def _attribute(self, node: _Node) -> None:
        filter_, place = node.value, node.place
        self.findings.check_name(place, "name", filter_.get("name"))
        data_type, operator = filter_.get("data_type"), filter_.get("operator")
        if data_type is None or not (isinstance(data_type, str) or comes_later(data_type)):
            self.findings.say(f"{place}.data_type", f"It is missing: {listed(_OPERATORS)}.")
        elif data_type == "geopoint":
            self._geopoint(node)
        elif data_type in ("object", "array_object"):
            self._object(node, data_type)
        elif isinstance(data_type, str) and data_type in _OPERATORS and self._is_operator(node, data_type, operator):
            check_comparison(self.findings, place, filter_, data_type, operator)

    def _is_operator(self, node: _Node, data_type: str, operator: Any) -> bool:
        known = _OPERATORS[data_type]
        if isinstance(operator, str) and operator in known:
            return True
        if operator is True:
            self.findings.say(f"{node.place}.operator", ON_BECAME_TRUE)
            return False
        if operator == AUGUST_SPELLING and data_type == "string":
            return True
        if operator == "is" and data_type == "double" and node.within == "affinity":
            return True
        if isinstance(operator, str) and not comes_later(operator):
            sentence = f"{data_type} has no operator {shown(operator)}. It has: {listed(known)}."
            self.findings.say(f"{node.place}.operator", sentence)
            return False
        return self.findings.is_word(node.place, "operator", operator, known)

    def _geopoint(self, node: _Node) -> None:
        if node.value.get("operator") is not None:
            self.findings.say(f"{node.place}.operator", "geopoint has no operator: leave it out.")
        for key, what in (("value", "the latitude"), ("value1", "the longitude"), ("radius", "how many metres")):
            if node.value.get(key) is None:
                self.findings.say(f"{node.place}.{key}", f"It is missing: {what}.")

    def _object(self, node: _Node, data_type: str) -> None:
        for key in ("operator", "negate", "value", "value1"):
            if node.value.get(key) is not None:
                self.findings.say(
                    f"{node.place}.{key}", f"{data_type} has no {key}: leave it out, and ask in its filters."
                )
        if node.value.get("is_dynamic_value") is True:
            self.findings.say(f"{node.place}.is_dynamic_value", f"{data_type} is compared with no other attribute.")
        self.findings.check_not_empty(node.place, "filters", node.value.get("filters"))
        within = "user" if node.within == "any" else node.within
        self._pending.append(node._replace(is_group=True, within=within))

    def _event(self, node: _Node, *, affinity: bool) -> None:
        check_event(self.findings, node.place, node.value, affinity=affinity)
        inner = [("psychographic_attributes", "affinity")] if affinity else []
        if not affinity or node.value.get("attributes") is not None:
            inner.append(("attributes", "event"))
        for key, within in inner:
            value = node.value.get(key)
            self._pending.append(_Node(f"{node.place}.{key}", value, is_group=True, within=within, level=node.level))


def _check_size(findings: Findings, groups: Mapping[str, Any]) -> None:
    sizes = {place: _size_of(findings, place, group) for place, group in groups.items()}
    too_large = [place for place, size in sizes.items() if size > MOST_CHARACTERS]
    if not too_large and sum(sizes.values()) > MOST_CHARACTERS:
        too_large = [" and ".join(sizes)]
    for place in too_large:
        size = sizes.get(place, sum(sizes.values()))
        findings.say(place, f"The definition has {size:,} characters: MoEngage takes {MOST_CHARACTERS:,}.")


def _size_of(findings: Findings, place: str, group: Any) -> int:
    """Count the characters of a group; 0 for one that is no JSON, of which the findings say why."""
    try:
        return len(json.dumps(group, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_nothing_yet))
    except RecursionError:
        is_said = any(
            where.startswith(place) and sentence.endswith("which cannot be sent.") for where, sentence in findings.found
        )
        if not is_said:
            findings.say(place, "It is nested too deeply to be sent.")
    except (TypeError, ValueError):
        for where, sentence in _not_in_json(place, group) or [(place, "It holds itself, or a key that is no text.")]:
            findings.say(where, sentence)
    return 0


def _nothing_yet(value: Any) -> None:
    if not comes_later(value):
        raise TypeError


def _not_in_json(place: str, value: Any) -> list[tuple[str, str]]:
    """Find what cannot be sent: a date, a set, NaN."""
    found = []
    for where, each in _everything_in(place, value):
        if isinstance(each, float):
            if not math.isfinite(each):
                found.append((where, "JSON has neither NaN nor infinity."))
        elif not (each is None or isinstance(each, str | int | dict | list | tuple) or comes_later(each)):
            found.append((where, f"JSON has no {type(each).__name__}."))
    return found


def _everything_in(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Walk through objects, lists and what is in them, in their order, each object and list once."""
    seen: set[int] = set()
    pending = [(place, value, 0)]
    while pending:
        place, value, depth = pending.pop()
        is_container = isinstance(value, dict | list | tuple)
        if depth > _DEEPEST_VALUE or (is_container and id(value) in seen):
            continue
        yield place, value
        if is_container:
            seen.add(id(value))
            is_object = isinstance(value, dict)
            entries = list(value.items() if is_object else enumerate(value))
            inner = [(f"{place}.{key}" if is_object else f"{place}[{key}]", each, depth + 1) for key, each in entries]
            pending.extend(reversed(inner))
