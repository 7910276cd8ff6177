"""What of a log compaction may clean, whether it is worth it, and which segments together.

            first dirty offset        first uncleanable offset
                    |                         |
    ---- clean -----+------- cleanable -------+---- not yet ----[ active segment ]

Decisions about descriptions of segments; nothing is read or written but by `describe_segments`.
The rules are Kafka's `LogCleanerManager` and `Cleaner` (facts 5.2 and 5.4).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streamlog.record.layout import MAX_INT32
from streamlog.storage.names import LOG, OFFSET_INDEX, TIME_INDEX, segment_name
from streamlog.storage.segment import LogSegment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamlog.config import TopicConfig
    from streamlog.storage.filesystem import Filesystem


class SegmentDescription(NamedTuple):
    """A sealed segment. Sizes are bytes; timestamps ms, of the first batch and the largest.

    -1 for a first batch that is not there or has none; the file's own time stands in for a
    largest timestamp. `modified_ns` is the `.log`'s modification time.
    """

    base_offset: int
    size: int
    offset_index_size: int
    time_index_size: int
    first_timestamp: int
    largest_timestamp: int
    modified_ns: int


class CleanableLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log as compaction sees it.

    `segments` are the sealed ones, ascending. The first uncleanable offset is a segment's base.
    `compaction_delay_ms` is by how much Kafka's `max.compaction.lag.ms` has been exceeded.
    `has_bad_checkpoint`: the checkpoint named an offset that the log does not have, and is to be
    written anew with `first_dirty_offset`.
    """

    segments: tuple[SegmentDescription, ...]
    active_base_offset: int
    first_dirty_offset: int
    first_uncleanable_offset: int
    clean_bytes: int
    cleanable_bytes: int
    compaction_delay_ms: int
    has_bad_checkpoint: bool

    @property
    def cleanable_ratio(self) -> float:
        """The cleanable part of the bytes up to the first uncleanable offset."""
        total = self.clean_bytes + self.cleanable_bytes
        return self.cleanable_bytes / total if total else 0.0

    def is_due(self, min_cleanable_dirty_ratio: float) -> bool:
        """Whether it is to be cleaned now; of those that are, the highest ratio goes first."""
        if self.compaction_delay_ms > 0 and self.cleanable_bytes > 0:
            return True
        return self.cleanable_ratio > min_cleanable_dirty_ratio


def find_cleanable(
    segments: Sequence[SegmentDescription],
    *,
    active_base_offset: int,
    checkpoint: int | None,
    log_start: int,
    log_end: int,
    last_stable_offset: int,
    now_ms: int,
    config: TopicConfig,
) -> CleanableLog:
    """Where cleaning would begin and end, and what there is to gain.

    `segments` are the sealed ones, ascending; `checkpoint` is the partition's offset in
    `cleaner-offset-checkpoint`, None when it has none.
    """
    first_dirty = log_start if checkpoint is None else checkpoint
    has_bad_checkpoint = not log_start <= first_dirty <= log_end
    if has_bad_checkpoint:
        first_dirty = log_start
    dirty = segments_from(segments, first_dirty, active_base_offset)
    limit = min(last_stable_offset, active_base_offset)
    if config.min_compaction_lag_ms > 0:
        youngest = now_ms - config.min_compaction_lag_ms
        too_young = (each.base_offset for each in dirty if each.largest_timestamp > youngest)
        limit = min(limit, next(too_young, limit))
    # Segments are cleaned whole or not at all.
    undecided = segments_from(segments, max(first_dirty, limit), active_base_offset)
    first_uncleanable = undecided[0].base_offset if undecided else active_base_offset
    cleanable = segments_from(segments, min(first_dirty, first_uncleanable), first_uncleanable)
    clean = segments_from(segments, 0, first_dirty)
    return CleanableLog(
        segments=tuple(segments),
        active_base_offset=active_base_offset,
        first_dirty_offset=first_dirty,
        first_uncleanable_offset=first_uncleanable,
        clean_bytes=sum(each.size for each in clean),
        cleanable_bytes=sum(each.size for each in cleanable),
        compaction_delay_ms=_compaction_delay(dirty, now_ms, config.max_compaction_lag_ms),
        has_bad_checkpoint=has_bad_checkpoint,
    )


def segments_from(
    segments: Sequence[SegmentDescription], start: int, end: int
) -> Sequence[SegmentDescription]:
    """From the segment that holds `start` (the first one, if none does) to those below `end`."""
    if start >= end:
        return ()
    first = bisect_right(segments, start, key=lambda each: each.base_offset) - 1
    return [each for each in segments[max(first, 0) :] if each.base_offset < end]


def _compaction_delay(
    dirty: Iterable[SegmentDescription], now_ms: int, max_compaction_lag_ms: int
) -> int:
    """How long ago the oldest of the dirty segments had to be compacted; 0 for not yet."""
    limit = now_ms - max_compaction_lag_ms
    oldest = min(
        (each.first_timestamp for each in dirty if each.first_timestamp > 0), default=limit
    )
    return max(0, limit - oldest)


def group_segments(
    segments: Sequence[SegmentDescription],
    *,
    end_offset: int,
    segment_bytes: int,
    segment_index_bytes: int,
) -> list[tuple[SegmentDescription, ...]]:
    """Neighbours that are small enough to become one segment.

    Their `.log`s together take at most `segment_bytes`, their indexes `segment_index_bytes` each,
    and every offset fits the indexes. `end_offset` is where the segment behind the last one
    begins. One that is empty joins whatever its offsets.
    """
    limits = (segment_bytes, segment_index_bytes, segment_index_bytes)
    ends = [*(each.base_offset for each in segments), end_offset][1:]
    groups: list[list[SegmentDescription]] = []
    totals: tuple[int, ...] = (0, 0, 0)
    for each, end in zip(segments, ends, strict=True):
        sizes = (each.size, each.offset_index_size, each.time_index_size)
        together = tuple(total + size for total, size in zip(totals, sizes, strict=True))
        if (
            groups
            and all(total <= limit for total, limit in zip(together, limits, strict=True))
            and (each.size == 0 or end - 1 - groups[-1][0].base_offset <= MAX_INT32)
        ):
            groups[-1].append(each)
            totals = together
        else:
            groups.append([each])
            totals = sizes
    return [tuple(group) for group in groups]


def describe_segments(
    filesystem: Filesystem, directory: str, bases: Iterable[int], *, topic: str, partition: int
) -> list[SegmentDescription]:
    """Read what deciding needs of sealed segments.

    Raises `CorruptRecordError` where no batch can be made out, `FileNotFoundError` when a
    segment is gone.
    """
    found = []
    for base_offset in bases:
        segment = LogSegment(filesystem, directory, base_offset, topic=topic, partition=partition)
        try:
            found.append(_describe(filesystem, directory, segment))
        finally:
            segment.close()
    return found


def _describe(filesystem: Filesystem, directory: str, segment: LogSegment) -> SegmentDescription:
    base_offset = segment.base_offset
    modified_ns = filesystem.identity(f"{directory}/{segment_name(base_offset, LOG)}").mtime_ns
    first = segment.header_at(0, segment.size, base_offset)
    largest = segment.largest_timestamp(segment.size)
    return SegmentDescription(
        base_offset,
        segment.size,
        _size_of(filesystem, f"{directory}/{segment_name(base_offset, OFFSET_INDEX)}"),
        _size_of(filesystem, f"{directory}/{segment_name(base_offset, TIME_INDEX)}"),
        -1 if first is None else first.max_timestamp,
        largest if largest >= 0 else modified_ns // 1_000_000,
        modified_ns,
    )


def _size_of(filesystem: Filesystem, path: str) -> int:
    return filesystem.file_size(path) if filesystem.exists(path) else 0
