"""Finding records by time over the segments of a partition (ListOffsets, facts 4.8).

Records before the log's start are not there, though their bytes may be: segments that hold
nothing else are passed over, and of one that holds others too only those count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.log_reader import LogReader
    from streamlog.storage.shared import PartitionState
    from streamlog.types import OffsetAndTimestamp


def find_time(
    reader: LogReader, state: PartitionState, timestamp: int
) -> OffsetAndTimestamp | None:
    """The first record in log order, from the log's start, whose timestamp is large enough."""
    for base, end_offset in _visible_segments(reader, state):
        if reader.is_older(base, state, timestamp):
            continue
        segment = reader.segment(base, state)
        limit, offset_index_size = reader.limits(base, segment, state)
        found = segment.find_time(
            timestamp,
            limit,
            offset_index_size=offset_index_size,
            time_index_size=_time_index_size(base, state),
            min_offset=state.log_start,
            end_offset=None if reader.has_gaps else end_offset,
        )
        if found is not None:
            if found.offset >= reader.end_of(base, state, found.offset + 1):
                position = segment.find_batch(found.offset, limit, offset_index_size)
                raise segment.damaged(position, limit, found.offset)
            return found
        reader.remember_largest(base, state, segment)
    return None


def find_largest_timestamp(reader: LogReader, state: PartitionState) -> OffsetAndTimestamp | None:
    """The first record that has the partition's largest timestamp."""
    largest = -1
    for base, _ in _visible_segments(reader, state):
        segment = reader.segment(base, state)
        limit, offset_index_size = reader.limits(base, segment, state)
        if base < state.log_start:
            found = segment.largest_timestamp_from(state.log_start, limit, offset_index_size)
        elif base == state.base_offset:
            found = state.largest_timestamp
        else:
            found = segment.largest_timestamp(limit)
        largest = max(largest, found)
    return None if largest < 0 else find_time(reader, state, largest)


def _visible_segments(reader: LogReader, state: PartitionState) -> Iterator[tuple[int, int]]:
    """The segments with records that can be read: where each begins, and the one after it."""
    if state.log_end == state.log_start:
        return
    bases = reader.bases(state)
    for base, end_offset in zip(bases, [*bases[1:], state.log_end], strict=True):
        if end_offset > state.log_start:
            yield base, end_offset


def _time_index_size(base: int, state: PartitionState) -> int | None:
    return state.time_index_size if base == state.base_offset else None
