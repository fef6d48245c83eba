"""
The file of an audience: each value once, a value a line, in as many pieces as their size asks for.

Millions of values do not fit into a task's memory. They are spread over files by their hash, so that all that are
equal are in the same one; then each of these is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_BYTES = 150_000_000
"""How large a file may be, as published: 150 MB."""

# A power of two. Of five million ids each has twenty thousand.
_PARTITIONS = 256

# Until they are written. Fewer would open files more often than it is worth.
_MOST_IN_MEMORY = 65_536


@dataclass(frozen=True)
class Piece:
    """
    One of the files of an audience, on this machine.

    :param file: where it is.
    :param rows: how many values it has.
    :param size: how many bytes.
    """

    file: Path
    rows: int
    size: int


class DistinctValues:
    """
    Collects values in a folder, and writes each of them once.

    :param folder: an empty folder, which is this object's alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # By the number of each file: not open between two writes, since a process may not have so many open.
        self._buffers: list[list[str]] = [[] for _ in range(_PARTITIONS)]
        self._buffered = 0
        self.added = 0
        """How many values were added, each as often as it was."""

    def add(self, values: list[str]) -> None:
        """
        Add values.

        :param values: texts without line breaks, none of them empty.
        """
        buffers = self._buffers
        for value in values:
            buffers[hash(value) & (_PARTITIONS - 1)].append(value)
        self.added += len(values)
        self._buffered += len(values)
        if self._buffered >= _MOST_IN_MEMORY:
            self._flush()

    def write(self, max_bytes: int) -> list[Piece]:
        """
        Write each value once, in no particular order. No line break follows the last one: no row is empty.

        :param max_bytes: how large a file may be.
        :return: the files; none when there is no value.
        """
        self._flush()
        pieces: list[Piece] = []
        for number, blocks in enumerate(_packed(self._partitions(), max_bytes)):
            file = self._folder / f"piece-{number}"
            rows = 0
            with file.open("wb") as output:
                for block in blocks:
                    output.write(b"\n" + block if rows else block)
                    rows += block.count(b"\n") + 1
            pieces.append(Piece(file, rows, file.stat().st_size))
        return pieces

    def _flush(self) -> None:
        for number, buffer in enumerate(self._buffers):
            if buffer:
                with self._partition(number).open("ab") as output:
                    output.write("\n".join([*set(buffer), ""]).encode())
                buffer.clear()
        self._buffered = 0

    def _partition(self, number: int) -> Path:
        return self._folder / f"values-{number}"

    def _partitions(self) -> Iterator[bytes]:
        for number in range(_PARTITIONS):
            file = self._partition(number)
            if file.exists():
                with file.open("rb") as lines:
                    # Line by line: a value that is there a million times is in memory once.
                    distinct = {line.rstrip(b"\n") for line in lines}
                yield b"\n".join(distinct)
                # At no time are all of them on the disk twice.
                file.unlink()


def _packed(partitions: Iterable[bytes], max_bytes: int) -> Iterator[Iterator[bytes]]:
    """Give for each file what is to be written into it; each has to be used up before the next one is asked for."""
    blocks = iter(partitions)
    rest = next(blocks, b"")

    def fill() -> Iterator[bytes]:
        nonlocal rest
        room = max_bytes
        while rest:
            if len(rest) > room:
                end = rest.rfind(b"\n", 0, room + 1)
                if end < 0 and room == max_bytes:
                    # A value that no file has room for: MoEngage says so.
                    end = rest.find(b"\n") if b"\n" in rest else len(rest)
                if end > 0:
                    yield rest[:end]
                    rest = rest[end + 1 :]
                return
            yield rest
            # The line break before the next one, too.
            room -= len(rest) + 1
            rest = next(blocks, b"")

    while rest:
        yield fill()
