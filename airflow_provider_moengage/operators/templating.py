"""
What becomes of arguments before a task runs: Airflow's templates, outputs of other tasks, and MoEngage's own templates.

A filter may compare one user attribute with another: ``"value": "{{MoeUserAttribute['lifetime_value']}}"``, which looks
like Jinja's. Airflow would look for a variable of that name and fail. Such expressions are therefore taken out before
Jinja sees the text, and put back after it, while ``{{ ds }}`` beside them is rendered as ever.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_moengage.client.errors import InvalidInputError

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    _Templated = BaseOperator
else:
    _Templated = object

# A quoted part may hold }} without ending the expression. No two alternatives begin alike, so that a text that is no
# expression after all is read once, and not over and over. Compiled when it is used: a DAG file may not need it.
_EXPRESSION = r"""\{\{-?\s*Moe[A-Z]\w*(?:[^"'{}]|"[^"]*"|'[^']*'|\}(?!\}))*\}\}"""

# Sequences that are what they are. Any other one comes from mapped tasks, and is fetched piece by piece.
_PLAIN_SEQUENCES = (str, bytes, bytearray, memoryview, list, tuple, range)

_SHOWN_CHARACTERS = 100


class _LeftOut:
    def __repr__(self) -> str:
        return "<left out>"


# Not None: a mapped task is given what another task has returned, and None of that is not the same as nothing at all.
LEFT_OUT: Any = _LeftOut()


class PlainArguments(_Templated):
    """
    Takes and renders arguments so that each is what its author means. For operators and sensors, before Airflow's base.

    Text without a template stays text, where ``render_template_as_native_obj`` makes a number of ``"2026"``. What
    mapped tasks give becomes a list, wherever it stands. A template that renders to the text ``None`` has pulled
    nothing, and fails the task without a retry, or a segment would be called None for good. Nor may a parameter that
    was given be nothing when the task runs: a subclass takes those that may be left out by :meth:`_take`, and calls
    :meth:`_check_given` before it does anything.
    """

    _given: list[str]
    """Which parameters were given; the constructor begins it, for each object its own."""

    def _take(self, parameter: str, value: Any) -> Any:
        """
        Take a parameter that may be left out. What is given must be something when the task runs.

        :param parameter: its name.
        :param value: what the constructor got, ``LEFT_OUT`` by default.
        :return: the value, None when it is left out.
        """
        # None in a DAG file is there on purpose. That of a mapped task is what another task has returned.
        is_mapped = getattr(self, "_BaseOperator__from_mapped", True)
        if value is LEFT_OUT or (value is None and (not is_mapped or self._is_none_by_default(parameter))):
            return None
        self._given.append(parameter)
        return value

    def _is_none_by_default(self, parameter: str) -> bool:
        """Tell whether somebody's subclass has None for what is left out: then None says no more than that."""
        default = inspect.signature(type(self).__init__).parameters.get(parameter)
        return default is not None and default.default is None

    def _check_given(self) -> None:
        """
        Refuse what was given and is nothing now.

        :raises InvalidInputError: when a parameter is None that was not left out.
        """
        for parameter in self._given:
            if getattr(self, parameter) is None:
                raise InvalidInputError(
                    f"{parameter} was given, but there is nothing in it now. If it comes from a template or another "
                    "task, look at what that gives; leave the parameter out where it is not wanted."
                )

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content.
        :raises AirflowFailException: when a template renders to the text ``None``.
        """
        jinja_env = jinja_env or self.get_template_env()
        is_text = isinstance(content, str) and not content.endswith(tuple(self.template_ext))
        if is_text and not _is_template(content, jinja_env):
            return content
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        if isinstance(content, str) and _is_nothing(rendered) and "None" not in content:
            raise AirflowFailException(
                f"{self._parameter_of(content)} renders to the text None: what it asks for is not there, such as the "
                "XCom of a task that has returned nothing. Look at what it asks for; leave the parameter out where it "
                "is not wanted."
            )
        is_lazy = isinstance(rendered, Sequence) and not isinstance(rendered, _PLAIN_SEQUENCES)
        return list(rendered) if is_lazy else rendered

    def _parameter_of(self, template: str) -> str:
        """Say which template it is: by its text, and by the parameter where it is the whole of one."""
        parameter = next((name for name in self.template_fields if getattr(self, name, None) is template), None)
        beginning = template if len(template) <= _SHOWN_CHARACTERS else template[:_SHOWN_CHARACTERS] + "..."
        return f"The template {beginning!r}" + (f" of {parameter}" if parameter else "")


def check_durations(**durations: Any) -> None:
    """
    Refuse what may have been shortened before a constructor got it.

    :param durations: what it got, by the names of the parameters.
    :raises InvalidInputError: when one is of a kind that does not survive a copy.
    """
    for parameter, value in durations.items():
        if isinstance(value, timedelta) and type(value) is not timedelta:
            from airflow_provider_moengage.segments.pendulum_copies import check_survives_copies

            check_survives_copies(parameter, value)


def _is_template(text: str, jinja_env: jinja2.Environment) -> bool:
    # Where lines can be statements or comments, the start of a line may mean something, too.
    if jinja_env.line_statement_prefix or jinja_env.line_comment_prefix:
        return True
    starts = (jinja_env.variable_start_string, jinja_env.block_start_string, jinja_env.comment_start_string)
    return any(start in text for start in starts)


def _is_nothing(rendered: Any) -> bool:
    return isinstance(rendered, str) and rendered.strip() == "None"


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

    return re.sub(_EXPRESSION, placeholder, text), expressions


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
