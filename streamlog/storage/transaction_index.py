"""The `.txnindex` of a segment: the aborted transactions whose markers are in it (facts 1.8).

    0   version             int16   0
    2   producer id         int64
    10  first offset        int64   of its data in this partition, maybe in an earlier segment
    18  last offset         int64   of its ABORT marker
    26  last stable offset  int64   when the marker was written

Entries of 34 bytes, in the order of their last offsets. A segment without any has no such file.
What is in it decides what readers and compaction take for data, and it has no checksum: a file
that does not make sense is refused whole.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.names import TRANSACTION_INDEX, segment_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamlog.storage.filesystem import Filesystem

VERSION: Final = 0
TRANSACTION_ENTRY: Final = Struct(">hqqqq")


class AbortedTransaction(NamedTuple):
    """One entry: `producer_id`'s batches from `first_offset` to `last_offset` never happened."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def parse_transaction_index(data: bytes, file: str) -> list[AbortedTransaction]:
    """The entries. Raises `CorruptDirectoryError` (`file`) when they make no sense."""
    if len(data) % TRANSACTION_ENTRY.size:
        raise _malformed(file, f"its size {len(data)} is no multiple of {TRANSACTION_ENTRY.size}")
    entries: list[AbortedTransaction] = []
    for version, *fields in TRANSACTION_ENTRY.iter_unpack(data):
        entry = AbortedTransaction(*fields)
        if version != VERSION:
            raise _malformed(file, f"an entry has version {version}, known is {VERSION}")
        if not 0 <= entry.first_offset <= entry.last_offset:
            raise _malformed(file, f"{entry} ends before it begins")
        if entries and entry.last_offset <= entries[-1].last_offset:
            raise _malformed(file, f"{entry} does not come behind {entries[-1]}")
        entries.append(entry)
    return entries


def format_transaction_index(entries: Iterable[AbortedTransaction]) -> bytes:
    """The file's bytes."""
    return b"".join(TRANSACTION_ENTRY.pack(VERSION, *entry) for entry in entries)


def read_transaction_index(
    filesystem: Filesystem, directory: str, base_offset: int
) -> list[AbortedTransaction]:
    """The aborted transactions of a segment. Raises `CorruptDirectoryError` (`file`)."""
    path = f"{directory}/{segment_name(base_offset, TRANSACTION_INDEX)}"
    try:
        data = filesystem.read_file(path)
    except FileNotFoundError:
        return []
    return parse_transaction_index(data, path)


def collect_aborted(
    filesystem: Filesystem, directory: str, bases: Sequence[int], start: int, end: int
) -> list[AbortedTransaction]:
    """Every aborted transaction with data between offsets `start` and `end`.

    `bases` are all segments of the log, ascending, the active one too: a marker may be far
    behind its data. The first entry that was written when all below `end` was decided is the
    last one that matters. Raises `CorruptDirectoryError` (`file`).
    """
    found: list[AbortedTransaction] = []
    for at, base_offset in enumerate(bases):
        if at + 1 < len(bases) and bases[at + 1] <= start:
            continue
        for entry in read_transaction_index(filesystem, directory, base_offset):
            if entry.last_offset >= start and entry.first_offset < end:
                found.append(entry)
            if entry.last_stable_offset >= end:
                return found
    return found


def _malformed(file: str, why: str) -> CorruptDirectoryError:
    return CorruptDirectoryError(f"transaction index {file} cannot be used: {why}", file=file)
