"""The offset index and the time index of a segment: sorted entries over raw bytes.

    .index       relative offset int32, position int32    a batch's LAST offset, where it starts
    .timeindex   timestamp int64, relative offset int32   no record up to that offset is later

Offsets are relative to the segment's base (facts 1.5-1.7). An index is a cache: it has no
checksum, so who uses an entry proves it against the batch it names and falls back to walking
the segment. A wrong index makes a lookup slower, never wrong.

Only the first `size` bytes count: what lies behind is a dead writer's, or a broker's
preallocated zeros.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.record.byteslike import BytesLike

OFFSET_ENTRY: Final = Struct(">ii")
TIME_ENTRY: Final = Struct(">qi")
OFFSET_ENTRY_SIZE: Final = OFFSET_ENTRY.size
TIME_ENTRY_SIZE: Final = TIME_ENTRY.size

# Kafka's warm region: tail lookups touch only the last 8 KiB, which stay in memory.
_WARM_BYTES: Final = 8192


class OffsetEntry(NamedTuple):
    """The batch that ends with `offset` starts at byte `position`."""

    offset: int
    position: int


class TimeEntry(NamedTuple):
    """No record up to `offset` has a timestamp above `timestamp`."""

    timestamp: int
    offset: int


class OffsetIndex:
    """The entries of one `.index`. `data` may be a map or bytes; nothing is copied."""

    __slots__ = ("_base_offset", "_data", "count")

    def __init__(self, data: BytesLike, size: int, base_offset: int) -> None:
        self._data = data
        self._base_offset = base_offset
        self.count = size // OFFSET_ENTRY_SIZE

    def entry(self, index: int) -> OffsetEntry:
        """The entry number `index`, counted from 0."""
        offset, position = OFFSET_ENTRY.unpack_from(self._data, index * OFFSET_ENTRY_SIZE)
        return OffsetEntry(self._base_offset + offset, position)

    def find(self, offset: int) -> int:
        """The number of the last entry at or before `offset`, -1 when all are behind it."""
        return _find(self._offset_at, self.count, offset, _WARM_BYTES // OFFSET_ENTRY_SIZE)

    def find_position(self, position: int) -> int:
        """The number of the last entry whose batch starts at or before `position`, or -1."""
        return _find(self._position_at, self.count, position, _WARM_BYTES // OFFSET_ENTRY_SIZE)

    def _offset_at(self, index: int) -> int:
        return self.entry(index).offset

    def _position_at(self, index: int) -> int:
        return self.entry(index).position


class TimeIndex:
    """The entries of one `.timeindex`. `data` may be a map or bytes; nothing is copied."""

    __slots__ = ("_base_offset", "_data", "count")

    def __init__(self, data: BytesLike, size: int, base_offset: int) -> None:
        self._data = data
        self._base_offset = base_offset
        self.count = size // TIME_ENTRY_SIZE

    def entry(self, index: int) -> TimeEntry:
        """The entry number `index`, counted from 0."""
        timestamp, offset = TIME_ENTRY.unpack_from(self._data, index * TIME_ENTRY_SIZE)
        return TimeEntry(timestamp, self._base_offset + offset)

    def find(self, timestamp: int) -> int:
        """The number of the last entry at or before `timestamp`, -1 when all are later."""
        return _find(self._timestamp_at, self.count, timestamp, _WARM_BYTES // TIME_ENTRY_SIZE)

    def _timestamp_at(self, index: int) -> int:
        return self.entry(index).timestamp


def _find(key_at: Callable[[int], int], count: int, target: int, warm: int) -> int:
    """The last index whose key is at most `target`; keys ascend. Kafka's search (facts 1.7)."""
    if count == 0:
        return -1
    first_warm = max(0, count - 1 - warm)
    if key_at(first_warm) < target:
        low, high = first_warm, count - 1
    elif key_at(0) > target:
        return -1
    else:
        low, high = 0, first_warm
    while low < high:
        middle = (low + high + 1) // 2
        if key_at(middle) <= target:
            low = middle
        else:
            high = middle - 1
    return low if key_at(low) <= target else -1


def index_problem(suffix_is_time: bool, data: BytesLike, size: int, base_offset: int) -> str | None:
    """What Kafka's start-up check would refuse an index for (facts 1.7), or None."""
    entry_size = TIME_ENTRY_SIZE if suffix_is_time else OFFSET_ENTRY_SIZE
    if size % entry_size:
        return f"its size {size} is no multiple of {entry_size}"
    if size == 0:
        return None
    if suffix_is_time:
        times = TimeIndex(data, size, base_offset)
        first, last = times.entry(0), times.entry(times.count - 1)
        if last.timestamp < first.timestamp:
            return f"its last timestamp {last.timestamp} is below its first, {first.timestamp}"
        offset = last.offset
    else:
        offsets = OffsetIndex(data, size, base_offset)
        offset = offsets.entry(offsets.count - 1).offset
    if offset < base_offset:
        return f"its last offset {offset} is below the segment's base {base_offset}"
    return None
