# cython: language_level=3
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from streamlog.record._batch_run cimport GatheredBatch
from streamlog.record._record_fields cimport Malformed
from streamlog.record._siphash cimport Hash128

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void*) noexcept nogil

cdef enum:
    WINDOW = 16  # keys that are looked up together


cdef struct NewEntry:
    Hash128 hash
    int64_t offset


cdef struct Entry:
    Hash128 hash
    uint64_t offset_plus_one  # 0: nobody is here


cdef class OffsetMap:
    cdef Entry* entries
    cdef uint64_t slots
    cdef Hash128 hash_key
    cdef Py_ssize_t used
    cdef readonly Py_ssize_t capacity
    cdef readonly int64_t latest_offset

    cdef Malformed add(
        self, GatheredBatch* batch, int64_t from_offset, int32_t* index
    ) noexcept nogil
    cdef bint put(self, const NewEntry* window, int count) noexcept nogil
    # The hash of a key that will be looked for; its slot is on the way from memory.
    cdef Hash128 announce(self, const uint8_t* key, Py_ssize_t size) noexcept nogil
    # The key's entry, or else the free one that it would take.
    cdef Entry* find(self, const Hash128* hash) noexcept nogil
    cdef int64_t offset_of(self, const Hash128* hash) noexcept nogil
