from libc.stdint cimport int64_t

from streamlog.storage._handle cimport PartitionHandle, Result


cdef struct Walk:
    # What one pass over the incoming batches found.
    int64_t offsets
    int64_t largest_batch
    int64_t largest_timestamp


cdef class PartitionWriter(PartitionHandle):
    cdef int append_locked(
        self, unsigned char* data, int64_t size, int64_t expected_end, int64_t caught_up,
        int64_t now_ms, Result* result
    ) noexcept nogil
    cdef int refusal_locked(
        self, int64_t* state, int64_t expected_end, int64_t caught_up, Result* result
    ) noexcept nogil
    cdef int repair_locked(self, int64_t* state, Result* result) noexcept nogil
    cdef int unlink_segment(self, int64_t base) noexcept nogil
    cdef bint roll_is_due(
        self, int64_t* state, int64_t size, Walk* walk, int64_t now_ms
    ) noexcept nogil
    cdef int64_t jitter(self, int64_t base) noexcept nogil
    cdef int roll_locked(self, int64_t now_ms, Result* result) noexcept nogil
    cdef void close_indexes_locked(self, int64_t* state) noexcept nogil
    cdef int write_locked(
        self, int64_t* state, unsigned char* data, int64_t size, Result* result
    ) noexcept nogil
    cdef void index_locked(self, int64_t* next, unsigned char* data, int64_t size) noexcept nogil
    cdef int advance_log_start_locked(self, int64_t offset, Result* result) noexcept nogil
    cdef void publish(self, int64_t* next) noexcept nogil
