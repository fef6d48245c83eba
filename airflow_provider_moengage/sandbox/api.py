"""The Segments API over a workspace: routes, credentials, and what goes in and out. No sockets."""

from __future__ import annotations

import base64
import hmac
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox import definition_rules, errors
from airflow_provider_moengage.sandbox.errors import ApiError
from airflow_provider_moengage.sandbox.file_calls import FileCalls
from airflow_provider_moengage.sandbox.http_messages import (
    JSON_TYPE,
    Answer,
    Request,
    error_answer,
    json_answer,
    segment_answer,
)
from airflow_provider_moengage.sandbox.json_body import parse_object
from airflow_provider_moengage.sandbox.segment import is_object_id

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject
    from airflow_provider_moengage.sandbox.dialects import Dialect
    from airflow_provider_moengage.sandbox.file_segments import FileAction, FileSegments
    from airflow_provider_moengage.sandbox.limits import Endpoint, RateLimits, Usage
    from airflow_provider_moengage.sandbox.workspace import Workspace

Operation = Callable[[Request], Answer]


@dataclass(frozen=True)
class Route:
    """
    Where a request goes.

    :param operation: carries it out.
    :param endpoint: what its rate limit is called, or None when it has none.
    """

    operation: Operation
    endpoint: Endpoint | None = None


@dataclass
class Credentials:
    """
    What a client must know.

    :param workspace_id: the Basic username.
    :param api_key: the Basic password.
    :param app_key: the value of MOE-APPKEY.
    :param database_name: the value of MOE-DBNAME.
    :param api_secret_set: whether the workspace has an API key at all.
    """

    workspace_id: str
    api_key: str
    app_key: str
    database_name: str
    api_secret_set: bool = True


class SegmentsApi:
    """
    Answers requests as the Segments API does.

    :param workspace: what the requests are about.
    :param credentials: what they must bring.
    :param dialect: the way in which they are answered.
    :param files: what fetches the files of file segments.
    :param limits: how many there may be; those with wrong credentials belong to no workspace and do not count.
    """

    def __init__(
        self,
        workspace: Workspace,
        credentials: Credentials,
        dialect: Dialect,
        *,
        files: FileSegments,
        limits: RateLimits,
    ) -> None:
        self._workspace = workspace
        self._file_calls = FileCalls(workspace, files, dialect)
        self._credentials = credentials
        self._dialect = dialect
        self._limits = limits

    def knows(self, request: Request) -> bool:
        """Say whether a request calls an endpoint that there is, by a method that the endpoint takes."""
        try:
            self._find_route(request)
        except ApiError:
            return False
        return True

    def answer(self, request: Request) -> Answer:
        """Carry a request out, or refuse it."""
        usage = None
        try:
            route = self._find_route(request)
            usage = self._limits.tightest(route.endpoint)
            self._authenticate(request)
            usage = self._limits.take(route.endpoint)
            self._require_json_type(request)
            answer = route.operation(request)
        except ApiError as error:
            answer = error_answer(request.path, error)
        return self._with_limits(answer, usage)

    def refuse(self, request: Request, error: ApiError) -> Answer:
        """Refuse a request whose body was not read, so that it cannot be carried out."""
        answer = error_answer(request.path, error)
        try:
            usage = self._limits.tightest(self._find_route(request).endpoint)
        except ApiError:
            usage = None
        return self._with_limits(answer, usage)

    def _find_route(self, request: Request) -> Route:
        # Decoded once and after the split: an id may contain an encoded slash, and then it is a strange id.
        # A slash at the end changes nothing.
        match [urllib.parse.unquote(part) for part in request.path.removesuffix("/").split("/")]:
            case ["", "v2", "custom-segments", "archive"]:
                routes = {"PATCH": Route(self._archive, "archive")}
            case ["", "v2", "custom-segments", "unarchive"]:
                routes = {"PATCH": Route(self._unarchive, "unarchive")}
            case ["", "v2", "custom-segments", "file-segment"]:
                routes = {"POST": Route(partial(self._file, "create"), "file-segments")}
            case ["", "v2", "custom-segments", "file-segment", ("add-users" | "remove-users" | "replace") as action]:
                routes = {"PUT": Route(partial(self._file, action), "file-segments")}
            case ["", "v3", "custom-segments"]:
                routes = {"GET": Route(self._list, "list"), "POST": Route(self._create, "create")}
            case ["", "v3", "custom-segments", segment_id] if segment_id:
                routes = {
                    "GET": Route(partial(self._get, segment_id), "get"),
                    "PATCH": Route(partial(self._update, segment_id), "update"),
                }
            case _:
                raise ApiError(404, "Not Found", "There is no such endpoint")
        if request.method not in routes:
            allowed = ", ".join(routes)
            message = f"This endpoint takes {allowed}"
            raise ApiError(405, "Method Not Allowed", message, headers={"Allow": allowed})
        return routes[request.method]

    def _authenticate(self, request: Request) -> None:
        if request.path.startswith("/v3/"):
            self._authenticate_v3(request)
        else:
            self._authenticate_v2(request)

    def _authenticate_v2(self, request: Request) -> None:
        app_key, database_name = request.headers.get("moe-appkey"), request.headers.get("moe-dbname")
        if app_key is not None and not _same(app_key, self._credentials.app_key):
            raise errors.unauthorized("Invalid APP KEY in the header MOE-APPKEY")
        if database_name is not None and not _same(database_name, self._credentials.database_name):
            raise errors.unauthorized("Invalid Database Name in the header MOE-DBNAME")
        if database_name is None and self._dialect.v2_needs_database_name:
            raise errors.unauthorized("The header MOE-DBNAME is missing")
        if app_key is None and database_name is None and self._dialect.v2_needs_workspace_header:
            raise errors.unauthorized("The header MOE-DBNAME or MOE-APPKEY is missing")
        username, password = _basic_credentials(request)
        if not _same(username, self._credentials.workspace_id):
            raise errors.invalid_app_key()
        if not self._credentials.api_secret_set or not _same(password, self._credentials.api_key):
            raise errors.secret_mismatch()

    def _authenticate_v3(self, request: Request) -> None:
        known = (
            _same(request.headers.get("moe-appkey", ""), self._credentials.app_key),
            _same(request.headers.get("moe-dbname", ""), self._credentials.database_name),
        )
        if not any(known):
            raise errors.client_not_found()
        username, password = _basic_credentials(request)
        if not _same(username, self._credentials.workspace_id):
            raise errors.invalid_app_key()
        if not self._credentials.api_secret_set:
            raise errors.secret_not_configured()
        if not _same(password, self._credentials.api_key):
            raise errors.secret_mismatch()

    def _archive(self, request: Request) -> Answer:
        segment = self._workspace.archive(*self._name_and_id(request))
        return self._lifecycle_answer("Successfully archived the custom segment", segment)

    def _unarchive(self, request: Request) -> Answer:
        segment = self._workspace.unarchive(*self._name_and_id(request))
        return self._lifecycle_answer("Successfully unarchived the custom segment", segment)

    def _file(self, action: FileAction, request: Request) -> Answer:
        return self._file_calls.answer(action, request, self._json_object(request))

    def _name_and_id(self, request: Request) -> tuple[str, str | None]:
        fields = self._json_object(request)
        name = fields.get("name")
        if name is None:
            raise self._dialect.invalid_v2("name - Field is required but value is None : None")
        if not isinstance(name, str) or not name.strip():
            raise self._dialect.invalid_v2("name must be a text that is not blank")
        segment_id = fields.get(self._dialect.segment_id_key)
        if segment_id is not None and not isinstance(segment_id, str):
            raise self._dialect.invalid_v2(f"{self._dialect.segment_id_key} must be a text")
        return name, segment_id or None

    def _lifecycle_answer(self, message: str, segment: JsonObject) -> Answer:
        payload = {"message": message, "success": True, "cs_name": segment["name"]}
        if self._dialect.archive_shows_id:
            payload["cs_id"] = segment["id"]
        return json_answer(self._dialect.archive_status, payload)

    def _get(self, segment_id: str, _request: Request) -> Answer:
        if not is_object_id(segment_id):
            raise self._dialect.malformed_id()
        segment = self._workspace.get(segment_id, with_definition=self._dialect.get_shows_definition)
        if self._dialect.get_answers_list:
            return segment_answer(200, [segment] if segment else [])
        if segment is None:
            raise errors.id_not_found(segment_id)
        return segment_answer(200, segment)

    def _list(self, request: Request) -> Answer:
        # A form's rules, as servers apply them: a plus sign is a space here, so clients must send %20 and %2B.
        parameters = urllib.parse.parse_qs(request.query, keep_blank_values=True)
        names = parameters.get("name", [None])
        return segment_answer(200, self._workspace.find(names[0]))

    def _create(self, request: Request) -> Answer:
        fields = self._json_object(request)
        name = definition_rules.check_name(fields.get("name"), forbidden_pass=self._workspace.drops_forbidden_names)
        included, excluded = _filter_groups(fields)
        answer = segment_answer(201, self._workspace.create(name, included, excluded_filters=excluded))
        problem = definition_rules.name_problem(name)
        return replace(answer, explanation=f"No segment was made: name {problem}.") if problem else answer

    def _update(self, segment_id: str, request: Request) -> Answer:
        fields = self._json_object(request)
        included, excluded = _filter_groups(fields)
        data = self._workspace.update(
            segment_id,
            included,
            name=definition_rules.check_name(fields["name"]) if "name" in fields else None,
            updated_by=_optional_text(fields, "updated_by"),
            excluded_filters=excluded,
        )
        return segment_answer(200, data)

    def _with_limits(self, answer: Answer, usage: Usage | None) -> Answer:
        return replace(answer, headers={**self._limits.headers(usage), **answer.headers})

    def _require_json_type(self, request: Request) -> None:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON_TYPE:
            raise self._invalid_body(request, "The header Content-Type must be application/json")

    def _json_object(self, request: Request) -> JsonObject:
        try:
            return parse_object(request.body)
        except ValueError as error:
            raise self._invalid_body(request, f"The body {error}") from None

    def _invalid_body(self, request: Request, description: str) -> ApiError:
        # v2 puts the reason into its description; v3 has one sentence for all.
        return errors.invalid_format() if request.path.startswith("/v3/") else self._dialect.invalid_v2(description)


def _same(given: str, expected: str) -> bool:
    # Compared as bytes: hmac.compare_digest takes texts of ASCII alone.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def _basic_credentials(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise errors.unauthorized("The header Authorization is missing or is not Basic authentication")
    try:
        username, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        raise errors.unauthorized("The header Authorization is not valid base64") from None
    if not colon:
        raise errors.unauthorized("The header Authorization does not hold a username and a password")
    return username, password


def _filter_groups(fields: JsonObject) -> tuple[JsonObject, JsonObject | None]:
    included = definition_rules.check_group(fields.get("included_filters"))
    if "excluded_filters" not in fields:
        return included, None
    return included, definition_rules.check_group(fields["excluded_filters"], "excluded_filters", may_be_empty=True)


def _optional_text(fields: JsonObject, key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise errors.invalid_format()
    return value
