"""Scanning a segment's file from end to end, whatever its size, in windows that bound memory.

The kernel does the walking (`record.scan_segment`); here its runs are put together, over the
windows and over damage that is stepped over. The windows are copied with `pread`: measured,
that and the CRC of what is still in the processor's cache take two thirds of the time that
mapping does, whose pages are touched only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamlog.record.kernel import scan_segment
from streamlog.record.layout import DEFAULT_INDEX_INTERVAL_BYTES, MAX_INT64
from streamlog.storage.indexes import TIME_ENTRY
from streamlog.storage.segment_file import SegmentFile

if TYPE_CHECKING:
    from streamlog.record.byteslike import BytesLike
    from streamlog.record.scan_outcome import ProducerBatch, ScanOutcome, StopReason
    from streamlog.storage.filesystem import Filesystem

_WINDOW: Final = 1 << 20


class SegmentScan(msgspec.Struct):
    """What was found in a segment so far: good batches up to `position`.

    `stop` says why the last run ended before the end, None when it did not. `next_offset` is
    the lowest offset that may come next. `offset_index` and `time_index` are what the index
    files should hold, but for the time index's last entry (`closed_time_index`).
    """

    base_offset: int
    size: int
    position: int = 0
    next_offset: int = 0
    stop: StopReason | None = None
    batch_count: int = 0
    first_timestamp: int = -1
    max_timestamp: int = -1
    max_timestamp_offset: int = -1
    bytes_since_index_entry: int = 0
    last_time_index_timestamp: int = -1
    offset_index: bytearray = msgspec.field(default_factory=bytearray)
    time_index: bytearray = msgspec.field(default_factory=bytearray)
    producer_batches: list[ProducerBatch] = msgspec.field(default_factory=list)
    epochs: list[tuple[int, int]] = msgspec.field(default_factory=list)

    @property
    def closed_time_index(self) -> bytes:
        """The time index of a sealed segment: its largest timestamp is always the last entry."""
        if self.max_timestamp <= self.last_time_index_timestamp:
            return bytes(self.time_index)
        return bytes(self.time_index) + TIME_ENTRY.pack(
            self.max_timestamp, self.max_timestamp_offset - self.base_offset
        )


def open_for_scan(filesystem: Filesystem, path: str) -> SegmentFile:
    """The file, to be read once through."""
    return SegmentFile(filesystem, path, 0, writable=False)


def open_mapped(filesystem: Filesystem, path: str) -> SegmentFile:
    """The file, mapped for exactly its length where maps work: to be searched at will."""
    return SegmentFile(filesystem, path, filesystem.file_size(path), writable=False)


def scan_on(
    source: SegmentFile,
    scan: SegmentScan,
    *,
    check_crc_from: int,
    no_gaps_from: int = MAX_INT64,
    end: int | None = None,
    index_interval_bytes: int = DEFAULT_INDEX_INTERVAL_BYTES,
    release_gil: bool = False,
) -> None:
    """Scan from `scan.position` to `end` (all of it), or to the first bad batch.

    CRCs are looked at from byte `check_crc_from` on, and from `no_gaps_from` on offsets follow
    without gaps. `release_gil`: others scan as well. Raises `InputOutputError` for bytes that the
    disk does not give.
    """
    limit = scan.size if end is None else end
    window = _WINDOW
    scan.stop = None
    while scan.position < limit:
        start = scan.position
        data = source.view(start, min(window, limit - start))
        scan_piece(
            data,
            scan,
            check_crc_from=check_crc_from,
            no_gaps_from=no_gaps_from,
            index_interval_bytes=index_interval_bytes,
            release_gil=release_gil,
        )
        if scan.stop in ("short", "torn") and start + len(data) < limit:
            # Cut by the window, not by the file. A batch larger than it needs a larger one.
            window = _WINDOW if scan.position > start else window * 2
            scan.stop = None
        elif scan.stop is not None:
            return


def scan_piece(
    data: BytesLike,
    scan: SegmentScan,
    *,
    check_crc_from: int,
    no_gaps_from: int = MAX_INT64,
    index_interval_bytes: int = DEFAULT_INDEX_INTERVAL_BYTES,
    release_gil: bool = False,
) -> None:
    """Scan `data`, which the segment has from `scan.position` on, to its end or a bad batch."""
    start = scan.position
    outcome = scan_segment(
        data,
        start=0,
        end=len(data),
        segment_base_offset=scan.base_offset,
        expected_offset=scan.next_offset,
        check_crc_from=max(0, check_crc_from - start),
        no_gaps_from=max(0, no_gaps_from - start),
        index_interval_bytes=index_interval_bytes,
        previous_max_timestamp=scan.max_timestamp,
        previous_max_timestamp_offset=scan.max_timestamp_offset,
        bytes_since_index_entry=scan.bytes_since_index_entry,
        last_time_index_timestamp=scan.last_time_index_timestamp,
        previous_leader_epoch=scan.epochs[-1][0] if scan.epochs else -1,
        buffer_position=start,
        release_gil=release_gil,
    )
    _add(scan, outcome, start)


def next_offset_of(filesystem: Filesystem, path: str, base_offset: int) -> int:
    """The offset behind the last plausible batch of a segment file; CRCs are not looked at."""
    source = open_for_scan(filesystem, path)
    try:
        scan = SegmentScan(base_offset, source.size_at_open, next_offset=base_offset)
        scan_on(source, scan, check_crc_from=scan.size)
        return scan.next_offset
    finally:
        source.close()


def _add(scan: SegmentScan, outcome: ScanOutcome, shift: int) -> None:
    if scan.batch_count == 0 and outcome.batch_count:
        scan.first_timestamp = outcome.first_batch_max_timestamp
    scan.position = outcome.valid_end + shift
    scan.next_offset = outcome.next_offset
    scan.stop = outcome.stop
    scan.batch_count += outcome.batch_count
    scan.max_timestamp = outcome.max_timestamp
    scan.max_timestamp_offset = outcome.max_timestamp_offset
    scan.bytes_since_index_entry = outcome.bytes_since_index_entry
    scan.last_time_index_timestamp = outcome.last_time_index_timestamp
    scan.time_index += outcome.time_index
    scan.epochs += outcome.epochs
    scan.offset_index += outcome.offset_index
    scan.producer_batches += outcome.producer_batches
