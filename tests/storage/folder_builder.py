"""Builds a partition's folder batch by batch, and says where each batch lies.

The indexes are laid out here by the plain reading of Kafka's rule, so that they can disagree
with what the package computes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from streamlog.config import TopicConfig
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.partition_recovery import PartitionRecovery
from streamlog.storage.recovery import recover_partition
from streamlog.storage.shared import PartitionState, SyncedEnd

NOW = 1_700_000_000_000
CONFIG = TopicConfig.from_overrides({})
COMPACTED = TopicConfig.from_overrides({"cleanup.policy": "compact"})


class Placed(NamedTuple):
    """One batch that was written: where, and which offsets it spans."""

    segment: int
    position: int
    size: int
    base_offset: int
    next_offset: int
    max_timestamp: int

    @property
    def end(self) -> int:
        return self.position + self.size


class Folder:
    """A partition's folder under construction; `next_offset` is where the log ends."""

    def __init__(self, path: Path, first_offset: int = 0) -> None:
        self.path = path
        path.mkdir()
        self.batches: list[Placed] = []
        self.segment = first_offset
        self.next_offset = first_offset
        self.roll(first_offset)

    def roll(self, base_offset: int | None = None) -> None:
        """Begin the next segment; the one before gets its indexes."""
        if base_offset is None:
            self.write_indexes(self.segment, sealed=True)
            base_offset = self.next_offset
        self.segment = base_offset
        self.file(".log").touch()

    def append(
        self,
        records: int = 3,
        *,
        value: bytes = b"v" * 100,
        timestamp: int | None = None,
        epoch: int = 0,
        offset: int | None = None,
        **settings: object,
    ) -> Placed:
        """Append one batch; `offset` leaves a gap, as compaction does."""
        base_offset = self.next_offset if offset is None else offset
        builder = RecordBatchBuilder(leader_epoch=epoch, base_offset=base_offset, **settings)
        when = NOW + base_offset if timestamp is None else timestamp
        for number in range(records):
            builder.append(when, b"key-%d" % (base_offset + number), value, None)
        data = bytes(builder.build())
        position = self.file(".log").stat().st_size
        with self.file(".log").open("ab") as log:
            log.write(data)
        placed = Placed(self.segment, position, len(data), base_offset, base_offset + records, when)
        self.batches.append(placed)
        self.next_offset = placed.next_offset
        return placed

    def append_many(self, count: int, **settings: object) -> list[Placed]:
        return [self.append(**settings) for _ in range(count)]

    def file(self, suffix: str, segment: int | None = None) -> Path:
        base = self.segment if segment is None else segment
        return self.path / f"{base:020d}{suffix}"

    def write_indexes(self, segment: int | None = None, *, sealed: bool = False) -> None:
        """The index files that Kafka would have written for a segment."""
        base = self.segment if segment is None else segment
        offsets, times = expected_indexes(
            base, [placed for placed in self.batches if placed.segment == base], sealed=sealed
        )
        self.file(".index", base).write_bytes(offsets)
        self.file(".timeindex", base).write_bytes(times)

    def close(self) -> Folder:
        self.write_indexes()
        return self

    @property
    def bases(self) -> list[int]:
        """Where the segments begin that have batches."""
        return sorted({placed.segment for placed in self.batches})

    @property
    def synced_end(self) -> SyncedEnd:
        """A synced end at the log's end."""
        return self.synced_at(len(self.batches))

    def synced_at(self, batches: int) -> SyncedEnd:
        """The synced end behind the first so many batches."""
        if batches == 0:
            return SyncedEnd(self.batches[0].segment, 0, self.batches[0].base_offset)
        last = self.batches[batches - 1]
        return SyncedEnd(last.segment, last.end, last.next_offset)

    def recover(
        self,
        *,
        clean: bool = False,
        recovery_point: int = 0,
        log_start: int = 0,
        synced: SyncedEnd | None = None,
        slot_state: PartitionState | None = None,
        config: TopicConfig = CONFIG,
        cleaner_offset: int = 0,
        filesystem=OS_FILESYSTEM,
    ) -> PartitionRecovery:
        return recover_partition(
            filesystem,
            str(self.path),
            topic="orders",
            partition=0,
            clean=clean,
            recovery_point=recovery_point,
            checkpoint_log_start=log_start,
            synced=synced,
            slot_state=slot_state,
            config=config,
            cleaner_offset=cleaner_offset,
            now_ms=NOW,
        )

    def good_offsets(self) -> list[int]:
        """Base offsets of the batches in the `.log` files now, each one checked."""
        found = []
        for log in sorted(self.path.glob("*.log")):
            data = log.read_bytes()
            position = 0
            while position < len(data):
                batch = RecordBatch(data, position)
                batch.check()
                found.append(batch.base_offset)
                position += batch.size
        return found


def expected_indexes(
    base: int, batches: list[Placed], *, sealed: bool, interval: int = 4096
) -> tuple[bytes, bytes]:
    """Kafka's rule: before a batch is added, when enough bytes came since the last entry."""
    offsets, times = b"", b""
    since, last_time, largest, largest_offset = 0, -1, -1, -1
    for placed in batches:
        if placed.max_timestamp > largest:
            largest, largest_offset = placed.max_timestamp, placed.next_offset - 1
        if since > interval:
            offsets += struct.pack(">ii", placed.next_offset - 1 - base, placed.position)
            if largest > last_time:
                times += struct.pack(">qi", largest, largest_offset - base)
                last_time = largest
            since = 0
        since += placed.size
    if sealed and largest > last_time:
        times += struct.pack(">qi", largest, largest_offset - base)
    return offsets, times


def three_segments(folder: Folder, batches: int = 6) -> Folder:
    """Segments of as many batches each; the last one is active."""
    for number in range(3):
        if number:
            folder.roll()
        folder.append_many(batches)
    return folder.close()


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)


def zero(path: Path, start: int, end: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


def contents(path: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in sorted(path.iterdir())}
