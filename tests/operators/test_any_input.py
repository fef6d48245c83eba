"""Whatever an operator's templates render to: success, or a failure that says what is wrong."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_moengage.operators.segments import (
    ArchiveSegmentOperator,
    UnarchiveSegmentOperator,
    UpdateSegmentOperator,
)
from airflow_provider_moengage.sandbox import Sandbox
from tests.any_values import ANYTHING, JSON_VALUES, Case, cases, executed, many, outcome_of
from tests.support import UNKNOWN_ID, filters, new_dag

CONTEXT = {"ds": "2026-11-02", "params": {"p": "{{ ds }}"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(rate_limits=False) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MOENGAGE_DEFAULT", json.dumps(sandbox.connection))
        sandbox.add_segment(name="camp", id=UNKNOWN_ID)
        yield sandbox


def operator_of(kind: Callable[..., Any], **rendered: Any) -> Any:
    """Make an operator as it is after its templates were rendered."""
    fixed = (
        {"included_filters": filters(), "segment_id": UNKNOWN_ID} if kind is UpdateSegmentOperator else {"name": "camp"}
    )
    operator = kind(task_id="it", **fixed)
    # Past Airflow's own __setattr__, which looks into a value for XComArgs, however deep it is.
    vars(operator).update(rendered)
    return operator


def check(operator: Any) -> None:
    """Check that an operator succeeds or says what is wrong, and that no retry is spent on what it was given."""
    outcome = executed(operator)
    assert isinstance(outcome, (AirflowFailException, dict)) or outcome.retryable


SOMETIMES = st.none() | ANYTHING
ARCHIVALS = st.fixed_dictionaries({}, optional={"name": SOMETIMES, "segment_id": SOMETIMES})
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "segment_id": SOMETIMES,
        "included_filters": SOMETIMES | st.fixed_dictionaries({"filter_operator": SOMETIMES, "filters": SOMETIMES}),
        "name": SOMETIMES,
        "updated_by": SOMETIMES,
        "excluded_filters": SOMETIMES,
    },
)


@pytest.mark.parametrize("kind", [ArchiveSegmentOperator, UnarchiveSegmentOperator])
@many()
@given(case=cases(rendered=ARCHIVALS))
def test_any_archival(server: Sandbox, kind: Callable[..., Any], case: Case) -> None:
    check(operator_of(kind, **case.rendered))


@many(2)
@given(case=cases(rendered=UPDATES))
def test_any_update(server: Sandbox, case: Case) -> None:
    check(operator_of(UpdateSegmentOperator, **case.rendered))


@many(0.7)
@given(case=cases(moengage_conn_id=ANYTHING))
def test_any_connection_id(server: Sandbox, case: Case) -> None:
    check(operator_of(ArchiveSegmentOperator, moengage_conn_id=case.moengage_conn_id))


class Lines(list[str]):
    """What an operator logs."""

    def info(self, message: str, *values: Any) -> None:
        self.append(message % values)

    def log(self, level: int, message: str, *values: Any) -> None:
        self.append(message % values)

    def warning(self, message: str) -> None:
        """Leave out what Airflow says of an execute() outside of a task."""


ANSWERS = st.sampled_from(
    ["\r\n[2026-11-02] INFO - Task exited with return code 0", "\x1b[2J", "\u2028", "x" * 100_000]
)


@pytest.mark.parametrize("kind", [ArchiveSegmentOperator, UnarchiveSegmentOperator, UpdateSegmentOperator])
@many(0.1)
@given(case=cases(text=ANSWERS | JSON_VALUES))
def test_no_answer_writes_lines_of_its_own_into_the_log(
    server: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Any], case: Case
) -> None:
    lines = Lines()
    monkeypatch.setattr(kind, "log", lines)
    segment = {"id": UNKNOWN_ID, "name": case.text, "description": case.text}
    server.fail_next(status=200, body={"success": True, "cs_name": case.text, "data": segment})
    check(operator_of(kind))
    assert all(line.isprintable() and len(line) <= 2_500 for line in lines)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\"'{}\\"), min_size=1, max_size=10)
MOENGAGES = st.one_of(
    NAMES.map("{{{{MoeUserAttribute['{}']}}}}".format),
    NAMES.map('{{{{ MoeUserAttribute["{}"] }}}}'.format),
    NAMES.map("{{{{-MoeEventAttribute['{}']|default('}}}}')-}}}}".format),
    st.sampled_from(
        ["{{\n  MoeUserAttribute['{% x %}']\n}}", "{{MoeX['{{ ds }}']}}", "{{ MoeX['{#'] + MoeY[\"#}\"] }}"]
    ),
)
# The newline is Jinja's: it drops one at the end of a template.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=10) | st.sampled_from(
    ["{", "}", "'", '"', '{"a":', "}}", "%}", "\\", "moengage-0-expression", "\x00", "🙂", "#"]
)
RENDERED = {
    "{{ ds }}": "2026-11-02",
    "{{ params.p }}": "{{ ds }}",
    "{% if ds %}a{% endif %}": "a",
    "{# b #}": "",
    "{{ \"{{MoeX['a']}}\" }}": "{{MoeX['a']}}",
    "{% raw %}{{ ds }}{% endraw %}": "{{ ds }}",
    "{{ '}' }}": "}",
}
AIRFLOWS = st.sampled_from(list(RENDERED.items()))
PIECES = MOENGAGES.map(lambda text: (text, text)) | WORDS.map(lambda text: (text, text)) | AIRFLOWS


def places(container: str, text: str) -> Any:
    """Put a text where a filter may have it."""
    return {"value": text, "list": [text, 1], "deep": {"a": [{"b": (text, None)}]}, "key": {"a": {"b": text}}}[
        container
    ]


@many(4)
@given(case=cases(pieces=st.lists(PIECES, max_size=6), container=st.sampled_from(["value", "list", "deep", "key"])))
def test_any_template(case: Case) -> None:
    """MoEngage's expressions come out as they went in, Airflow's beside them are rendered."""
    template = "".join(piece for piece, _ in case.pieces)
    expected = "".join(rendered for _, rendered in case.pieces)
    # Two pieces that only together open one of Jinja's are a template of another meaning.
    plain = "".join(piece if piece == rendered and "Moe" not in piece else "{" for piece, rendered in case.pieces)
    assume(not re.search(r"\{[{%#]", plain))
    operator = UpdateSegmentOperator(task_id="it", segment_id=UNKNOWN_ID, included_filters={})
    rendered = outcome_of(lambda: operator.render_template(places(case.container, template), CONTEXT))
    assert rendered == places(case.container, expected)


@many(0.5)
@given(
    case=cases(text=st.text(st.sampled_from(list("{}'\"-% Moe#XY[]|\n")), max_size=200), size=st.sampled_from([1, 500]))
)
def test_any_text_is_looked_through_in_time(case: Case) -> None:
    from airflow_provider_moengage.operators.templating import put_back, take_out

    text = case.text * case.size
    template, expressions = take_out(text)
    assert put_back(template, expressions) == text


class Pair(NamedTuple):
    left: Any
    right: Any


NATIVE = [
    Pair(1, "a"),
    (1, 2),
    {"a": {1, 2}},
    frozenset({1}),
    range(3),
    None,
    1.5,
    b"x",
    {"a": Pair(1, 2)},
    [Pair(1, [2])],
]


@pytest.mark.parametrize("value", NATIVE, ids=repr)
@pytest.mark.parametrize("beside", ["b", "{{MoeX['a']}}"])
def test_native_values(value: Any, beside: str) -> None:
    """With render_template_as_native_obj a template is any object, and stays of its type."""
    with new_dag("native", render_template_as_native_obj=True):
        operator = UpdateSegmentOperator(
            task_id="it", segment_id=UNKNOWN_ID, included_filters={"a": "{{ params.v }}", "b": beside}
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operator.render_template_fields({"params": {"v": value}})
    assert operator.included_filters["a"] == value
    assert type(operator.included_filters["a"]) is type(value)
    assert operator.included_filters["b"] == beside
