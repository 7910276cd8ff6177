# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled half of the door: maps, the bell, and the shared slots as machine words.

Nothing here decides; what to map, when to wait and what a slot means is said elsewhere. Every
call that can wait gives the GIL away first. `slots.py` and `maps.py` are the pure twins.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from cpython.exc cimport PyErr_CheckSignals
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.errno cimport EINTR, EINVAL, errno
from libc.stdint cimport INT32_MAX, int64_t, uint32_t

from streamlog.storage._machine cimport sl_pause

import os

from streamlog.storage import shared as _layout

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/futex.h>
    #include <stdint.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <sys/vfs.h>
    #include <time.h>
    #include <unistd.h>
    #ifndef MADV_POPULATE_READ
    #define MADV_POPULATE_READ 22
    #endif

    static inline int64_t sl_load(int64_t *word) {
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
    }
    static inline void sl_store(int64_t *word, int64_t value) {
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
    }
    static inline uint32_t sl_load32(uint32_t *word) {
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
    }
    static inline void sl_store32(uint32_t *word, uint32_t value) {
        __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    }
    static inline void sl_add32(uint32_t *word) {
        __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    }
    static inline uint32_t sl_swap32(uint32_t *word, uint32_t value) {
        return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    }
    /* The number of a file system's type, or minus the errno. */
    static int64_t sl_file_system(const char *path) {
        struct statfs found;
        return statfs(path, &found) ? -(int64_t) errno : (int64_t) (uint32_t) found.f_type;
    }
    static long sl_futex_wait(uint32_t *word, uint32_t seen, int64_t timeout_us) {
        struct timespec limit = {timeout_us / 1000000, (timeout_us % 1000000) * 1000};
        return syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
    }
    static long sl_futex_wake(uint32_t *word, int count) {
        return syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    }
    /* Whether every page of a range is in memory: touching it reads no disk. */
    static int sl_is_resident(char *start, size_t length) {
        unsigned char pages[1024];
        while (length > 0) {
            size_t part = length < sizeof pages * 4096 ? length : sizeof pages * 4096;
            size_t count = (part + 4095) / 4096;
            if (mincore(start, part, pages)) return 0;
            for (size_t i = 0; i < count; i++) if (!(pages[i] & 1)) return 0;
            start += part;
            length -= part;
        }
        return 1;
    }
    static int64_t sl_monotonic_us(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
    }
    """
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_NORESERVE, MADV_POPULATE_READ
    int F_GETFL, O_ACCMODE, O_RDWR
    int fcntl(int fd, int command, ...)
    void* MAP_FAILED
    void* mmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)
    int64_t sl_load(int64_t* word)
    void sl_store(int64_t* word, int64_t value)
    uint32_t sl_load32(uint32_t* word)
    void sl_store32(uint32_t* word, uint32_t value)
    void sl_add32(uint32_t* word)
    uint32_t sl_swap32(uint32_t* word, uint32_t value)
    int64_t sl_file_system(const char* path)
    long sl_futex_wait(uint32_t* word, uint32_t seen, int64_t timeout_us)
    long sl_futex_wake(uint32_t* word, int count)
    int sl_is_resident(char* start, size_t length)
    int64_t sl_monotonic_us()

cdef enum:
    PAGE = 4096
    SIGNAL_SLICE_US = 50000
    LINGER_US = 25  # a small append takes less; waking up takes as long
    STATE = 8
    STATE_WORDS = 24
    SEQUENCE = 6
    STATE_LOG_END = 1
    BELL = 128
    WAITERS = 132

assert _layout.HEADER_SIZE == 4096 and _layout.SLOT_SIZE == 576
assert _layout.SLOT_STATE == STATE and _layout.STATE_WORDS == STATE_WORDS
assert _layout.SLOT_SEQUENCE == SEQUENCE
assert _layout.BELL_BYTE == BELL and _layout.WAITERS_BYTE == WAITERS
assert _layout.PartitionState._fields.index("log_end") == STATE_LOG_END

_PartitionState = _layout.PartitionState
cdef int _STATE_FIELDS = len(_layout.PartitionState._fields)


cdef int64_t load_acquire(int64_t* word) noexcept nogil:
    return sl_load(word)


cdef void store_release(int64_t* word, int64_t value) noexcept nogil:
    sl_store(word, value)


cdef int64_t monotonic_us() noexcept nogil:
    return sl_monotonic_us()


cdef class SharedMap:
    """`streamlog.shared`, mapped for its whole possible length: address space, not memory."""

    def __cinit__(self, int descriptor, size_t length):
        cdef void* address = mmap(
            NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0
        )
        if address == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        self.base = <char*> address
        self.length = length

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.length)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.base, self.length, 0, flags)

    @property
    def words(self):
        """All of it as 8-byte native words."""
        return PyMemoryView_FromObject(self).cast("q")

    def cover(self, Py_ssize_t slot):
        """The first word of `slot`."""
        return 512 + slot * 72

    def read_state(self, Py_ssize_t slot):
        """The published state of a slot, as a `PartitionState`. Takes no lock."""
        cdef int64_t words[STATE_WORDS]
        cdef int64_t* base = self.slot(slot)
        cdef int64_t* copy
        cdef int64_t sequence
        cdef int i
        while True:
            sequence = sl_load(base + SEQUENCE)
            copy = base + STATE + STATE_WORDS * (sequence & 1)
            for i in range(_STATE_FIELDS):
                words[i] = sl_load(copy + i)
            if sl_load(base + SEQUENCE) == sequence:
                break
        return _PartitionState._make([words[i] for i in range(_STATE_FIELDS)])

    def log_end(self, Py_ssize_t slot):
        """One word of the published state: the offset that the next record will get."""
        return self._word(slot, STATE_LOG_END)

    def state_word(self, Py_ssize_t slot, Py_ssize_t index):
        """One word of the published state, by its position in `PartitionState`."""
        return self._word(slot, index)

    cdef int64_t _word(self, Py_ssize_t slot, Py_ssize_t index) noexcept nogil:
        cdef int64_t* base = self.slot(slot)
        cdef int64_t sequence, value
        while True:
            sequence = sl_load(base + SEQUENCE)
            value = sl_load(base + STATE + STATE_WORDS * (sequence & 1) + index)
            if sl_load(base + SEQUENCE) == sequence:
                return value

    def find_ready(self, const int64_t[::1] slots, const int64_t[::1] positions, Py_ssize_t start):
        """The first index from `start` on, going round, whose log end is past its position.

        `slots` and `positions` are parallel. A negative slot is passed over. -1: none.
        """
        cdef Py_ssize_t count = slots.shape[0], i, at
        for i in range(count):
            at = start + i
            if at >= count:
                at -= count
            if slots[at] >= 0 and self._word(slots[at], STATE_LOG_END) > positions[at]:
                return at
        return -1

    def bell(self):
        """The bell's number now. Read it before looking for data, then wait on it."""
        return sl_load32(<uint32_t*> (self.base + BELL))

    def ring_bell(self):
        """Wake everybody who waits, in every process."""
        self.ring()

    def announce(self):
        """Ring for who sleeps: something is about to be appended.

        Waking up takes as long as all of a small append, so it begins before. Who looks too soon
        waits for the bell that the append rings.
        """
        if sl_load32(<uint32_t*> (self.base + WAITERS)):
            self.ring()

    cdef void ring(self) noexcept nogil:
        # The number moves before the flag is looked at, and a waiter sets the flag before the
        # kernel compares the number: one of the two sees the other.
        sl_add32(<uint32_t*> (self.base + BELL))
        if sl_load32(<uint32_t*> (self.base + WAITERS)):
            if sl_swap32(<uint32_t*> (self.base + WAITERS), 0):
                sl_futex_wake(<uint32_t*> (self.base + BELL), INT32_MAX)

    def wait(self, uint32_t seen, timeout_us=None):
        """Sleep until the bell's number differs from `seen`; False when the time ran out.

        Signals are looked at every 50 ms, so a KeyboardInterrupt ends the wait.
        """
        cdef uint32_t* word = <uint32_t*> (self.base + BELL)
        cdef int64_t deadline = -1, remaining
        if timeout_us is not None:
            deadline = sl_monotonic_us() + <int64_t> timeout_us
        if sl_load32(word) == seen:
            with nogil:
                self.linger(seen)
        while sl_load32(word) == seen:
            remaining = SIGNAL_SLICE_US
            if deadline >= 0:
                remaining = min(remaining, deadline - sl_monotonic_us())
                if remaining <= 0:
                    return False
            with nogil:
                sl_store32(<uint32_t*> (self.base + WAITERS), 1)
                if sl_futex_wait(word, seen, remaining) == 0:
                    self.woken_us = sl_monotonic_us()
            PyErr_CheckSignals()
        return True

    cdef void linger(self, uint32_t seen) noexcept nogil:
        """Look again for a moment, if somebody was just woken: what was announced comes at once."""
        cdef int64_t until = self.woken_us + 2 * LINGER_US, now = sl_monotonic_us()
        if now >= until:
            return
        until = now + LINGER_US
        while sl_load32(<uint32_t*> (self.base + BELL)) == seen and sl_monotonic_us() < until:
            sl_pause()


cdef class ReadMap:
    """A read-only map of a segment, made longer than the file so that it may grow under it."""

    def __cinit__(self, int descriptor, size_t length):
        cdef void* address = mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0)
        if address == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        self.base = <char*> address
        self.length = length
        self.tells_residence = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDWR

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.length)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("a segment's map is read-only")
        PyBuffer_FillInfo(buffer, self, self.base, self.length, 1, flags)

    def view(self, size_t position, size_t length):
        """The bytes at `position`, made resident first; OSError where they cannot be read."""
        self.make_resident(position, length)
        return PyMemoryView_FromObject(self)[position:position + length]

    def populate(self, size_t position, size_t length):
        """Read the range in without the GIL: EFAULT or EIO instead of a SIGBUS later.

        Walking pages that are there already costs six times what asking for them does.
        """
        self.make_resident(position, length)

    cdef int make_resident(self, size_t position, size_t length) except -1:
        cdef size_t first = position & ~(<size_t> PAGE - 1)
        cdef int failed = 0
        if position + length > self.length:
            raise ValueError(f"{position}+{length} is behind the map's end {self.length}")
        if length == 0:
            return 0
        with nogil:
            if not self.tells_residence or not sl_is_resident(
                self.base + first, position + length - first
            ):
                while madvise(self.base + first, position + length - first, MADV_POPULATE_READ):
                    if errno != EINTR:
                        failed = errno
                        break
        if failed:
            raise OSError(failed, os.strerror(failed))
        return 0


def open_read_map(int descriptor, size_t length):
    """A `ReadMap`, or None where the kernel cannot populate a range (before Linux 5.14)."""
    cdef ReadMap mapped = ReadMap(descriptor, length)
    # One byte behind nothing: an unknown advice is EINVAL whatever the range holds.
    if madvise(mapped.base, 0, MADV_POPULATE_READ) and errno == EINVAL:
        return None
    return mapped


def file_system_magic(bytes path):
    """The number of the type of file system that holds `path`. Raises `OSError`."""
    cdef const char* name = path
    cdef int64_t magic
    with nogil:
        magic = sl_file_system(name)
    if magic < 0:
        raise OSError(-magic, os.strerror(-magic), os.fsdecode(path))
    return magic
