# cython: language_level=3
from libc.stdint cimport int32_t, int64_t


cdef class Record:
    cdef readonly object topic
    cdef readonly object partition
    cdef readonly object offset
    cdef readonly int64_t timestamp
    cdef readonly object timestamp_type
    cdef readonly object key
    cdef readonly object value
    cdef readonly object headers
    cdef readonly int32_t leader_epoch

    cdef tuple _fields(self)
