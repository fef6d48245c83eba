"""Operators for file segments: audiences whose users come from a file that MoEngage fetches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.client.errors import DuplicateNameError, InvalidInputError, shown
from airflow_provider_moengage.client.inputs import check_text, kind_of
from airflow_provider_moengage.operators.base import LEFT_OUT
from airflow_provider_moengage.operators.file_base import FileOperator
from airflow_provider_moengage.operators.one_segment import Target, find_by_name, find_target_by_id

if TYPE_CHECKING:
    from airflow_provider_moengage.client import MoEngageClient


class CreateFileSegmentOperator(FileOperator):
    """
    Create a file segment, or replace the users of the one that has the name.

    MoEngage accepts the request, and fetches the file later: the task succeeds with an empty segment, and how it went
    is told to ``callback_url`` and ``emails`` alone. A name is never free again, not even when its segment is archived.
    When the answer is lost, the segment is looked for: one of this name that was not there before is taken for this
    one.
    OpenAPI description of August 2026: create file segment, replace users.

    The file has one column, UTF-8, no header, no quotes, no blanks around values, no duplicates and no empty rows, 150
    MB at most. The query of an address, which may sign it, is kept out of logs, errors, rendered fields and XCom.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``. Fails
    without a retry when the name is taken (unless ``if_exists`` allows that) or is none that MoEngage takes, the
    segment that has it is a filter segment, the workspace has as many active segments as it may have, the key is wrong,
    or a parameter cannot be used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` is for a segment that is there already: the task
    fails, before anything is sent, when there is none of this name.

    :param name: name of the segment. (templated)
    :param attribute_name: the user attribute that the file has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param file_url: where MoEngage fetches the file: a public address, which a presigned one is. (templated)
    :param expiry_days: after how many days MoEngage archives the segment; not changed when its users are replaced.
        (templated)
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow, on Airflow 3, where somebody has
        switched the receiver on. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed once MoEngage has called back to this Airflow, with ``values_found``, ``values_processed``,
        ``user_count`` and ``request_id`` in the XCom, and fail without a retry when it could not do it.
    :param wait_timeout: how long to wait at most, in seconds or as a timedelta: 7 days at most; ``execution_timeout``
        where that is shorter.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param if_exists: what to do when a segment has the name already. ``fail``: fail. ``replace``: replace all its users
        by those of the file.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing, and
        while it waits; the default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something: the log and the XCom say what it would be,
        ``{"dry_run": true, "action", "name", "segment_id", "changes"}``, the action being ``create`` or ``replace``.
    """

    template_fields: Sequence[str] = (
        "name",
        "attribute_name",
        "attribute_type",
        "file_url",
        "expiry_days",
        "callback_url",
        "emails",
        "moengage_conn_id",
    )

    def __init__(
        self,
        *,
        name: str,
        expiry_days: int | str,
        if_exists: Literal["fail", "replace"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = self._take("name", name)
        self.expiry_days = self._take("expiry_days", expiry_days)
        self.if_exists = if_exists

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check what was given, and look for the segment of this name where that decides something.

        :param client: the client of the connection.
        :return: the segment that is there, or one without an id.
        """
        from airflow_provider_moengage.client.file_inputs import check_expiry_days
        from airflow_provider_moengage.client.file_segments import FILTER_TYPE
        from airflow_provider_moengage.client.names import check_segment_name

        check_segment_name("name", self.name)
        if self.if_exists not in ("fail", "replace"):
            raise InvalidInputError(f'if_exists must be "fail" or "replace", not {kind_of(self.if_exists)}.')
        check_expiry_days(self.expiry_days)
        self.check_file()
        found = client.find_segment(name=self.name)
        if found is None:
            self.refuse_outlets_of_new(self.name)
            return Target(self.name)
        if self.if_exists == "fail":
            taken = DuplicateNameError(f"there is a segment {shown(self.name)} already, and nothing was sent")
            taken.existing_segment_name, taken.existing_segment_id = self.name, str(found.get("id"))
            if found.get("type") == FILTER_TYPE:
                taken.way_out = f"It is a filter segment, which takes no file. {taken.way_out}"
                raise taken
            raise self._with_way_out(taken)
        self.refuse_filter_segment(found)
        self.warn_of_expiry(found, self.expiry_days)
        return Target(self.name, str(found.get("id")), found)

    def action_on(self, target: Target) -> str:
        """
        Say what is, or would be, done.

        :param target: the segment that is there, or one without an id.
        :return: ``create`` or ``replace``.
        """
        return "create" if target.segment_id is None else "replace"

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Create it, or replace the users of the one that is there.

        :param client: the client of the connection.
        :param target: the segment that is there, or one without an id.
        :return: the server's answer.
        """
        if target.segment_id is not None:
            return self.replace_all(client, target)
        try:
            answer = client.create_file_segment(self.name, **self.file_fields(), expiry_days=self.expiry_days)
        except DuplicateNameError as error:
            # It was made after it was looked for, and before the call.
            if self.if_exists == "fail" or error.existing_segment_id is None:
                raise self._with_way_out(error) from None
            made = find_by_name(client, self.name)
            self.refuse_filter_segment(made)
            return self.replace_all(client, Target(self.name, str(made["id"]), made))
        self.log_accepted("fills", self.name)
        return answer

    def _with_way_out(self, error: DuplicateNameError) -> DuplicateNameError:
        if self.if_exists == "fail":
            error.way_out = (
                "If it is the segment that an earlier try or run of this task has created, "
                f'if_exists="replace" replaces its users by those of the file. {error.way_out}'
            )
        return error


class _UsersOperator(FileOperator):
    """What add, remove and replace share: which segment."""

    template_fields: Sequence[str] = (
        "name",
        "segment_id",
        "attribute_name",
        "attribute_type",
        "file_url",
        "callback_url",
        "emails",
        "moengage_conn_id",
    )

    def __init__(self, *, name: str = LEFT_OUT, segment_id: str = LEFT_OUT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = self._take("name", name)
        self.segment_id = self._take("segment_id", segment_id)

    def find_target(self, client: MoEngageClient) -> Target:
        """
        Check what was given, and look the segment up: only a file segment takes a file.

        :param client: the client of the connection.
        :return: the segment, by its own name.
        """
        if self.name is not None:
            check_text("name", self.name)
        elif self.segment_id is None:
            raise InvalidInputError("Say which segment: give its name, its segment_id, or both.")
        self.check_file()
        if self.segment_id is None:
            segment = find_by_name(client, self.name)
            target = Target(self.name, str(segment.get("id")), segment)
        else:
            target = find_target_by_id(client, self.name, self.segment_id, self.log)
        self.refuse_filter_segment(target.segment)
        return target


class AddUsersOperator(_UsersOperator):
    """
    Add the users of a file to a file segment.

    MoEngage accepts the request, and fetches the file later: how it went is told to ``callback_url`` and ``emails``
    alone. To add the same file twice changes nothing, so that a lost answer is asked for again.
    OpenAPI description of August 2026: add users.

    The query of an address, which may sign it, is kept out of logs, errors, rendered fields and XCom.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``. Fails
    without a retry when there is no such segment, it is a filter segment, the key is wrong, or a parameter cannot be
    used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param attribute_name: the user attribute that the file has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param file_url: where MoEngage fetches the file: a public address, which a presigned one is. (templated)
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow, on Airflow 3, where somebody has
        switched the receiver on. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed once MoEngage has called back to this Airflow, with ``values_found``, ``values_processed``,
        ``user_count`` and ``request_id`` in the XCom, and fail without a retry when it could not do it.
    :param wait_timeout: how long to wait at most, in seconds or as a timedelta: 7 days at most; ``execution_timeout``
        where that is shorter.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing, and
        while it waits; the default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something; the log and the XCom say what it would be.
    """

    action = "add_users"

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Add the users.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        answer = client.add_users(str(target.name), **self.file_fields(target.segment_id), segment_id=target.segment_id)
        self.log_accepted("adds users to", target.name)
        return answer


class RemoveUsersOperator(_UsersOperator):
    """
    Remove the users of a file from a file segment.

    MoEngage accepts the request, and fetches the file later: how it went is told to ``callback_url`` and ``emails``
    alone. To remove the same file twice changes nothing, so that a lost answer is asked for again.
    OpenAPI description of August 2026: remove users.

    The query of an address, which may sign it, is kept out of logs, errors, rendered fields and XCom.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``. Fails
    without a retry when there is no such segment, it is a filter segment, the key is wrong, or a parameter cannot be
    used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param attribute_name: the user attribute that the file has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param file_url: where MoEngage fetches the file: a public address, which a presigned one is. (templated)
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow, on Airflow 3, where somebody has
        switched the receiver on. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed once MoEngage has called back to this Airflow, with ``values_found``, ``values_processed``,
        ``user_count`` and ``request_id`` in the XCom, and fail without a retry when it could not do it.
    :param wait_timeout: how long to wait at most, in seconds or as a timedelta: 7 days at most; ``execution_timeout``
        where that is shorter.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing, and
        while it waits; the default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something; the log and the XCom say what it would be.
    """

    action = "remove_users"

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Remove the users.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        answer = client.remove_users(
            str(target.name), **self.file_fields(target.segment_id), segment_id=target.segment_id
        )
        self.log_accepted("removes users from", target.name)
        return answer


class ReplaceUsersOperator(_UsersOperator):
    """
    Replace all users of a file segment by those of a file.

    MoEngage accepts the request, and fetches the file later: how it went is told to ``callback_url`` and ``emails``
    alone. To replace by the same file twice changes nothing, so that a lost answer is asked for again.
    OpenAPI description of August 2026: replace users.

    The query of an address, which may sign it, is kept out of logs, errors, rendered fields and XCom.

    Returns the server's answer as XCom: ``{"message": ..., "success": true, "cs_name": ..., "cs_id": ...}``. Fails
    without a retry when there is no such segment, it is a filter segment, the key is wrong, or a parameter cannot be
    used.

    The task's page in Airflow has a link to the segment. An outlet made by
    :func:`~airflow_provider_moengage.assets.segments.create_asset` gets what has changed as the ``extra`` of its event;
    one of another segment fails the task.

    :param name: name of the segment. (templated)
    :param segment_id: id of the segment, which wins over the name. (templated)
    :param attribute_name: the user attribute that the file has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param file_url: where MoEngage fetches the file: a public address, which a presigned one is. (templated)
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow, on Airflow 3, where somebody has
        switched the receiver on. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed once MoEngage has called back to this Airflow, with ``values_found``, ``values_processed``,
        ``user_count`` and ``request_id`` in the XCom, and fail without a retry when it could not do it.
    :param wait_timeout: how long to wait at most, in seconds or as a timedelta: 7 days at most; ``execution_timeout``
        where that is shorter.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing, and
        while it waits; the default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: do everything but the call that changes something; the log and the XCom say what it would be.
    """

    action = "replace"

    def change_segment(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Replace the users.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        return self.replace_all(client, target)
