"""Text that becomes records: where its lines come from, and what a piece of it says.

A reader (`read_lines` here, `read_json`, `read_csv` elsewhere) takes pieces of lines and gives
`Chunk`s. A line that is no record raises `InvalidRecordError` with its number, after the records
before it were given.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from streamlog.cli.moments import time_ms
from streamlog.errors import InvalidRecordError

_CHUNK_BYTES = 1 << 20

Lines = Iterator[list[bytes]]
"""Lines without their ends, as many at a time as are there."""
Headers = list[tuple[str, bytes | None]]


class Fields(NamedTuple):
    """Which fields of a JSON object, or columns of CSV, are what of a record.

    A field that was `named` must be there, the others may be missing. `value` "." is everything.
    """

    key: str | None
    value: str
    time: str | None
    partition: str | None
    headers: str | None
    named: frozenset[str]


class Chunk(NamedTuple):
    """Some records, column by column; None for a column that no record has. `lines` has where
    each was found, from 1 up.
    """

    values: list[bytes | None]
    keys: list[bytes | None] | None
    lines: Sequence[int]
    timestamps: list[int | None] | None = None
    headers: list[Headers] | None = None
    partitions: list[int | None] | None = None


class ChunkBuilder:
    """Collects records one at a time."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.lines: list[int] = []
        self._values: list[bytes | None] = []
        self._keys: list[bytes | None] = []
        self._timestamps: list[int | None] = []
        self._headers: list[Headers] = []
        self._partitions: list[int | None] = []

    def add(
        self,
        line: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: Headers,
        partition: int | None,
    ) -> None:
        """Add a record."""
        self.lines.append(line)
        self._keys.append(key)
        self._values.append(value)
        self._timestamps.append(timestamp)
        self._headers.append(headers)
        self._partitions.append(partition)

    def chunk(self) -> Chunk:
        """What was collected."""
        return Chunk(
            self._values,
            _unless_empty(self._keys),
            self.lines,
            _unless_empty(self._timestamps),
            self._headers if any(self._headers) else None,
            _unless_empty(self._partitions),
        )


def _unless_empty(column: list[Any]) -> list[Any] | None:
    return column if any(each is not None for each in column) else None


def open_source(file: str | None) -> tuple[IO[bytes], int]:
    """The lines' source and its size in bytes, 0 when nobody knows."""
    if file is None or file == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed")
        return sys.stdin.buffer, 0
    source = open(file, "rb")  # noqa: SIM115  # the caller closes it
    return source, os.fstat(source.fileno()).st_size


def lines_of(source: IO[bytes]) -> Lines:
    """The lines that are there, without their ends; waits only when there is none."""
    rest = b""
    read = getattr(source, "read1", source.read)
    while data := read(_CHUNK_BYTES):
        if b"\n" not in data:
            rest += data
            continue
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        yield lines
    if rest:
        yield [rest]


def read_lines(pieces: Lines, separator: bytes | None, null: bytes | None) -> Iterator[Chunk]:
    """A line is a value; with a separator, what is before the first one is the key.

    A key or value that is `null` is none at all.
    """
    number = 1
    for piece in pieces:
        keys: list[bytes | None] | None = None
        values: list[bytes | None] = list(piece)
        fault = None
        if separator is not None:
            keys, values, fault = _split(piece, separator, number)
        if null is not None:
            values = [None if value == null else value for value in values]
            keys = keys and [None if key == null else key for key in keys]
        yield Chunk(values, keys, range(number, number + len(values)))
        if fault is not None:
            raise fault
        number += len(piece)


def _split(
    lines: list[bytes], separator: bytes, number: int
) -> tuple[list[bytes | None], list[bytes | None], InvalidRecordError | None]:
    """Keys and values of the lines up to the first without a key, and what to say of it."""
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    for line in lines:
        key, found, value = line.partition(separator)
        if not found:
            what = f"it has no key: {os.fsdecode(separator)!r} is not in it"
            return keys, values, fault_in_line(number + len(values), what)
        keys.append(key)
        values.append(value)
    return keys, values, None


def fault_in_line(number: int, what: str) -> InvalidRecordError:
    """What is raised for a line that is no record."""
    return InvalidRecordError(f"line {number}: {what}", line=number)


def field_time(text: str) -> int | None:
    """The timestamp that a field's text stands for; None for none (-1). Raises `ValueError`."""
    if text == "-1":
        return None
    if text.startswith("-"):
        raise ValueError(f"{text!r} is no time")  # so long ago as when?
    try:
        return time_ms(text)
    except ArgumentTypeError as error:
        raise ValueError(str(error)) from None
