"""Scanning the two halves of a long segment at the same time.

A scan is half copying and half CRC, and neither needs the interpreter. So where a segment is long
and its offset index names a batch near the middle, a second thread begins there. What it finds is
worth nothing by itself: it counts once the first half has been scanned and ends just where the
second began. Then the two are put together as one scan would have had it; otherwise the second is
thrown away, and the scan goes on from where the first ended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from streamlog.storage.batch_headers import BatchHeader, read_header
from streamlog.storage.indexes import OFFSET_ENTRY_SIZE, TIME_ENTRY, OffsetIndex
from streamlog.storage.segment_scan import SegmentScan, open_for_scan, scan_on

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.segment_file import SegmentFile

WORTH_A_THREAD: Final = 64 << 20
_LARGEST_HEADER: Final = 61


def scan_halves(
    filesystem: Filesystem,
    source: SegmentFile,
    scan: SegmentScan,
    index_path: str,
    *,
    check_crc_from: int,
    no_gaps_from: int,
    index_interval_bytes: int,
) -> None:
    """As `scan_on` to the end; with two threads where the segment is long enough."""
    second = None
    if scan.size - scan.position >= WORTH_A_THREAD:
        second = _begin_second(filesystem, source, scan, index_path)
    if second is not None:
        half = _SecondHalf(filesystem, source.path, scan, second, index_interval_bytes)
        half.start(check_crc_from, no_gaps_from)
        scan_on(
            source,
            scan,
            check_crc_from=check_crc_from,
            no_gaps_from=no_gaps_from,
            end=second.position,
            index_interval_bytes=index_interval_bytes,
            release_gil=True,
        )
        half.join()
        if half.continues(scan, no_gaps_from):
            half.add_to(scan)
            return
    scan_on(
        source,
        scan,
        check_crc_from=check_crc_from,
        no_gaps_from=no_gaps_from,
        index_interval_bytes=index_interval_bytes,
    )


def _begin_second(
    filesystem: Filesystem, source: SegmentFile, scan: SegmentScan, index_path: str
) -> BatchHeader | None:
    """The batch near the middle where the second half may begin, as the index has it."""
    try:
        data = filesystem.read_file(index_path)
    except FileNotFoundError:
        return None
    index = OffsetIndex(data, len(data) - len(data) % OFFSET_ENTRY_SIZE, scan.base_offset)
    number = index.find_position((scan.position + scan.size) // 2)
    if number < 0:
        return None
    entry = index.entry(number)
    if not scan.position < entry.position <= scan.size - _LARGEST_HEADER:
        return None
    header = read_header(
        source.view(entry.position, _LARGEST_HEADER), 0, entry.position, scan.size, scan.base_offset
    )
    return header if header is not None and header.last_offset == entry.offset else None


class _SecondHalf:
    """The scan from the middle on, by a thread of its own, and how it goes on from the first."""

    def __init__(
        self,
        filesystem: Filesystem,
        path: str,
        first: SegmentScan,
        begins: BatchHeader,
        index_interval_bytes: int,
    ) -> None:
        self._filesystem = filesystem
        self._path = path
        self._begins = begins
        self._interval = index_interval_bytes
        self._failed = False
        self._scan = SegmentScan(
            first.base_offset,
            first.size,
            position=begins.position,
            next_offset=begins.base_offset,
            bytes_since_index_entry=index_interval_bytes + 1,  # the index has an entry for it
        )

    def start(self, check_crc_from: int, no_gaps_from: int) -> None:
        self._thread = threading.Thread(
            target=self._run,
            args=(check_crc_from, no_gaps_from),
            name="streamlog scan",
            daemon=True,
        )
        self._thread.start()

    def _run(self, check_crc_from: int, no_gaps_from: int) -> None:
        try:
            source = open_for_scan(self._filesystem, self._path)
            try:
                scan_on(
                    source,
                    self._scan,
                    check_crc_from=check_crc_from,
                    no_gaps_from=no_gaps_from,
                    index_interval_bytes=self._interval,
                    release_gil=True,
                )
            finally:
                source.close()
        except (OSError, MemoryError):
            self._failed = True  # who scans in one go meets it again, and raises it

    def join(self) -> None:
        self._thread.join()

    def continues(self, first: SegmentScan, no_gaps_from: int) -> bool:
        """Whether the first half is whole, and ends just where this one begins."""
        begins = self._begins
        if self._failed or first.stop is not None or first.position != begins.position:
            return False
        if begins.position >= no_gaps_from and first.next_offset != begins.base_offset:
            return False
        return (
            first.next_offset <= begins.base_offset
            and first.bytes_since_index_entry > self._interval
            and self._scan.batch_count > 0
        )

    def add_to(self, first: SegmentScan) -> None:
        """Make `first` what one scan of both halves would have found."""
        half = self._scan
        first.position, first.next_offset, first.stop = half.position, half.next_offset, half.stop
        first.batch_count += half.batch_count
        first.offset_index += half.offset_index
        first.producer_batches += half.producer_batches
        first.bytes_since_index_entry = half.bytes_since_index_entry
        repeats = bool(half.epochs and first.epochs and half.epochs[0][0] == first.epochs[-1][0])
        first.epochs += half.epochs[repeats:]
        self._add_timestamps(first)

    def _add_timestamps(self, first: SegmentScan) -> None:
        """The entries of the time index: those with a timestamp above all of the first half.

        At the batch in the middle, which has an entry in the offset index, one for the first
        half's largest timestamp is due if that has none yet and the batch's own is not larger.
        """
        half, largest = self._scan, first.max_timestamp
        if first.last_time_index_timestamp < largest >= self._begins.max_timestamp:
            relative = first.max_timestamp_offset - first.base_offset
            first.time_index += TIME_ENTRY.pack(largest, relative)
            first.last_time_index_timestamp = largest
        for timestamp, relative in TIME_ENTRY.iter_unpack(half.time_index):
            if timestamp > largest:
                first.time_index += TIME_ENTRY.pack(timestamp, relative)
                first.last_time_index_timestamp = timestamp
        if half.max_timestamp > largest:
            first.max_timestamp = half.max_timestamp
            first.max_timestamp_offset = half.max_timestamp_offset
