"""What differs between the servers that the documents of 2023 describe and those in service today."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_moengage.sandbox.errors import ApiError, invalid_format


@dataclass(frozen=True)
class Dialect:
    """
    One way of speaking the Segments API.

    :param name: what people call it.
    :param segment_id_key: the key of the optional id in the body of archive and unarchive.
    :param archive_status: the status with which archive and unarchive succeed.
    :param archive_shows_id: whether archive and unarchive answer the id as ``cs_id`` too.
    :param get_answers_list: whether get by id answers a list, empty when nothing matches, or one object and a 404.
    :param get_shows_definition: whether get by id answers the whole definition, or what list does.
    :param malformed_id_message: what get by id says to an id that cannot be one; the usual sentence when it is None.
    :param v2_needs_workspace_header: whether v2 endpoints insist on MOE-APPKEY or MOE-DBNAME.
    :param v2_needs_database_name: whether v2 endpoints insist on MOE-DBNAME.
    :param v2_invalid_title: the title with which v2 endpoints refuse a request whose form is wrong.
    """

    name: str
    segment_id_key: str
    archive_status: int
    archive_shows_id: bool
    get_answers_list: bool
    get_shows_definition: bool
    malformed_id_message: str | None
    v2_needs_workspace_header: bool
    v2_needs_database_name: bool
    v2_invalid_title: str

    def malformed_id(self) -> ApiError:
        """Refuse an id that is not 24 hexadecimal digits."""
        return invalid_format(self.malformed_id_message)

    def invalid_v2(self, description: str) -> ApiError:
        """Refuse a v2 request whose form is wrong."""
        return ApiError(400, self.v2_invalid_title, description)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="seeds",
            segment_id_key="segment_id",
            archive_status=202,
            archive_shows_id=False,
            get_answers_list=True,
            get_shows_definition=False,
            malformed_id_message=None,
            v2_needs_workspace_header=False,
            v2_needs_database_name=False,
            v2_invalid_title="Invalid Request",
        ),
        Dialect(
            name="today",
            segment_id_key="cs_id",
            archive_status=200,
            archive_shows_id=False,
            get_answers_list=False,
            get_shows_definition=True,
            malformed_id_message="Invalid bson object-id passed in the request",
            v2_needs_workspace_header=True,
            v2_needs_database_name=False,
            v2_invalid_title="Invalid request",
        ),
    )
}
