"""What an update changes in a definition, by attribute and operator. Pure; values are audiences, and never shown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN_FILTERS = 20
_LABEL_CHARACTERS = 80
_DEEPEST = 100
_GROUPS = {"included_filters": "Included", "excluded_filters": "Excluded"}


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """
    Say what an update changes.

    :param before: the segment as it is, with ``included_filters`` and ``excluded_filters`` where it has some.
    :param after: the same of what is to be sent.
    :return: one sentence for each of the two that either has, and no value of a filter in it.
    """
    return [
        _change_of(words, before.get(key), after.get(key))
        for key, words in _GROUPS.items()
        if _is_any(key, before, after)
    ]


def outline_of(definition: Mapping[str, Any]) -> list[str]:
    """
    Say what is in a definition.

    :param definition: ``included_filters`` and ``excluded_filters``.
    :return: one sentence for each that is there, and no value of a filter in it.
    """
    sentences = []
    for key, words in _GROUPS.items():
        if definition.get(key):
            labels = [label for label, _ in _leaves(definition[key])]
            sentences.append(f"{words}: {_counted(len(labels))}{_named(labels, ': ')}.")
    return sentences


def _is_any(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return bool(list(_leaves(before.get(key))) or list(_leaves(after.get(key))))


def _change_of(words: str, before: Any, after: Any) -> str:
    was, is_now = _by_label(before), _by_label(after)
    came = [label for label in is_now if label not in was]
    went = [label for label in was if label not in is_now]
    other = [label for label in is_now if label in was and sorted(was[label]) != sorted(is_now[label])]
    counts = [sum(len(leaves) for leaves in side.values()) for side in (was, is_now)]
    said = [
        f"{words}: {_counted(counts[0])} before, {counts[1]} after",
        *(f"{what}{_named(labels, ' ')}" for what, labels in (("new:", came), ("gone:", went)) if labels),
        *([f"with other values or options:{_named(other, ' ')}"] if other else []),
    ]
    return f"{'; '.join(said)}."


def _by_label(group: Any) -> dict[str, list[str]]:
    leaves: dict[str, list[str]] = defaultdict(list)
    for label, leaf in _leaves(group):
        leaves[label].append(json.dumps(leaf, sort_keys=True, default=str))
    return dict(leaves)


def _leaves(group: Any, of: str = "", levels: int = _DEEPEST) -> Iterator[tuple[str, Any]]:
    """Give each filter that is no group of filters, those on the attributes of an event as well, with its label."""
    filters = group.get("filters") if isinstance(group, Mapping) else None
    if not isinstance(filters, list | tuple) or not levels:
        return
    for each in filters:
        if not isinstance(each, Mapping):
            yield "something that is no filter", repr(type(each))
        elif each.get("filter_type") == "nested_filters":
            yield from _leaves(each, of, levels - 1)
        else:
            label, inner = _label_of(each, of)
            yield label, {key: value for key, value in each.items() if key not in {"attributes", "filters"}}
            yield from _leaves(inner, f" of {label.partition(' (')[0]}", levels - 1)


def _label_of(each: Mapping[str, Any], of: str) -> tuple[str, Any]:
    """Name a filter by its attribute, event or segment, and its operator. With it goes what filters are inside."""
    kind = each.get("filter_type")
    if kind in {"actions", "psychographic_event"}:
        execution = each.get("execution")
        how = execution.get("type") if isinstance(execution, Mapping) else each.get("operator_type")
        never = "not executed" if each.get("executed") is False else how
        return _label("event", each.get("action_name"), never), each.get("attributes")
    if kind == "custom_segments":
        return _label("segment", each.get("name") or each.get("id"), None), None
    how = each.get("operator")
    words = f"not {how}" if each.get("negate") is True and how else how
    return _label("", f"{_text(each.get('name'))}{of}", words), each


def _label(kind: str, name: Any, how: Any) -> str:
    named = f"{kind} {_text(name)}".strip()
    return f"{named} ({_text(how)})" if how is not None else named


def _text(word: Any) -> str:
    """Show a name: one line, and nothing but a name."""
    if not isinstance(word, str) or not word.strip():
        return "without a name"
    cut = word if len(word) <= _LABEL_CHARACTERS else word[:_LABEL_CHARACTERS] + "..."
    return "".join(character if character.isprintable() else " " for character in cut)


def _counted(count: int) -> str:
    return f"{count} filter" if count == 1 else f"{count} filters"


def _named(labels: list[str], before: str) -> str:
    different = list(dict.fromkeys(labels))
    if not different:
        return ""
    more = len(different) - _SHOWN_FILTERS
    return before + ", ".join(different[:_SHOWN_FILTERS]) + (f" and {more} more" if more > 0 else "")
