from __future__ import annotations

import time

import jinja2
import pytest
from airflow.providers.common.compat.sdk import literal

from airflow_provider_moengage.operators.segments import UpdateSegmentOperator
from airflow_provider_moengage.operators.templating import put_back, take_out
from tests.support import UNKNOWN_ID, new_dag

MOENGAGE = [
    "{{MoeUserAttribute['lifetime_value']}}",
    '{{ MoeUserAttribute["lifetime value"] }}',
    "{{MoeUserAttribute['odd }} name']}}",
    "{{MoeUserAttribute['x']|default('0')}}",
    "{{- MoeUserAttribute['x'] -}}",
    "{{\n  MoeEventAttribute['y']\n}}",
]


@pytest.mark.parametrize("expression", MOENGAGE)
def test_an_expression_is_taken_out_and_put_back(expression):
    template, expressions = take_out(f"a {expression} b {{{{ ds }}}} {expression}")
    assert list(expressions.values()) == [expression] * 2
    assert "Moe" not in template
    assert "{{ ds }}" in template
    assert put_back(template, expressions) == f"a {expression} b {{{{ ds }}}} {expression}"


@pytest.mark.parametrize(
    "text", ["", "{{ ds }}", "MoeUserAttribute['x']", "{{ moe }}", "{{ params.MoeX }}", "{{Moe", "{{MoeX['a}} {{ ds }}"]
)
def test_everything_else_stays(text):
    assert take_out(text) == (text, {})


def test_put_back_into_whatever_native_rendering_makes():
    template, expressions = take_out(MOENGAGE[0])
    made = [{"a": template, template: 7}, (template, 1), {template}]
    assert put_back(made, expressions) == [{"a": MOENGAGE[0], MOENGAGE[0]: 7}, (MOENGAGE[0], 1), {MOENGAGE[0]}]


def test_text_that_is_no_expression_after_all_is_read_once():
    """Twice the text takes twice as long, not its square or worse."""
    text = "{{MoeUserAttribute['x']} " + '"key": "value", ' * 20_000
    started = time.thread_time()
    assert take_out(text) == (text, {})
    assert time.thread_time() - started < 5


class TestRendering:
    """What render_template does with every kind of content, without a DAG run."""

    @staticmethod
    def render(content, **environment):
        with new_dag("render", **environment):
            operator = UpdateSegmentOperator(task_id="it", segment_id=UNKNOWN_ID, included_filters=content)
        operator.render_template_fields({"ds": "2026-11-02", "params": {"p": "moengage-expression-0-"}})
        return operator.included_filters

    def test_every_kind_of_container(self):
        both = MOENGAGE[0] + " {{ ds }}"
        done = MOENGAGE[0] + " 2026-11-02"
        assert self.render({"a": [both, (both, {both}), {"b": both, both: 1}], "n": 1.5, "t": None}) == {
            "a": [done, (done, {done}), {"b": done, both: 1}],
            "n": 1.5,
            "t": None,
        }

    def test_an_environment_of_the_dags_own(self):
        rendered = self.render(
            {"a": MOENGAGE[0] + "\n{% if ds %}\n{{ ds }}{% endif %}"},
            template_undefined=jinja2.StrictUndefined,
            jinja_environment_kwargs={"trim_blocks": True, "lstrip_blocks": True},
        )
        assert rendered == {"a": MOENGAGE[0] + "\n2026-11-02"}

    def test_text_that_looks_like_a_placeholder(self):
        assert self.render({"a": "{{ params.p }} moengage-0-expression " + MOENGAGE[0]}) == {
            "a": "moengage-expression-0- moengage-0-expression " + MOENGAGE[0]
        }

    def test_native_rendering(self):
        rendered = self.render(
            {"a": "'" + MOENGAGE[2].replace("'", '"') + "', '{{ ds }}'"}, render_template_as_native_obj=True
        )
        assert rendered == {"a": (MOENGAGE[2].replace("'", '"'), "2026-11-02")}

    def test_what_is_rendered_already_is_not_rendered_again(self):
        """Airflow says so of values that come from a mapped task's upstream."""
        text = MOENGAGE[0] + " {{ ds }}"
        operator = UpdateSegmentOperator(task_id="it", segment_id=UNKNOWN_ID, included_filters={})
        assert operator.render_template(text, {"ds": "2026-11-02"}, None, {id(text)}) is text

    def test_a_literal(self):
        assert self.render(literal({"a": MOENGAGE[0] + "{{ ds }}"})) == {"a": MOENGAGE[0] + "{{ ds }}"}
