"""Recovery of a partition that nobody closed: scan from the durable mark on.

Below the mark everything was on the disk, so what does not make sense there is damage: it is
reported, stepped over, and never cut. Above it, the first batch that does not check - in
whichever segment, since a rolled segment is synced later than the one after it may be - is
torn, and the log ends there: it and everything behind it is cut and kept aside.

    segments   0........  500.......  900....|..  1200.....
                          durable mark ^      ^ does not check: cut here, and 1200 with it
    scanned                           headers, CRCs
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError, CorruptRecordError
from streamlog.record.layout import MAX_INT64
from streamlog.storage.damage import find_batch_behind
from streamlog.storage.halved_scan import scan_halves
from streamlog.storage.leader_epochs import (
    LeaderEpochs,
    read_leader_epochs,
    write_leader_epochs,
)
from streamlog.storage.loading import PartitionFiles, sort_names
from streamlog.storage.names import LEADER_EPOCHS, LOG, OFFSET_INDEX, TIME_INDEX, segment_name
from streamlog.storage.partition_recovery import (
    DurableMark,
    PartitionRecovery,
    empty_state,
    missing_start,
)
from streamlog.storage.producer_replay import load_producer_state
from streamlog.storage.segment import LogSegment
from streamlog.storage.segment_scan import SegmentScan, open_for_scan, open_mapped, scan_on
from streamlog.storage.shared import PartitionState, SyncedEnd
from streamlog.storage.sync import sync_identity, sync_names
from streamlog.storage.tearing import (
    TornTail,
    clear_behind,
    cut_segments,
    cut_tail,
    remove_snapshots_behind,
)

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.segment_file import SegmentFile


class UncleanRecovery:
    """One run over one partition. `sync` is False where the page cache cannot be trusted."""

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        files: PartitionFiles,
        *,
        topic: str,
        partition: int,
        mark: DurableMark,
        log_start: int,
        index_interval_bytes: int,
        cleaner_offset: int,
        now_ms: int,
        sync: bool,
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._files = files
        self._topic = topic
        self._partition = partition
        self._mark = mark
        self._log_start = log_start
        self._index_interval_bytes = index_interval_bytes
        self._cleaner_offset = cleaner_offset
        self._now_ms = now_ms
        self._sync = sync
        self._scans: list[SegmentScan] = []
        self._found = PartitionRecovery(empty_state(0, leader_epoch=0, now_ms=now_ms), None)

    def run(self) -> PartitionRecovery:
        """Scan, cut, rebuild, sync; the order in which a crash in between does no harm."""
        segments = self._files.segments
        first = self._first_to_scan(segments)
        end = segments[first] if segments else self._log_start
        for index in range(first, len(segments)):
            if index > first and segments[index] < end and self._is_empty(segments[index]):
                # A roll that was given up, and then came later, under another name: no loss.
                cut_segments(self._filesystem, self._directory, [segments[index]])
                continue
            if not self._continues(segments[index], end, is_first=index == first):
                self._cut(segments[index:], None)
                break
            scan, is_torn = self._scan(segments[index])
            self._scans.append(scan)
            end = scan.next_offset
            if is_torn:
                self._cut(segments[index + 1 :], scan)
                break
        log_end = self._settle_end(end)
        remove_snapshots_behind(self._filesystem, self._directory, log_end)
        self._rebuild_indexes(segments[:first])
        self._assume_state(log_end)
        self._restore_epochs()
        self._restore_transactions()
        self._sync_survivors()
        return self._found

    # ---------------------------------------------------------------- scanning

    def _first_to_scan(self, segments: list[int]) -> int:
        """The segment that holds the durable mark; the first one when all are behind it."""
        if self._mark.segment in segments:
            return segments.index(self._mark.segment)
        # Where the mark is a segment's start, the end of the one before was the active one's:
        # what its roll added to its indexes may not be on the disk.
        below = [index for index, base in enumerate(segments) if base < self._mark.offset]
        first = below[-1] if below else 0
        while first > 0 and self._is_empty(segments[first]):
            first -= 1  # perhaps a roll that was given up: the data is in the one before
        return first

    def _is_empty(self, base_offset: int) -> bool:
        return self._filesystem.file_size(self._path(base_offset, LOG)) == 0

    def _continues(self, base_offset: int, end: int, *, is_first: bool) -> bool:
        """Whether a segment that starts at `base_offset` may follow data that ends at `end`.

        Gaps are legal where compaction made them, where records were deleted up to the log's
        start, and behind damage that was left alone.
        """
        if is_first or base_offset == end:
            return True
        if base_offset < end:
            return False
        legal_to = max(self._mark.offset, self._log_start, self._cleaner_offset)
        return base_offset <= legal_to or self._found.corrupt is not None

    def _scan(self, base_offset: int) -> tuple[SegmentScan, bool]:
        """Scan one segment; whether it ends torn."""
        source = open_for_scan(self._filesystem, self._path(base_offset, LOG))
        try:
            scan = SegmentScan(base_offset, source.size_at_open, next_offset=base_offset)
            mark_position = self._mark_position(base_offset, scan.size)
            was_cleaned = base_offset < self._cleaner_offset
            while True:
                scan_halves(
                    self._filesystem,
                    source,
                    scan,
                    self._path(base_offset, OFFSET_INDEX),
                    check_crc_from=mark_position,
                    no_gaps_from=MAX_INT64 if was_cleaned else mark_position,
                    index_interval_bytes=self._index_interval_bytes,
                )
                if scan.stop is None:
                    return scan, False
                if scan.stop != "legacy" and not self._is_below_mark(scan, mark_position):
                    return scan, True
                if not self._step_over(source, scan):
                    return scan, False
        finally:
            source.close()

    def _mark_position(self, base_offset: int, size: int) -> int:
        """The byte of a segment up to which it was on the disk; 0 where nothing says so."""
        if base_offset > self._mark.offset:
            return 0
        if self._mark.segment == base_offset:
            return self._mark.position
        segment = LogSegment(self._filesystem, self._directory, base_offset)
        try:
            return segment.find_batch(self._mark.offset, size)
        except CorruptRecordError:
            return 0
        finally:
            segment.close()

    def _is_below_mark(self, scan: SegmentScan, mark_position: int) -> bool:
        if self._mark.segment == scan.base_offset:
            return scan.position < mark_position
        return scan.next_offset < self._mark.offset

    def _step_over(self, source: SegmentFile, scan: SegmentScan) -> bool:
        """Note damage at the scan's position and go on behind it; False if nothing is there."""
        position, offset = scan.position, scan.next_offset
        mapped = open_mapped(self._filesystem, source.path)
        try:
            view = mapped.view(position, scan.size - position)
        finally:
            mapped.close()
        found = find_batch_behind(view, position, offset)
        self._note_damage(
            source.path, position, offset, scan.stop, None if found is None else found.base_offset
        )
        if found is None:
            scan.next_offset = max(offset, self._mark.offset)
            return False
        scan.position, scan.next_offset = found.position, found.base_offset
        return True

    def _note_damage(
        self, path: str, position: int, offset: int, reason: str | None, next_offset: int | None
    ) -> None:
        where = f"{path}, byte {position}, offset {offset} of {self._topic}-{self._partition}"
        follows = "none follow in it" if next_offset is None else f"they go on at {next_offset}"
        text = (
            f"records that were on the disk are damaged: {where} ({reason}). Nothing was cut; "
            f"records elsewhere can be read, {follows}"
        )
        self._found.problems.append(text)
        if self._found.corrupt is None:
            self._found.corrupt = CorruptRecordError(
                text,
                topic=self._topic,
                partition=self._partition,
                file=path,
                position=position,
                offset=offset,
                next_offset=next_offset,
            )

    # ---------------------------------------------------------------- cutting

    def _cut(self, later: list[int], torn: SegmentScan | None) -> None:
        """End the log here: later segments first, then the torn tail (see `tearing`)."""
        parts: list[TornTail] = []
        end = self._scans[-1].next_offset if self._scans else 0
        if later:
            parts.append(cut_segments(self._filesystem, self._directory, later))
            self._found.lost_tail = parts[0].lost_bytes > 0 or max(later) > end
        if torn is not None:
            parts.append(
                cut_tail(self._filesystem, self._directory, torn.base_offset, torn.position)
            )
            torn.size = torn.position
        for part in parts:
            self._found.lost_bytes += part.lost_bytes
            self._found.good_batches_behind += part.good_batches
            self._found.torn_files += part.files
        self._found.lost_tail = self._found.lost_tail or self._found.lost_bytes > 0
        self._found.lost_batches = self._found.good_batches_behind + bool(
            torn is not None and parts[-1].files
        )
        if self._found.lost_bytes:
            self._found.problems.append(
                f"{self._directory}: {self._found.lost_bytes} bytes behind offset {end} were torn "
                f"by a crash and cut ({self._found.good_batches_behind} good batches among them); "
                f"kept in {', '.join(self._found.torn_files) or 'no file, they were zeros'}"
            )

    def _settle_end(self, end: int) -> int:
        """The log end: not before the durable mark, not before the log's start."""
        if end < self._mark.offset:
            last = self._scans[-1] if self._scans else None
            path = self._path(last.base_offset, LOG) if last else self._directory
            if end < max(self._log_start, 0) and self._mark.offset <= self._log_start:
                return self._log_start
            self._note_damage(path, last.size if last else 0, end, "it ends too early", None)
            end = self._mark.offset
        return max(end, self._log_start)

    # ---------------------------------------------------------------- rebuilding

    def _rebuild_indexes(self, below: list[int]) -> None:
        """Write the indexes of what was scanned, and those that are missing below it."""
        for number, scan in enumerate(self._scans):
            is_active = number == len(self._scans) - 1
            self._write_indexes(scan, sealed=not is_active)
        for base_offset in below:
            names = (segment_name(base_offset, OFFSET_INDEX), segment_name(base_offset, TIME_INDEX))
            if self._files.names.issuperset(names):
                continue
            source = open_for_scan(self._filesystem, self._path(base_offset, LOG))
            try:
                scan = SegmentScan(base_offset, source.size_at_open, next_offset=base_offset)
                scan_on(
                    source,
                    scan,
                    check_crc_from=scan.size,
                    index_interval_bytes=self._index_interval_bytes,
                )
            finally:
                source.close()
            self._write_indexes(scan, sealed=True)

    def _write_indexes(self, scan: SegmentScan, *, sealed: bool) -> None:
        times = scan.closed_time_index if sealed else bytes(scan.time_index)
        for suffix, data in ((OFFSET_INDEX, bytes(scan.offset_index)), (TIME_INDEX, times)):
            path = self._path(scan.base_offset, suffix)
            name = segment_name(scan.base_offset, suffix)
            if (
                name in self._files.names
                and self._filesystem.file_size(path) == len(data)
                and self._filesystem.read_file(path) == data
            ):
                continue
            self._filesystem.write_file(path, data, sync=sealed)

    def _assume_state(self, log_end: int) -> None:
        """Fill in the state; a new active segment where the last one cannot be continued."""
        segments = self._files.segments
        first = segments[0] if segments else log_end
        log_start = min(max(self._log_start, first), log_end)
        active = self._scans[-1] if self._scans else None
        if active is None or active.next_offset != log_end or active.position != active.size:
            state = empty_state(log_end, leader_epoch=0, now_ms=self._now_ms)
            if segments or log_end:
                self._create_segment(log_end)
        else:
            state = _state_of(active, self._now_ms)
        ends = [batch.last_offset + 1 for scan in self._scans for batch in scan.producer_batches]
        below = self._scans[0].base_offset if self._scans else log_end
        self._found.state = state._replace(
            log_start=log_start,
            log_end=log_end,
            high_watermark=log_end,
            last_stable_offset=log_end,
            producer_batch_end=max(ends, default=below),
        )

    def _create_segment(self, base_offset: int) -> None:
        """Make an empty segment. Its name is synced before any synced end is in it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        for suffix in (LOG, OFFSET_INDEX, TIME_INDEX):
            self._filesystem.close(self._filesystem.open(self._path(base_offset, suffix), flags))

    def _restore_epochs(self) -> None:
        """The leader epochs: what the file says, what the batches say, within the log."""
        stored = LeaderEpochs()
        try:
            stored = read_leader_epochs(self._filesystem, self._directory)
        except CorruptDirectoryError as error:
            if not self._was_never_written(LEADER_EPOCHS):
                self._found.problems.append(f"{error}; rebuilt from the batches that were scanned")
        gone = missing_start(self._directory, stored, self._log_start, self._files)
        self._found.problems += gone
        epochs = LeaderEpochs(stored.entries)
        state = self._found.state
        # One that begins at the end is kept, other than in Kafka: it came with a loss, and the
        # metadata log's own epoch is written down nowhere else.
        epochs.truncate_from_end(state.log_end + 1)
        for scan in self._scans:
            for epoch, start_offset in scan.epochs:
                latest = epochs.latest
                if latest is None or epoch > latest.epoch:
                    epochs.assign(epoch, start_offset)
        epochs.truncate_from_start(state.log_start)
        latest = epochs.latest
        if epochs != stored or (LEADER_EPOCHS not in self._files.names and latest is not None):
            write_leader_epochs(self._filesystem, self._directory, epochs)
        self._found.epochs = epochs
        if latest is not None:
            self._found.state = state._replace(leader_epoch=latest.epoch)

    def _was_never_written(self, name: str) -> bool:
        """Whether a file is as a crash leaves what nobody synced, and nothing is lost by it.

        The first segment's epochs are synced when the synced end leaves it (`sync.py`).
        """
        written = self._filesystem.read_file(f"{self._directory}/{name}").strip(b"\0")
        return not written and len(self._scans) == len(self._files.segments)

    def _restore_transactions(self) -> None:
        """The last stable offset, where there are transactions at all."""
        files = sort_names(self._filesystem.listdir(self._directory))
        has_transactions = any(
            batch.is_transactional for scan in self._scans for batch in scan.producer_batches
        )
        if not files.snapshots and not has_transactions:
            return
        state = self._found.state
        try:
            table = load_producer_state(
                self._filesystem,
                self._directory,
                segments=[base for base in files.segments if base <= state.base_offset],
                snapshots=files.snapshots,
                end_offset=state.log_end,
                end_position=state.end_position,
            )
        except CorruptRecordError as error:
            self._found.problems.append(f"open transactions are not known: {error}")
            return
        first_open = table.first_open_offset
        if first_open is not None:
            self._found.state = state._replace(last_stable_offset=max(first_open, state.log_start))

    # ---------------------------------------------------------------- syncing

    def _sync_survivors(self) -> None:
        """Sync what survived above the mark; if that fails the partition starts poisoned."""
        state, mark = self._found.state, self._mark
        self._found.synced = self._synced_mark()
        if not self._sync or not self._files.segments:
            return
        try:
            for scan in self._scans:
                path = self._path(scan.base_offset, LOG)
                is_active = scan.base_offset == state.base_offset
                if is_active:
                    clear_behind(self._filesystem, path, state.end_position)
                if is_active or scan.next_offset > mark.offset:
                    self._sync_file(path)
            if mark.segment < 0:
                sync_identity(self._filesystem, self._directory)
            sync_names(self._filesystem, self._directory)
        except OSError as error:
            self._found.problems.append(f"{self._directory} cannot be synced: {error}")
            self._found.state = state._replace(poisoned=error.errno or 5)
            return
        self._found.synced = SyncedEnd(state.base_offset, state.end_position, state.log_end)

    def _synced_mark(self) -> SyncedEnd | None:
        """The mark as a place in the files, where it is one."""
        mark = self._mark
        if mark.segment >= 0 and mark.segment in self._files.segments:
            return SyncedEnd(mark.segment, mark.position, mark.offset)
        return None

    def _sync_file(self, path: str) -> None:
        descriptor = self._filesystem.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            self._filesystem.fdatasync(descriptor)
        finally:
            self._filesystem.close(descriptor)

    def _path(self, base_offset: int, suffix: str) -> str:
        return f"{self._directory}/{segment_name(base_offset, suffix)}"


def _state_of(active: SegmentScan, now_ms: int) -> PartitionState:
    return PartitionState(
        end_position=active.position,
        base_offset=active.base_offset,
        first_timestamp=active.first_timestamp,
        largest_timestamp=active.max_timestamp,
        largest_timestamp_offset=active.max_timestamp_offset,
        offset_index_size=len(active.offset_index),
        time_index_size=len(active.time_index),
        bytes_since_index_entry=active.bytes_since_index_entry,
        last_time_index_timestamp=active.last_time_index_timestamp,
        created_ms=now_ms,
    )
