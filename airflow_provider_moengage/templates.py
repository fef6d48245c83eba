"""
MoEngage's own templates, which look like Jinja's.

A filter may compare one user attribute with another: ``"value": "{{MoeUserAttribute['lifetime_value']}}"``. Airflow
would look for a variable of that name and fail. Such expressions are therefore taken out before Jinja sees the text,
and put back after it, while ``{{ ds }}`` beside them is rendered as ever.
"""

from __future__ import annotations

import re
from typing import Any

# A quoted part may hold }} without ending the expression.
_EXPRESSION = re.compile(r"""\{\{\s*Moe[A-Z]\w*(?:"[^"]*"|'[^']*'|(?!\}\}).)*\}\}""", re.DOTALL)
_PLACEHOLDER = re.compile(r"moengage-expression-(\d+)-")


def take_out(text: str) -> tuple[str, list[str]]:
    """
    Replace MoEngage's expressions by placeholders that mean nothing to Jinja.

    :param text: a template.
    :return: the template with placeholders, and the expressions in their order.
    """
    expressions: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        expressions.append(match[0])
        return f"moengage-expression-{len(expressions) - 1}-"

    return _EXPRESSION.sub(placeholder, text), expressions


def put_back(rendered: Any, expressions: list[str]) -> Any:
    """
    Undo :func:`take_out`.

    :param rendered: what Jinja made of the template; with native rendering it can be any object.
    :param expressions: the expressions in their order.
    :return: the same with the expressions in place of the placeholders.
    """
    if isinstance(rendered, str):
        return _PLACEHOLDER.sub(lambda match: expressions[int(match[1])], rendered)
    if isinstance(rendered, list):
        return [put_back(entry, expressions) for entry in rendered]
    if isinstance(rendered, dict):
        return {key: put_back(value, expressions) for key, value in rendered.items()}
    return rendered
