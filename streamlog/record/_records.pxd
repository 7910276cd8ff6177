# cython: language_level=3
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef class RecordBatch:
    cdef Py_buffer buffer
    cdef bint held
    cdef const uint8_t* start
    cdef object source
    cdef readonly Py_ssize_t position
    cdef readonly Py_ssize_t size

    cpdef check(self)
    cdef int check_offsets(self) except -1
    cdef int64_t get_base_offset(self) noexcept
    cdef int64_t get_next_offset(self) noexcept
    cdef RecordIterator open_records(
        self, object topic, object partition, int64_t min_offset, Py_ssize_t limit
    )


cdef class RecordIterator:
    cdef RecordBatch batch
    cdef bytes payload
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef int64_t base_offset
    cdef int64_t base_timestamp
    cdef int64_t max_timestamp
    cdef int64_t min_offset
    cdef int32_t last_offset_delta
    cdef int32_t previous_delta
    cdef int32_t index
    cdef int32_t count
    cdef int32_t leader_epoch
    cdef bint append_time
    cdef readonly object topic
    cdef readonly object partition
    cdef object timestamp_type
    cdef readonly int64_t next_offset
    # None, or (function, fetch, position): how an error learns where its batch lies.
    cdef tuple locate

    # The next record, or None behind the last one.
    cdef object next_record(self)
    cdef object decode_rest(
        self, int64_t timestamp_delta, int32_t offset_delta, const uint8_t* p, const uint8_t* end
    )
    cdef int fail(self, object reason) except -1
