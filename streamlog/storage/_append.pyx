# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The append path: lock, condition, patch, write, publish, unlock, ring, without the GIL.

Measured with the same steps in Python: beside one CPU-bound thread the partition's lock was
held for as long as the GIL was waited for, and every other process with it. So nothing between
lock and unlock here can meet the interpreter. `append.py` is the specification; a trace of the
system calls shows that both make the same ones in the same order.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EINTR, errno
from libc.stdint cimport INT32_MAX, int64_t, uint64_t

from streamlog.storage._handle cimport MOMENT_US, WAIT_SLICE_US, PartitionHandle, Result
from streamlog.storage._machine cimport *
include "_slot.pxi"
from streamlog.storage._system cimport store_release

from streamlog.storage.append_outcome import AppendResult, LogStartResult


cdef bint walk_batches(unsigned char* data, int64_t size, Walk* walk) noexcept nogil:
    """Whether `data` is whole version-2 batches; what they amount to."""
    cdef int64_t at = 0, length
    cdef int last_delta
    walk.offsets = walk.largest_batch = 0
    walk.largest_timestamp = -1
    while at < size:
        if size - at < HEADER:
            return False
        length = <int64_t> sl_get32(data + at + 8) + 12
        last_delta = sl_get32(data + at + 23)
        if length < HEADER or length > size - at or data[at + 16] != 2 or last_delta < 0:
            return False
        walk.largest_batch = max(walk.largest_batch, length)
        walk.largest_timestamp = max(walk.largest_timestamp, sl_get64(data + at + 35))
        walk.offsets += <int64_t> last_delta + 1
        at += length
    return size > 0


cdef int write_all(
    int fd, const unsigned char* data, int64_t size, int64_t position
) noexcept nogil:
    cdef ssize_t written
    while size > 0:
        written = pwrite(fd, data, size, position)
        if written < 0:
            if errno == EINTR:
                continue
            return errno
        data += written
        size -= written
        position += written
    return 0


cdef int64_t write_entries(
    int fd, const unsigned char* entries, int64_t size, int64_t position
) noexcept nogil:
    """The number of bytes by which the index grew: all of them, or none."""
    if size == 0 or write_all(fd, entries, size, position):
        return 0
    return size


cdef class PartitionWriter(PartitionHandle):
    """Appends to one partition; a roll opens the next segment's files by itself."""

    # ------------------------------------------------------------ append

    def append(
        self, buffer, int64_t expected_end=-1, int64_t caught_up=-1, int64_t now_ms=0,
        bint wait=True
    ):
        """Append whole batches, whose offset and epoch fields are patched in `buffer`.

        `expected_end`: only if the log ends there. `caught_up`: only if no batch with a
        producer id came at or behind that offset. -1 asks for nothing. Without `wait` a lock that
        somebody has is waited for a moment only. Returns `AppendResult`.
        """
        cdef Py_buffer view
        cdef Result result
        cdef int code
        result.base_offset = result.next_offset = result.detail = 0
        result.rolled = False
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            with nogil:
                code = self.take(
                    PARTITION_LOCK, &result.detail, WAIT_SLICE_US if wait else MOMENT_US
                )
                if code == OK:
                    code = self.append_locked(
                        <unsigned char*> view.buf, view.len, expected_end, caught_up, now_ms,
                        &result,
                    )
                    self.release(PARTITION_LOCK)
                    if code == OK:
                        self.shared.ring()
        finally:
            PyBuffer_Release(&view)
        return AppendResult(
            code, result.base_offset, result.next_offset, result.rolled, result.detail
        )

    cdef int append_locked(
        self, unsigned char* data, int64_t size, int64_t expected_end, int64_t caught_up,
        int64_t now_ms, Result* result
    ) noexcept nogil:
        cdef int64_t* state = self.state()
        cdef Walk walk
        cdef int code = self.refusal_locked(state, expected_end, caught_up, result)
        if code:
            return code
        if not walk_batches(data, size, &walk):
            return MALFORMED
        # Batches that together are more than a segment get one of their own: they stay together.
        if walk.largest_batch > self.segment_bytes or size > INT32_MAX:
            result.detail = walk.largest_batch
            return TOO_LARGE
        if self.roll_is_due(state, size, &walk, now_ms):
            code = self.roll_locked(now_ms, result)
            if code:
                return code
            state = self.state()
        return self.write_locked(state, data, size, result)

    cdef int refusal_locked(
        self, int64_t* state, int64_t expected_end, int64_t caught_up, Result* result
    ) noexcept nogil:
        """Why nothing may be changed now, OK otherwise; cuts what a dead writer left."""
        cdef int code
        result.base_offset = result.next_offset = state[LOG_END]
        if self.words[SLOT_FLAGS] & FLAG_DELETED:
            return DELETED
        if state[POISONED_ERRNO]:
            result.detail = state[POISONED_ERRNO]
            return POISONED
        if state[BASE_OFFSET] != self.base_offset or state[PATH_GENERATION] != self.path_generation:
            return STALE
        code = self.repair_locked(state, result)
        if code:
            return code
        if expected_end >= 0 and expected_end != state[LOG_END]:
            return NOT_AT_EXPECTED_END
        if caught_up >= 0 and state[PRODUCER_BATCH_END] > caught_up:
            return BEHIND_PRODUCERS
        return OK

    cdef int repair_locked(self, int64_t* state, Result* result) noexcept nogil:
        """A writer died between its intention and its publication: take away what it left.

        A negative intention is a roll's: its files go, unless they were published.
        """
        cdef int64_t intended = self.words[SLOT_INTENDED_END]
        if intended == state[END_POSITION]:
            return OK
        if intended < 0 and -1 - intended != state[BASE_OFFSET]:
            result.detail = self.unlink_segment(-1 - intended)
            if result.detail:
                return SYSTEM_ERROR
        if sl_size(self.log_fd) > state[END_POSITION] and ftruncate(
            self.log_fd, state[END_POSITION]
        ):
            result.detail = errno
            return SYSTEM_ERROR
        store_release(self.words + SLOT_INTENDED_END, state[END_POSITION])
        return OK

    cdef int unlink_segment(self, int64_t base) noexcept nogil:
        """The errno that kept one of its files where it is; 0 when all of them are gone."""
        cdef int failed = sl_unlink_segment(self.directory_path, base, b".log")
        if failed == 0:
            failed = sl_unlink_segment(self.directory_path, base, b".index")
        if failed == 0:
            failed = sl_unlink_segment(self.directory_path, base, b".timeindex")
        return failed

    # ------------------------------------------------------------ rolling

    def roll(self, int64_t expected_end=-1, int64_t now_ms=0):
        """Begin a new segment at the log's end; an active one that is empty stays.

        `expected_end`: only if the log ends there. Returns `AppendResult`.
        """
        cdef Result result
        cdef int64_t* state
        cdef int code
        result.base_offset = result.next_offset = result.detail = 0
        result.rolled = False
        with nogil:
            code = self.take(PARTITION_LOCK, &result.detail, WAIT_SLICE_US)
            if code == OK:
                state = self.state()
                code = self.refusal_locked(state, expected_end, -1, &result)
                if code == OK and state[END_POSITION] > 0:
                    code = self.roll_locked(now_ms, &result)
                self.release(PARTITION_LOCK)
        return AppendResult(
            code, result.base_offset, result.next_offset, result.rolled, result.detail
        )

    cdef bint roll_is_due(
        self, int64_t* state, int64_t size, Walk* walk, int64_t now_ms
    ) noexcept nogil:
        """Kafka's four conditions, checked before each append."""
        cdef int64_t elapsed
        if state[END_POSITION] == 0:
            return False
        if state[END_POSITION] > self.segment_bytes - size:
            return True
        if state[FIRST_TIMESTAMP] >= 0 and walk.largest_timestamp >= 0:
            elapsed = walk.largest_timestamp - state[FIRST_TIMESTAMP]
        else:
            elapsed = now_ms - state[CREATED_MS]
        if elapsed > self.segment_ms - self.jitter(state[BASE_OFFSET]):
            return True
        if state[OFFSET_INDEX_SIZE] + 8 > self.segment_index_bytes:
            return True
        if state[TIME_INDEX_SIZE] + 24 > self.segment_index_bytes:  # one place is kept for the roll
            return True
        return state[LOG_END] + walk.offsets - 1 - state[BASE_OFFSET] > INT32_MAX

    cdef int64_t jitter(self, int64_t base) noexcept nogil:
        """What is taken off the age limit of the segment at `base`.

        Drawn from whose segment it is and where it begins: every process draws the same.
        """
        cdef uint64_t drawn = 0
        cdef int i
        if self.segment_jitter_ms <= 0:
            return 0
        for i in range(3):  # topic id and partition
            drawn = sl_mixed(drawn ^ <uint64_t> self.words[i])
        return sl_mixed(drawn ^ <uint64_t> base) % <uint64_t> self.segment_jitter_ms

    cdef int roll_locked(self, int64_t now_ms, Result* result) noexcept nogil:
        """Begin the segment at the log end: its files, then one publication.

        Nothing is synced here: `synced_end` does not enter the new segment before a sync has
        seen the old one. Files that a dead writer left under these names were never published.
        """
        cdef int64_t next[STATE_WORDS]
        cdef int64_t* state = self.state()
        cdef int64_t base = state[LOG_END]
        cdef int log_fd, offset_index_fd, time_index_fd, i
        if self.retired_count == RETIRED_ROOM:
            return NEEDS_SEGMENTS
        store_release(self.words + SLOT_INTENDED_END, -1 - base)
        log_fd = sl_open_segment(self.directory_path, base, b".log", self.mode)
        offset_index_fd = -1 if log_fd < 0 else sl_open_segment(
            self.directory_path, base, b".index", self.mode)
        time_index_fd = -1 if offset_index_fd < 0 else sl_open_segment(
            self.directory_path, base, b".timeindex", self.mode)
        if time_index_fd < 0:
            result.detail = errno
            if log_fd >= 0:
                close(log_fd)
            if offset_index_fd >= 0:
                close(offset_index_fd)
            # If they cannot be removed, the intention stays and the next writer removes them.
            if self.unlink_segment(base) == 0:
                store_release(self.words + SLOT_INTENDED_END, state[END_POSITION])
            return SYSTEM_ERROR
        self.close_indexes_locked(state)
        for i in range(STATE_WORDS):
            next[i] = state[i]
        next[GENERATION] += 1
        next[BASE_OFFSET] = base
        next[END_POSITION] = next[OFFSET_INDEX_SIZE] = next[TIME_INDEX_SIZE] = 0
        next[BYTES_SINCE_INDEX] = 0
        next[FIRST_TIMESTAMP] = next[LARGEST_TIMESTAMP] = next[LARGEST_TIMESTAMP_OFFSET] = -1
        next[LAST_TIME_INDEX] = -1
        next[CREATED_MS] = now_ms
        self.publish(next)
        store_release(self.words + SLOT_INTENDED_END, 0)
        self.change_files(log_fd, offset_index_fd, time_index_fd, base)
        result.rolled = True
        return OK

    cdef void close_indexes_locked(self, int64_t* state) noexcept nogil:
        """Give the old segment's indexes their last entry and exact length; then close them."""
        cdef unsigned char entry[12]
        cdef int64_t time_index_size = state[TIME_INDEX_SIZE]
        if state[LARGEST_TIMESTAMP] > state[LAST_TIME_INDEX]:
            sl_put64(entry, state[LARGEST_TIMESTAMP])
            sl_put32(entry + 8, state[LARGEST_TIMESTAMP_OFFSET] - state[BASE_OFFSET])
            if write_all(self.time_index_fd, entry, 12, time_index_size) == 0:
                time_index_size += 12
        # What is behind the published sizes was written by somebody who died. An index that
        # cannot be cut is found out and rebuilt: it is a cache.
        if sl_size(self.offset_index_fd) > state[OFFSET_INDEX_SIZE]:
            ftruncate(self.offset_index_fd, state[OFFSET_INDEX_SIZE])
        if sl_size(self.time_index_fd) > time_index_size:
            ftruncate(self.time_index_fd, time_index_size)
        close(self.offset_index_fd)
        close(self.time_index_fd)

    # ------------------------------------------------------------ writing

    cdef int write_locked(
        self, int64_t* state, unsigned char* data, int64_t size, Result* result
    ) noexcept nogil:
        cdef int64_t next[STATE_WORDS]
        cdef int64_t at = 0, offset = state[LOG_END]
        cdef int i, failed
        for i in range(STATE_WORDS):
            next[i] = state[i]
        while at < size:
            sl_put64(data + at, offset)
            sl_put32(data + at + 12, state[LEADER_EPOCH])
            offset += <int64_t> sl_get32(data + at + 23) + 1
            if sl_get64(data + at + 43) >= 0:
                next[PRODUCER_BATCH_END] = offset
            at += <int64_t> sl_get32(data + at + 8) + 12
        store_release(self.words + SLOT_INTENDED_END, state[END_POSITION] + size)
        failed = write_all(self.log_fd, data, size, state[END_POSITION])
        if failed:
            result.detail = failed
            # If the cut fails too, the intention stays and the next writer cuts.
            if ftruncate(self.log_fd, state[END_POSITION]) == 0:
                store_release(self.words + SLOT_INTENDED_END, state[END_POSITION])
            return SYSTEM_ERROR
        self.index_locked(next, data, size)
        next[LOG_END] = offset
        next[END_POSITION] = state[END_POSITION] + size
        if state[HIGH_WATERMARK] == state[LOG_END]:
            next[HIGH_WATERMARK] = offset
        if state[LAST_STABLE] == state[LOG_END]:
            next[LAST_STABLE] = offset
        self.publish(next)
        result.base_offset = state[LOG_END]
        result.next_offset = offset
        return OK

    cdef void index_locked(self, int64_t* next, unsigned char* data, int64_t size) noexcept nogil:
        """Kafka's rule, batch by batch: an entry when enough bytes came since the last one.

        An entry that cannot be written is left out: sparse is legal, wrong is not.
        """
        cdef unsigned char offsets[INDEX_ENTRIES * 8]
        cdef unsigned char times[INDEX_ENTRIES * 12]
        cdef int offset_count = 0, time_count = 0
        cdef int64_t at = 0, length, last, timestamp
        while at < size:
            length = <int64_t> sl_get32(data + at + 8) + 12
            last = sl_get64(data + at) + sl_get32(data + at + 23)
            timestamp = sl_get64(data + at + 35)
            if next[END_POSITION] + at == 0:
                next[FIRST_TIMESTAMP] = timestamp
            if timestamp > next[LARGEST_TIMESTAMP]:
                next[LARGEST_TIMESTAMP] = timestamp
                next[LARGEST_TIMESTAMP_OFFSET] = last
            if next[BYTES_SINCE_INDEX] > self.index_interval_bytes:
                sl_put32(offsets + 8 * offset_count, last - self.base_offset)
                sl_put32(offsets + 8 * offset_count + 4, next[END_POSITION] + at)
                offset_count += 1
                if next[LARGEST_TIMESTAMP] > next[LAST_TIME_INDEX]:
                    sl_put64(times + 12 * time_count, next[LARGEST_TIMESTAMP])
                    sl_put32(times + 12 * time_count + 8,
                             next[LARGEST_TIMESTAMP_OFFSET] - self.base_offset)
                    time_count += 1
                    next[LAST_TIME_INDEX] = next[LARGEST_TIMESTAMP]
                next[BYTES_SINCE_INDEX] = 0
            next[BYTES_SINCE_INDEX] += length
            at += length
            if offset_count == INDEX_ENTRIES or (at == size and offset_count):
                next[OFFSET_INDEX_SIZE] += write_entries(
                    self.offset_index_fd, offsets, 8 * offset_count, next[OFFSET_INDEX_SIZE])
                next[TIME_INDEX_SIZE] += write_entries(
                    self.time_index_fd, times, 12 * time_count, next[TIME_INDEX_SIZE])
                offset_count = time_count = 0

    # ------------------------------------------------------------ publishing

    def advance_log_start(self, int64_t offset):
        """Let the log begin at `offset`, unless it begins there or behind it already.

        Nothing is removed: from the publication on nobody reads what lies before it. Returns
        `LogStartResult`; refused behind the high watermark.
        """
        cdef Result result
        cdef int code
        result.base_offset = result.detail = 0
        with nogil:
            code = self.take(PARTITION_LOCK, &result.detail, WAIT_SLICE_US)
            if code == OK:
                code = self.advance_log_start_locked(offset, &result)
                self.release(PARTITION_LOCK)
        return LogStartResult(code, result.base_offset, result.detail)

    cdef int advance_log_start_locked(self, int64_t offset, Result* result) noexcept nogil:
        cdef int64_t next[STATE_WORDS]
        cdef int64_t* state = self.state()
        cdef int i
        result.base_offset = state[LOG_START]
        if self.words[SLOT_FLAGS] & FLAG_DELETED:
            return DELETED
        if state[POISONED_ERRNO]:
            result.detail = state[POISONED_ERRNO]
            return POISONED
        if offset > state[HIGH_WATERMARK]:
            result.detail = state[HIGH_WATERMARK]
            return BEHIND_HIGH_WATERMARK
        if offset <= state[LOG_START]:
            return OK
        for i in range(STATE_WORDS):
            next[i] = state[i]
        next[LOG_START] = offset
        next[LAST_STABLE] = max(next[LAST_STABLE], offset)
        next[GENERATION] += 1
        self.publish(next)
        result.base_offset = offset
        return OK

    cdef void publish(self, int64_t* next) noexcept nogil:
        """Fill the copy that nobody reads, then make it the one that everybody does."""
        cdef int64_t sequence = self.words[SLOT_SEQUENCE] + 1
        cdef int64_t* copy = self.words + SLOT_STATE + STATE_WORDS * (sequence & 1)
        cdef int i
        for i in range(STATE_WORDS):
            copy[i] = next[i]
        store_release(self.words + SLOT_SEQUENCE, sequence)
