"""Bringing a partition's producer state up to date from its files.

From the newest good snapshot at or below the wanted end, every batch with a producer id is
applied up to that end. Only headers are read, and the records of transaction markers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.record.kernel import RecordBatch
from streamlog.storage.names import LOG, segment_name
from streamlog.storage.producer_snapshot import read_snapshot
from streamlog.storage.producer_state import ProducerStateTable
from streamlog.storage.segment import LogSegment
from streamlog.storage.segment_file import SegmentFile
from streamlog.storage.segment_scan import SegmentScan, open_for_scan, scan_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlog.record.scan_outcome import ProducerBatch
    from streamlog.storage.filesystem import Filesystem

_MARKER_ROOM = 1024  # a transaction marker is a batch of 78 bytes


def load_producer_state(
    filesystem: Filesystem,
    directory: str,
    *,
    segments: Sequence[int],
    snapshots: Sequence[int],
    end_offset: int,
    end_position: int,
) -> ProducerStateTable:
    """The table at `end_offset`, which is byte `end_position` of the last segment.

    `segments` are the base offsets up to that one, `snapshots` the offsets of what snapshots
    there are. A snapshot that does not check is passed over for an older one.
    """
    table = _newest_snapshot(filesystem, directory, snapshots, end_offset)
    if table is None:
        table = ProducerStateTable(end_offset=segments[0] if segments else end_offset)
    replay_producers(
        filesystem,
        directory,
        table,
        segments=segments,
        end_offset=end_offset,
        end_position=end_position,
    )
    return table


def replay_producers(
    filesystem: Filesystem,
    directory: str,
    table: ProducerStateTable,
    *,
    segments: Sequence[int],
    end_offset: int,
    end_position: int,
) -> None:
    """Apply to `table` what lies between its end and `end_offset`, in place."""
    for index, base_offset in enumerate(segments):
        is_last = index == len(segments) - 1
        segment_end = end_offset if is_last else segments[index + 1]
        if segment_end > table.end_offset:
            _replay_segment(
                filesystem, directory, base_offset, table, end_position if is_last else None
            )
    table.end_offset = max(table.end_offset, end_offset)


def _newest_snapshot(
    filesystem: Filesystem, directory: str, snapshots: Sequence[int], end_offset: int
) -> ProducerStateTable | None:
    for offset in sorted(snapshots, reverse=True):
        if offset <= end_offset:
            try:
                return read_snapshot(filesystem, directory, offset)
            except (CorruptDirectoryError, FileNotFoundError):
                continue  # a cache: verification reports it, an older one does as well
    return None


def _replay_segment(
    filesystem: Filesystem,
    directory: str,
    base_offset: int,
    table: ProducerStateTable,
    end: int | None,
) -> None:
    source = open_for_scan(filesystem, f"{directory}/{segment_name(base_offset, LOG)}")
    try:
        limit = source.size_at_open if end is None else end
        scan = SegmentScan(base_offset, limit, next_offset=base_offset)
        if table.end_offset > base_offset:
            scan.position = _position_of(filesystem, directory, base_offset, table, limit)
            scan.next_offset = table.end_offset
        start_offset = table.end_offset
        scan_on(source, scan, check_crc_from=limit)
        for batch in scan.producer_batches:
            if batch.base_offset >= start_offset:
                table.apply(batch, _coordinator_epoch(source, batch, limit))
    finally:
        source.close()


def _position_of(
    filesystem: Filesystem,
    directory: str,
    base_offset: int,
    table: ProducerStateTable,
    limit: int,
) -> int:
    segment = LogSegment(filesystem, directory, base_offset)
    try:
        return segment.find_batch(table.end_offset, limit)
    finally:
        segment.close()


def _coordinator_epoch(source: SegmentFile, batch: ProducerBatch, limit: int) -> int:
    """The coordinator's epoch in a transaction marker: bytes 2-6 of its value (facts 2.3)."""
    if not batch.is_control:
        return -1
    marker = RecordBatch(source.view(batch.position, min(_MARKER_ROOM, limit - batch.position)))
    for record in marker.records("", -1):
        if record.value is not None and len(record.value) >= 6:
            return int.from_bytes(bytes(record.value[2:6]), "big", signed=True)
    return -1
