"""A segment written by the plainest reading of Kafka's format: the files, from finished batches.

Used where the batches are what is judged. The index rules are those of Kafka's `LogSegment`:
an entry when more than the interval has been written since the last one, looked at before each
batch; it holds the batch's last offset and its position.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

INDEX_INTERVAL_BYTES = 4096

_HEADER = struct.Struct(">qiiBIhiqqqhii")


class BatchHeader(NamedTuple):
    """The 61 bytes in front of a batch's records."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def codec(self) -> int:
        return self.attributes & 7


def read_header(batch: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    return BatchHeader(*_HEADER.unpack_from(batch, position))


def headers(log: bytes) -> list[tuple[int, BatchHeader]]:
    """(position, header) of each batch of a `.log` file's bytes."""
    found = []
    position = 0
    while position < len(log):
        header = read_header(log, position)
        found.append((position, header))
        position += 12 + header.length
    assert position == len(log), "the file does not end with a whole batch"
    return found


def place(batch: bytearray, base_offset: int, leader_epoch: int = 0) -> bytearray:
    """Assign the offset and the epoch, which the checksum does not cover."""
    struct.pack_into(">q", batch, 0, base_offset)
    struct.pack_into(">i", batch, 12, leader_epoch)
    return batch


def write_segment(folder: Path, batches: Sequence[bytes | bytearray]) -> Path:
    """Write placed batches as one segment with both indexes; returns the `.log`'s path."""
    folder.mkdir(parents=True, exist_ok=True)
    base_offset = read_header(batches[0]).base_offset
    log, offsets, times = bytearray(), bytearray(), bytearray()
    since_entry = 0
    latest, latest_offset, indexed = -1, base_offset, -1
    for batch in batches:
        header = read_header(batch)
        if header.max_timestamp > latest:
            latest, latest_offset = header.max_timestamp, header.last_offset
        if since_entry > INDEX_INTERVAL_BYTES:
            offsets += struct.pack(">ii", header.last_offset - base_offset, len(log))
            if latest > indexed:
                times += struct.pack(">qi", latest, latest_offset - base_offset)
                indexed = latest
            since_entry = 0
        log += batch
        since_entry += len(batch)
    if latest > indexed:
        times += struct.pack(">qi", latest, latest_offset - base_offset)
    stem = f"{base_offset:020}"
    (folder / f"{stem}.log").write_bytes(log)
    (folder / f"{stem}.index").write_bytes(offsets)
    (folder / f"{stem}.timeindex").write_bytes(times)
    return folder / f"{stem}.log"
