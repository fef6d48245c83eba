"""A server's sentence may quote what it refuses: the values of an audience stay out of what a log may show."""

from __future__ import annotations

import json

import pytest

from airflow_provider_moengage.client.audience import SentValues
from airflow_provider_moengage.client.errors import BadRequestError, DuplicateFiltersError, MoEngageError
from tests.support import UNKNOWN_ID

SAID = 'value "{}" is not allowed for attribute City with the operator in, segment Pune camp'


def group(*filters, operator="and"):
    return {"filter_operator": operator, "filters": list(filters)}


def city(value, **more):
    return {
        "filter_type": "user_attributes",
        "name": "City",
        "data_type": "string",
        "operator": "in",
        "value": value,
        **more,
    }


def nested(*filters):
    return {"filter_type": "nested_filters", **group(*filters, operator="or")}


def action(*attributes, **time_range):
    return {
        "filter_type": "actions",
        "action_name": "Bought",
        "execution": {"type": "atleast", "count": 1},
        "primary_time_range": {"type": "between", "value_type": "absolute", **time_range},
        "attributes": group(*attributes),
    }


PLACES = {
    "alone": lambda value: {"included_filters": group(city(value))},
    "one of a list": lambda value: {"included_filters": group(city(["Goa", value]))},
    "the second bound": lambda value: {"included_filters": group(city(1, value1=value))},
    "excluded": lambda value: {"included_filters": group(city("x")), "excluded_filters": group(city([value]))},
    "nested": lambda value: {"included_filters": group(nested(city("x"), nested(city([value]))))},
    "child of an object": lambda value: {"included_filters": group({"name": "home", **group(city(value))})},
    "attribute of an event": lambda value: {"included_filters": group(action(city([value])))},
    "time range": lambda value: {"included_filters": group(action(value=value, value1=value))},
    "a key that no document lists": lambda value: {"included_filters": group({"name": "City", "label": [value]})},
    "an object": lambda value: {"included_filters": group(city([{"name": value}]))},
}
VALUES = {
    "text": ("Pune", "Pune"),
    "a part of the segment's name": ("Pune", "Pune"),
    "another case": ("Pune", "PUNE"),
    "blanks around it": (" Pune ", "Pune"),
    "an address": ("bob+1@example.com", "bob+1@example.com"),
    "a telephone number": ("+49 171 5550100", "+49 171 5550100"),
    "quotes": ('say "Pune"', json.dumps('say "Pune"')),
    "an accent": ("Zürich", r"Z\u00fcrich"),
    "another script": ("東京都", "値東京都は"),
    "an integer": (987654, "987654"),
    "a negative number": (-98765, "-98765"),
    "a real number": (1234.5, "1234.5"),
    "a real number that is whole": (4711.0, "4711"),
    "a date": ("2026-01-31T00:00:00.000Z", "2026-01-31T00:00:00.000Z"),
    "with an end that is no letter": ("@corp.example", "bob@corp.example"),
}


def v3(status, message, **more):
    return {"status": status, "body": {"error": {"code": "Invalid request", "message": message, **more}}}


def refusal(call):
    with pytest.raises(MoEngageError) as caught:
        call()
    return caught.value


def held_by(error):
    return f"{error} {error!r} {error.args} {vars(error)}"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("value", "said"), VALUES.values(), ids=VALUES)
class TestWhatIsSent:
    def test_create(self, sandbox, client, place, value, said):
        sandbox.fail_next(**v3(400, SAID.format(said)))
        error = refusal(lambda: client.create_segment("Pune camp", **place(value)))
        assert type(error) is BadRequestError
        self.check(error, said)

    def test_update(self, sandbox, client, place, value, said):
        sandbox.fail_next(**v3(403, SAID.format(said)))
        self.check(refusal(lambda: client.update_segment(UNKNOWN_ID, name="Pune camp", **place(value))), said)

    def check(self, error, said):
        assert "***" in error.message
        assert said not in held_by(error).replace("Pune camp", "")
        assert "is not allowed for attribute City with the operator in, segment Pune camp" in str(error)


@pytest.mark.parametrize("fault", ["a page", "cut off", "another envelope", "a list of values", "no JSON"])
def test_whatever_quotes_it(sandbox, client, fault):
    said = SAID.format("Pune")
    answers = {
        "a page": {"status": 502, "body": f"<p>{said}</p>"},
        "cut off": {"status": 200, "body": f"{said} {{"},
        "another envelope": {"status": 400, "body": {"title": said, "description": said}},
        "a list of values": {"status": 400, "body": {"error": {"code": said, "message": "['Goa', 'Pune', 4711]"}}},
        "no JSON": {"status": 400, "body": said},
    }
    sandbox.fail_next(10, **answers[fault], method="PATCH")
    filters = group(city(["Goa", "Pune", 4711]))
    held = held_by(refusal(lambda: client.update_segment(UNKNOWN_ID, filters, name="Pune camp")))
    assert "***" in held
    assert not any(value in held.replace("Pune camp", "") for value in ("Goa", "Pune", "4711"))


def test_the_address_of_who_updates(sandbox, client):
    sandbox.fail_next(**v3(400, "updated_by bob@example.com is nobody"))
    filters = group(city("x"))
    error = refusal(lambda: client.update_segment(UNKNOWN_ID, filters, updated_by="bob@example.com"))
    assert error.message == "updated_by *** is nobody"
    assert "bob" not in held_by(error)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("call", ["create_file_segment", "add_users", "remove_users", "replace_users"])
def test_the_addresses_of_a_call_on_a_file_segment(sandbox, client, call, status):
    said = "bob@example.com of the segment camp is no user"
    body = {"success": False, "message": said} if status == 200 else {"title": "Invalid Request", "description": said}
    sandbox.fail_next(status=status, body=body, path="/v2/*")
    days = {"expiry_days": 7} if call == "create_file_segment" else {}
    error = refusal(
        lambda: getattr(client, call)(
            "camp", "ID", "string", "https://files.example.com/a.csv", emails=["bob@example.com"], **days
        )
    )
    assert error.message == "*** of the segment camp is no user"
    assert "bob" not in held_by(error)


def test_the_other_segment_is_named(sandbox, client):
    """It is what people look for next; programs read it, too."""
    said = "the segment Pune people has these filters, Pune among them"
    sandbox.fail_next(**v3(409, said, existing_cs_name="Pune people", existing_cs_id=UNKNOWN_ID))
    error = refusal(lambda: client.create_segment("camp", group(city(["Pune"]))))
    assert type(error) is DuplicateFiltersError
    assert error.message == "the segment Pune people has these filters, *** among them"
    assert error.existing_segment_name == "Pune people"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("city", "City is no attribute"),
        ("age", "language has no page"),
        (5, "5 of 15 filters"),
        ("in", "the operator in"),
        (True, "True is no text"),
        (100, "1000 are too many"),
        ("value", "the key value is missing"),
        ("", "nothing"),
        (None, "None"),
        ([], "[]"),
    ],
)
def test_the_rest_stays_readable(value, said):
    assert SentValues({"name": "camp", "included_filters": group(city(value))}).hide(said) == said


@pytest.mark.parametrize("body", [None, [], "Pune", {}, {"name": "Pune"}, {"included_filters": "and"}])
def test_what_has_no_values(body):
    assert SentValues(body).hide("Pune") == "Pune"


def test_a_long_text_is_cut_without_the_rest_of_a_value():
    values = [f"bob{number}@example.com" for number in range(3_000)]
    hidden = SentValues({"included_filters": group(city(values))}).hide(" ".join(values))
    assert set(hidden.split()) <= {"***", "**", "*"}


def test_a_capital_that_becomes_two_letters():
    assert SentValues({"included_filters": group(city("Pune"))}).hide("İzmir and Pune") == "İzmir and ***"


def test_it_does_not_show_itself():
    assert repr(SentValues({"included_filters": group(city("Pune"))})) == "SentValues(***)"
