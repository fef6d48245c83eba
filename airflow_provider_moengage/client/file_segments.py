"""The calls on file segments: audiences whose users come from a file that MoEngage fetches."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from airflow_provider_moengage.client.errors import CreateUnclearError, DuplicateNameError, MoEngageError
from airflow_provider_moengage.client.file_inputs import check_expiry_days, file_body, secrets_in
from airflow_provider_moengage.client.inputs import check_text
from airflow_provider_moengage.client.limits import FILE_SEGMENTS
from airflow_provider_moengage.client.names import check_segment_name
from airflow_provider_moengage.client.v2_calls import V2Calls

FILTER_TYPE = "ELASTIC_SEARCH"
"""The ``type`` of a segment that is computed from filters, which takes no file."""


class FileSegmentCalls(V2Calls):
    """
    Create file segments, and change who is in them.

    MoEngage answers before it has fetched the file: 202 says that the request is accepted. How it went is told to the
    ``callback_url`` alone. All four calls share a limit of 10 an hour and 100 a day. What signs an address (its query)
    stands in no error and no log.
    """

    @abstractmethod
    def find_segment(self, *, segment_id: str | None = None, name: str | None = None) -> dict[str, Any] | None:
        """
        Look a segment up by its id or by its exact name.

        :param segment_id: its id.
        :param name: its name.
        :return: the segment, or None when there is none.
        """

    def create_file_segment(
        self,
        name: str,
        attribute_name: str,
        attribute_type: str,
        file_url: str,
        expiry_days: int,
        *,
        callback_url: str | None = None,
        emails: list[str] | None = None,
    ) -> dict[str, Any]:
        """
        Create a file segment. OpenAPI description of August 2026: create file segment.

        It has no users at first; MoEngage fetches the file and fills it later. Never sent twice, unless it certainly
        was not received. MoEngage does not show which file a segment was made from, so that one list request before
        the call finds out whether the name is free: when the answer is lost, a file segment of this name that was not
        there before is taken for this one. Only somebody else who creates one of the same name in the same moment
        could be mistaken for it.

        :param name: its name: one that no other segment has, active or archived.
        :param attribute_name: the user attribute that the file has values of, such as ``ID``.
        :param attribute_type: ``string`` or ``double``.
        :param file_url: where MoEngage fetches the file: a public address, which a presigned one is. One column, UTF-8,
            no header, no quotes, no duplicates, no empty rows, 150 MB at most.
        :param expiry_days: after how many days MoEngage archives the segment: the API's ``expiry_time``.
        :param callback_url: where MoEngage says how it went.
        :param emails: whom MoEngage writes to when it is done.
        :return: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``.
        :raises InvalidInputError: when one of them cannot be used.
        :raises DuplicateNameError: when another segment has this name: ``existing_segment_id`` says which.
        :raises ActiveSegmentLimitError: when the workspace has as many active segments as it may have.
        :raises CreateUnclearError: when the answer was lost, and a segment of this name is there that is no file
            segment.
        """
        body = {
            "name": check_segment_name("name", name),
            **file_body(attribute_name, attribute_type, file_url, callback_url, emails),
            "expiry_time": check_expiry_days(expiry_days),
        }
        taken_by = self.find_segment(name=name)
        if taken_by is not None:
            taken = DuplicateNameError(f"there is a segment {name!r} already, and nothing was sent")
            taken.existing_segment_name, taken.existing_segment_id = name, str(taken_by.get("id"))
            raise taken
        method, path = FILE_SEGMENTS
        try:
            return self._call_on_file(method, path, body, verb="create")
        except DuplicateNameError as error:
            # It was not listed a moment ago: made since then, or archived so long ago that it is not shown.
            error.existing_segment_name = name
            raise
        except MoEngageError as error:
            if not error.is_outcome_unknown:
                raise
            lost = error
        # Out here, where what is raised has nothing hanging on to it.
        return self._find_created_file(name, lost)

    def add_users(
        self,
        name: str,
        attribute_name: str,
        attribute_type: str,
        file_url: str,
        *,
        segment_id: str | None = None,
        callback_url: str | None = None,
        emails: list[str] | None = None,
    ) -> dict[str, Any]:
        """
        Add the users of a file to a file segment. OpenAPI description of August 2026: add users.

        Sent again when the answer is lost: to add the same file twice changes nothing.

        :param name: the segment's name.
        :param attribute_name: as in :meth:`create_file_segment`.
        :param attribute_type: likewise.
        :param file_url: likewise.
        :param segment_id: its id, which wins over the name: the API's ``cs_id``.
        :param callback_url: where MoEngage says how it went.
        :param emails: whom MoEngage writes to when it is done.
        :return: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``.
        :raises InvalidInputError: when one of them cannot be used.
        :raises SegmentNotFoundError: when there is no such segment.
        """
        body = file_body(attribute_name, attribute_type, file_url, callback_url, emails)
        return self._change_users("add-users", name, segment_id, body)

    def remove_users(
        self,
        name: str,
        attribute_name: str,
        attribute_type: str,
        file_url: str,
        *,
        segment_id: str | None = None,
        callback_url: str | None = None,
        emails: list[str] | None = None,
    ) -> dict[str, Any]:
        """
        Remove the users of a file from a file segment. OpenAPI description of August 2026: remove users.

        Sent again when the answer is lost: to remove the same file twice changes nothing.

        :param name: the segment's name.
        :param attribute_name: as in :meth:`create_file_segment`.
        :param attribute_type: likewise.
        :param file_url: likewise.
        :param segment_id: its id, which wins over the name: the API's ``cs_id``.
        :param callback_url: where MoEngage says how it went.
        :param emails: whom MoEngage writes to when it is done.
        :return: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``.
        :raises InvalidInputError: when one of them cannot be used.
        :raises SegmentNotFoundError: when there is no such segment.
        """
        body = file_body(attribute_name, attribute_type, file_url, callback_url, emails)
        return self._change_users("remove-users", name, segment_id, body)

    def replace_users(
        self,
        name: str,
        attribute_name: str,
        attribute_type: str,
        file_url: str,
        *,
        segment_id: str | None = None,
        callback_url: str | None = None,
        emails: list[str] | None = None,
    ) -> dict[str, Any]:
        """
        Replace all users of a file segment by those of a file. OpenAPI description of August 2026: replace.

        Sent again when the answer is lost: to replace by the same file twice changes nothing.

        :param name: the segment's name.
        :param attribute_name: as in :meth:`create_file_segment`.
        :param attribute_type: likewise.
        :param file_url: likewise.
        :param segment_id: its id, which wins over the name: the API's ``cs_id``.
        :param callback_url: where MoEngage says how it went.
        :param emails: whom MoEngage writes to when it is done.
        :return: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``.
        :raises InvalidInputError: when one of them cannot be used.
        :raises SegmentNotFoundError: when there is no such segment.
        """
        body = file_body(attribute_name, attribute_type, file_url, callback_url, emails)
        return self._change_users("replace", name, segment_id, body)

    def _change_users(self, action: str, name: str, segment_id: str | None, body: dict[str, Any]) -> dict[str, Any]:
        body = {"name": check_text("name", name), **body}
        if segment_id is not None:
            body["cs_id"] = check_text("segment_id", segment_id)
        verb = {"add-users": "add users to", "remove-users": "remove users from", "replace": "replace the users of"}
        path = f"{FILE_SEGMENTS[1]}/{action}"
        return self._call_on_file("PUT", path, body, verb=verb[action], segment_id=segment_id)

    def _call_on_file(
        self, method: str, path: str, body: dict[str, Any], *, verb: str, segment_id: str | None = None
    ) -> dict[str, Any]:
        # Before it is sent: a proxy may echo the request in its error page, and a server in its message.
        self._secrets.remember(secrets_in([body["file_url"], body.get("callback_url")]))
        answer = self._call_v2(method, path, body, verb=verb, segment_id=segment_id)
        return {key: self._secrets.hide(value) if isinstance(value, str) else value for key, value in answer.items()}

    def _find_created_file(self, name: str, lost: MoEngageError) -> dict[str, Any]:
        """Find what came of a create whose answer was lost: the name was free before it."""
        try:
            found = self.find_segment(name=name)
        except MoEngageError as error:
            lost.way_out = f"It may be there: to look for it failed too ({error.message}). {lost.way_out}"
            lost.retry_after = lost.retry_after or error.retry_after
            raise lost from None
        if found is None:
            lost.way_out = f"No segment of this name was there afterwards. {lost.way_out}"
            raise lost
        if found.get("type") == FILTER_TYPE:
            unclear = CreateUnclearError(
                f"the answer was lost ({lost.message}), and the segment of this name, {found.get('id')}, is a filter "
                "segment",
                call=lost.call,
            )
            unclear.existing_segment_name, unclear.existing_segment_id = name, str(found.get("id"))
            raise unclear
        message = "The answer was lost; the segment is there, and was not before."
        return {"message": message, "success": True, "cs_name": name, "cs_id": str(found.get("id"))}
