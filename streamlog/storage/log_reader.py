"""The read side of a partition: which segment holds an offset, and whole batches from there.

Readers take no lock. They copy the published state, use the maps of its generation and touch
nothing past the published end. After listing or opening anything they look at the state again:
what was found while segments went or were exchanged raises `SegmentsChangedError`, and `looking`
starts again. A view stays valid for as long as somebody holds it, whatever becomes of the segment.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from streamlog.errors import CorruptDirectoryError, OffsetOutOfRangeError
from streamlog.storage.batch_headers import read_header
from streamlog.storage.fetched import FetchCursor, Fetched
from streamlog.storage.folder import list_bases
from streamlog.storage.segment import LogSegment
from streamlog.storage.structure import same_segments
from streamlog.storage.system import appended, whole_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.shared import PartitionState


class SegmentsChangedError(FileNotFoundError):
    """Segments went or were exchanged while this one looked: nothing it found is believed."""


_NOTHING = memoryview(b"")
_OPEN_SEGMENTS = 16  # of one partition; a process may have some 65,000 maps


def files_of(state: PartitionState) -> tuple[int, int]:
    """What tells the files of one state from others of the same names."""
    return state.path_generation, state.swap_generation


class LogReader:
    """Opens segments as they are needed and forgets them when the set of segments changed.

    `now` tells the state as it is published at that instant.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        topic: str,
        partition: int,
        *,
        now: Callable[[], PartitionState],
        writable: bool,
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._topic = topic
        self._partition = partition
        self._now = now
        self._map_length = 0
        self._writable = writable
        self._lock = threading.Lock()
        self._listing: tuple[int, list[int]] = (-1, [])  # of which generation: one store
        self._segments: dict[tuple[int, tuple[int, int]], LogSegment] = {}  # by base and files
        self._largest: dict[tuple[int, tuple[int, int]], int] = {}  # of sealed ones, once asked
        self.open_descriptors = 0  # none where maps work
        #: Whether offsets may be missing: compaction removes them, and only damage else.
        self.has_gaps = False

    def configure(self, *, map_length: int, has_gaps: bool) -> None:
        """How far the active segment may grow (0: no maps), and whether offsets may be missing."""
        self._map_length = map_length
        with self._lock:
            self.has_gaps = has_gaps
            for segment in self._segments.values():
                segment.has_gaps = has_gaps

    def close(self) -> None:
        """Forget every segment; views that somebody holds stay valid. Idempotent."""
        with self._lock:
            for segment in self._segments.values():
                segment.close()
            self._segments.clear()
            self._listing = (-1, [])
            self.open_descriptors = 0

    # ---------------------------------------------------------------- segments

    def bases(self, state: PartitionState) -> list[int]:
        """The base offsets of the segments of `state`'s generation, ascending."""
        generation, bases = self._listing
        if generation != state.generation:
            with self._lock:
                bases = self._reload(state)
        return bases

    def _reload(self, state: PartitionState) -> list[int]:
        found = list_bases(self._filesystem, self._directory)
        self._check_unchanged(state)
        # A file above the active segment is one that somebody is about to publish, or died over.
        bases = [base for base in found if base <= state.base_offset]
        files, newest = files_of(state), max(self._segments, default=(-1, ()))[0]
        for key in list(self._segments):
            # The former active segment was opened for growing: it is sealed now.
            if key[1] != files or key[0] not in found or key[0] == newest:
                self._segments.pop(key).close()
        for known in list(self._largest):
            if known[1] != files or known[0] not in found:
                del self._largest[known]
        self._listing = (state.generation, bases)
        self._count_descriptors()
        return bases

    def let_go_of_removed(self, state: PartitionState) -> None:
        """Close what is open of segments that the log does not begin with any more."""
        if self._segments:
            with contextlib.suppress(FileNotFoundError):  # the next read looks again
                self.bases(state)

    def _check_unchanged(self, state: PartitionState) -> None:
        """Raises `SegmentsChangedError` unless what was found under `state` can be believed."""
        if not same_segments(state, self._now()):
            raise SegmentsChangedError(errno.ENOENT, "segments changed meanwhile", self._directory)

    def _count_descriptors(self) -> None:
        self.open_descriptors = sum(segment.descriptors for segment in self._segments.values())

    def segment(self, base: int, state: PartitionState) -> LogSegment:
        """The open segment at `base`; FileNotFoundError when it went meanwhile.

        The active one may have outgrown its map, by another's settings: then it gets a new one.
        """
        needed = state.end_position if base == state.base_offset else 0
        key = (base, files_of(state))
        found = self._segments.get(key)
        if found is not None and found.reaches(needed):
            return found
        with self._lock:
            found = self._segments.get(key)
            if found is not None and not found.reaches(needed):
                self._segments.pop(key).close()
                found = None
            if found is None:
                if len(self._segments) >= _OPEN_SEGMENTS:
                    self._segments.pop(next(iter(self._segments))).close()
                found = self._segments[key] = self._open(base, state)
            self._count_descriptors()
        return found

    def _open(self, base: int, state: PartitionState) -> LogSegment:
        length = None if self._map_length else 0
        if length is None and base == state.base_offset:
            length = max(self._map_length, state.end_position)
        segment = LogSegment(
            self._filesystem,
            self._directory,
            base,
            topic=self._topic,
            partition=self._partition,
            map_length=length,
            writable=self._writable,
        )
        try:
            self._check_unchanged(state)
        except SegmentsChangedError:
            segment.close()
            raise
        segment.has_gaps = self.has_gaps
        return segment

    def limits(
        self, base: int, segment: LogSegment, state: PartitionState
    ) -> tuple[int, int | None]:
        """How far a segment may be read, and the size of its offset index (None: all of it)."""
        if base == state.base_offset:
            return state.end_position, state.offset_index_size
        return segment.size, None

    def is_older(self, base: int, state: PartitionState, timestamp: int) -> bool:
        """Whether a sealed segment is known to have no record of that time or later.

        A log that rolls by time has segments by the hundred: who looks for a time opens few.
        """
        largest = self._largest.get((base, files_of(state)))
        return largest is not None and largest < timestamp

    def remember_largest(self, base: int, state: PartitionState, segment: LogSegment) -> None:
        """Note a segment's largest timestamp, once a search to its end met no damage."""
        if base != state.base_offset:
            largest = segment.largest_timestamp(segment.size)
            self._largest[base, files_of(state)] = largest

    # ---------------------------------------------------------------- reading

    def fetch(
        self, state: PartitionState, offset: int, max_bytes: int, cursor: FetchCursor | None
    ) -> Fetched:
        """Whole batches of about `max_bytes` from `offset` on, one at least if there is any."""
        if not state.log_start <= offset <= state.log_end:
            raise self._out_of_range(state, offset)
        if offset == state.log_end:
            return Fetched(_NOTHING, offset, state.log_end, cursor, "", 0)
        known = cursor is not None and cursor.offset == offset and cursor.files == files_of(state)
        if known and cursor is not None:
            try:
                return self._read(state, cursor.segment, cursor.position, offset, offset, max_bytes)
            except FileNotFoundError:
                pass  # it stood at the end of a segment that is gone
        bases = self.bases(state)
        at = bisect_right(bases, offset) - 1
        # A writer that died in a roll leaves an empty segment which the log then grew past.
        while at > 0 and bases[at] < state.base_offset and not self.segment(bases[at], state).size:
            at -= 1
        if at < 0:
            raise self._lost(offset)
        segment = self.segment(bases[at], state)
        limit, index_size = self.limits(bases[at], segment, state)
        position = segment.find_batch(offset, limit, index_size)
        return self._read(state, bases[at], position, bases[at], offset, max_bytes)

    def fetch_appended(
        self, slots: Any, slot: int, max_bytes: int, cursor: FetchCursor
    ) -> Fetched | None:
        """What `fetch` would return at `cursor`, where that lies in the active segment's map.

        For who waited at the log's end: one compiled call. None where it takes more to tell.
        """
        segment = self._segments.get((cursor.segment, cursor.files))
        if segment is None:
            return None
        file = segment.log
        try:
            return appended(slots, slot, file.map, cursor, max_bytes, self.has_gaps, file.path)
        except OSError:
            return None  # met again, and named, by `fetch`

    def _read(
        self,
        state: PartitionState,
        base: int,
        position: int,
        lowest: int,
        offset: int,
        max_bytes: int,
    ) -> Fetched:
        """Whole batches from `position` of the segment on; the first may begin at `lowest`."""
        # Before any segment is looked at: one that was active when it was opened may be sealed
        # by now, and longer than it was then.
        self.bases(state)
        segment = self.segment(base, state)
        limit, _ = self.limits(base, segment, state)
        while position >= limit:  # at the end of a sealed segment, or in a gap behind it
            bases = self.bases(state)
            at = bisect_right(bases, base)
            if at == len(bases):
                if not self.has_gaps:
                    raise segment.damaged(limit, limit, offset)
                return Fetched(_NOTHING, offset, state.log_end, None, "", 0)
            base = lowest = bases[at]
            position = 0
            segment = self.segment(base, state)
            limit, _ = self.limits(base, segment, state)
        wanted = -1 if self.has_gaps else offset
        view = segment.view(position, min(max_bytes, limit - position))
        length, next_offset = whole_batches(view, lowest, wanted)
        if self.has_gaps and next_offset > (end := self.end_of(base, state, next_offset)):
            length, next_offset = _batches_below(view, lowest, end)
            if length == 0:
                raise segment.damaged(position, limit, offset)
        elif length == 0:
            end = segment.whole_batches_end(position, limit, max_bytes)
            view = segment.view(position, end - position)
            length, next_offset = whole_batches(view, lowest, wanted)
            if length == 0:
                raise segment.damaged(position, limit, offset)
        cursor = FetchCursor(next_offset, base, position + length, files_of(state))
        if length < len(view):
            view = view[:length]
        return Fetched(view, next_offset, state.log_end, cursor, segment.path, position)

    def end_of(self, base: int, state: PartitionState, reached: int) -> int:
        """Where the next segment that has anything begins, or the log ends; or `reached` or more.

        No checksum covers a batch's offset: where some may be missing, this alone bounds it.
        """
        bases = self.bases(state)
        for following in bases[bisect_right(bases, base) :]:
            if following >= reached or following == state.base_offset:
                return following
            if self.segment(following, state).size:
                return following
        return state.log_end

    def _out_of_range(self, state: PartitionState, offset: int) -> OffsetOutOfRangeError:
        return OffsetOutOfRangeError(
            f"{self._topic}-{self._partition} has offsets {state.log_start} to {state.log_end}, "
            f"not {offset}; seek into that range",
            topic=self._topic,
            partition=self._partition,
            offset=offset,
            log_start=state.log_start,
            log_end=state.log_end,
        )

    def _lost(self, offset: int) -> CorruptDirectoryError:
        return CorruptDirectoryError(
            f"no segment in {self._directory} holds offset {offset}, which is in the log's range; "
            "restore the missing files, or delete the records before them",
            topic=self._topic,
            partition=self._partition,
            offset=offset,
            file=self._directory,
        )


def _batches_below(view: memoryview, lowest: int, end: int) -> tuple[int, int]:
    """As `whole_batches`, up to the first that does not end below `end`."""
    length, next_offset = 0, lowest
    while (header := read_header(view, length, length, len(view), next_offset)) is not None:
        if header.last_offset >= end:
            break
        length, next_offset = header.end, header.last_offset + 1
    return length, next_offset
