"""From a file to an audience."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.inputs import check_text
from airflow_provider_moengage.transfers.audience_base import AudienceOperator

_BYTES_AT_ONCE = 1 << 20


class LocalFileToFileSegmentOperator(AudienceOperator):
    """
    Make the lines of a file the users of a file segment.

    The file is one that another task has written: on the worker, or in an object storage, such as what a warehouse
    unloads. It is read piece by piece, checked by the same rules as a query, and staged anew: one value a line, UTF-8,
    without a header. Everything else, the XCom too, is as in
    :class:`~airflow_provider_moengage.transfers.sql_to_segment.SqlToFileSegmentOperator`.

    :param path: a file on the worker, or its URI in an object storage, such as ``s3://aws_default@bucket/ids.csv``.
        (templated)
    :param staging: the folder for the file: the URI of an object storage, such as ``s3://aws_default@bucket/prefix``;
        what stands before the ``@`` is its connection. (templated)
    :param name: name of the segment. (templated)
    :param attribute_name: the user attribute that the file has values of, such as ``ID``. (templated)
    :param attribute_type: ``string`` or ``double``. (templated)
    :param mode: ``replace`` all users of the segment, ``add`` to them, or ``remove`` from them.
    :param expiry_days: after how many days MoEngage archives a segment that this task creates. (templated)
    :param min_rows: fail when there are fewer values to write. Without any nothing is ever sent.
    :param max_change: fail when their number differs by more than this share from that of the last run that succeeded
        and sent any; 10 at most, None for any number. From 1 upwards nothing guards against a fall.
    :param max_users: fail when there are more values to write: MoEngage takes two million a day of a workspace.
    :param url_expires_in: for how long the address of the file is good, in seconds or as a timedelta: from an hour to a
        week.
    :param public_url: for storage that does not sign: the address at which a web server serves ``staging`` to MoEngage.
        (templated)
    :param keep_staged_file: leave the file where it is; by default a later run of the task deletes it once its address
        has expired.
    :param callback_url: where MoEngage says how it went; ``airflow`` for this Airflow. (templated)
    :param emails: whom MoEngage writes to when it is done. (templated)
    :param wait: succeed when MoEngage has called back that the segment is filled, instead of when it has accepted the
        calls; the file is deleted then, unless MoEngage may hold a call twice.
    :param wait_timeout: for how long, in seconds or as a timedelta: 7 days at most.
    :param poll_interval: seconds (or a timedelta) between two looks for the callback.
    :param moengage_conn_id: the :class:`connection <airflow_provider_moengage.hooks.moengage.MoEngageHook>`.
        (templated)
    :param deferrable: give the worker slot back while a long rate limit lasts, a day at most, instead of failing; the
        default is Airflow's ``[operators] default_deferrable``.
    :param dry_run: read the file and hold the guards against it, upload and send nothing. The XCom has what it
        would be, with ``dry_run``, ``action`` and ``changes``.
    """

    template_fields: Sequence[str] = (
        "path",
        "staging",
        "name",
        "attribute_name",
        "attribute_type",
        "expiry_days",
        "public_url",
        "callback_url",
        "emails",
        "moengage_conn_id",
    )

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = self._take("path", path)

    @property
    def source(self) -> object:
        """The file."""
        return self.path

    def check_source(self) -> None:
        """Check that it is there."""
        path = self._path()
        if not path.fs.isfile(path.path):
            raise InvalidInputError(f"There is no file {path}, as far as this worker can see. Nothing was sent.")

    def read_values(self) -> Iterator[list[Any]]:
        """
        Read the file.

        :return: its lines, some thousand at a time.
        """
        path = self._path()
        with path.fs.open(path.path, "rb", block_size=_BYTES_AT_ONCE) as file:
            rest, row = b"", 0
            while chunk := file.read(_BYTES_AT_ONCE):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from self._texts_of(lines, row)
                row += len(lines)
            if rest:
                yield from self._texts_of([rest], row)

    def _path(self) -> Any:
        from airflow_provider_moengage.transfers.staging import path_of

        check_text("path", self.path)
        return path_of("path", self.path if "://" in self.path else f"file://{Path(self.path).absolute()}")

    def _texts_of(self, lines: list[bytes], row: int) -> Iterator[list[str]]:
        """Read some lines, of which the first follows so many rows."""
        texts = []
        for number, line in enumerate(lines, start=row + 1):
            try:
                # What spreadsheets write before the first one.
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise InvalidInputError(f"Row {number:,} is not UTF-8. Nothing was uploaded or sent.") from None
            if number == 1 and text.strip().casefold() == self.attribute_name.strip().casefold():
                raise InvalidInputError(
                    "Row 1 is the name of the attribute: the file must have no header. Nothing was uploaded or sent."
                )
            texts.append(text)
        if texts:
            yield texts
