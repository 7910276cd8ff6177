"""`LogCleaner`: one pass of compaction over one log.

    1. the offset map: the latest offset of every key of the cleanable part, as far as it fits
    2. for each group of segments up to there, from the log's start: the batches that survive
       are written to `.cleaned` files

Nothing else is written: who holds the log's structure lock swaps each group in before asking for
the next. In this order, since a tombstone in a later group is what keeps an older value in an
earlier one from coming back. Memory is bounded by the map, a window of the file and the largest
batch. Everything read is checked; damage ends the pass with an error and nothing is lost.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streamlog.record.cleaning_outcome import ENTRY_SIZE
from streamlog.record.kernel import OffsetMap, clean_batches
from streamlog.storage.cleanable import group_segments, segments_from
from streamlog.storage.cleaned_segments import CleanedSegmentWriter, remove_cleaned
from streamlog.storage.cleaned_transactions import CleanedTransactions
from streamlog.storage.names import LOG, segment_name
from streamlog.storage.segment import LogSegment
from streamlog.storage.segment_scan import open_for_scan
from streamlog.storage.segment_windows import SegmentWindows
from streamlog.storage.transaction_index import collect_aborted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streamlog.config import TopicConfig
    from streamlog.record.cleaning_outcome import CleaningOutcome
    from streamlog.storage.cleanable import CleanableLog, SegmentDescription
    from streamlog.storage.cleaned_segments import CleanedSegment
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.log_settings import LogSettings
    from streamlog.storage.producer_state import ProducerState
    from streamlog.storage.transaction_index import AbortedTransaction


class DedupeBuffer(NamedTuple):
    """The memory of the offset map: Kafka's `log.cleaner.dedupe.buffer.size` (bytes) and
    `log.cleaner.io.buffer.load.factor`. `hash_key` are 16 random bytes, new for each pass.
    """

    hash_key: bytes
    size: int = 128 << 20
    load_factor: float = 0.9

    def offset_map(self, offsets: int) -> OffsetMap:
        """A map for so many offsets, or as many keys as there is memory for."""
        needed = ENTRY_SIZE * (int(offsets / self.load_factor) + 2)
        return OffsetMap(min(self.size, needed), self.hash_key, self.load_factor)


class CleanedGroup(NamedTuple):
    """The segments that were cleaned, by base offset, and those to put in their place."""

    sources: tuple[int, ...]
    segments: tuple[CleanedSegment, ...]


class CleaningStatistics(msgspec.Struct):
    """What a pass has done so far; bytes are of `.log` files, `mapped_bytes` those of step 1."""

    mapped_bytes: int = 0
    mapped_keys: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    batches_read: int = 0
    batches_kept: int = 0
    records_read: int = 0
    records_kept: int = 0
    tombstones_kept: int = 0
    tombstones_dropped: int = 0
    keyless_dropped: int = 0


class LogCleaner:
    """One pass over `log`, whose files are in `directory`; it writes to `target`.

    `producers` are those of the whole log (what keeps their last sequence numbers stays, if only
    as a header). `on_progress` is called with bytes read and written between two windows: it may
    wait, and raises to end the pass; what was begun is removed then.

    Who calls holds the log's structure lock, and has finished what a dead process left.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        log: CleanableLog,
        *,
        topic: str,
        partition: int,
        config: TopicConfig,
        settings: LogSettings,
        producers: Iterable[ProducerState],
        dedupe_buffer: DedupeBuffer,
        now_ms: int,
        on_progress: Callable[[int], None] = lambda _: None,
        target: str | None = None,
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._target = directory if target is None else target
        self._log = log
        self._bases = [*(each.base_offset for each in log.segments), log.active_base_offset]
        self._topic = topic
        self._partition = partition
        self._config = config
        self._settings = settings
        self._dedupe_buffer = dedupe_buffer
        self._now_ms = now_ms
        self._on_progress = on_progress
        last_markers = {}
        # Also empty, the last batch of the round says where the log went on (Kafka 4.4).
        self._retain_empty = {log.first_uncleanable_offset - 1}
        for producer in producers:
            if producer.batches:
                self._retain_empty.add(producer.last_offset)
            else:
                last_markers[producer.producer_id] = producer.epoch
        self._transactions = CleanedTransactions(directory, now_ms, last_markers)
        self.statistics = CleaningStatistics()
        #: The log's new first dirty offset, once every group has been swapped in.
        self.end_offset = log.first_dirty_offset

    def run(self) -> Iterator[CleanedGroup]:
        """Clean one group at each step; it has to be in its place before the next step.

        Raises `CorruptRecordError`, `DecompressionError`, `UnsupportedFormatError` (`topic`,
        `partition`, `file`, `position`), `CorruptDirectoryError` for transaction indexes that
        make no sense, `OSError`, and what `on_progress` raises.
        """
        log = self._log
        if log.first_dirty_offset >= log.first_uncleanable_offset:
            return
        remove_cleaned(self._filesystem, self._target)
        offset_map = self._map_offsets()
        self.statistics.mapped_keys = len(offset_map)
        self.end_offset = offset_map.latest_offset + 1
        groups = group_segments(
            segments_from(log.segments, 0, self.end_offset),
            end_offset=log.first_uncleanable_offset,
            segment_bytes=self._config.segment_bytes,
            segment_index_bytes=self._config.segment_index_bytes,
        )
        for group in groups:
            yield self._clean_group(group, offset_map)

    # ---------------------------------------------------------------- the offset map

    def _map_offsets(self) -> OffsetMap:
        start, end = self._log.first_dirty_offset, self._log.first_uncleanable_offset
        offset_map = self._dedupe_buffer.offset_map(end - start)
        transactions = CleanedTransactions(self._directory, self._now_ms, {})
        transactions.add_aborted(self._aborted_between(start, end))
        for segment in segments_from(self._log.segments, start, end):
            if not self._map_segment(segment, offset_map, transactions):
                break
            offset_map.advance_to(self._end_of(segment) - 1)
        assert offset_map.latest_offset >= start, "every pass gets on"
        return offset_map

    def _map_segment(
        self,
        segment: SegmentDescription,
        offset_map: OffsetMap,
        transactions: CleanedTransactions,
    ) -> bool:
        """False when the map is full."""
        first_dirty = self._log.first_dirty_offset
        with self._windows(segment, self._position_of(first_dirty, segment)) as windows:
            while data := windows.read():
                with windows.located():
                    outcome = offset_map.add_batches(
                        data,
                        decide=transactions.decide,
                        from_offset=first_dirty,
                        expected_offset=windows.next_offset,
                    )
                windows.take(outcome)
                self.statistics.mapped_bytes += outcome.consumed
                if outcome.is_full:
                    return False
                self._on_progress(outcome.consumed)
            windows.finish(self._end_of(segment))
        return True

    # ---------------------------------------------------------------- cleaning

    def _clean_group(
        self, group: tuple[SegmentDescription, ...], offset_map: OffsetMap
    ) -> CleanedGroup:
        writer = CleanedSegmentWriter(
            self._filesystem,
            self._target,
            group[0].base_offset,
            modified_ns=group[-1].modified_ns,
            index_interval_bytes=self._config.index_interval_bytes,
            settings=self._settings,
        )
        try:
            for segment in group:
                self._clean_segment(segment, offset_map, writer)
            segments = writer.finish(self._transactions.retained)
        except BaseException:
            writer.discard()
            raise
        self._transactions.retained.clear()
        return CleanedGroup(tuple(each.base_offset for each in group), segments)

    def _clean_segment(
        self, segment: SegmentDescription, offset_map: OffsetMap, writer: CleanedSegmentWriter
    ) -> None:
        end = self._end_of(segment)
        self._transactions.add_aborted(self._aborted_between(segment.base_offset, end))
        with self._windows(segment, 0) as windows:
            while data := windows.read():
                with windows.located():
                    outcome = clean_batches(
                        data,
                        offset_map,
                        decide=self._transactions.decide,
                        retain_empty=self._retain_empty,
                        now_ms=self._now_ms,
                        delete_retention_ms=self._config.delete_retention_ms,
                        expected_offset=windows.next_offset,
                    )
                windows.take(outcome)
                writer.append(outcome.output)
                self._count(outcome)
                self._on_progress(outcome.consumed + len(outcome.output))
            windows.finish(end)

    def _count(self, outcome: CleaningOutcome) -> None:
        statistics = self.statistics
        statistics.bytes_read += outcome.consumed
        statistics.bytes_written += len(outcome.output)
        statistics.batches_read += outcome.batches_read
        statistics.batches_kept += outcome.batches_kept
        statistics.records_read += outcome.records_read
        statistics.records_kept += outcome.records_kept
        statistics.tombstones_kept += outcome.tombstones_kept
        statistics.tombstones_dropped += outcome.tombstones_dropped
        statistics.keyless_dropped += outcome.keyless_dropped

    # ---------------------------------------------------------------- reading

    @contextmanager
    def _windows(self, segment: SegmentDescription, position: int) -> Iterator[SegmentWindows]:
        path = f"{self._directory}/{segment_name(segment.base_offset, LOG)}"
        source = open_for_scan(self._filesystem, path)
        try:
            yield SegmentWindows(
                source,
                position,
                segment.base_offset,
                topic=self._topic,
                partition=self._partition,
            )
        finally:
            source.close()

    def _position_of(self, offset: int, segment: SegmentDescription) -> int:
        """Where the batch with `offset` starts, or else the first one behind it."""
        if offset <= segment.base_offset:
            return 0
        opened = LogSegment(
            self._filesystem,
            self._directory,
            segment.base_offset,
            topic=self._topic,
            partition=self._partition,
        )
        try:
            return opened.find_batch(offset, opened.size)
        finally:
            opened.close()

    def _end_of(self, segment: SegmentDescription) -> int:
        """Where the next segment begins."""
        return self._bases[bisect_right(self._bases, segment.base_offset)]

    def _aborted_between(self, start: int, end: int) -> list[AbortedTransaction]:
        return collect_aborted(self._filesystem, self._directory, self._bases, start, end)
