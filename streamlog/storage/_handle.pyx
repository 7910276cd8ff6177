# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One process's handle on one partition: descriptors, locks and the sync, without the GIL.

`_append.pyx` builds the append path on it. `handle.py` is the specification.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EACCES, EAGAIN, EINTR, ENOLCK, errno
from libc.stdint cimport int64_t

import os

from streamlog.storage._machine cimport *
include "_slot.pxi"
from streamlog.storage._system cimport SharedMap, load_acquire, monotonic_us, store_release

from streamlog.storage import append_outcome as _codes
from streamlog.storage import shared as _layout
from streamlog.storage.append_outcome import SyncResult

assert (_codes.OK, _codes.STALE, _codes.NOT_AT_EXPECTED_END) == (OK, STALE, NOT_AT_EXPECTED_END)
assert (_codes.BEHIND_PRODUCERS, _codes.DELETED) == (BEHIND_PRODUCERS, DELETED)
assert (_codes.POISONED, _codes.LOCK_BUSY) == (POISONED, LOCK_BUSY)
assert (_codes.SYSTEM_ERROR, _codes.TOO_LARGE) == (SYSTEM_ERROR, TOO_LARGE)
assert (_codes.MALFORMED, _codes.NEEDS_SEGMENTS) == (MALFORMED, NEEDS_SEGMENTS)
assert (_codes.SYNC_FAILED, _codes.BEHIND_HIGH_WATERMARK) == (SYNC_FAILED, BEHIND_HIGH_WATERMARK)
assert (_layout.SLOT_INTENDED_END, _layout.SLOT_SEQUENCE) == (SLOT_INTENDED_END, SLOT_SEQUENCE)
assert (_layout.SLOT_STATE, _layout.SLOT_SYNCED) == (SLOT_STATE, SLOT_SYNCED)
assert (_layout.SLOT_FLAGS, _layout.SLOT_HOLDER) == (SLOT_FLAGS, SLOT_HOLDER)
assert (_layout.SLOT_SYNC_HOLDER, _layout.SLOT_STRUCTURE_HOLDER) == (
    SLOT_SYNC_HOLDER, SLOT_STRUCTURE_HOLDER)
assert _layout.PartitionState._fields == (
    "log_start", "log_end", "end_position", "high_watermark", "last_stable_offset", "generation",
    "poisoned", "leader_epoch", "base_offset", "path_generation", "first_timestamp",
    "largest_timestamp", "largest_timestamp_offset", "offset_index_size", "time_index_size",
    "bytes_since_index_entry", "producer_batch_end", "last_time_index_timestamp", "created_ms",
    "swap_generation", "restructuring",
)

cdef int64_t LOCK_BYTES[3]
LOCK_BYTES[PARTITION_LOCK] = _layout.PARTITION_LOCKS
LOCK_BYTES[SYNC_LOCK] = _layout.SYNC_LOCKS
LOCK_BYTES[STRUCTURE_LOCK] = _layout.STRUCTURE_LOCKS
cdef int HOLDER_WORDS[3]
HOLDER_WORDS[PARTITION_LOCK] = SLOT_HOLDER
HOLDER_WORDS[SYNC_LOCK] = SLOT_SYNC_HOLDER
HOLDER_WORDS[STRUCTURE_LOCK] = SLOT_STRUCTURE_HOLDER
cdef int64_t WAIT_SLICE_US = 50000  # then the caller looks at signals and its deadline
cdef int64_t MOMENT_US = 200  # for who must not wait: longer than the appends of others


cdef bint fdatasync_retrying(int fd, int64_t* failed) noexcept nogil:
    while fdatasync(fd):
        if errno != EINTR:
            failed[0] = errno
            return True
    return False


cdef int64_t synced_checksum(int64_t* slot, int64_t* record) noexcept nogil:
    """The CRC over whose slot it is (topic id, partition) and what it says."""
    cdef int64_t covered[7]
    covered[0], covered[1], covered[2] = slot[0], slot[1], slot[2]
    covered[3], covered[4], covered[5], covered[6] = record[0], record[1], record[2], record[3]
    return sl_crc32c(<unsigned char*> covered, sizeof(covered))


cdef class PartitionHandle:
    """One process's handle for appending to and syncing one partition.

    The descriptors of the active segment come from `attach`; a roll opens the next ones here.
    Descriptors of rolled segments stay, retired, until a sync has seen them: a fresh
    descriptor might never hear of an earlier write-back error.
    """

    def __cinit__(self, SharedMap shared, Py_ssize_t slot, str directory, int locks_fd,
                  int mode=0o600):
        for lock in range(3):
            pthread_mutex_init(&self.mutexes[lock], NULL)
        self.shared = shared
        self.slot = slot
        self.words = shared.slot(slot)
        self.directory = directory
        self.directory_bytes = os.fsencode(directory)
        self.directory_path = self.directory_bytes
        self.locks_fd = locks_fd
        self.mode = mode
        self.pid = os.getpid()
        self.log_fd = self.offset_index_fd = self.time_index_fd = -1
        self.base_offset = self.path_generation = -1
        self.retired_count = 0
        self.segment_bytes = 1 << 30
        self.segment_ms = 7 * 24 * 3600 * 1000
        self.segment_jitter_ms = 0
        self.index_interval_bytes = 4096
        self.segment_index_bytes = 10 << 20

    def __dealloc__(self):
        for lock in range(3):
            pthread_mutex_destroy(&self.mutexes[lock])

    # ------------------------------------------------------------ descriptors

    def attach(self, int log_fd, int offset_index_fd, int time_index_fd, int64_t base_offset,
               int64_t path_generation):
        """Take over the descriptors of the active segment; the former ones are retired."""
        while pthread_mutex_trylock(&self.mutexes[PARTITION_LOCK]):
            with nogil:
                sl_nap(50)
        assert self.retired_count < RETIRED_ROOM, "sync before so many segments are retired"
        if self.offset_index_fd >= 0:
            close(self.offset_index_fd)
        if self.time_index_fd >= 0:
            close(self.time_index_fd)
        self.path_generation = path_generation
        self.change_files(log_fd, offset_index_fd, time_index_fd, base_offset)
        pthread_mutex_unlock(&self.mutexes[PARTITION_LOCK])

    def detach(self):
        """Give all descriptors back, as a list for the caller to close; idempotent.

        Waits for a sync that uses one of them.
        """
        while pthread_mutex_trylock(&self.mutexes[SYNC_LOCK]):
            with nogil:
                sl_nap(50)
        while pthread_mutex_trylock(&self.mutexes[PARTITION_LOCK]):
            with nogil:
                sl_nap(50)
        found = [self.retired_fds[i] for i in range(self.retired_count)]
        for fd in (self.log_fd, self.offset_index_fd, self.time_index_fd):
            if fd >= 0:
                found.append(fd)
        self.retired_count = 0
        self.base_offset = self.path_generation = -1
        self.log_fd = self.offset_index_fd = self.time_index_fd = -1
        pthread_mutex_unlock(&self.mutexes[PARTITION_LOCK])
        pthread_mutex_unlock(&self.mutexes[SYNC_LOCK])
        return found

    cdef void change_files(
        self, int log_fd, int offset_index_fd, int time_index_fd, int64_t base_offset
    ) noexcept nogil:
        # A sync reads base, descriptor, base without the mutex: equal bases mean that the
        # descriptor is that segment's. It is retired and not closed, so it stays valid.
        store_release(&self.base_offset, -1)
        if self.log_fd >= 0:
            self.retired_fds[self.retired_count] = self.log_fd
            self.retired_count += 1
        self.log_fd = log_fd
        self.offset_index_fd = offset_index_fd
        self.time_index_fd = time_index_fd
        store_release(&self.base_offset, base_offset)

    # ------------------------------------------------------------ locks

    cdef int take(self, int lock, int64_t* holder, int64_t patience_us) noexcept nogil:
        """Take the process's mutex and then the byte; LOCK_BUSY after `patience_us`.

        A short spin first: a hold lasts about a microsecond. Then, for the mutex, a wait that
        its release ends, and for the byte naps of up to 1 ms.
        """
        cdef pthread_mutex_t* mutex = &self.mutexes[lock]
        cdef int64_t deadline = 0
        cdef int tries = 0
        cdef bint owns = False
        while True:
            if not owns:
                owns = pthread_mutex_trylock(mutex) == 0
            if owns:
                if sl_lock(self.locks_fd, LOCK_BYTES[lock] + self.slot, F_WRLCK) == 0:
                    self.words[HOLDER_WORDS[lock]] = self.pid
                    return OK
                if errno != EAGAIN and errno != EACCES and errno != EINTR:
                    holder[0] = errno
                    pthread_mutex_unlock(mutex)
                    return SYSTEM_ERROR
            tries += 1
            if tries < 40:
                sl_pause()
                continue
            if deadline == 0:
                deadline = monotonic_us() + patience_us
            elif monotonic_us() >= deadline:
                if owns:
                    pthread_mutex_unlock(mutex)
                holder[0] = self.words[HOLDER_WORDS[lock]]
                return LOCK_BUSY
            if owns:
                sl_nap(min(20 * (tries - 39), 1000))
            else:
                owns = sl_mutex_wait(mutex, deadline - monotonic_us()) == 0

    cdef void release(self, int lock) noexcept nogil:
        while sl_lock(self.locks_fd, LOCK_BYTES[lock] + self.slot, F_UNLCK) and (
            errno == EINTR or errno == ENOLCK
        ):
            sl_nap(1000)  # to cut a range in two, the kernel needs memory
        pthread_mutex_unlock(&self.mutexes[lock])

    cdef hold(self, int lock):
        """Take a lock for the caller, which lets go of it; (code, pid of who has it or errno).

        A signal that came while it was waited for is raised here, without the lock: raised behind
        the call, before its caller can let go, it would leave the lock held.
        """
        cdef int64_t holder = 0
        cdef int code
        with nogil:
            code = self.take(lock, &holder, WAIT_SLICE_US)
        if code == OK:
            try:
                PyErr_CheckSignals()
            except BaseException:
                self.release(lock)
                raise
        return code, holder

    def lock(self):
        """Hold the partition's lock, to publish a change; (code, pid of who has it or errno)."""
        return self.hold(PARTITION_LOCK)

    def unlock(self):
        self.release(PARTITION_LOCK)

    def lock_sync(self):
        """Hold the partition's sync byte; (code, pid of who has it or errno)."""
        return self.hold(SYNC_LOCK)

    def unlock_sync(self):
        self.failed_sync = 0
        self.release(SYNC_LOCK)

    def lock_structure(self):
        """Hold the structure byte, to change what segments there are; (code, pid or errno)."""
        return self.hold(STRUCTURE_LOCK)

    def unlock_structure(self):
        self.release(STRUCTURE_LOCK)

    def take_retired(self):
        """The retired descriptors, for who holds the sync byte to sync and close."""
        while pthread_mutex_trylock(&self.mutexes[PARTITION_LOCK]):
            with nogil:
                sl_nap(50)
        found = [self.retired_fds[i] for i in range(self.retired_count)]
        self.retired_count = 0
        pthread_mutex_unlock(&self.mutexes[PARTITION_LOCK])
        return found

    cdef int64_t* state(self) noexcept nogil:
        return self.words + SLOT_STATE + STATE_WORDS * (self.words[SLOT_SEQUENCE] & 1)

    # ------------------------------------------------------------ sync

    def sync(self, int64_t needed):
        """Put everything below offset `needed` on the disk, unless another's sync already did.

        `NEEDS_SEGMENTS`: the last synced end lies in an earlier segment, which `sync.py` syncs
        first. `SYNC_FAILED`: the disk refused, `failed_sync` says so, and the sync byte is still
        held, for the caller to poison the partition before anybody else syncs. Returns
        `SyncResult`.
        """
        cdef Result result
        cdef int code
        result.next_offset = result.detail = 0
        with nogil:
            code = self.take(SYNC_LOCK, &result.detail, WAIT_SLICE_US)
            if code == OK:
                code = self.sync_locked(needed, &result)
                if code == SYNC_FAILED:
                    self.failed_sync = <int> result.detail
                else:
                    self.release(SYNC_LOCK)
        return SyncResult(code, result.next_offset, result.detail)

    cdef int sync_locked(self, int64_t needed, Result* result) noexcept nogil:
        cdef int64_t* synced = self.last_synced()
        cdef int64_t state[STATE_WORDS]
        cdef int64_t base
        cdef int fd
        if synced != NULL and synced[2] >= needed:
            result.next_offset = synced[2]
            return OK
        self.read_state(state)
        if state[POISONED_ERRNO]:
            result.detail = state[POISONED_ERRNO]
            return POISONED
        base = load_acquire(&self.base_offset)
        fd = self.log_fd
        if load_acquire(&self.base_offset) != base or base != state[BASE_OFFSET]:
            return NEEDS_SEGMENTS
        if synced == NULL or synced[0] != base or self.path_generation != state[PATH_GENERATION]:
            return NEEDS_SEGMENTS
        if self.retired_count or fdatasync_retrying(fd, &result.detail):
            return SYNC_FAILED if result.detail else NEEDS_SEGMENTS
        self.store_synced(synced, base, state[END_POSITION], state[LOG_END])
        result.next_offset = state[LOG_END]
        return OK

    cdef void read_state(self, int64_t* words) noexcept nogil:
        cdef int64_t sequence
        cdef int i
        while True:
            sequence = load_acquire(self.words + SLOT_SEQUENCE)
            for i in range(STATE_WORDS):
                words[i] = load_acquire(
                    self.words + SLOT_STATE + STATE_WORDS * (sequence & 1) + i)
            if load_acquire(self.words + SLOT_SEQUENCE) == sequence:
                return

    cdef int64_t* last_synced(self) noexcept nogil:
        """The record that checks and has the higher number; NULL when neither checks."""
        cdef int64_t* newer = self.words + SLOT_SYNCED
        cdef int64_t* older = newer + 8
        if older[3] > newer[3]:
            newer, older = older, newer
        if newer[3] > 0 and newer[4] == synced_checksum(self.words, newer):
            return newer
        if older[3] > 0 and older[4] == synced_checksum(self.words, older):
            return older
        return NULL

    cdef void store_synced(
        self, int64_t* last, int64_t segment, int64_t position, int64_t offset
    ) noexcept nogil:
        cdef int64_t number = 1 if last == NULL else last[3] + 1
        cdef int64_t* record = self.words + SLOT_SYNCED + 8 * (number & 1)
        record[0] = segment
        record[1] = position
        record[2] = offset
        record[3] = number
        store_release(record + 4, synced_checksum(self.words, record))
