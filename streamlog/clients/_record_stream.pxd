from libc.stdint cimport int64_t

from streamlog.record._record cimport Record
from streamlog.record._records cimport RecordBatch, RecordIterator


cdef class PartitionBatch(RecordBatch):
    cdef public object topic
    cdef public object partition
    cdef public int64_t start_offset


cdef class RecordStream:
    cdef object __weakref__
    cdef object _source
    cdef object _key_deserializer
    cdef object _value_deserializer
    cdef bint _plain
    cdef bint _check_crcs
    cdef bint _closed
    cdef int64_t _position
    cdef RecordIterator _records
    cdef RecordBatch _batch
    cdef Py_ssize_t _batch_at
    cdef object _fetch
    cdef object _view
    cdef object _topic
    cdef object _partition
    cdef int64_t _end
    cdef Py_ssize_t _at
    cdef Py_ssize_t _size

    cdef int64_t reached(self)
    cdef object next_record(self)
    cdef int open_batch(self, object fetch) except -1
    cdef object deserialized(self, RecordIterator records, Record record)
