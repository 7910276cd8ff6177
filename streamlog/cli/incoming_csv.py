"""CSV with a header that becomes records, a row each.

A cell is text, in UTF-8; one that is `null` (`\\N`) is none at all, and `base64:...` is bytes that
are no text. `consume --format csv` writes this.
"""

from __future__ import annotations

import csv
import sys
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from typing import Any

import msgspec

from streamlog.cli.incoming import (
    Chunk,
    ChunkBuilder,
    Fields,
    Headers,
    Lines,
    fault_in_line,
    field_time,
)
from streamlog.cli.incoming_json import headers_of

_BASE64 = "base64:"
_BOM = "\ufeff"
_MOST_ROWS = 10_000


def read_csv(pieces: Lines, fields: Fields, null: str) -> Iterator[Chunk]:
    """Each row is a record; empty lines are passed over.

    A row is given as soon as its last line is there. Raises `InvalidRecordError` for the first
    row that is none, `ConfigError` through it when the header lacks a column that is named.
    """
    csv.field_size_limit(sys.maxsize)
    source = _Text(pieces)
    rows = csv.reader(source, strict=True)
    reader: _Row | None = None
    builder = ChunkBuilder()
    while True:
        first = source.number + 1
        fault = None
        try:
            cells = next(rows, None)
            if cells is None:
                break
            if reader is None:
                reader = _Row(cells, fields, null) if cells else None
                continue
            if cells:
                reader.add(builder, first, cells)
        except csv.Error as error:
            fault = fault_in_line(first, f"it is no CSV: {error}")
        except UnicodeDecodeError:
            fault = fault_in_line(source.number, "it is no UTF-8")
        except (ValueError, msgspec.DecodeError) as error:
            fault = fault_in_line(first, str(error))
        if fault is not None or source.is_dry or len(builder.lines) == _MOST_ROWS:
            yield builder.chunk()
            builder.clear()
        if fault is not None:
            raise fault
    yield builder.chunk()


class _Text:
    """The lines as text, with their ends; knows when the next one would have to be waited for."""

    def __init__(self, pieces: Lines) -> None:
        self._pieces = pieces
        self._piece: list[bytes] = []
        self._next = 0
        self.number = 0

    @property
    def is_dry(self) -> bool:
        return self._next >= len(self._piece)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while self.is_dry:
            self._piece, self._next = next(self._pieces), 0
        line = self._piece[self._next]
        self._next += 1
        self.number += 1
        text = line.decode() + "\n"
        return text.removeprefix(_BOM) if self.number == 1 else text


class _Row:
    """How a row becomes a record, going by the header."""

    def __init__(self, header: list[str], fields: Fields, null: str) -> None:
        self._header = header
        self._fields = fields
        self._null = null
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise ValueError(f"the header has two columns {twice!r}")
        self._value = None if fields.value == "." else self._column(fields.value, needed=True)
        self._key = self._column(fields.key, needed="key" in fields.named)
        self._time = self._column(fields.time, needed="time" in fields.named)
        self._partition = self._column(fields.partition, needed=True)
        self._headers = self._column(fields.headers, needed=False)

    def add(self, builder: ChunkBuilder, number: int, cells: list[str]) -> None:
        """Add a row. Raises `ValueError` for one that is no record."""
        if len(cells) != len(self._header):
            raise ValueError(f"it has {len(cells)} cells, the header has {len(self._header)}")
        builder.add(
            number,
            None if self._key is None else self._bytes(cells[self._key]),
            self._document(cells) if self._value is None else self._bytes(cells[self._value]),
            None if self._time is None else self._timestamp(cells[self._time]),
            [] if self._headers is None else self._header_list(cells[self._headers]),
            None if self._partition is None else _partition(cells[self._partition]),
        )

    def _column(self, name: str | None, *, needed: bool) -> int | None:
        if name is None or name not in self._header:
            if name is not None and needed:
                columns = ", ".join(self._header)
                raise ValueError(f"the header has no column {name!r}: it has {columns}")
            return None
        return self._header.index(name)

    def _bytes(self, cell: str) -> bytes | None:
        if cell == self._null:
            return None
        if cell.startswith(_BASE64):
            try:
                return a2b_base64(cell[len(_BASE64) :].encode(), strict_mode=True)
            except Base64Error:
                pass  # somebody's text that begins like this
        return cell.encode()

    def _document(self, cells: list[str]) -> bytes:
        """The row as a JSON object of texts."""
        row: dict[str, Any] = {
            name: None if cell == self._null else cell
            for name, cell in zip(self._header, cells, strict=True)
        }
        return msgspec.json.encode(row)

    def _timestamp(self, cell: str) -> int | None:
        return None if cell in (self._null, "") else field_time(cell)

    def _header_list(self, cell: str) -> Headers:
        return [] if cell in (self._null, "") else headers_of(cell)


def _partition(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit()):
        raise ValueError(f"{cell!r} is no partition")
    return int(cell)
