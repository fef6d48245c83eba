"""The errors that the Segments API documents, each made in one place."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """
    A refusal, as the API words it.

    :param status: the HTTP status.
    :param code: ``error.code`` in a v3 answer, ``title`` in a v2 answer.
    :param message: ``error.message`` in a v3 answer, ``description`` in a v2 answer.
    :param headers: response headers that belong to the refusal, such as ``Allow``.
    :param explanation: what the API does not say: which part of the request is wrong, and why. It is never sent; the
        journal shows it to whoever debugs.
    :param details: further fields of the v3 ``error`` object, such as ``existing_cs_id``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        explanation: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.explanation = explanation
        self.details = details

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


def invalid_format(message: str | None = None, *, explanation: str | None = None) -> ApiError:
    """
    Refuse a request whose form is wrong: not JSON, a missing or mistyped field, a malformed id.

    :param message: a more exact sentence than the usual one.
    :param explanation: what is wrong with it, for the journal alone.
    """
    usual = (
        "Invalid request format. Please check the documentation to ensure that the request has been formed correctly."
    )
    return ApiError(400, "Invalid request", message or usual, explanation=explanation)


def invalid_definition(*, explanation: str | None = None) -> ApiError:
    """
    Refuse a request of the right form that says something impossible: a blank name, an unknown filter type.

    :param explanation: what is wrong with it, for the journal alone.
    """
    message = (
        "Invalid request. Please ensure that the filters are correct and the custom-segment name doesn't contain "
        "HTML characters/only whitespaces."
    )
    return ApiError(400, "Invalid Request", message, explanation=explanation)


def client_not_found() -> ApiError:
    """Refuse headers that name no workspace."""
    message = "MoEngage Client not found. Please check values for headers - MOE-APPKEY or MOE-DBNAME"
    return ApiError(400, "Request Error", message)


def unauthorized(message: str) -> ApiError:
    """Refuse credentials."""
    return ApiError(401, "Authentication required", message)


def secret_mismatch() -> ApiError:
    """Refuse a wrong API key."""
    return unauthorized("APP_SECRET key mismatch. Please login to the dashboard to verify key")


def invalid_app_key() -> ApiError:
    """Refuse a username that does not belong to the workspace of the headers."""
    return unauthorized("Invalid APP_KEY used in Authentication Header")


def update_forbidden() -> ApiError:
    """Refuse to update what is not an active filter segment of this workspace's own."""
    message = (
        "Update isn't supported for file-segments, internally created custom-segments, custom-segments imported from "
        "Analyze and archived custom-segments."
    )
    return ApiError(403, "Forbidden operation", message)


def id_not_found(segment_id: str) -> ApiError:
    """Say that no segment has this id."""
    return ApiError(404, "Entity Not Found", f"Custom segment not found with the given id: {segment_id}")


def name_or_id_not_found(which: str) -> ApiError:
    """Say that archive and unarchive find no such segment."""
    return ApiError(404, "Entity Not Found", f"Custom segment not found for the given name or cs_id: {which}")


def externally_managed(name: str) -> ApiError:
    """Refuse to archive or unarchive a segment that something else than its users manages."""
    message = f"Archive and unarchive aren't supported for externally managed custom segments: {name}"
    return ApiError(400, "Invalid Request", message)


def secret_not_configured() -> ApiError:
    """Refuse every key of a workspace that has none set."""
    message = "APP SECRET key is not set. Please login to the dashboard to set it"
    return ApiError(409, "API SECRET not configured", message)


def name_exists(name: str) -> ApiError:
    """Refuse a name that another segment bears."""
    message = (
        f"Another custom-segment already exists with the same name: {name}. Please change the custom-segment name."
    )
    return ApiError(409, "Resource not created", message)


def file_name_exists(name: str) -> ApiError:
    """Refuse a file segment whose name another segment bears."""
    return ApiError(409, "Resource not created", f"Name already exists: {name}")


def file_segment_not_found(which: str) -> ApiError:
    """Say that the calls on file segments find no such segment."""
    return ApiError(404, "Entity Not Found", f"Segment not found with the given name: {which}")


def filters_exist(name: str, segment_id: str) -> ApiError:
    """Refuse a definition that another segment has."""
    message = (
        f"Another custom-segment already exists containing the given filters: {name}. "
        "Please reuse the same or update the filters"
    )
    return ApiError(409, "Resource not created", message, existing_cs_name=name, existing_cs_id=segment_id)


def circular_reference() -> ApiError:
    """Refuse a segment that contains itself."""
    return ApiError(412, "Cyclic Entity", "Circular reference detected in the custom segment definition.")


def too_many_levels(limit: int) -> ApiError:
    """Refuse a definition that is nested too deeply."""
    message = f"The query has more than {limit} levels of nesting. Please reduce the segment nesting."
    return ApiError(413, "Query has too many nesting levels", message)


def too_many_segments(limit: int) -> ApiError:
    """Refuse a definition that refers to too many segments."""
    message = f"The query has more than {limit} custom segments. Please reduce the custom segments."
    return ApiError(413, "Too many segments in a query", message)


def query_too_long() -> ApiError:
    """Refuse a definition that is too long."""
    message = "The query is too large to execute. Please reduce the filters."
    return ApiError(413, "Query length limit exceeded", message)


def too_many_active_segments(actual_count: int, limit: int) -> ApiError:
    """Refuse one more active segment."""
    message = "Total active segments limit breached. Request rejected!"
    return ApiError(429, "Too Many Requests", message, actual_count=actual_count, limit=limit)


def rate_limited(limit: int, minutes: int, headers: dict[str, str] | None = None) -> ApiError:
    """
    Refuse one more request within a window of the rate limit.

    :param limit: how many requests the window takes.
    :param minutes: how long it is.
    :param headers: those that say when it opens again.
    """
    message = f"API rate limit breached. Current limit: {limit}/{minutes} mins"
    return ApiError(429, "Too Many Requests", message, headers=headers)


def lifecycle_limited(headers: dict[str, str] | None = None) -> ApiError:
    """
    Refuse one more archive or unarchive, as published in autumn 2026: in the words of file segments.

    :param headers: those that say when it opens again.
    """
    message = "File segment operations limit breached. Please retry after some time."
    return ApiError(429, "Too Many Requests", message, headers=headers)


def out_of_scope() -> ApiError:
    """Refuse a key whose scope has not the group of the called endpoint."""
    headers = {"MOENGAGE-AUTH-ERROR-CODE": "ER007"}
    return ApiError(403, "Forbidden", "The API key is not authorized to access this API", headers=headers)


def server_error(status: int = 500) -> ApiError:
    """
    Fail as an overloaded or broken server fails.

    :param status: 500 and above.
    """
    message = "An unexpected error was encountered while processing this request. Please contact MoEngage Team"
    return ApiError(status, "Internal Server Error", message)


def usual_error(status: int) -> ApiError:
    """
    Find what the documents say for a status, for answers that have no cause but somebody's wish.

    :param status: 400 and above.
    :return: the documented error of this status, the most usual one where there are several.
    """
    if status >= 500:
        return server_error(status)
    known = {
        400: invalid_format(),
        401: secret_mismatch(),
        403: update_forbidden(),
        404: ApiError(404, "Entity Not Found", "Custom segment not found"),
        409: ApiError(
            409, "Resource not created", "Another custom-segment already exists. Please change the custom-segment name."
        ),
        412: circular_reference(),
        413: query_too_long(),
        429: rate_limited(50, 1),
    }
    return known.get(status) or ApiError(status, "Request Error", f"The request failed with status {status}")
