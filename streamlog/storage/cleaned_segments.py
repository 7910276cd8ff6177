"""The segments that a group of others is cleaned into, written beside them as `.cleaned` files.

One segment, unless what is left outgrows what an index can point to: batches may become larger
when they get a delete horizon. Every file is synced, indexes and all, and the `.log` has the
modification time of the last of its sources (facts 5.4). The names are for who swaps them in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.record.layout import BASE_OFFSET_AT, INT64, MAX_INT32
from streamlog.storage.names import (
    CLEANED,
    LOG,
    OFFSET_INDEX,
    TIME_INDEX,
    TRANSACTION_INDEX,
    segment_name,
)
from streamlog.storage.segment_scan import SegmentScan, scan_piece
from streamlog.storage.transaction_index import format_transaction_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.record.byteslike import BytesLike
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.log_settings import LogSettings
    from streamlog.storage.transaction_index import AbortedTransaction

SIZE_LIMIT: Final = MAX_INT32


class CleanedSegment(NamedTuple):
    """A segment that was written. `names` are those of its files once `.cleaned` is taken off."""

    base_offset: int
    size: int
    next_offset: int
    names: tuple[str, ...]


class CleanedSegmentWriter:
    """Takes whole batches in the order of the log; `finish` or `discard` ends it.

    Raises `OSError`; whatever is there then has to be discarded.
    """

    __slots__ = (
        "_directory",
        "_filesystem",
        "_index_interval_bytes",
        "_log",
        "_modified_ns",
        "_paths",
        "_scans",
        "_settings",
        "_size_limit",
    )

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        base_offset: int,
        *,
        modified_ns: int,
        index_interval_bytes: int,
        settings: LogSettings,
        size_limit: int = SIZE_LIMIT,
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._modified_ns = modified_ns
        self._index_interval_bytes = index_interval_bytes
        self._settings = settings
        self._size_limit = size_limit
        self._scans: list[SegmentScan] = []
        self._paths: list[str] = []
        self._log = -1
        self._begin(base_offset)

    def append(self, batches: BytesLike) -> None:
        """Write whole batches, the first of which comes behind all that were written."""
        if not batches:
            return
        scan = self._scans[-1]
        if scan.position and scan.position + len(batches) > self._size_limit:
            (base_offset,) = INT64.unpack_from(batches, BASE_OFFSET_AT)
            scan = self._begin(base_offset)
        end = scan.position + len(batches)
        self._filesystem.write_all(self._log, batches, scan.position)
        scan_piece(
            batches, scan, check_crc_from=end, index_interval_bytes=self._index_interval_bytes
        )
        assert scan.position == end, f"what was cleaned is no run of batches: {scan.stop}"
        scan.producer_batches.clear()  # one for each batch, and nobody asks for them

    def finish(self, aborted: Iterable[AbortedTransaction]) -> tuple[CleanedSegment, ...]:
        """Write the indexes, and sync everything.

        `aborted` are the transactions that the transaction indexes keep.
        """
        self._close_log()
        transactions = list(aborted)
        segments = []
        for scan in reversed(self._scans):
            own = [each for each in transactions if each.last_offset >= scan.base_offset]
            del transactions[len(transactions) - len(own) :]
            segments.append(self._write_indexes(scan, own))
        if self._settings.durable:
            self._filesystem.sync_directory(self._directory)
        return tuple(reversed(segments))

    def discard(self) -> None:
        """Remove what was written."""
        if self._log >= 0:
            self._filesystem.close(self._log)
            self._log = -1
        for path in self._paths:
            if self._filesystem.exists(path):
                self._filesystem.unlink(path)
        self._paths.clear()

    def _begin(self, base_offset: int) -> SegmentScan:
        self._close_log()
        path = self._path(segment_name(base_offset, LOG))
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._log = self._filesystem.open(path, flags, self._settings.file_mode)
        self._scans.append(SegmentScan(base_offset, 0, next_offset=base_offset))
        return self._scans[-1]

    def _close_log(self) -> None:
        if self._log < 0:
            return
        self._filesystem.set_modified(self._log, self._modified_ns)
        if self._settings.durable:
            self._filesystem.fsync(self._log)
        descriptor, self._log = self._log, -1
        self._filesystem.close(descriptor)

    def _write_indexes(
        self, scan: SegmentScan, aborted: list[AbortedTransaction]
    ) -> CleanedSegment:
        contents = {OFFSET_INDEX: bytes(scan.offset_index), TIME_INDEX: scan.closed_time_index}
        if aborted:
            contents[TRANSACTION_INDEX] = format_transaction_index(aborted)
        for suffix, content in contents.items():
            self._filesystem.write_file(
                self._path(segment_name(scan.base_offset, suffix)),
                content,
                mode=self._settings.file_mode,
                sync=self._settings.durable,
            )
        names = tuple(segment_name(scan.base_offset, suffix) for suffix in (LOG, *contents))
        return CleanedSegment(scan.base_offset, scan.position, scan.next_offset, names)

    def _path(self, name: str) -> str:
        path = f"{self._directory}/{name}{CLEANED}"
        self._paths.append(path)
        return path


def remove_cleaned(filesystem: Filesystem, directory: str) -> None:
    """Remove the `.cleaned` files that a dead process left: they are nobody's."""
    for name in filesystem.listdir(directory):
        if name.endswith(CLEANED):
            filesystem.unlink(f"{directory}/{name}")
