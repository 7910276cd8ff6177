# cython: language_level=3
from libc.stdint cimport int32_t, int64_t, uint8_t

from streamlog.record._encode cimport BatchHeader, Span


cdef class RecordBatchBuilder:
    cdef BatchHeader header
    cdef bytearray out
    cdef Py_ssize_t used
    cdef bint built
    cdef int codec
    cdef object level
    cdef public Py_ssize_t size_limit
    cdef readonly int32_t count
    cdef readonly int64_t base_timestamp
    cdef readonly int64_t max_timestamp
    cdef readonly int64_t min_timestamp

    # append() without its checks of the timestamp; headers: None or () for none.
    cdef int32_t append_record(
        self, int64_t timestamp, object key, object value, object headers
    ) except -1
    cdef int _write(self, int64_t timestamp, Span* key, Span* value, tuple headers) except -1
    cdef bint room_for(self, Py_ssize_t payload_size) noexcept
    cpdef bytearray build(self)


# Write the header and CRC of a batch whose payload is complete. `size`: the whole batch.
cdef int finish_batch(uint8_t* batch, Py_ssize_t size, BatchHeader* header) except -1
cdef int fill_header(BatchHeader* header, object settings) except -1
