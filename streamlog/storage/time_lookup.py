"""Finding records by time over the segments of a partition (ListOffsets, facts 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.storage.log_reader import LogReader
    from streamlog.storage.shared import PartitionState
    from streamlog.types import OffsetAndTimestamp


def find_time(
    reader: LogReader, state: PartitionState, timestamp: int
) -> OffsetAndTimestamp | None:
    """The first record in log order, from the log's start, whose timestamp is large enough."""
    if state.log_end == state.log_start:
        return None
    bases = reader.bases(state)
    for base, end_offset in zip(bases, [*bases[1:], state.log_end], strict=True):
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
            return found
    return None


def find_largest_timestamp(reader: LogReader, state: PartitionState) -> OffsetAndTimestamp | None:
    """The first record that has the partition's largest timestamp."""
    if state.log_end == state.log_start:
        return None
    largest = state.largest_timestamp
    for base in reader.bases(state):
        if base != state.base_offset:
            segment = reader.segment(base, state)
            largest = max(largest, segment.largest_timestamp(segment.size))
    return None if largest < 0 else find_time(reader, state, largest)


def _time_index_size(base: int, state: PartitionState) -> int | None:
    return state.time_index_size if base == state.base_offset else None
