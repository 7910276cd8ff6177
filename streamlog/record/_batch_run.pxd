# cython: language_level=3
from libc.stdint cimport int32_t, int64_t, uint8_t

from streamlog.record._record_fields cimport Malformed

cdef enum Decision:  # the numbers of BatchDecision
    KEEP = 0
    EXPIRE = 1
    EMPTY = 2
    DISCARD = 3


cdef struct GatheredBatch:
    const uint8_t* start
    Py_ssize_t size
    Py_ssize_t position
    const uint8_t* records  # decompressed; NULL where nobody wants them
    const uint8_t* records_end
    int64_t expected_offset  # the lowest that it might have had
    int64_t base_offset
    int32_t last_offset_delta
    int32_t count
    int attributes
    Decision decision
    bint retain_empty


cdef class BatchRun:
    cdef Py_buffer buffer
    cdef bint held
    cdef object data, decide, retain_empty, error
    cdef list payloads
    cdef Py_ssize_t decompressed_limit
    # Of a map that is filled: control batches and what ends before this offset are not wanted.
    cdef bint for_map
    cdef int64_t from_offset
    cdef GatheredBatch* batches
    cdef Py_ssize_t count, room
    # As in FillOutcome, counting what was gathered.
    cdef Py_ssize_t consumed, needed
    cdef int64_t next_offset

    # The next whole batches; how many. What is wrong with the one behind them waits in `error`.
    cdef Py_ssize_t gather(self) except -1
    cdef Py_ssize_t add(self) except -1
    cdef int raise_error(self) except -1
    cdef object malformed(self, GatheredBatch* batch, int32_t index, Malformed what)
