"""The sandbox and the client against the OpenAPI description that MoEngage publishes, where a copy of it is at hand."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_moengage.sandbox import RecordedRequest, Sandbox
from tests.sandbox.calling import attribute, group
from tests.support import client_of

schemathesis = pytest.importorskip("schemathesis", minversion="4.32", reason="no schemathesis of 4.32 or newer is here")
jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")

from schemathesis import GenerationMode  # noqa: E402 - after the question whether it is there
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.core.failures import FailureGroup  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared" / "openapi" / "custom-segments-2026-08.yml"
OPENAPI = Path(os.environ.get("MOENGAGE_OPENAPI") or BESIDE_THE_CHECKOUT)

pytestmark = pytest.mark.skipif(
    not OPENAPI.is_file(), reason=f"MoEngage's OpenAPI description is not at {OPENAPI}; MOENGAGE_OPENAPI says where"
)

KNOWN_ID = "63d8cec0c085939e6c1ab727"
UNKNOWN_ID = "63d8cec0c085939e6c1ab728"
AUTH = ("SANDBOXWORKSPACE", "sandbox-data-api-key")
HEADERS = {
    "Content-Type": "application/json",
    "MOE-APPKEY": "SANDBOXWORKSPACE",
}
DEFINITION = {"included_filters": group(attribute())}
# Calls that succeed, or fail as documented, whatever the generators come up with.
CALLS: dict[str, list[dict[str, Any]]] = {
    "archiveCustomSegment": [{"body": {"name": "Spring"}}, {"body": {"name": "gone"}}],
    "unarchiveCustomSegment": [{"body": {"name": "Spring"}}, {"body": {"name": "gone"}}],
    "listCustomSegments": [{}, {"query": {"name": "Spring"}}],
    "createFilterSegment": [{"body": {"name": name, **DEFINITION}} for name in ("Summer", "Summer", "<b>")],
    "getCustomSegment": [{"path_parameters": {"id": segment_id}} for segment_id in (KNOWN_ID, UNKNOWN_ID, "x")],
    "updateFilterSegment": [
        {"path_parameters": {"id": KNOWN_ID}, "body": {"included_filters": group(attribute("silver"))}},
        {"path_parameters": {"id": KNOWN_ID}, "body": {"included_filters": group()}},
        {"path_parameters": {"id": UNKNOWN_ID}, "body": DEFINITION},
    ],
}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.positive_data_acceptance,
    checks.negative_data_rejection,
    checks.ignored_auth,
]


@dataclass(frozen=True)
class Report:
    """What schemathesis complains of: a case, its answer, and in which words."""

    case: Any
    answer: Any
    text: str


@dataclass(frozen=True)
class Difference:
    """
    One place where the sandbox does not do what the OpenAPI description says.

    :param reason: the document that says otherwise, and what.
    :param failure: as which failure schemathesis reports it.
    :param explains: whether it explains such a failure.
    :param dialects: in which dialects it is.
    :param always: whether every run shows it, and not only one whose examples come upon it.
    """

    reason: str
    failure: str
    explains: Callable[[Report], bool]
    dialects: tuple[str, ...] = ("seeds", "today")
    always: bool = False


def a_time_has_no_zone(report: Report) -> bool:
    return re.search(r'"[-0-9]+T[:.0-9]+" is not a "date-time"', report.text) is not None


def the_id_cannot_be_one(report: Report) -> bool:
    segment_id = unquote(str(report.case.path_parameters.get("id")))
    return report.case.method == "GET" and not re.fullmatch("[0-9a-fA-F]{24}", segment_id)


def the_name_is_blank_or_html(report: Report) -> bool:
    name = report.case.body.get("name") if isinstance(report.case.body, dict) else None
    return isinstance(name, str) and (not name.strip() or "<" in name or ">" in name)


def the_filters_mean_nothing(report: Report) -> bool:
    if not report.case.path.startswith("/v3/") or report.case.method == "GET":
        return False
    filters = filters_of(report.case)
    return not filters or any(not str(item.get("name", item.get("action_name", ""))).strip() for item in filters)


def a_parameter_is_unknown(report: Report) -> bool:
    return report.case.method == "GET" and bool(set(report.case.query) - {"name"})


def only_the_format_of_a_text_is_wrong(report: Report) -> bool:
    # jsonschema looks at no format unless it is asked to.
    return "included_filters" in body_of(report.case) and fits(report.case, document()["components"])


def only_the_inside_of_a_filter_is_wrong(report: Report) -> bool:
    components = document()["components"]
    any_filter = {"type": "object", "required": ["filter_type"]}
    relaxed = {**components, "schemas": {**components["schemas"], "FilterV3": any_filter}}
    return bool(filters_of(report.case)) and fits(report.case, relaxed)


def the_answer_repeats_the_filters(report: Report) -> bool:
    filters = filters_of(report.case)
    return bool(filters) and report.answer.json()["data"]["included_filters"]["filters"] == filters


DIFFERENCES = {
    "time without a zone": Difference(
        "The seeds write created_time and updated_time without a zone, which format: date-time demands; so does the "
        "example in the OpenAPI description itself.",
        "JsonSchemaError",
        a_time_has_no_zone,
        always=True,
    ),
    "malformed id": Difference(
        "The seeds (get by id) answer 400 to an id that cannot be one; the schema takes any text.",
        "RejectedPositiveData",
        the_id_cannot_be_one,
    ),
    "blank or HTML name": Difference(
        "The seeds (update) refuse a name that is blank or has HTML characters; the schema takes any text.",
        "RejectedPositiveData",
        the_name_is_blank_or_html,
    ),
    "filters that mean nothing": Difference(
        "The seeds (update) ask for correct filters: a group without any, or one with a blank name or action, is "
        "none. The schema takes an empty list and empty texts.",
        "RejectedPositiveData",
        the_filters_mean_nothing,
    ),
    "unknown parameters": Difference(
        "No document says what becomes of a query parameter that it does not know; the sandbox ignores it.",
        "AcceptedNegativeData",
        a_parameter_is_unknown,
    ),
    "updated_by": Difference(
        "The seeds (update) call updated_by a String that can be something like an email address; the OpenAPI "
        "description has format: email.",
        "AcceptedNegativeData",
        only_the_format_of_a_text_is_wrong,
    ),
    "values of filters": Difference(
        "The seeds leave the fields of a filter to its type, and the dashboard generates some that no document lists: "
        "the sandbox checks those that every filter of a type has, and takes the rest as it is.",
        "AcceptedNegativeData",
        only_the_inside_of_a_filter_is_wrong,
    ),
    "values of filters come back": Difference(
        "What the sandbox has taken as it is, it answers as it is.",
        "JsonSchemaError",
        the_answer_repeats_the_filters,
    ),
    "archive answers 200": Difference(
        "Today's servers answer 200 to archive and unarchive, where both documents have 202.",
        "UndefinedStatusCode",
        lambda report: report.case.path.startswith("/v2/") and report.answer.status_code == 200,
        ("today",),
        always=True,
    ),
    "get answers one object": Difference(
        "Today's servers answer get by id with one object, where both documents have a list.",
        "JsonSchemaError",
        lambda report: report.case.method == "GET" and isinstance(report.answer.json()["data"], dict),
        ("today",),
        always=True,
    ),
    "get answers 404": Difference(
        "Today's servers answer 404 to the id of no segment, where both documents have 200 and an empty list.",
        "UndefinedStatusCode",
        lambda report: report.case.method == "GET" and report.answer.status_code == 404,
        ("today",),
        always=True,
    ),
}


def body_of(case: Any) -> dict[str, Any]:
    return case.body if isinstance(case.body, dict) else {}


def filters_of(case: Any) -> list[dict[str, Any]]:
    return list(body_of(case).get("included_filters", {}).get("filters", []))


def fits(case: Any, components: dict[str, Any]) -> bool:
    """Say whether the body of a case is what the operation's schema allows, with these components."""
    operation = document()["paths"][case.path][case.method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return bool(jsonschema.Draft202012Validator({**schema, "components": components}).is_valid(case.body))


@functools.cache
def document() -> Any:
    return yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))


def description() -> Any:
    return schemathesis.openapi.from_path(str(OPENAPI)).include(operation_id=list(CALLS))


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_the_six_operations_are_described() -> None:
    assert {operation.ok().definition.raw["operationId"] for operation in description().get_all_operations()} == set(
        CALLS
    )


def test_the_sandbox_answers_as_described_but_for_the_listed_differences(
    session: requests.Session, dialect: Any
) -> None:
    seen: set[str] = set()
    statuses: dict[str, set[int]] = {name: set() for name in CALLS}

    def call(case: Any, operation_id: str) -> None:
        case.headers = dict(HEADERS)
        answer = case.call(base_url=sandbox.url, session=session, auth=AUTH)
        statuses[operation_id].add(answer.status_code)
        try:
            case.validate_response(answer, checks=CHECKS, transport_kwargs={"session": session, "auth": AUTH})
        except FailureGroup as failures:
            for failure in failures.exceptions:
                if "Invalid component: positive test case" in str(failure):
                    continue  # the generator has found nothing to break in this operation
                seen.add(difference_behind(failure, case, answer, dialect))

    with Sandbox(dialect=dialect, rate_limits=False) as sandbox:
        sandbox.add_segment(name="Spring", id=KNOWN_ID)
        for operation in (result.ok() for result in description().get_all_operations()):
            operation_id = operation.definition.raw["operationId"]
            for arguments in CALLS[operation_id]:
                media_type = {"media_type": "application/json"} if "body" in arguments else {}
                call(operation.Case(**arguments, **media_type), operation_id)
            generate(operation, lambda case, name=operation_id: call(case, name))

    due = {name for name, known in DIFFERENCES.items() if dialect in known.dialects and known.always}
    assert due <= seen
    assert not any(status >= 500 for reached in statuses.values() for status in reached)
    expected = {"seeds": 202, "today": 200}[dialect]
    assert expected in statuses["archiveCustomSegment"] & statuses["unarchiveCustomSegment"]
    assert {200, 400} <= statuses["getCustomSegment"]
    assert {200, 400, 404} <= statuses["updateFilterSegment"]
    assert {201, 400, 409} <= statuses["createFilterSegment"]


def generate(operation: Any, call: Callable[[Any], None]) -> None:
    """Call an operation with data that its schema allows, and with data that it does not."""
    # The headers are given, Authorization too: a case without credentials is what another check makes.
    arguments: dict[str, Any] = {"headers": {**HEADERS, "Authorization": "Basic eDp5"}}
    strategies = [operation.as_strategy(generation_mode=mode, **arguments) for mode in GenerationMode]
    if "{id}" in operation.path:
        arguments["path_parameters"] = {"id": KNOWN_ID}
        strategies += [operation.as_strategy(generation_mode=mode, **arguments) for mode in GenerationMode]

    @settings(
        max_examples=60 if os.environ.get("CI") else 20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies))
    def call_all(case: Any) -> None:
        call(case)

    call_all()


def difference_behind(failure: Any, case: Any, answer: Any, dialect: str) -> str:
    for name, difference in DIFFERENCES.items():
        if (
            dialect in difference.dialects
            and difference.failure == type(failure).__name__
            and difference.explains(Report(case, answer, str(failure)))
        ):
            return name
    raise AssertionError(
        f"{type(failure).__name__} that no listed difference explains\n{failure}\n"
        f"{case.method} {case.path} {case.path_parameters} {case.query} {case.body}\n{answer.status_code} {answer.text}"
    )


KEYS_BEYOND_THE_DESCRIPTION = {
    "segment_id": "The seeds (archive and unarchive) call the optional id so; the OpenAPI description calls it cs_id.",
    "excluded_filters": "Newer servers take it, says the vendor's guide; neither document has it.",
}


def test_the_client_sends_what_is_described(dialect: Any) -> None:
    with Sandbox(dialect=dialect) as sandbox:
        segment = sandbox.add_segment(name="Spring sale: 50% & more", id=KNOWN_ID)
        with client_of(sandbox) as client:
            client.archive_segment(segment["name"])
            client.unarchive_segment(segment["name"], segment["id"])
            client.get_segment(segment["id"])
            client.list_segments()
            client.list_segments(segment["name"])
            client.update_segment(segment["id"], group(attribute(["gold"])))
            client.update_segment(
                segment["id"],
                group(attribute(["silver"])),
                name="Summer",
                updated_by="admin@example.com",
                excluded_filters=group(attribute(["bronze"])),
            )
        sent = sandbox.requests

    beyond = [key for request in sent for key in check_request(request)]

    assert len(sent) == 7
    assert {request.status for request in sent} == {{"seeds": 202, "today": 200}[dialect], 200}
    assert set(beyond) == {"excluded_filters", *(["segment_id"] if dialect == "seeds" else [])}
    assert set(beyond) <= set(KEYS_BEYOND_THE_DESCRIPTION)


def check_request(request: RecordedRequest) -> list[str]:
    """Check a request against its description, and list the keys of its body that the description does not have."""
    path, operation = operation_of(request)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "***"
    parameters = [resolve(parameter) for parameter in operation.get("parameters", [])]
    for parameter in parameters:
        if parameter["in"] == "header" and parameter["required"]:
            assert request.headers[parameter["name"].lower()]
    allowed = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    assert set(parse_qs(request.query, strict_parsing=bool(request.query))) <= allowed, path
    assert "+" not in request.query
    if "requestBody" not in operation:
        assert request.body == b""
        return []
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    body = json.loads(request.body)
    jsonschema.Draft202012Validator({**schema, "components": document()["components"]}).validate(body)
    return sorted(set(body) - set(resolve(schema)["properties"]))


def operation_of(request: RecordedRequest) -> tuple[str, Any]:
    exactly_first = sorted(document()["paths"], key=lambda path: "{" in path)
    for path in exactly_first:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path):
            return path, document()["paths"][path][request.method.lower()]
    raise AssertionError(f"{request.method} {request.path} is not described")


def resolve(node: Any) -> Any:
    """Follow a reference, where there is one."""
    if "$ref" not in node:
        return node
    target = document()
    for key in node["$ref"].removeprefix("#/").split("/"):
        target = target[key]
    return target


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("DELETE", "/v3/custom-segments", "", b""),
        ("PATCH", "/v2/custom-segments/archived", "", b"{}"),
        ("PATCH", "/v2/custom-segments/archive", "", b"{}"),
        ("PATCH", "/v2/custom-segments/archive", "", b'{"name": 7}'),
        ("PATCH", "/v3/custom-segments/x", "", b'{"included_filters": {"filters": []}}'),
        ("GET", "/v3/custom-segments", "nom=x", b""),
        ("GET", "/v3/custom-segments", "name=a+b", b""),
        ("GET", "/v3/custom-segments", "", b"{}"),
    ],
)
def test_what_is_not_described_is_noticed(sandbox: Sandbox, method: str, path: str, query: str, body: bytes) -> None:
    headers = {**{name.lower(): value for name, value in HEADERS.items()}, "authorization": "***"}
    request = RecordedRequest(method, path, query, headers, body, 200, 1, sandbox.now)
    with pytest.raises((AssertionError, KeyError, jsonschema.ValidationError)):
        check_request(request)
