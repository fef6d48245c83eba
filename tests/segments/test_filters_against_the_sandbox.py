"""
The language of filters, said twice: by the builders and check_filters, and by the sandbox, which knows nothing of them.

What the builders make passes both. What the check refuses, the sandbox refuses: otherwise the check would keep people
from what MoEngage takes. Where the check is stricter by decision it is in EXCEPTIONS, each with its reason. The other
way the check may be laxer: it lets pass what it does not know, templates, and spellings of older descriptions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import Sandbox
from airflow_provider_moengage.sandbox.filter_language import problems_of
from airflow_provider_moengage.segments.filters import check_filters
from tests.any_values import many
from tests.sandbox.calling import Caller, group, reference
from tests.sandbox.calling import nested as nested_filters
from tests.segments.built_filters import GROUPS
from tests.segments.test_filter_checks import LEFT_OUT, RIGHT, affinity, aggregated, attribute, changed, dynamic

DIALECTS = ["seeds", "today"]


@pytest.fixture(params=DIALECTS)
def status(request):
    """Gives the status of an update with filters, in either dialect."""
    with Sandbox(dialect=request.param) as sandbox:
        segment = sandbox.add_segment(name="made")
        sandbox.add_segment(name="VIP")
        for number in range(11):
            sandbox.add_segment(name=f"other {number}", id=f"{number:024x}")
        caller = Caller(sandbox, "segment_id")
        with caller.session:

            def update(filters):
                sandbox.move_clock(timedelta(days=1))  # no limit of a day
                return caller.update(segment["id"], filters).status_code

            yield update


def test_what_builders_make_passes(status):
    @many(0.3)
    @given(GROUPS)
    def check(made):
        assert check_filters(made) == []
        assert status(made) == 200

    check()


# What somebody pastes: a filter of each row of the language that both let pass, and what is then changed in it.
PASTED = [
    filter_
    for filter_ in RIGHT
    if isinstance(filter_, dict) and not list(problems_of(json.loads(json.dumps(group(filter_))), "it"))
]
BASES = GROUPS | st.sampled_from([group(filter_) for filter_ in PASTED])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)
    if isinstance(value, str):
        yield value


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Give all places in a definition: what holds them, and the key or index there."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        yield value, key
        yield from _spots(each)


WORDS = sorted({*(text for filter_ in PASTED for text in _texts(filter_)), "equals"})
ODD = [None, True, False, 0, -1, 1, 7, 24, 1.5, 2.0, "", " ", "3", "06-15", [], [1], ["x"], [None], [[]], {}, [{}]]


def mutant_of(base: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Break a definition in one place or two: a key that goes, comes, or says something else."""
    mutant = json.loads(json.dumps(base))
    for _ in range(chance.choice([1, 1, 1, 2])):
        holder, key = chance.choice([*_spots(mutant)] or [(mutant, "filters")])
        how = chance.choice(["leave out", "replace", "replace", "add"])
        if how == "leave out" and key in (holder if isinstance(holder, dict) else range(len(holder))):
            del holder[key]
        elif how == "add" and isinstance(holder, dict):
            holder[chance.choice(WORDS)] = chance.choice([*ODD, *WORDS])
        else:
            holder[key] = chance.choice([*ODD, *WORDS])
    return mutant


def mutants_of(base: dict[str, Any], seed: int, count: int) -> list[dict[str, Any]]:
    """Give those that the check refuses, for another reason than its own decisions."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    mutants = [mutant_of(base, chance) for _ in range(count)]
    return [
        mutant
        for mutant in mutants
        if any(not is_exception(*found) for found in check_filters(mutant, allow_empty_values=True))
    ]


SEEDS = st.integers(0, 2**32)


def test_what_the_check_refuses_the_sandbox_finds_wrong():
    refused = []

    @many(2)
    @given(BASES, SEEDS)
    def check(base, seed):
        for mutant in mutants_of(base, seed, 20):
            refused.append(mutant)
            assert list(problems_of(mutant, "included_filters")), (check_filters(mutant), mutant)

    check()
    assert len(refused) > 1_000, "most mutants are wrong"


def test_what_the_check_refuses_is_refused_over_the_wire(status):
    @many(0.3)
    @given(BASES, SEEDS)
    def check(base, seed):
        for mutant in mutants_of(base, seed, 2):
            assert status(mutant) == 400, (check_filters(mutant), mutant)

    check()


def nested_around(levels: int) -> dict[str, Any]:
    inner = group(reference({"id": "0" * 24, "name": "other 0"}))
    for _ in range(levels - 1):
        inner = group(nested_filters(*inner["filters"]))
    return inner


EXCEPTIONS = [
    # Filters, what the check says of them, and why it says it although the sandbox takes them.
    (
        group(attribute(value=[])),
        ("value", "The list is empty"),
        "no document says whom an empty list selects; allow_empty_values=True sends it",
    ),
    (
        group(changed(dynamic(), dynamic_attribute_type=None)),
        ("dynamic_attribute_type", "It is missing"),
        "the newest description has it beside every template, an older sample of MoEngage's has not",
    ),
    (
        group({"filter_type": "custom_segments", "name": "VIP"}),
        ("id", "It is missing"),
        "every description has the id; the sandbox also finds a segment by its name, which can change",
    ),
    (
        nested_around(7),
        ("", "The segment stands 7 levels deep"),
        "how nested groups around a segment are counted is published in two ways, and the sandbox plays the milder one",
    ),
]


def is_exception(place: str, sentence: str) -> bool:
    return any(place.endswith(f".{key}") and sentence.startswith(said) for _, (key, said), _ in EXCEPTIONS if key)


@pytest.mark.parametrize(
    ("filters", "found", "reason"), EXCEPTIONS, ids=lambda value: value[:40] if isinstance(value, str) else ""
)
def test_where_the_check_is_stricter(status, filters, found, reason):
    ((place, sentence),) = check_filters(filters)
    key, said = found
    assert place.endswith(key)
    assert sentence.startswith(said)
    assert status(filters) == 200, f"no exception any more: {reason}"


@pytest.mark.parametrize(
    "filters",
    [
        group(*(reference({"id": f"{number:024x}", "name": "x"}) for number in range(11))),
        group(attribute(value=["ü" * 262_144])),
    ],
    ids=["references", "characters"],
)
def test_what_is_too_large(status, filters):
    assert len(check_filters(filters)) == 1
    assert status(filters) == 413


@pytest.mark.parametrize(
    "filter_",
    [
        # Two readings of the documents, and the check takes either.
        affinity(executed=LEFT_OUT, execution=LEFT_OUT),
        affinity(operator_type="minimum", percent_of_times=1.5),
        {**aggregated(), "aggregation_attributes": aggregated()["aggregation_attributes"]["filters"]},
        {**aggregated(), "aggregation_attributes": aggregated()["aggregation_attributes"]["filters"][0]},
        attribute("datetime", "is", value=6.0, extract_type="day_of_the_week"),
    ],
    ids=range(5),
)
def test_what_both_let_pass(status, filter_):
    assert check_filters(group(filter_)) == []
    assert status(group(filter_)) == 200
