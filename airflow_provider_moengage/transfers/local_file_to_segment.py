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
    without a header. For all else see
    :class:`~airflow_provider_moengage.transfers.sql_to_segment.SqlToFileSegmentOperator`, whose other parameters and
    XCom it has.

    :param path: a file on the worker, or its URI in an object storage, such as ``s3://aws_default@bucket/ids.csv``.
        (templated)
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
            if number == 1 and text.strip() == self.attribute_name:
                raise InvalidInputError(
                    "Row 1 is the name of the attribute: the file must have no header. Nothing was uploaded or sent."
                )
            texts.append(text)
        if texts:
            yield texts
