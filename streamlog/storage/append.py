"""The append path in pure Python: the specification of `_append.pyx`.

Lock, look at the condition, patch, write, publish, unlock, ring. A writer may die between any
two of these steps: before the publication the batch is not there, and the next writer cuts
what was left in the file, which it knows by the intended end; after it the batch is there.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from streamlog.storage import append_outcome as codes
from streamlog.storage import shared
from streamlog.storage.append_outcome import AppendResult, LogStartResult
from streamlog.storage.handle import _RETIRED_ROOM, PartitionHandle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.shared import PartitionState

_HEADER = 61
_LARGEST_INT32 = 2**31 - 1
_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")
_TIME_ENTRY = struct.Struct(">qi")
_OFFSET_ENTRY = struct.Struct(">ii")
_ENTRIES_A_WRITE = 64
_SEGMENT_SUFFIXES = (".log", ".index", ".timeindex")


_MASK = (1 << 64) - 1


class _MalformedError(Exception):
    """The bytes are not whole version-2 batches."""


class _Batch:
    """Where one batch lies in the caller's buffer, and the header fields that matter here."""

    __slots__ = ("last_delta", "max_timestamp", "position", "producer_id", "size")

    def __init__(self, data: memoryview, position: int) -> None:
        if len(data) - position < _HEADER:
            raise _MalformedError
        self.position = position
        self.size = _INT32.unpack_from(data, position + 8)[0] + 12
        self.last_delta = _INT32.unpack_from(data, position + 23)[0]
        self.max_timestamp = _INT64.unpack_from(data, position + 35)[0]
        self.producer_id = _INT64.unpack_from(data, position + 43)[0]
        fits = _HEADER <= self.size <= len(data) - position
        if not fits or data[position + 16] != 2 or self.last_delta < 0:
            raise _MalformedError


def _walk(data: memoryview) -> Iterator[_Batch]:
    position = 0
    while position < len(data):
        batch = _Batch(data, position)
        yield batch
        position += batch.size


def _mixed(word: int) -> int:
    """SplitMix64: any change of a bit changes half of the result's."""
    word = word + 0x9E3779B97F4A7C15 & _MASK
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _MASK
    return word ^ word >> 31


class PartitionWriter(PartitionHandle):
    """Appends to one partition; a roll opens the next segment's files by itself."""

    def append(
        self,
        buffer: bytearray,
        expected_end: int = -1,
        caught_up: int = -1,
        now_ms: int = 0,
        wait: bool = True,
    ) -> AppendResult:
        """Append whole batches, whose offset and epoch fields are patched in `buffer`.

        `expected_end`: only if the log ends there. `caught_up`: only if no batch with a
        producer id came at or behind that offset. -1 asks for nothing. Without `wait` a lock that
        somebody has is waited for a moment only.
        """
        data = memoryview(buffer).cast("B")
        code, holder = self.lock(wait=wait)
        if code != codes.OK:
            return AppendResult(code, 0, 0, False, holder)
        try:
            result = self._append_locked(data, expected_end, caught_up, now_ms)
        finally:
            self.unlock()
        if result.code == codes.OK:
            self._slots.map.ring_bell()
        return result

    def _append_locked(
        self, data: memoryview, expected_end: int, caught_up: int, now_ms: int
    ) -> AppendResult:
        state = self._slots.read_state(self.slot)
        refused = self._refusal_locked(state, expected_end, caught_up)
        if refused is not None:
            return AppendResult(refused[0], state.log_end, state.log_end, False, refused[1])
        try:
            batches = list(_walk(data))
        except _MalformedError:
            batches = []
        if not batches:
            return AppendResult(codes.MALFORMED, state.log_end, state.log_end, False, 0)
        # Batches that together are more than a segment get one of their own: they stay together.
        largest = max(batch.size for batch in batches)
        if largest > self.segment_bytes or len(data) > _LARGEST_INT32:
            return AppendResult(codes.TOO_LARGE, state.log_end, state.log_end, False, largest)
        rolled = self._roll_is_due(state, len(data), batches, now_ms)
        if rolled:
            code, detail = self._roll_locked(state, now_ms)
            if code != codes.OK:
                return AppendResult(code, state.log_end, state.log_end, False, detail)
            state = self._slots.read_state(self.slot)
        return self._write_locked(state, data, batches, rolled)

    def _refusal_locked(
        self, state: PartitionState, expected_end: int, caught_up: int
    ) -> tuple[int, int] | None:
        """Why nothing may be changed now, as (code, detail); cuts what a dead writer left."""
        if self._word(shared.SLOT_FLAGS) & shared.FLAG_DELETED:
            return codes.DELETED, 0
        if state.poisoned:
            return codes.POISONED, state.poisoned
        own = (self.base_offset, self.path_generation)
        if own != (state.base_offset, state.path_generation):
            return codes.STALE, 0
        if self._word(shared.SLOT_INTENDED_END) != state.end_position:
            try:
                self._repair_locked(state)
            except OSError as error:
                return codes.SYSTEM_ERROR, error.errno or 0
        if expected_end >= 0 and expected_end != state.log_end:
            return codes.NOT_AT_EXPECTED_END, 0
        if caught_up >= 0 and state.producer_batch_end > caught_up:
            return codes.BEHIND_PRODUCERS, 0
        return None

    def _repair_locked(self, state: PartitionState) -> None:
        """A writer died between its intention and its publication: take away what it left.

        A negative intention is a roll's. Its files, if they were not published, would later stand
        between two segments, where readers take them for the one that holds their offsets.
        """
        intended = self._word(shared.SLOT_INTENDED_END)
        if intended < 0 and -1 - intended != state.base_offset:
            failed = self._unlink_segment(-1 - intended)
            if failed:
                raise OSError(failed, os.strerror(failed), self.directory)
        if self._filesystem.size(self.log_fd) > state.end_position:
            self._filesystem.truncate(self.log_fd, state.end_position)
        self._set_word(shared.SLOT_INTENDED_END, state.end_position)

    def _unlink_segment(self, base_offset: int) -> int:
        """The errno that kept one of its files where it is; 0 when all of them are gone."""
        for suffix in _SEGMENT_SUFFIXES:
            try:
                self._filesystem.unlink(f"{self.directory}/{base_offset:020d}{suffix}")
            except FileNotFoundError:
                continue
            except OSError as error:
                return error.errno or errno.EIO
        return 0

    # ---------------------------------------------------------------- rolling

    def roll(self, expected_end: int = -1, now_ms: int = 0) -> AppendResult:
        """Begin a new segment at the log's end; an active one that is empty stays.

        `expected_end`: only if the log ends there.
        """
        code, holder = self.lock()
        if code != codes.OK:
            return AppendResult(code, 0, 0, False, holder)
        try:
            state = self._slots.read_state(self.slot)
            code, detail = self._refusal_locked(state, expected_end, -1) or (codes.OK, 0)
            rolls = code == codes.OK and state.end_position > 0
            if rolls:
                code, detail = self._roll_locked(state, now_ms)
        finally:
            self.unlock()
        return AppendResult(code, state.log_end, state.log_end, rolls and code == codes.OK, detail)

    def _roll_is_due(
        self, state: PartitionState, size: int, batches: list[_Batch], now_ms: int
    ) -> bool:
        """Kafka's four conditions, checked before each append."""
        if state.end_position == 0:
            return False
        if state.end_position > self.segment_bytes - size:
            return True
        largest = max(batch.max_timestamp for batch in batches)
        if state.first_timestamp >= 0 and largest >= 0:
            elapsed = largest - state.first_timestamp
        else:
            elapsed = now_ms - state.created_ms
        if elapsed > self.segment_ms - self._jitter(state.base_offset):
            return True
        if state.offset_index_size + 8 > self.segment_index_bytes:
            return True
        if state.time_index_size + 24 > self.segment_index_bytes:  # one place kept for the roll
            return True
        offsets = sum(batch.last_delta + 1 for batch in batches)
        return bool(state.log_end + offsets - 1 - state.base_offset > _LARGEST_INT32)

    def _jitter(self, base_offset: int) -> int:
        """What is taken off the age limit of the segment at `base_offset`.

        Drawn from whose segment it is and where it begins: every process draws the same.
        """
        if self.segment_jitter_ms <= 0:
            return 0
        whose = (self._word(shared.SLOT_TOPIC_ID), self._word(shared.SLOT_TOPIC_ID + 1))
        drawn = 0
        for word in (*whose, self._word(shared.SLOT_PARTITION), base_offset):
            drawn = _mixed(drawn ^ (word & _MASK))
        return drawn % self.segment_jitter_ms

    def _roll_locked(self, state: PartitionState, now_ms: int) -> tuple[int, int]:
        """Begin the segment at the log end: its files, then one publication.

        Nothing is synced here: `synced_end` does not enter the new segment before a sync has
        seen the old one. Files that a dead writer left under these names were never published.
        """
        if len(self._retired) == _RETIRED_ROOM:
            return codes.NEEDS_SEGMENTS, 0
        base = state.log_end
        opened: list[int] = []
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._set_word(shared.SLOT_INTENDED_END, -1 - base)
        try:
            for suffix in _SEGMENT_SUFFIXES:
                path = f"{self.directory}/{base:020d}{suffix}"
                opened.append(self._filesystem.open(path, flags, self._mode))
        except OSError as error:
            for descriptor in opened:
                self._filesystem.close(descriptor)
            # If they cannot be removed, the intention stays and the next writer removes them.
            if not self._unlink_segment(base):
                self._set_word(shared.SLOT_INTENDED_END, state.end_position)
            return codes.SYSTEM_ERROR, error.errno or 0
        self._close_indexes_locked(state)
        following = state._replace(
            generation=state.generation + 1,
            base_offset=base,
            end_position=0,
            offset_index_size=0,
            time_index_size=0,
            bytes_since_index_entry=0,
            first_timestamp=-1,
            largest_timestamp=-1,
            largest_timestamp_offset=-1,
            last_time_index_timestamp=-1,
            created_ms=now_ms,
        )
        self._slots.publish_state(self.slot, following)
        self._set_word(shared.SLOT_INTENDED_END, 0)
        self._change_files(opened[0], opened[1], opened[2], base)
        return codes.OK, 0

    def _close_indexes_locked(self, state: PartitionState) -> None:
        """Give the old segment's indexes their last entry and exact length; then close them."""
        time_index_size = state.time_index_size
        if state.largest_timestamp > state.last_time_index_timestamp:
            relative = state.largest_timestamp_offset - state.base_offset
            entry = _TIME_ENTRY.pack(state.largest_timestamp, relative)
            time_index_size += self._write_entries(self.time_index_fd, entry, time_index_size)
        # What is behind the published sizes was written by somebody who died. An index that
        # cannot be cut is found out and rebuilt: it is a cache.
        for descriptor, size in (
            (self.offset_index_fd, state.offset_index_size),
            (self.time_index_fd, time_index_size),
        ):
            try:
                if self._filesystem.size(descriptor) > size:
                    self._filesystem.truncate(descriptor, size)
            except OSError:
                continue
            finally:
                self._filesystem.close(descriptor)

    # ---------------------------------------------------------------- writing

    def _write_locked(
        self, state: PartitionState, data: memoryview, batches: list[_Batch], rolled: bool
    ) -> AppendResult:
        offset = state.log_end
        producer_batch_end = state.producer_batch_end
        for batch in batches:
            _INT64.pack_into(data, batch.position, offset)
            _INT32.pack_into(data, batch.position + 12, state.leader_epoch)
            offset += batch.last_delta + 1
            if batch.producer_id >= 0:
                producer_batch_end = offset
        self._set_word(shared.SLOT_INTENDED_END, state.end_position + len(data))
        try:
            self._filesystem.write_all(self.log_fd, data, state.end_position)
        except OSError as error:
            self._take_back_locked(state)
            return AppendResult(
                codes.SYSTEM_ERROR, state.log_end, state.log_end, rolled, error.errno or 0
            )
        following = self._index_locked(state, batches)._replace(
            log_end=offset,
            end_position=state.end_position + len(data),
            producer_batch_end=producer_batch_end,
        )
        if state.high_watermark == state.log_end:
            following = following._replace(high_watermark=offset)
        if state.last_stable_offset == state.log_end:
            following = following._replace(last_stable_offset=offset)
        self._slots.publish_state(self.slot, following)
        return AppendResult(codes.OK, state.log_end, offset, rolled, 0)

    def _take_back_locked(self, state: PartitionState) -> None:
        """Cut a write that failed half way. If the cut fails too, the next writer cuts."""
        try:
            self._filesystem.truncate(self.log_fd, state.end_position)
        except OSError:
            return
        self._set_word(shared.SLOT_INTENDED_END, state.end_position)

    def _index_locked(self, state: PartitionState, batches: list[_Batch]) -> PartitionState:
        """Kafka's rule, batch by batch: an entry when enough bytes came since the last one."""
        offsets = bytearray()
        times = bytearray()
        base_offset, position = state.log_end, state.end_position
        for number, batch in enumerate(batches, 1):
            last = base_offset + batch.last_delta
            if position == 0:
                state = state._replace(first_timestamp=batch.max_timestamp)
            if batch.max_timestamp > state.largest_timestamp:
                state = state._replace(
                    largest_timestamp=batch.max_timestamp, largest_timestamp_offset=last
                )
            since = state.bytes_since_index_entry
            if since > self.index_interval_bytes:
                since = 0
                offsets += _OFFSET_ENTRY.pack(last - state.base_offset, position)
                if state.largest_timestamp > state.last_time_index_timestamp:
                    relative = state.largest_timestamp_offset - state.base_offset
                    times += _TIME_ENTRY.pack(state.largest_timestamp, relative)
                    state = state._replace(last_time_index_timestamp=state.largest_timestamp)
            state = state._replace(bytes_since_index_entry=since + batch.size)
            base_offset, position = last + 1, position + batch.size
            full = len(offsets) == 8 * _ENTRIES_A_WRITE
            if full or (offsets and number == len(batches)):
                state = self._write_both(state, offsets, times)
                offsets, times = bytearray(), bytearray()
        return state

    def _write_both(
        self, state: PartitionState, offsets: bytearray, times: bytearray
    ) -> PartitionState:
        offset_index_size, time_index_size = state.offset_index_size, state.time_index_size
        return state._replace(
            offset_index_size=offset_index_size
            + self._write_entries(self.offset_index_fd, offsets, offset_index_size),
            time_index_size=time_index_size
            + self._write_entries(self.time_index_fd, times, time_index_size),
        )

    def _write_entries(self, descriptor: int, entries: bytes | bytearray, position: int) -> int:
        """How far the index grew: by all of them, or by none: sparse is legal, wrong is not."""
        if not entries:
            return 0
        try:
            self._filesystem.write_all(descriptor, entries, position)
        except OSError:
            return 0
        return len(entries)

    # ---------------------------------------------------------------- publishing

    def advance_log_start(self, offset: int) -> LogStartResult:
        """Let the log begin at `offset`, unless it begins there or behind it already.

        Nothing is removed: from the publication on nobody reads what lies before it. Refused
        behind the high watermark.
        """
        code, holder = self.lock()
        if code != codes.OK:
            return LogStartResult(code, 0, holder)
        try:
            return self._advance_log_start_locked(offset)
        finally:
            self.unlock()

    def _advance_log_start_locked(self, offset: int) -> LogStartResult:
        state = self._slots.read_state(self.slot)
        if self._word(shared.SLOT_FLAGS) & shared.FLAG_DELETED:
            return LogStartResult(codes.DELETED, state.log_start, 0)
        if state.poisoned:
            return LogStartResult(codes.POISONED, state.log_start, state.poisoned)
        if offset > state.high_watermark:
            return LogStartResult(
                codes.BEHIND_HIGH_WATERMARK, state.log_start, state.high_watermark
            )
        if offset <= state.log_start:
            return LogStartResult(codes.OK, state.log_start, 0)
        following = state._replace(
            log_start=offset,
            last_stable_offset=max(state.last_stable_offset, offset),
            generation=state.generation + 1,
        )
        self._slots.publish_state(self.slot, following)
        return LogStartResult(codes.OK, offset, 0)
