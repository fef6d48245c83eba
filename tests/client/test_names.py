from __future__ import annotations

import pytest

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.names import asked_for, check_segment_name, is_like_an_id
from tests.support import UNKNOWN_ID, filters

BAD_NAMES = [
    *((f"camp{character}x", rf"name has the character \{character} at position 5") for character in ':|*?\\<>=$"'),
    (":", "name has the character : at position 1"),
    (".camp", "name begins with a period at position 1"),
    (" .camp", "name begins with a period at position 2"),
    ("x" * 201, "name has 201 characters: MoEngage takes 200 at most, .* position 201"),
    ("All Users", "'All Users', which MoEngage keeps for itself"),
    ("  all  USERS ", "which MoEngage keeps for itself"),
    (" ", "name is blank"),
    (7, "name must be a string"),
]
GOOD_NAMES = ["camp.x", "x" * 200, "दिवाली" * 10, "All Users of Pune", "a/b & c, 50% (d) [e] {f} #g @h 'i' `j` ~k ^l;"]


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES)
def test_a_name_that_moengage_would_drop(name, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        check_segment_name("name", name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_that_it_takes(name):
    assert check_segment_name("name", name) == name


@pytest.mark.parametrize("name", [name for name, _ in BAD_NAMES if isinstance(name, str)])
def test_nothing_is_sent_under_it(sandbox, client, name):
    for call in (
        lambda: client.create_segment(name, filters()),
        lambda: client.update_segment(UNKNOWN_ID, filters(), name=name),
    ):
        with pytest.raises(InvalidInputError, match="^name "):
            call()
    assert sandbox.requests == []


@pytest.mark.parametrize("name", ["a:b", ".camp", "x" * 201, "All Users"])
def test_what_bears_it_already_can_be_archived(sandbox, client, name):
    """Whether the sandbox has such a segment or not, it is asked."""
    sandbox.fail_next(2, status=200, body={"message": "done", "success": True, "cs_name": name})
    client.archive_segment(name)
    client.unarchive_segment(name)
    assert [request.json for request in sandbox.requests] == [{"name": name}] * 2


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("63d8cec0c085939e6c1ab727", True),
        ("63D8CEC0C085939E6C1AB727", True),
        ("638a051185b6b50a018cacc", True),  # a sample of the documents
        ("63d8cec0c085939e6c1ab72", True),
        ("63d8cec0c085939e6c1ab7277", False),
        ("63d8cec0c085939e6c1ab72g", False),
        ("63d8cec0c085939e6c1ab727\n", False),
        ("camp diwali", False),
        ("", False),
    ],
)
def test_what_an_id_looks_like(value, is_one):
    assert is_like_an_id(value) == is_one


def test_what_was_asked_for():
    assert asked_for("camp", None) == "Asked for was the name 'camp'."
    assert asked_for("camp", UNKNOWN_ID) == f"Asked for was the name 'camp' and the id '{UNKNOWN_ID}'."
