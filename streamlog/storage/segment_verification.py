"""Verifying one segment: every batch and record, and both indexes against the batches.

One pass over the `.log`; the indexes' entries are in its order, so they are walked beside it
and nothing is kept in memory. What Kafka's own dump tool demands of an index (facts 1.15) is
demanded here: an offset entry names the last offset of the batch at its position; a time entry
names the last offset of the batch that carried the largest timestamp so far, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import (
    CorruptRecordError,
    DecompressionError,
    InputOutputError,
    UnsupportedFormatError,
)
from streamlog.record.kernel import RecordBatch
from streamlog.record.layout import MAX_INT32
from streamlog.record.verify import verify_batch_records
from streamlog.storage.batch_headers import BatchHeader, read_header
from streamlog.storage.damage import find_batch_behind
from streamlog.storage.indexes import OffsetIndex, TimeIndex, index_problem
from streamlog.storage.names import LOG, OFFSET_INDEX, TIME_INDEX, segment_name
from streamlog.storage.segment_file import SegmentFile
from streamlog.storage.segment_scan import open_mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.finding import PartitionFindings
    from streamlog.storage.leader_epochs import LeaderEpochs

_WINDOW: Final = 1 << 20


class SegmentVerification:
    """One run over one segment. `next_offset` and `leader_epoch` then say where it ended.

    `limit` and the index sizes are the published ones of an active segment, None for all of
    the files. `may_be_torn`: it is the last segment and nobody closed it, so a bad end is what
    a crash leaves and recovery cuts. `pass_gap(path, position, first, next)` is told of offsets
    that no batch has.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        base_offset: int,
        findings: PartitionFindings,
        *,
        epochs: LeaderEpochs,
        leader_epoch: int,
        limit: int | None,
        offset_index_size: int | None,
        time_index_size: int | None,
        may_be_torn: bool,
        pass_gap: Callable[[str, int, int, int], None],
        advance: Callable[[int], None],
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._base_offset = base_offset
        self._findings = findings
        self._epochs = epochs
        self._limit = limit
        self._may_be_torn = may_be_torn
        self._pass_gap = pass_gap
        self._advance = advance
        self._path = f"{directory}/{segment_name(base_offset, LOG)}"
        self._offset_entries = _OffsetEntries(self, offset_index_size)
        self._time_entries = _TimeEntries(self, time_index_size)
        self.next_offset = base_offset
        self.leader_epoch = leader_epoch

    def run(self) -> None:
        """Verify the segment; what is wrong goes into the findings."""
        source = SegmentFile(self._filesystem, self._path, 0, writable=False)
        try:
            limit = source.size_at_open if self._limit is None else self._limit
            if limit > source.size_at_open:
                self.error(
                    "short_file",
                    source.size_at_open,
                    f"the file ends before its published end {limit}",
                )
                limit = source.size_at_open
            self._offset_entries.load(limit)
            self._time_entries.load(limit)
            for batch_header, data in self._batches(source, limit):
                self._verify_batch(batch_header, data)
                self._offset_entries.pass_batch(batch_header)
                self._time_entries.pass_batch(batch_header)
        except InputOutputError as error:
            self.error("unreadable", error.context.get("position", -1), str(error))
        finally:
            source.close()
        self._offset_entries.finish()
        self._time_entries.finish()

    # ---------------------------------------------------------------- batches

    def _batches(self, source: SegmentFile, limit: int) -> Iterator[tuple[BatchHeader, memoryview]]:
        """Every batch with its bytes; damage is reported and stepped over."""
        position, start = 0, 0
        window = memoryview(b"")
        while position < limit:
            header = read_header(window, position - start, position, limit, self.next_offset)
            if header is None or header.end > start + len(window):
                size = _WINDOW if header is None else max(_WINDOW, header.size)
                start, window = position, source.view(position, min(size, limit - position))
                self._advance(len(window))
                header = read_header(window, 0, position, limit, self.next_offset)
                if header is not None and header.size > len(window):
                    window = source.view(position, header.size)
            if header is None:
                header = self._step_over(position, limit)
                if header is None:
                    return
                position, self.next_offset = header.position, header.base_offset
                continue
            if header.base_offset > self.next_offset:
                self._pass_gap(self._path, position, self.next_offset, header.base_offset)
            at = position - start
            yield header, window[at : at + header.size]
            position, self.next_offset = header.end, header.last_offset + 1

    def _step_over(self, position: int, limit: int) -> BatchHeader | None:
        """Report bytes that are no batch; the first good one behind them, if there is one."""
        mapped = open_mapped(self._filesystem, self._path)
        try:
            view = mapped.view(position, limit - position)
            found = find_batch_behind(view, position, self.next_offset)
        finally:
            mapped.close()
        if found is None and self._may_be_torn:
            self.warning(
                "torn_tail",
                position,
                f"the last {limit - position} bytes are no whole batch: a crash left them, and "
                "opening the directory will cut them",
            )
        elif found is None:
            self.error("no_batch", position, f"no batch stands here or behind it, up to {limit}")
        else:
            self.error(
                "no_batch",
                position,
                f"no batch stands here; {found.position - position} bytes further on, at offset "
                f"{found.base_offset}, one does",
            )
        return found

    def _verify_batch(self, header: BatchHeader, data: memoryview) -> None:
        try:
            verify_batch_records(RecordBatch(data))
        except (CorruptRecordError, DecompressionError, UnsupportedFormatError) as error:
            if self._may_be_torn and isinstance(error, CorruptRecordError):
                kind, report = "bad_batch_unsynced", self.warning
            else:
                kind, report = "bad_batch", self.error
            reason = str(error.context.get("reason", error))  # the position is said already
            report(kind, header.position, reason, offset=header.base_offset)
        if header.last_offset - self._base_offset > MAX_INT32:
            self.error("offset", header.position, "its offset does not fit into this segment")
        if header.leader_epoch < self.leader_epoch:
            self.error(
                "leader_epoch",
                header.position,
                f"leader epoch {header.leader_epoch} after {self.leader_epoch}",
                offset=header.base_offset,
            )
        known = self._epochs.epoch_at(header.base_offset)
        if known >= 0 and header.leader_epoch >= 0 and known != header.leader_epoch:
            self.error(
                "leader_epoch",
                header.position,
                f"leader epoch {header.leader_epoch}, but the checkpoint says {known}",
                offset=header.base_offset,
            )
        self.leader_epoch = max(self.leader_epoch, header.leader_epoch)

    # ---------------------------------------------------------------- for the indexes

    def read_index(self, suffix: str, size: int | None) -> bytes | None:
        """An index's bytes up to its published size; None when it is missing."""
        path = self.index_path(suffix)
        if not self._filesystem.exists(path):
            return None
        data = self._filesystem.read_file(path)
        return data if size is None else data[:size]

    def index_path(self, suffix: str) -> str:
        return f"{self._directory}/{segment_name(self._base_offset, suffix)}"

    @property
    def base_offset(self) -> int:
        return self._base_offset

    @property
    def may_be_torn(self) -> bool:
        return self._may_be_torn

    def error(self, kind: str, position: int, text: str, *, offset: int = -1) -> None:
        self._findings.error(
            kind,
            self._path,
            text,
            position=position,
            offset=self.next_offset if offset < 0 else offset,
        )

    def warning(self, kind: str, position: int, text: str, *, offset: int = -1) -> None:
        self._findings.warning(
            kind,
            self._path,
            text,
            position=position,
            offset=self.next_offset if offset < 0 else offset,
        )

    def index_finding(self, suffix: str, number: int, entry_size: int, text: str) -> None:
        """A wrong entry. Recovery rebuilds the index of a segment that nobody closed."""
        report = self._findings.warning if self._may_be_torn else self._findings.error
        report(
            "index",
            self.index_path(suffix),
            text,
            position=number * entry_size if number >= 0 else 0,
        )


class _OffsetEntries:
    """The offset index, walked beside the batches."""

    def __init__(self, segment: SegmentVerification, size: int | None) -> None:
        self._segment = segment
        self._size = size
        self._index = OffsetIndex(b"", 0, 0)
        self._next = 0

    def load(self, limit: int) -> None:
        data = self._segment.read_index(OFFSET_INDEX, self._size)
        if data is None:
            if limit:
                self._segment.index_finding(OFFSET_INDEX, -1, 8, "the offset index is missing")
            return
        problem = index_problem(False, data, len(data), self._segment.base_offset)
        if problem is not None:
            self._segment.index_finding(OFFSET_INDEX, -1, 8, problem)
        self._index = OffsetIndex(data, len(data), self._segment.base_offset)

    def pass_batch(self, batch: BatchHeader) -> None:
        while self._next < self._index.count:
            entry = self._index.entry(self._next)
            if entry.position > batch.position:
                return
            if entry.position < batch.position:
                self._wrong(f"no batch starts at its position {entry.position}")
            elif entry.offset != batch.last_offset:
                self._wrong(
                    f"it says offset {entry.offset}, the batch at {entry.position} ends with "
                    f"{batch.last_offset}"
                )
            self._next += 1

    def finish(self) -> None:
        if self._next < self._index.count:
            left = self._index.count - self._next
            self._wrong(f"it and {left - 1} more lie behind the last batch")

    def _wrong(self, text: str) -> None:
        self._segment.index_finding(OFFSET_INDEX, self._next, 8, f"entry {self._next}: {text}")


class _TimeEntries:
    """The time index, walked beside the batches."""

    def __init__(self, segment: SegmentVerification, size: int | None) -> None:
        self._segment = segment
        self._size = size
        self._index = TimeIndex(b"", 0, 0)
        self._next = 0
        self._largest = -1
        self._last_timestamp = -1

    def load(self, limit: int) -> None:
        data = self._segment.read_index(TIME_INDEX, self._size)
        if data is None:
            if limit:
                self._segment.index_finding(TIME_INDEX, -1, 12, "the time index is missing")
            return
        problem = index_problem(True, data, len(data), self._segment.base_offset)
        if problem is not None:
            self._segment.index_finding(TIME_INDEX, -1, 12, problem)
        self._index = TimeIndex(data, len(data), self._segment.base_offset)

    def pass_batch(self, batch: BatchHeader) -> None:
        self._largest = max(self._largest, batch.max_timestamp)
        while self._next < self._index.count:
            entry = self._index.entry(self._next)
            if entry.offset > batch.last_offset:
                return
            if entry.offset != batch.last_offset:
                self._wrong(f"no batch ends with its offset {entry.offset}")
            elif entry.timestamp != batch.max_timestamp:
                self._wrong(
                    f"it says {entry.timestamp}, the batch that ends with {entry.offset} has "
                    f"{batch.max_timestamp}"
                )
            elif entry.timestamp < self._largest:
                self._wrong(f"a batch before it has the larger timestamp {self._largest}")
            elif entry.timestamp <= self._last_timestamp:
                self._wrong("its timestamp is not above the one before")
            self._last_timestamp = entry.timestamp
            self._next += 1

    def finish(self) -> None:
        if self._next < self._index.count:
            left = self._index.count - self._next
            self._wrong(f"it and {left - 1} more lie behind the last batch")

    def _wrong(self, text: str) -> None:
        self._segment.index_finding(TIME_INDEX, self._next, 12, f"entry {self._next}: {text}")
