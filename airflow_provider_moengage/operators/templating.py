"""
MoEngage's own templates, which look like Jinja's.

A filter may compare one user attribute with another: ``"value": "{{MoeUserAttribute['lifetime_value']}}"``. Airflow
would look for a variable of that name and fail. Such expressions are therefore taken out before Jinja sees the text,
and put back after it, while ``{{ ds }}`` beside them is rendered as ever.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

# A quoted part may hold }} without ending the expression. No two alternatives begin alike, so that a text that is no
# expression after all is read once, and not over and over.
_EXPRESSION = re.compile(r"""\{\{-?\s*Moe[A-Z]\w*(?:[^"'{}]|"[^"]*"|'[^']*'|\}(?!\}))*\}\}""")


def take_out(text: str) -> tuple[str, dict[str, str]]:
    """
    Replace MoEngage's expressions by placeholders that mean nothing to Jinja.

    :param text: a template.
    :return: the template with placeholders, and the expressions by their placeholders.
    """
    expressions: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        name = f"moengage-{uuid4().hex}-expression"
        expressions[name] = match[0]
        return name

    return _EXPRESSION.sub(placeholder, text), expressions


def put_back(rendered: Any, expressions: dict[str, str]) -> Any:
    """
    Undo :func:`take_out`.

    :param rendered: what Jinja made of the template; with native rendering it can be any object.
    :param expressions: the expressions by their placeholders.
    :return: the same with the expressions in place of the placeholders.
    """
    if isinstance(rendered, str):
        for name, expression in expressions.items():
            rendered = rendered.replace(name, expression)
        return rendered
    if isinstance(rendered, (list, set, tuple)):
        entries = [put_back(entry, expressions) for entry in rendered]
        # A named tuple takes its entries one by one.
        return type(rendered)(*entries) if hasattr(rendered, "_fields") else type(rendered)(entries)
    if isinstance(rendered, dict):
        return {put_back(key, expressions): put_back(value, expressions) for key, value in rendered.items()}
    return rendered
