"""How figures are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table whose first column is text, and whose others are figures."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in (head, *rows)]


def lines_of(facts: Mapping[str, Any]) -> list[str]:
    """Write what is known by its name, a line each."""
    width = max(map(len, facts))
    return [f"{name:<{width}}  {value}" for name, value in facts.items()]


def compact(figures: Mapping[str, Any]) -> str:
    """Write them as JSON, what has nothing in it but values on one line: so a run is one."""
    indented = json.dumps(figures, indent=1)
    innermost = re.compile(r"[{\[][^{}\[\]]*[}\]]")
    return innermost.sub(lambda found: re.sub(r"\n\s*", " ", found[0]), indented) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    (first, *others), (first_width, *other_widths) = row, widths
    return [f"{first:<{first_width}}", *(f"{text:>{width}}" for text, width in zip(others, other_widths, strict=True))]
