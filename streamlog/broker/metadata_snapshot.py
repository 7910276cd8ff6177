"""Snapshots of the metadata log: `<end offset>-<epoch>.checkpoint` in its folder (facts 6.5).

A file of record batches: a control batch with the header, ordinary batches, a control batch
with the footer. The end offset in the name is exclusive: it stands for everything below.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from streamlog.protocol import control_records, message
from streamlog.storage.names import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.filesystem import Filesystem

_RECORDS_A_BATCH = 1000
_BASE_OFFSET = struct.Struct(">q")
_LEADER_EPOCH = struct.Struct(">i")
_LEADER_EPOCH_AT = 12


def snapshot_name(end_offset: int, epoch: int) -> str:
    """The file that stands for everything below `end_offset`, the last of which has `epoch`."""
    return f"{end_offset:020d}-{epoch:010d}{CHECKPOINT}"


def parse_snapshot_name(name: str) -> tuple[int, int] | None:
    """`(end offset, epoch)`, or None for another file."""
    if len(name) != 31 + len(CHECKPOINT) or name[20] != "-" or not name.endswith(CHECKPOINT):
        return None
    end_offset, epoch = name[:20], name[21:31]
    if not (name.isascii() and end_offset.isdigit() and epoch.isdigit()):
        return None
    return int(end_offset), int(epoch)


def read_newest(filesystem: Filesystem, directory: str) -> tuple[int, bytes] | None:
    """The end offset and the bytes of the newest snapshot in `directory`."""
    while newest := list_snapshots(filesystem, directory):
        end_offset, epoch = newest[-1]
        # Another process may remove it when it has written a newer one.
        with suppress(FileNotFoundError):
            data = filesystem.read_file(f"{directory}/{snapshot_name(end_offset, epoch)}")
            return end_offset, data
    return None


def list_snapshots(filesystem: Filesystem, directory: str) -> list[tuple[int, int]]:
    """`(end offset, epoch)` of every snapshot, oldest first."""
    if not filesystem.is_directory(directory):
        return []
    parsed = (parse_snapshot_name(name) for name in filesystem.listdir(directory))
    return sorted(found for found in parsed if found is not None)


def encode_snapshot(records: list[Any], *, epoch: int, last_timestamp: int, now_ms: int) -> bytes:
    """The file's bytes; offsets inside count from 0.

    `last_timestamp` is that of the last record that the snapshot stands for.
    """
    header = message("SnapshotHeaderRecord").Value(
        version=0, last_contained_log_timestamp=last_timestamp
    )
    footer = message("SnapshotFooterRecord").Value(version=0)
    out = bytearray()
    offset = 0
    batches = [
        (1, _control_batch(control_records.SNAPSHOT_HEADER, header, now_ms)),
        *_data_batches(records, now_ms),
        (1, _control_batch(control_records.SNAPSHOT_FOOTER, footer, now_ms)),
    ]
    for count, batch in batches:
        # Neither field is covered by the batch's CRC.
        _BASE_OFFSET.pack_into(batch, 0, offset)
        _LEADER_EPOCH.pack_into(batch, _LEADER_EPOCH_AT, epoch)
        out += batch
        offset += count
    return bytes(out)


def _data_batches(records: list[Any], now_ms: int) -> Iterator[tuple[int, bytearray]]:
    from streamlog.broker.metadata_records import encode_batch

    for start in range(0, len(records), _RECORDS_A_BATCH):
        part = records[start : start + _RECORDS_A_BATCH]
        yield len(part), encode_batch(part, now_ms)


def _control_batch(control_type: int, value: Any, now_ms: int) -> bytearray:
    from streamlog.record.kernel import RecordBatchBuilder

    builder = RecordBatchBuilder(control=True)
    builder.append(
        now_ms, control_records.encode_key(control_type), control_records.encode_value(value), ()
    )
    return builder.build()
