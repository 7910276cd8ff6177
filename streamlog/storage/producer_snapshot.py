"""Producer-state snapshots, byte for byte Kafka's (facts 1.9).

    0   version   int16    1
    2   CRC       uint32   CRC-32C of everything behind this field
    6   count     int32
    10  entries   46 bytes each

The snapshot named N holds the state of everything below offset N; replay goes on from N. Only
the last batch of a producer is in it. A snapshot is a cache of the log: a bad one is passed
over for an older one.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptDirectoryError
from streamlog.record.checksum import crc32c
from streamlog.storage.names import SNAPSHOT, segment_name
from streamlog.storage.producer_state import (
    NO_OFFSET,
    NO_SEQUENCE,
    ProducerState,
    ProducerStateTable,
    RetainedBatch,
    decrement_sequence,
)

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

VERSION: Final = 1
_HEADER: Final = Struct(">hIi")
_CRC_END: Final = 6
_ENTRY: Final = Struct(">qhiqiqiq")


def encode_snapshot(table: ProducerStateTable) -> bytes:
    """The bytes of the snapshot at `table.end_offset`, producers in the table's order."""
    body = bytearray(len(table).to_bytes(4, "big"))
    for state in table:
        last = state.batches[-1] if state.batches else None
        body += _ENTRY.pack(
            state.producer_id,
            state.epoch,
            NO_SEQUENCE if last is None else last.last_sequence,
            NO_OFFSET if last is None else last.last_offset,
            0 if last is None else last.last_offset - last.base_offset,
            state.last_timestamp,
            state.coordinator_epoch,
            state.transaction_first_offset,
        )
    return VERSION.to_bytes(2, "big") + crc32c(body).to_bytes(4, "big") + bytes(body)


def decode_snapshot(data: bytes, end_offset: int, file: str = SNAPSHOT) -> ProducerStateTable:
    """The table at `end_offset`. Raises `CorruptDirectoryError` (`file`) for a bad snapshot."""
    if len(data) < _HEADER.size:
        raise _bad(file, f"it has {len(data)} bytes, the smallest has {_HEADER.size}")
    version, crc, count = _HEADER.unpack_from(data)
    if version != VERSION:
        raise _bad(file, f"its version is {version}, known is {VERSION}")
    if crc32c(data[_CRC_END:]) != crc:
        raise _bad(file, "its CRC does not match")
    if count < 0 or len(data) != _HEADER.size + count * _ENTRY.size:
        raise _bad(file, f"{len(data)} bytes cannot hold exactly {count} producers")
    entries = _ENTRY.iter_unpack(memoryview(data)[_HEADER.size :])
    return ProducerStateTable((_state(*entry) for entry in entries), end_offset)


def read_snapshot(filesystem: Filesystem, directory: str, end_offset: int) -> ProducerStateTable:
    """The snapshot at `end_offset`. Raises `CorruptDirectoryError`, `FileNotFoundError`."""
    path = f"{directory}/{segment_name(end_offset, SNAPSHOT)}"
    return decode_snapshot(filesystem.read_file(path), end_offset, path)


def write_snapshot(
    filesystem: Filesystem, directory: str, table: ProducerStateTable, *, mode: int = 0o600
) -> str:
    """Write the snapshot at `table.end_offset`, atomically; its path.

    It may be done at any time, by anybody, under no lock: what it says depends only on the
    log below its offset.
    """
    path = f"{directory}/{segment_name(table.end_offset, SNAPSHOT)}"
    filesystem.write_atomically(path, encode_snapshot(table), mode=mode)
    return path


def _state(
    producer_id: int,
    epoch: int,
    last_sequence: int,
    last_offset: int,
    offset_delta: int,
    timestamp: int,
    coordinator_epoch: int,
    transaction_first_offset: int,
) -> ProducerState:
    batches: tuple[RetainedBatch, ...] = ()
    if last_offset >= 0:
        batch = RetainedBatch(
            decrement_sequence(last_sequence, offset_delta),
            last_sequence,
            last_offset - offset_delta,
            last_offset,
            timestamp,
        )
        batches = (batch,)
    return ProducerState(
        producer_id, epoch, batches, timestamp, coordinator_epoch, transaction_first_offset
    )


def _bad(file: str, why: str) -> CorruptDirectoryError:
    return CorruptDirectoryError(f"producer snapshot {file} cannot be used: {why}", file=file)
