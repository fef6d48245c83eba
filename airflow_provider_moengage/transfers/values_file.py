"""From rows to files on this machine: what is read is checked, counted, and written once each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow_provider_moengage.segments import audience_file
from airflow_provider_moengage.segments.audience_file import DistinctValues, Piece
from airflow_provider_moengage.segments.audience_values import ValueChecks
from airflow_provider_moengage.segments.log_lines import count_of

_SECONDS_BETWEEN_PROGRESS = 5.0


def write_values(
    batches: Iterable[list[Any]], attribute_type: str, folder: Path, log: Any
) -> tuple[list[Piece], dict[str, Any]]:
    """
    Write the values that can be written, and say every few seconds how far that is.

    :param batches: the values, some at a time.
    :param attribute_type: how MoEngage reads them: ``string`` or ``double``.
    :param folder: an empty folder for the files.
    :param log: the task's log.
    :return: the files, and what the XCom says of how they were read.
    :raises InvalidInputError: for a value that cannot be written; the message has its row, never the value.
    """
    checks, distinct = ValueChecks(attribute_type), DistinctValues(folder)
    said = time.monotonic()
    for values in batches:
        distinct.add(checks.texts_of(values))
        if time.monotonic() - said >= _SECONDS_BETWEEN_PROGRESS:
            said = time.monotonic()
            log.info("Read %s.", count_of(checks.rows, "row"))
    pieces = distinct.write(audience_file.MAX_FILE_BYTES)
    rows = sum(piece.rows for piece in pieces)
    left_out = {"null": checks.nulls, "blank": checks.blanks, "duplicate": distinct.added - rows}
    log.info(
        "Read %s: %s to write; left out are %s.",
        count_of(checks.rows, "row"),
        count_of(rows, "value"),
        ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()),
    )
    if checks.stripped:
        log.info("Blanks were taken off %s.", count_of(checks.stripped, "value"))
    return pieces, {
        "rows_read": checks.rows,
        "rows_written": rows,
        "left_out": left_out,
        "blanks_stripped": checks.stripped,
        "bytes": sum(piece.size for piece in pieces),
    }
