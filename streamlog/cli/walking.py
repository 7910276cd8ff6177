"""Batches of a file one after the other, also past bytes that are none.

A batch whose header makes sense and whose CRC does not is handed out with its `problem`. Where
no header makes sense, a `Damage` says so, and the walk goes on at the next good batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streamlog.errors import CorruptRecordError, InputOutputError, UnsupportedFormatError
from streamlog.record.compression import CODEC_NAMES
from streamlog.record.kernel import RecordBatch
from streamlog.storage.batch_headers import BatchHeader, read_header
from streamlog.storage.damage import find_batch_behind
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.segment_file import SegmentFile
from streamlog.storage.segment_scan import open_mapped

_WINDOW = 1 << 20


class FoundBatch(NamedTuple):
    """A batch at byte `position`; `problem` says why it does not check, "" when it does."""

    position: int
    batch: RecordBatch
    problem: str

    @property
    def codec_name(self) -> str:
        """`zstd`; the number of one that nobody knows."""
        codec = self.batch.codec
        return CODEC_NAMES[codec] if codec < len(CODEC_NAMES) else str(codec)


class Damage(NamedTuple):
    """Bytes from `position` up to `end` that are no batch."""

    position: int
    end: int
    message: str


def walk(
    filesystem: Filesystem,
    path: str,
    *,
    limit: int | None = None,
    base_offset: int = 0,
    from_offset: int = 0,
) -> Iterator[FoundBatch | Damage]:
    """What is in the file, in its order, from the batch with `from_offset` on.

    `limit` is where its data ends (None: with the file), `base_offset` the lowest offset.
    Batches before `from_offset` are stepped over unchecked.
    """
    source = open_mapped(filesystem, path)
    try:
        size = source.size_at_open
        end = size if limit is None else min(limit, size)
        yield from _Walk(source, end, base_offset, from_offset).run()
        if limit is not None and limit > size:
            yield Damage(size, limit, f"the file ends before its published end {limit}")
    finally:
        source.close()


class _Walk:
    """One walk over one file: a window of it at a time."""

    def __init__(self, source: SegmentFile, end: int, base_offset: int, from_offset: int) -> None:
        self._source = source
        self._end = end
        self._next_offset = base_offset
        self._from_offset = from_offset
        self._start = 0
        self._window = memoryview(b"")

    def run(self) -> Iterator[FoundBatch | Damage]:
        position = 0
        try:
            while position < self._end:
                header = self._header(position)
                if header is None:
                    damage = self._step_over(position)
                    yield damage
                    position = damage.end
                    continue
                position = header.end
                if header.last_offset >= self._from_offset:
                    found = self._check(header)
                    yield found
                    if found.problem and not self._continues(header):
                        # Its length or its offsets may be what is wrong: neither is followed.
                        position = min(position, self._search(header.position))
                        continue
                self._next_offset = header.last_offset + 1
        except InputOutputError as error:
            yield Damage(position, self._end, str(error))

    def _header(self, position: int) -> BatchHeader | None:
        """The header that makes sense there, its whole batch in the window."""
        header = self._read(position)
        if header is None or header.end > self._start + len(self._window):
            self._load(position, _WINDOW if header is None else max(_WINDOW, header.size))
            header = self._read(position)
            if header is not None and header.size > len(self._window):
                self._load(position, header.size)
        return header

    def _load(self, position: int, size: int) -> None:
        self._start = position
        self._window = self._source.view(position, min(size, self._end - position))

    def _read(self, position: int) -> BatchHeader | None:
        at = position - self._start
        return read_header(self._window, at, position, self._end, self._next_offset)

    def _check(self, header: BatchHeader) -> FoundBatch:
        batch = RecordBatch(self._window, header.position - self._start)
        try:
            batch.check()
        except CorruptRecordError as error:
            return FoundBatch(header.position, batch, _reason(error))
        return FoundBatch(header.position, batch, "")

    def _continues(self, header: BatchHeader) -> bool:
        """Whether another batch, or the end, is where a bad one says that it ends."""
        if header.end == self._end:
            return True
        rest = self._source.view(header.end, min(_WINDOW, self._end - header.end))
        return read_header(rest, 0, header.end, self._end, header.last_offset + 1) is not None

    def _search(self, position: int) -> int:
        """Where the next good batch behind `position` starts; the end when there is none."""
        rest = self._source.view(position, self._end - position)
        header = find_batch_behind(rest, position, self._next_offset)
        return self._end if header is None else header.position

    def _step_over(self, position: int) -> Damage:
        rest = self._source.view(position, self._end - position)
        if not any(rest[:4096]) and not any(bytes(rest).lstrip(b"\0")):
            return Damage(position, self._end, f"{len(rest)} bytes of zeros")
        try:
            batch = RecordBatch(rest)
        except CorruptRecordError as error:
            reason = _reason(error)
        except UnsupportedFormatError as error:
            reason = str(error)
        else:
            reason = f"offset {batch.base_offset} where {self._next_offset} or more is expected"
        return Damage(position, self._search(position), reason)


def _reason(error: CorruptRecordError) -> str:
    return str(error.context.get("reason", error))
