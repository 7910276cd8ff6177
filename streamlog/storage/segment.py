"""`LogSegment`: the read side of one segment, its `.log` with its two indexes.

Who reads brings the limits: how far the `.log` and the indexes are published (the sizes in the
partition's state for the active segment; for a sealed one its files' sizes). An index entry is
a hint: it is proved against the batch it names before it is followed, and where it lies the
search falls back to the entry before it and at last to the segment's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError
from streamlog.record.kernel import RecordBatch
from streamlog.record.layout import HEADER_SIZE, MAX_INT64
from streamlog.storage.batch_headers import BatchHeader, read_header
from streamlog.storage.damage import find_batch_behind
from streamlog.storage.indexes import (
    OFFSET_ENTRY_SIZE,
    TIME_ENTRY_SIZE,
    OffsetIndex,
    TimeEntry,
    TimeIndex,
)
from streamlog.storage.names import LOG, OFFSET_INDEX, TIME_INDEX, segment_name
from streamlog.storage.segment_file import SegmentFile
from streamlog.types import OffsetAndTimestamp

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem

_WALK_WINDOW: Final = 8192
_PROOF_ATTEMPTS: Final = 3
_INDEX_GROWTH: Final = 1 << 20


class LogSegment:
    """One segment, opened for reading, its files as a set.

    `map_length` is how far the `.log` may grow (`segment_bytes`) for the active segment, None
    for a sealed one, and 0 to read with `pread`. `topic` and `partition` name it in errors.
    Raises `FileNotFoundError` when the segment is gone (retention, compaction): the caller
    looks at the generation again.
    """

    __slots__ = (
        "_directory",
        "_filesystem",
        "_map_length",
        "_offset_index",
        "_time_index",
        "_writable",
        "base_offset",
        "has_gaps",
        "log",
        "partition",
        "topic",
    )

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        base_offset: int,
        *,
        topic: str = "",
        partition: int = -1,
        map_length: int | None = None,
        writable: bool = True,
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._map_length = map_length
        self._writable = writable
        self.base_offset = base_offset
        #: Whether offsets may be missing between batches, as compaction leaves it.
        self.has_gaps = True
        self.topic = topic
        self.partition = partition
        path = self._path(LOG)
        length = filesystem.file_size(path) if map_length is None else map_length
        self.log = SegmentFile(filesystem, path, length, writable=writable)
        self._offset_index: SegmentFile | None = None
        self._time_index: SegmentFile | None = None

    @property
    def path(self) -> str:
        """The path of the `.log`."""
        return self.log.path

    @property
    def size(self) -> int:
        """The `.log`'s bytes when it was opened: all there is of a sealed segment."""
        return self.log.size_at_open

    def reaches(self, end: int) -> bool:
        """Whether bytes up to `end` can be read: the `.log` may have outgrown its map."""
        return self.log.reaches(end)

    @property
    def descriptors(self) -> int:
        """How many descriptors it keeps open: none where maps work."""
        files = (self.log, self._offset_index, self._time_index)
        return sum(1 for file in files if file is not None and file.holds_descriptor)

    def view(self, position: int, length: int) -> memoryview:
        """Bytes of the `.log`; they stay valid after `close`. `InputOutputError` on failure."""
        return self.log.view(position, length)

    def close(self) -> None:
        """Let go of files and maps; views that somebody holds stay valid. Idempotent."""
        for file in (self.log, self._offset_index, self._time_index):
            if file is not None:
                file.close()

    # ---------------------------------------------------------------- finding

    def find_batch(self, offset: int, limit: int, index_size: int | None = None) -> int:
        """Where the batch that holds `offset`, or else the first one behind it, starts.

        `limit` when there is none. `index_size` is the published size of the offset index.
        Raises `CorruptRecordError` when the bytes that should hold `offset` are no batch; its
        `next_offset` is where readable records go on.
        """
        position, expected = self._proved_position(offset, limit, index_size)
        while position < limit:
            header = self.header_at(position, limit, expected)
            if header is None or (header.base_offset != expected and not self.has_gaps):
                header = self._behind_damage(position, limit, expected, offset)
            if header.last_offset >= offset:
                return header.position
            position, expected = header.end, header.last_offset + 1
        return limit

    def header_at(self, position: int, limit: int, first_offset: int = 0) -> BatchHeader | None:
        """The header of the batch at `position`; None when no batch can stand there."""
        if limit - position < HEADER_SIZE:
            return None
        return read_header(self.log.view(position, HEADER_SIZE), 0, position, limit, first_offset)

    def whole_batches_end(self, position: int, limit: int, max_bytes: int) -> int:
        """The end of the whole batches from `position` on that fit into `max_bytes`.

        At least one batch, however large. Raises `CorruptRecordError` when no batch stands at
        `position`; damage further on only ends the run.
        """
        expected = self.base_offset
        end = position
        window, window_start = memoryview(b""), position
        while end < limit:
            if end - window_start + HEADER_SIZE > len(window):
                window_start = end
                window = self.log.view(end, min(_WALK_WINDOW, limit - end))
            header = read_header(window, end - window_start, end, limit, expected)
            if header is None:
                if end == position:
                    raise self.damaged(position, limit, self._offset_at(position, limit))
                break
            if end > position and header.end - position > max_bytes:
                break
            end, expected = header.end, header.last_offset + 1
        return end

    def find_time(
        self,
        timestamp: int,
        limit: int,
        *,
        offset_index_size: int | None = None,
        time_index_size: int | None = None,
        min_offset: int = 0,
        end_offset: int | None = None,
    ) -> OffsetAndTimestamp | None:
        """The first record at or after `min_offset` whose timestamp is at least `timestamp`.

        What Kafka's ListOffsets answers for one segment; None when there is none here.
        `end_offset` is where the next segment starts, given when no offset may be missing
        before it: a batch that is not where it should be is damage then, and not passed over.
        """
        start = max(
            min_offset, self._offset_before(timestamp, limit, offset_index_size, time_index_size)
        )
        position = self.find_batch(start, limit, offset_index_size)
        lowest, expected = self.base_offset, start
        while position < limit:
            header = self.header_at(position, limit, lowest)
            if header is None:
                header = self._behind_damage(position, limit, lowest, lowest)
            if end_offset is not None and not header.holds(expected):
                raise self.damaged(position, limit, expected)
            found = self._first_record_at(header, timestamp, min_offset)
            if found is not None:
                return found
            position = header.end
            lowest = expected = header.last_offset + 1
        if end_offset is not None and expected < end_offset:
            raise self.damaged(limit, limit, expected)
        return None

    def largest_timestamp(
        self,
        limit: int,
        *,
        offset_index_size: int | None = None,
        time_index_size: int | None = None,
    ) -> int:
        """The largest timestamp of the segment's batches, -1 when none has one."""
        largest = -1
        position, expected = 0, self.base_offset
        times = self._times(time_index_size)
        if times is not None and times.count:
            last = times.entry(times.count - 1)
            if self._is_proved_time(last, limit, offset_index_size):
                largest = last.timestamp
                position, expected = self._proved_position(last.offset, limit, offset_index_size)
        while position < limit:
            header = self.header_at(position, limit, expected)
            if header is None:
                header = self._behind_damage(position, limit, expected, MAX_INT64)
            largest = max(largest, header.max_timestamp)
            position, expected = header.end, header.last_offset + 1
        return largest

    def largest_timestamp_from(self, offset: int, limit: int, index_size: int | None) -> int:
        """The largest timestamp of the records from `offset` on, -1 when none has one."""
        largest, expected = -1, offset
        position = self.find_batch(offset, limit, index_size)
        while position < limit:
            header = self.header_at(position, limit, self.base_offset)
            if header is None:
                header = self._behind_damage(position, limit, expected, MAX_INT64)
            if header.base_offset >= offset:
                largest = max(largest, header.max_timestamp)
            else:
                batch = RecordBatch(self.log.view(header.position, header.size))
                batch.check()
                records = batch.records(self.topic, self.partition, offset)
                largest = max(largest, *(record.timestamp for record in records))
            position, expected = header.end, header.last_offset + 1
        return largest

    def _first_record_at(
        self, header: BatchHeader, timestamp: int, min_offset: int
    ) -> OffsetAndTimestamp | None:
        batch = RecordBatch(self.log.view(header.position, header.size))
        batch.check()  # also of a batch that is passed over: by a timestamp that is its own
        if batch.max_timestamp < timestamp:
            return None
        for record in batch.records(self.topic, self.partition, min_offset):
            if record.timestamp >= timestamp:
                return OffsetAndTimestamp(record.offset, record.timestamp, batch.leader_epoch)
        return None

    # ---------------------------------------------------------------- indexes

    def _proved_position(self, offset: int, limit: int, index_size: int | None) -> tuple[int, int]:
        """A batch start at or before `offset`, and the lowest offset that may stand there."""
        index = self._offsets(index_size)
        number = index.find(offset) if index is not None else -1
        for candidate in range(number, max(-1, number - _PROOF_ATTEMPTS), -1):
            assert index is not None
            entry = index.entry(candidate)
            if entry.offset > offset or not 0 < entry.position < limit:
                continue  # only a damaged index has one behind the target here
            header = self.header_at(entry.position, limit, self.base_offset)
            if header is not None and header.last_offset == entry.offset:
                return entry.position, header.base_offset
        return 0, self.base_offset

    def _offset_before(
        self, timestamp: int, limit: int, offset_index_size: int | None, time_index_size: int | None
    ) -> int:
        """An offset up to which every record is older than `timestamp`, by a proved entry."""
        index = self._times(time_index_size)
        # An entry with the timestamp itself may have equal ones before it: strictly older.
        number = index.find(timestamp - 1) if index is not None else -1
        if index is None or number < 0:
            return self.base_offset
        entry = index.entry(number)
        if number + 1 < index.count:
            following = index.entry(number + 1)
            if following.timestamp <= entry.timestamp or following.offset < entry.offset:
                return self.base_offset
        if not self._is_proved_time(entry, limit, offset_index_size):
            return self.base_offset
        return entry.offset + 1

    def _is_proved_time(self, entry: TimeEntry, limit: int, offset_index_size: int | None) -> bool:
        """Whether the batch that a time entry names is there and carries its timestamp."""
        try:
            position = self.find_batch(entry.offset, limit, offset_index_size)
        except CorruptRecordError:
            return False
        header = self.header_at(position, limit, self.base_offset)
        return (
            header is not None
            and header.last_offset == entry.offset
            and header.max_timestamp == entry.timestamp
        )

    def _offsets(self, size: int | None) -> OffsetIndex | None:
        file = self._offset_index = self._opened(self._offset_index, OFFSET_INDEX, size)
        if file is None:
            return None
        size = file.size_at_open if size is None else size
        size -= size % OFFSET_ENTRY_SIZE
        return OffsetIndex(file.view(0, size), size, self.base_offset)

    def _times(self, size: int | None) -> TimeIndex | None:
        file = self._time_index = self._opened(self._time_index, TIME_INDEX, size)
        if file is None:
            return None
        size = file.size_at_open if size is None else size
        size -= size % TIME_ENTRY_SIZE
        return TimeIndex(file.view(0, size), size, self.base_offset)

    def _opened(
        self, file: SegmentFile | None, suffix: str, size: int | None
    ) -> SegmentFile | None:
        """An index, None while its file is missing or shorter than said: it is a cache."""
        if file is not None and (size is None or file.reaches(size)):
            return file
        if file is not None:
            file.close()
        path = self._path(suffix)
        try:
            length = 0
            if self._map_length != 0:
                length = max(self._filesystem.file_size(path), size or 0)
            if self._map_length:
                length = max(2 * length, _INDEX_GROWTH)  # the active segment's: it grows
            file = SegmentFile(self._filesystem, path, length, writable=self._writable)
        except FileNotFoundError:
            return None
        if size is not None and file.size_at_open < size:
            file.close()
            return None
        return file

    # ---------------------------------------------------------------- damage

    def _behind_damage(self, position: int, limit: int, expected: int, wanted: int) -> BatchHeader:
        """The first good batch behind damage at `position`, if `wanted` is not in the damage.

        Raises `CorruptRecordError` when it is, or when nothing readable follows.
        """
        found = find_batch_behind(self.log.view(position, limit - position), position, expected)
        if found is not None and expected < found.base_offset <= wanted:
            return found
        raise self.damaged(position, limit, expected)

    def damaged(self, position: int, limit: int, offset: int) -> CorruptRecordError:
        """The error for `position`, where the batch that holds `offset` should stand."""
        found = find_batch_behind(self.log.view(position, limit - position), position, offset)
        next_offset = None if found is None else found.base_offset
        goes_on = "none can be read behind it" if found is None else f"go on at {next_offset}"
        return CorruptRecordError(
            f"no record batch stands at byte {position} of {self.path} (offset {offset} of "
            f"{self.topic}-{self.partition}); records in this segment: {goes_on}",
            topic=self.topic,
            partition=self.partition,
            file=self.path,
            position=position,
            offset=offset,
            next_offset=next_offset,
        )

    def _offset_at(self, position: int, limit: int) -> int:
        """The lowest offset that may stand at `position`, for an error's text."""
        at, expected = 0, self.base_offset
        while at < position:
            header = self.header_at(at, limit, expected)
            if header is None:
                break
            at, expected = header.end, header.last_offset + 1
        return expected

    def _path(self, suffix: str) -> str:
        return f"{self._directory}/{segment_name(self.base_offset, suffix)}"
