from __future__ import annotations

import pytest

from airflow_provider_moengage.templates import put_back, take_out

MOENGAGE = [
    "{{MoeUserAttribute['lifetime_value']}}",
    '{{ MoeUserAttribute["lifetime value"] }}',
    "{{MoeUserAttribute['odd }} name']}}",
    "{{MoeUserAttribute['x']|default('0')}}",
    "{{\n  MoeEventAttribute['y']\n}}",
]


@pytest.mark.parametrize("expression", MOENGAGE)
def test_an_expression_is_taken_out_and_put_back(expression):
    template, expressions = take_out(f"a {expression} b {{{{ ds }}}} {expression}")
    assert expressions == [expression] * 2
    assert "Moe" not in template
    assert "{{ ds }}" in template
    assert put_back(template, expressions) == f"a {expression} b {{{{ ds }}}} {expression}"


@pytest.mark.parametrize("text", ["", "{{ ds }}", "MoeUserAttribute['x']", "{{ moe }}", "{{ params.MoeX }}", "{{Moe"])
def test_everything_else_stays(text):
    assert take_out(text) == (text, [])


def test_put_back_into_what_native_rendering_makes():
    _, expressions = take_out(MOENGAGE[0])
    assert put_back([{"a": "moengage-expression-0-"}, 7], expressions) == [{"a": MOENGAGE[0]}, 7]
