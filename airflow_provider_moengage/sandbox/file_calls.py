"""The four calls on file segments: what goes in and out. No sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_moengage.sandbox import definition_rules
from airflow_provider_moengage.sandbox.audience_file import ATTRIBUTE_TYPES
from airflow_provider_moengage.sandbox.file_segments import FileAction, Order
from airflow_provider_moengage.sandbox.http_messages import Answer, Request, json_answer
from airflow_provider_moengage.sandbox.local_access import is_loopback

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject
    from airflow_provider_moengage.sandbox.dialects import Dialect
    from airflow_provider_moengage.sandbox.file_segments import FileSegments
    from airflow_provider_moengage.sandbox.workspace import Workspace

FILE_SEGMENT_PATH = "/v2/custom-segments/file-segment"

_ACCEPTED: dict[FileAction, str] = {
    "create": "File-segment creation request accepted",
    "add-users": "File-segment user-addition request accepted",
    "remove-users": "File-segment user-removal request accepted",
    "replace": "File-segment user-replace request accepted",
}


class FileCalls:
    """
    Carries out the calls on file segments.

    :param workspace: whose segments they are about.
    :param files: what fetches the files.
    :param dialect: the way in which they are answered.
    """

    def __init__(self, workspace: Workspace, files: FileSegments, dialect: Dialect) -> None:
        self._workspace = workspace
        self._files = files
        self._dialect = dialect

    def answer(self, action: FileAction, request: Request, fields: JsonObject) -> Answer:
        """
        Accept a request, or refuse it.

        :param action: which of the four.
        :param request: the request.
        :param fields: its body.
        :raises ApiError: 400, 404, 409 or 429, as is published.
        """
        name = self._text(fields, "name")
        order = Order(
            action,
            self._text(fields, "attribute_name"),
            self._text(fields, "attribute_type"),
            self._text(fields, "file_url"),
            None if fields.get("callback_url") is None else self._text(fields, "callback_url"),
            is_local=is_loopback(request.peer),
            fault=request.file_fault,
        )
        if order.attribute_type not in ATTRIBUTE_TYPES:
            raise self._dialect.invalid_v2(f"attribute_type must be one of {', '.join(ATTRIBUTE_TYPES)}")
        self._check_emails(fields.get("emails"))
        if action == "create":
            segment = self._workspace.create_file(definition_rules.check_name(name), self._days(fields))
        else:
            segment = self._find(name, fields)
        self._files.accept(order, segment)
        return json_answer(
            202,
            {"message": _ACCEPTED[action], "success": True, "cs_name": segment["name"], "cs_id": segment["id"]},
        )

    def _find(self, name: str, fields: JsonObject) -> JsonObject:
        segment_id = fields.get("cs_id")
        if segment_id is not None and not isinstance(segment_id, str):
            raise self._dialect.invalid_v2("cs_id must be a text")
        segment = self._workspace.file_segment(name, segment_id or None)
        if segment is None:
            raise self._dialect.invalid_v2("The segment is not a file segment")
        return segment

    def _text(self, fields: JsonObject, key: str) -> str:
        value = self._required(fields, key)
        if not isinstance(value, str) or not value.strip():
            raise self._dialect.invalid_v2(f"{key} must be a text that is not blank")
        return value

    def _days(self, fields: JsonObject) -> int:
        days = self._required(fields, "expiry_time")
        if not isinstance(days, int) or isinstance(days, bool) or not 0 < days < 2**31:
            raise self._dialect.invalid_v2("expiry_time must be a whole number of days")
        return days

    def _required(self, fields: JsonObject, key: str) -> Any:
        if fields.get(key) is None:
            raise self._dialect.invalid_v2(f"{key} - Field is required but value is None : None")
        return fields[key]

    def _check_emails(self, emails: Any) -> None:
        is_list = isinstance(emails, list) and all(isinstance(email, str) for email in emails)
        if emails is not None and not is_list:
            raise self._dialect.invalid_v2("emails must be a list of texts")
