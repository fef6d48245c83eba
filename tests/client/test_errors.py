"""Every sample error of the three API documents, word by word, becomes the class that it means."""

from __future__ import annotations

import json

import pytest
from requests.structures import CaseInsensitiveDict

from airflow_provider_moengage.client import errors
from airflow_provider_moengage.client.refusals import error_from_answer


def v3(code, message, **more):
    return {"response_id": "abCDefGH", "type": "custom_segment", "error": {"code": code, "message": message, **more}}


MALFORMED = (
    "Invalid request format. Please check the documentation to ensure that the request has been formed correctly."
)
UNKNOWN_CLIENT = "MoEngage Client not found. Please check values for headers - MOE-APPKEY or MOE-DBNAME"
BAD_NAME = (
    "Invalid request. Please ensure that the filters are correct and the custom-segment name doesn't contain HTML "
    "characters/only whitespaces."
)
FORBIDDEN = (
    "Update isn't supported for file-segments, internally created custom-segments, custom-segments imported from "
    "Analyze and archived custom-segments."
)
SAME_NAME = (
    "Another custom-segment already exists with the same name: api_test_8. Please change the custom-segment name."
)
SAME_FILTERS = (
    "Another custom-segment already exists containing the given filters: api_cycle_1. Please reuse the same or update "
    "the filters"
)
UNEXPECTED = "An unexpected error was encountered while processing this request. Please contact MoEngage Team"

SAMPLES = [
    # archive and unarchive
    (400, {"title": "Invalid Request", "description": "name is missing"}, errors.BadRequestError),
    (401, {"title": "Authentication required", "description": "Invalid key"}, errors.AuthenticationError),
    (
        404,
        {"title": "Entity Not Found", "description": "Custom segment not found for the given name or cs_id: x"},
        errors.SegmentNotFoundError,
    ),
    (500, {"title": "Internal Server Error"}, errors.ServerError),
    # get by id
    (400, v3("Invalid request", MALFORMED), errors.BadRequestError),
    (400, v3("Request Error", UNKNOWN_CLIENT), errors.WorkspaceNotFoundError),
    (401, v3("Request Error", UNKNOWN_CLIENT), errors.WorkspaceNotFoundError),
    (
        401,
        v3("Authentication required", "APP_SECRET key mismatch. Please login to the dashboard to verify key"),
        errors.AuthenticationError,
    ),
    (401, v3("Authentication required", "Invalid APP_KEY used in Authentication Header"), errors.AuthenticationError),
    (429, v3("Too Many Requests", "API rate limit breached. Current limit: n/m mins"), errors.RateLimitError),
    (500, v3("Internal Server Error", UNEXPECTED), errors.ServerError),
    # update by id
    (400, v3("Invalid Request", BAD_NAME), errors.BadRequestError),
    (403, v3("Forbidden operation", FORBIDDEN), errors.ForbiddenOperationError),
    (
        404,
        v3("Entity Not Found", "Custom segment not found with the given id: 638a051185b6b50a018cacc"),
        errors.SegmentNotFoundError,
    ),
    (409, v3("Resource not created", SAME_NAME), errors.DuplicateNameError),
    (
        409,
        v3(
            "Resource not created",
            SAME_FILTERS,
            existing_cs_name="api_cycle_1",
            existing_cs_id="638a051185b6b50a018cacc1",
        ),
        errors.DuplicateFiltersError,
    ),
    (409, v3("Authentication required", "APP_SECRET is not set. Please set it"), errors.ApiSecretNotSetError),
    (
        412,
        v3("Cyclic Entity", "Circular reference detected in the custom segment definition."),
        errors.CircularReferenceError,
    ),
    (
        413,
        v3(
            "Query has too many nesting levels",
            "The query has more than n levels of nesting. Please reduce the segment nesting.",
        ),
        errors.TooManyNestingLevelsError,
    ),
    (
        413,
        v3(
            "Too many segments in a query",
            "The query has more than n custom segments. Please reduce the custom segments.",
        ),
        errors.TooManyReferencedSegmentsError,
    ),
    (
        413,
        v3("Query length limit exceeded", "The query is too large to execute. Please reduce the filters."),
        errors.QueryTooLongError,
    ),
    # newer servers
    (
        429,
        v3(
            "Too Many Requests",
            "Total active segments limit breached. Request rejected!",
            actual_count=1001,
            limit=1000,
        ),
        errors.ActiveSegmentLimitError,
    ),
]


@pytest.mark.parametrize(("status", "body", "kind"), SAMPLES)
def test_a_sample_becomes_its_class(status, body, kind):
    error = error_from_answer(status, json.dumps(body), call="PATCH /v3/custom-segments/x", hide=str)

    assert type(error) is kind
    details = body.get("error", body)
    said = details.get("message") or details.get("description")
    if said:
        assert said in str(error)
    assert error.code == (details.get("code") or details.get("title"))
    assert error.code in str(error)
    assert error.status == status
    assert error.response_id == body.get("response_id")
    assert str(status) in str(error)


def test_only_waiting_mends_these():
    retryable = {kind for _, _, kind in SAMPLES if kind.retryable}
    assert retryable == {errors.RateLimitError, errors.ServerError}


def test_the_figures_of_a_full_workspace():
    ((status, body, _),) = [sample for sample in SAMPLES if sample[2] is errors.ActiveSegmentLimitError]
    error = error_from_answer(status, json.dumps(body), call="POST /v3/custom-segments", hide=str, retry_after=30)
    assert (error.actual_count, error.limit) == (1001, 1000)
    assert error.retry_after is None


@pytest.mark.parametrize("figures", [{"actual_count": "1,001", "limit": None}, {"actual_count": [1_001]}])
def test_figures_that_are_none(figures):
    body = v3("Too Many Requests", "Total active segments limit breached.", **figures)
    error = error_from_answer(429, json.dumps(body), call="POST /v3/custom-segments", hide=str)
    assert type(error) is errors.ActiveSegmentLimitError
    assert (error.actual_count, error.limit) == (None, None)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("Resource not created", "APP_SECRET is not set", errors.DuplicateNameError),
        ("Authentication Required", "Generate a key first", errors.ApiSecretNotSetError),
        ("Conflict", "APP_SECRET is not set", errors.ApiSecretNotSetError),
        ("Conflict", "Try again", errors.ConflictError),
    ],
)
def test_the_three_meanings_of_409(code, message, kind):
    assert type(error_from_answer(409, json.dumps(v3(code, message)), call="PATCH /x", hide=str)) is kind


def test_the_same_name_is_told_from_the_same_filters_even_when_a_name_says_otherwise():
    message = SAME_NAME.replace("api_test_8", "all the given filters")
    error = error_from_answer(409, json.dumps(v3("Resource not created", message)), call="PATCH /x", hide=str)
    assert type(error) is errors.DuplicateNameError


def test_a_failing_server_is_one_whatever_it_says():
    error = error_from_answer(503, json.dumps(v3("Request Error", UNKNOWN_CLIENT)), call="GET /x", hide=str)
    assert error.retryable


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.AccessRefusedError),
        (403, errors.AccessRefusedError),
        (404, errors.EndpointNotFoundError),
        (405, errors.AccessRefusedError),
        (409, errors.MoEngageError),
        (412, errors.MoEngageError),
        (413, errors.MoEngageError),
        (418, errors.AccessRefusedError),
        (451, errors.AccessRefusedError),
    ],
)
@pytest.mark.parametrize("text", ["", "<html>refused</html>", '{"error": {"code": 403}}'])
def test_a_proxy_or_a_firewall_that_refuses_is_not_moengage(status, kind, text):
    error = error_from_answer(status, text, call="GET /x", hide=str)
    assert type(error) is kind
    assert not error.retryable
    if kind is errors.AccessRefusedError:
        assert "API firewall" in str(error)
        assert "proxy" in str(error)


def test_a_bare_401_may_be_a_firewalls_too():
    assert "API firewall" in str(error_from_answer(401, "", call="GET /x", hide=str))
    assert "API firewall" not in str(
        error_from_answer(401, json.dumps(v3("Authentication required", "x")), call="GET /x", hide=str)
    )
    assert "API firewall" not in errors.AuthenticationError.way_out


@pytest.mark.parametrize("text", ["", "<html>", json.dumps(v3("Forbidden operation", FORBIDDEN))])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("ER007", errors.KeyScopeError, "lacks the scope of the Segmentation API"),
        (" er007 ", errors.KeyScopeError, "lacks the scope of the Segmentation API"),
        ("ER003", errors.KeyRefusedError, "Look at the key in the MoEngage dashboard"),
        ("ER004", errors.KeyRefusedError, "Look at the key"),
        ("ER008", errors.KeyRefusedError, "may be used from the address of this machine"),
        ("ER022", errors.KeyRefusedError, "Look at the key"),
        ("ER999", errors.KeyRefusedError, "support knows what the code means"),
    ],
)
def test_a_key_that_may_not_make_the_call(status, text, code, kind, said):
    error = error_from_answer(
        status, text, call="GET /x", hide=str, headers=CaseInsensitiveDict({"moengage-auth-error-code": code})
    )
    assert type(error) is kind
    assert isinstance(error, errors.AuthenticationError)  # it ends a bulk run, and makes a sensor read the key anew
    assert error.code == code.strip()
    assert code.strip() in str(error)
    assert said in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    "answer",
    [
        {"detail": [{"loc": ["filters", 0], "input": "bob@example.com"}]},
        {"error": {"code": "Invalid", "message": {"City": ["bob@example.com"]}}},
        {"title": ["bob@example.com"], "description": ["bob@example.com"]},
        ["bob@example.com"],
    ],
    ids=["of a gateway", "message", "title", "list"],
)
def test_what_is_no_sentence_is_shown_without_its_values(answer):
    """A refusal may quote what was sent: the addresses of an audience."""
    error = error_from_answer(400, json.dumps(answer), call="POST /x", hide=str)
    assert "bob" not in str(error)
    assert "..." in error.message


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MissingAttributeError", errors.BadRequestError),
        (401, "Authentication Mismatch", errors.AuthenticationError),
        (403, "BlockedClient", errors.AccountSuspendedError),
        (403, "Account Temporarily Suspended", errors.AccountSuspendedError),
        (413, "Payload too large", errors.MoEngageError),
        (429, "Rate Limits Exceeded", errors.RateLimitError),
        (500, "Server Error", errors.ServerError),
    ],
)
def test_the_third_envelope(status, code, kind):
    body = {"status": "fail", "error": {"message": "Please contact us.", "type": code, "request_id": "ofHUEaEQ"}}
    error = error_from_answer(status, json.dumps(body), call="POST /x", hide=str)
    assert type(error) is kind
    assert (error.message, error.code, error.response_id) == ("Please contact us.", code, "ofHUEaEQ")
    assert "response_id ofHUEaEQ" in str(error)


def test_the_type_of_v3_is_no_code():
    error = error_from_answer(418, json.dumps({"type": "custom_segment", "error": {"message": "x"}}), call="", hide=str)
    assert error.code is None


def test_the_name_of_a_file_segment_is_taken():
    body = {"title": "Conflict", "description": "Name already exists: camp"}
    assert type(error_from_answer(409, json.dumps(body), call="", hide=str)) is errors.DuplicateNameError


@pytest.mark.parametrize("status", [408, 421, 425, 499])
def test_what_waiting_mends_below_500(status):
    error = error_from_answer(status, "", call="GET /x", hide=str)
    assert type(error) is errors.ServerError


@pytest.mark.parametrize("code", [404, "NOT_FOUND"])
def test_a_404_of_a_gateway_is_no_missing_segment(code):
    error = error_from_answer(404, json.dumps({"error": {"code": code, "message": "x"}}), call="GET /x", hide=str)
    assert type(error) is errors.EndpointNotFoundError


def test_a_server_writes_no_lines_of_its_own_into_the_log():
    message = "A\n[2026-01-01] INFO all is well \x1b[31m" + "x" * 5_000_000
    error = error_from_answer(400, json.dumps(v3("Invalid request", message)), call="GET /x", hide=str)
    assert str(error).isprintable()
    assert len(str(error)) < 2_000
    assert len(error.body) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "null",
        "[]",
        "7",
        '"x"',
        '{"error": "x"}',
        '{"error": null}',
        '{"title": 7}',
        "[" * 100_000,
        "\x00",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 418, 429, 500, 599])
def test_any_other_body_becomes_an_error_too(status, text):
    error = error_from_answer(status, text, call="GET /x", hide=str)
    assert str(status) in str(error)
    assert len(str(error)) < 1_000


def test_the_sentence():
    error = error_from_answer(
        429,
        json.dumps(v3("Too Many Requests", "API rate limit breached. Current limit: 100/1 mins")),
        call="GET /v3/custom-segments/63d8cec0c085939e6c1ab727",
        hide=str,
        retry_after=12.4,
        tries=3,
    )
    assert str(error) == (
        "MoEngage's rate limit is used up: API rate limit breached. Current limit: 100/1 mins [429 Too Many Requests; "
        "GET /v3/custom-segments/63d8cec0c085939e6c1ab727; response_id abCDefGH; 3 tries; retry after 12 s] "
        "Try again later; an operator with deferrable=True waits without holding a worker."
    )


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "nothing (an empty body)"),
        ("<html>", "'<html>'"),
        ("a\n\x1bb", r"'a\n\x1bb'"),
        ("x" * 200, f"'{'x' * 200}'"),
        ("x" * 201, f"'{'x' * 200}'..."),
    ],
)
def test_what_is_shown_of_an_answer(text, quoted):
    assert errors.shown(text) == quoted
    error = error_from_answer(502, text, call="GET /x", hide=str)
    assert error.message == f"the answer began with {quoted}"
    assert error.body == text


def test_what_is_not_known_is_not_said():
    error = errors.MoEngageError("no")
    assert vars(error) == {
        "message": "no",
        "status": None,
        "code": None,
        "response_id": None,
        "body": None,
        "retry_after": None,
        "call": None,
        "tries": 1,
    }
    assert str(error) == "MoEngage refused the request: no"
    assert error.args == ("no",)
    assert str(errors.MoEngageError("no", code="odd", tries=2, retry_after=0.4)) == (
        "MoEngage refused the request: no [odd; 2 tries; retry after 0 s]"
    )
    assert str(errors.InvalidInputError("name is blank", status=400)) == "name is blank"


@pytest.mark.parametrize(("most", "name"), [(1_000, "message"), (200, "code"), (200, "response_id"), (200, "call")])
def test_no_text_is_kept_at_any_length(most, name):
    for length, kept in ((most, "x" * most), (most + 1, "x" * most + "...")):
        error = errors.MoEngageError(**{"message": "no", name: "x" * length})
        assert getattr(error, name) == kept
    assert getattr(errors.MoEngageError(**{"message": "no", name: "a\nb"}), name) == "a b"


def test_what_a_server_echoes_is_hidden_wherever_it_stands():
    body = v3("Key hunter2", "no hunter2", existing_cs_name="camp hunter2", existing_cs_id="id hunter2")
    error = error_from_answer(
        409,
        json.dumps({**body, "response_id": "of hunter2"}),
        call="PATCH /x",
        hide=lambda text: text.replace("hunter2", "***"),
        retry_after=7.0,
        tries=2,
    )
    assert type(error) is errors.DuplicateFiltersError
    assert (error.code, error.message, error.response_id) == ("Key ***", "no ***", "of ***")
    assert (error.existing_segment_name, error.existing_segment_id) == ("camp ***", "id ***")
    assert (error.call, error.retry_after, error.tries) == ("PATCH /x", 7.0, 2)
    assert "hunter2" not in error.body
    page = error_from_answer(502, "<p>hunter2", call="PATCH /x", hide=lambda text: text.replace("hunter2", "***"))
    assert page.message == "the answer began with '<p>***'"


@pytest.mark.parametrize(
    ("status", "body", "kind", "message", "code"),
    [
        # Both envelopes at once: what stands below "error" is MoEngage's own.
        (400, {"message": "outer", "error": {"message": "inner"}}, errors.BadRequestError, "inner", None),
        (400, {"message": "outer", "error": "odd"}, errors.BadRequestError, "outer", None),
        (400, {"message": "", "description": "older"}, errors.BadRequestError, "older", None),
        (400, {"code": "", "title": "older", "message": "x"}, errors.BadRequestError, "x", "older"),
        (400, {"code": 7, "message": 8}, errors.BadRequestError, "8", "7"),
        (404, {"title": "ENTITY NOT FOUND", "message": "x"}, errors.SegmentNotFoundError, "x", "ENTITY NOT FOUND"),
        (
            409,
            {"title": "Resource not created", "message": "x"},
            errors.DuplicateNameError,
            "x",
            "Resource not created",
        ),
        (409, {"title": "x", "description": "Secret unset"}, errors.ApiSecretNotSetError, "Secret unset", "x"),
        (418, {"code": "x", "message": "a teapot"}, errors.MoEngageError, "a teapot", "x"),
        (418, {"code": "Cyclic Entity", "message": "x"}, errors.CircularReferenceError, "x", "Cyclic Entity"),
        (498, {"message": "x"}, errors.AccessRefusedError, "x", None),
        (423, {"message": "x"}, errors.AccessRefusedError, "x", None),
        *(
            (status, {"title": "Request Error", "description": "x"}, errors.ServerError, "x", "Request Error")
            for status in (408, 421, 425, 499)
        ),
        (500, {"message": "x"}, errors.ServerError, "x", None),
    ],
)
def test_what_an_answer_means(status, body, kind, message, code):
    error = error_from_answer(status, json.dumps(body), call="GET /x", hide=str)
    assert type(error) is kind
    assert (error.message, error.code, error.tries) == (message, code, 1)
