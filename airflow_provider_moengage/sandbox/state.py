"""The state of a sandbox in a file: written so that it is always whole, read so that nothing else passes for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_moengage.sandbox.clock import MAX_AHEAD
from airflow_provider_moengage.sandbox.json_body import MAX_JSON_DEPTH, parse_object

if TYPE_CHECKING:
    from airflow_provider_moengage.sandbox.definition_rules import JsonObject

FORMAT = "moengage-sandbox-state"
VERSION = 1

_DEPTH_AROUND_A_SEGMENT = 2


@dataclass(frozen=True)
class State:
    """
    What a sandbox remembers.

    :param ahead: how far its clock was moved.
    :param segments: its segments, as ``Sandbox.segments`` shows them.
    """

    ahead: timedelta
    segments: list[JsonObject]


def write_state(path: Path, *, ahead: timedelta, segments: list[JsonObject]) -> None:
    """
    Write a state, in place of the one in the file.

    :param path: the file.
    :param ahead: how far the clock was moved.
    :param segments: the segments, as ``Sandbox.segments`` shows them.
    :raises OSError: when it cannot be written; then the file is as it was.
    """
    content = {"format": FORMAT, "version": VERSION, "clock_ahead": ahead.total_seconds(), "segments": segments}
    replace_file(path, json.dumps(content, indent=1).encode("ascii") + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """
    Put a new content in the place of a file's old one: whoever reads it, whenever, finds one of them in full.

    :param path: the file; behind a symbolic link, the one that it points to.
    :param content: the new content.
    :raises OSError: when that does not work; then the file is as it was.
    """
    path = path.resolve()
    # Always the same name, so that what a kill leaves behind is gone with the next try.
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, fresh)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def read_state(path: Path) -> State:
    """
    Read a state.

    :param path: a file that :func:`write_state` has written.
    :raises OSError: when it cannot be read.
    :raises ValueError: when it is no such file; the message goes on after the file's name.
    """
    content = parse_object(path.read_bytes(), max_depth=MAX_JSON_DEPTH + _DEPTH_AROUND_A_SEGMENT)
    if content.get("format") != FORMAT:
        raise ValueError("is not a state of the sandbox")
    if content.get("version") != VERSION:
        raise ValueError(f"is of version {content.get('version')!r}, and this sandbox reads version {VERSION}")
    ahead, segments = content.get("clock_ahead"), content.get("segments")
    if not isinstance(ahead, int | float) or isinstance(ahead, bool) or not 0 <= ahead <= MAX_AHEAD.total_seconds():
        raise ValueError("has a broken clock_ahead")
    if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
        raise ValueError("has broken segments")
    return State(timedelta(seconds=ahead), segments)
