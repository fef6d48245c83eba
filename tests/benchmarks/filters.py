"""What making and checking a definition costs, beside jsonschema with the description that MoEngage publishes."""

from __future__ import annotations

import argparse
import os
import time
import timeit
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import jsonschema
import ruamel.yaml

from airflow_provider_moengage.segments.filters import (
    all_of,
    check_filters,
    event,
    event_attribute,
    not_,
    user,
)
from demo import say
from tests.benchmarks.show import table

FILTERS = 1_000
RUNS = 7
BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared" / "openapi" / "custom-segments-2026-08.yml"
OPENAPI = Path(os.environ.get("MOENGAGE_OPENAPI") or BESIDE_THE_CHECKOUT)
WAYS = {"made": "make it with the builders", "checked": "check_filters", "jsonschema": "jsonschema"}


def definition() -> dict[str, Any]:
    """Make a definition of so many filters, of the kinds that the description knows."""
    number = FILTERS // 5
    filters = [
        made
        for index in range(number)
        for made in (
            user(f"City {index}").is_in(["Pune", "Delhi", "Mumbai"]),
            user(f"Value {index}").between(10, 99),
            not_(user(f"Plan {index}").contains("free")),
            event(f"Purchase {index}")
            .at_least(2)
            .between(date(2026, 1, 1), date(2026, 1, 31))
            .where(event_attribute("Category").is_in(["shoes", "shirts"])),
            not_(event(f"Login {index}").on(date(2026, 1, 1))),
        )
    ]
    return all_of(*filters)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """
    Measure.

    :param options: none of them is looked at.
    :return: the seconds of each way and run.
    """
    say(f"filters: a definition of {FILTERS:,} in each way, {RUNS} times")
    validator, instance = _validator(), _as_in_august(definition())
    problems = next(validator.iter_errors(instance), None)
    if problems is not None or check_filters(definition()):
        raise RuntimeError("The definition is meant to be right for both.")
    made = definition()
    runs = [
        {
            "made": _seconds(definition),
            "checked": _seconds(lambda: check_filters(made)),
            "jsonschema": _seconds(lambda: list(validator.iter_errors(instance))),
        }
        for _ in range(RUNS)
    ]
    return {"filters": FILTERS, "runs": runs}


def _validator() -> Any:
    if not OPENAPI.is_file():
        raise RuntimeError(f"MoEngage's OpenAPI description is not at {OPENAPI}; MOENGAGE_OPENAPI says where.")
    # As YAML 1.2: in YAML 1.1 the operator on is a boolean.
    document = ruamel.yaml.YAML(typ="safe", pure=True).load(OPENAPI.read_text(encoding="utf-8"))
    schema = {"$ref": "#/components/schemas/FilterGroupV3", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def _as_in_august(group: dict[str, Any]) -> dict[str, Any]:
    """Write the one word otherwise that has changed since: what filters on attributes of an event are called."""
    for each in group["filters"]:
        for inner in each.get("attributes", {}).get("filters", []):
            inner["filter_type"] = "user_attributes"
    return group


def _seconds(call: Callable[[], object]) -> float:
    # timeit keeps the garbage collector out of it, whose time depends on what else the process holds.
    return round(timeit.timeit(call, timer=time.process_time, number=1), 6)


def share_of(figures: Mapping[str, Any]) -> float:
    """
    Give what making and checking take of the time that jsonschema needs.

    :param figures: what :func:`measure` gives.
    """
    return median((run["made"] + run["checked"]) / run["jsonschema"] for run in figures["runs"])


def report(figures: Mapping[str, Any]) -> list[str]:
    """
    Write the figures as a person reads them: medians of the runs.

    :param figures: what :func:`measure` gives.
    """
    rows = [(name, f"{median(run[way] for run in figures['runs']) * 1_000:.1f}") for way, name in WAYS.items()]
    return [
        f"Filters: a definition of {figures['filters']:,}, medians of {len(figures['runs'])} runs.",
        "",
        *table(("", "CPU ms"), rows),
        "",
        f"To make and to check it takes {share_of(figures):.3f} of the time that jsonschema needs.",
    ]
