from libc.stdint cimport int32_t, int64_t


cdef class RecordFuture:
    cdef ProducerBatch batch
    cdef int32_t index
    cdef bint observed
    cdef int64_t timestamp


cdef class ProducerBatch:
    cdef readonly PartitionQueue queue
    cdef public int state
    cdef readonly int32_t count
    cdef public int32_t observed
    cdef readonly double created_s
    cdef public int64_t base_offset
    cdef public int64_t append_time_ms
    cdef public object error
    cdef public object durability
    cdef public object callbacks
    cdef public object parts
    cdef public object wire
    cdef public Py_ssize_t reserved
    cdef bytearray buffer
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t capacity, limit
    cdef int64_t base_timestamp, max_timestamp

    cdef void write(
        self, Py_ssize_t body, bytes key, bytes value, tuple headers, int64_t timestamp
    ) noexcept


cdef class PartitionQueue:
    cdef readonly RecordAccumulator accumulator
    cdef readonly TopicTarget target
    cdef readonly str topic
    cdef readonly int partition
    cdef readonly int acks
    cdef readonly ProducerBatch open
    cdef Py_ssize_t last_size
    cdef readonly list sealed
    cdef readonly dict unsynced
    cdef readonly object lock
    cdef public object owner, sequence, log, run
    cdef object __weakref__


cdef class TopicTarget:
    cdef readonly str topic
    cdef public list queues
    cdef public object topic_id, config, level
    cdef public int codec, sticky
    cdef public Py_ssize_t batch_limit, record_limit
    cdef public int64_t before_max_ms, after_max_ms
    cdef public bint append_time, requires_key, gone
    cdef Py_ssize_t sticky_bytes

    cdef PartitionQueue queue_at(self, Py_ssize_t partition)
    cdef PartitionQueue chosen(self, object partition)
    cdef int64_t checked_timestamp(self, object timestamp_ms, int64_t now_ms) except? -1


cdef class RecordAccumulator:
    cdef public int unusable
    cdef public bint armed
    cdef public int64_t memory_used
    cdef readonly int acks
    cdef readonly int64_t last_send_ms
    cdef readonly dict pending, _unsynced
    cdef readonly dict _targets
    cdef public object _metadata_end
    cdef public int64_t _metadata_version
    cdef int64_t buffer_memory
    cdef bint send_at_once
    cdef object partitioner, key_serializer, value_serializer, clock
    cdef object __weakref__

    cdef RecordFuture take(
        self, object topic, object value, object key, object headers, object partition,
        object timestamp_ms
    )
    cdef RecordFuture put_made(
        self, TopicTarget target, PartitionQueue queue, bytes key, bytes value, tuple headers,
        int64_t timestamp
    )
    cdef RecordFuture append(
        self, TopicTarget target, PartitionQueue queue, bytes key, bytes value, tuple headers,
        int64_t timestamp
    )
    cdef int open_batch(self, PartitionQueue queue, Py_ssize_t fixed) except -1
    cdef int grow(self, ProducerBatch batch, Py_ssize_t needed) except -1
    cdef int switch_sticky(self, TopicTarget target) except -1
    cdef int64_t wall_ms(self) except? -1
    cdef double monotonic_s(self) except? -1
