# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Where `Producer.send` puts a record: the compiled twin of `accumulator.py`, its specification.

One C section per record, made atomic by the GIL: between looking at the open batch and writing
into it no Python code runs (no call, no allocation that the collector counts, no last reference
dropped). Whatever may run Python code (serializers, a full batch, a new one) happens before, and
then the open batch is looked at again.
"""

cimport cython
from cpython.bytearray cimport (
    PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

from streamlog.record._encode cimport (
    BatchHeader, headers_size, span_size, varint_size, write_batch_header, write_headers,
    write_record
)
from streamlog.record._murmur2 cimport partition_of

from streamlog.clients import arguments, delivery
from streamlog.clients.postponed import NoRoom
from streamlog.clock import SYSTEM_CLOCK
from streamlog.record.byteslike import encoded_headers

cdef enum:
    HEADER_SIZE = 61
    # batch_state.py
    OPEN = 0
    SEALED = 1
    DONE = 3
    FAILED = 4

cdef int64_t NO_LIMIT = 0x7FFFFFFFFFFFFFFF


include "_batch.pxi"


@cython.final
cdef class PartitionQueue:
    """The batches of one partition on their way: one open, some sealed, some to be synced."""

    def __init__(self, RecordAccumulator accumulator not None, TopicTarget target, partition, lock):
        self.accumulator = accumulator
        self.target = target
        self.topic = target.topic
        self.partition = partition
        self.acks = accumulator.acks
        self.sealed = []
        self.unsynced = {}
        self.lock = lock
        self.last_size = 1024

    def seal(self):
        """Close the open batch, if there is one, and queue it; what comes next goes to another."""
        cdef ProducerBatch batch = self.open
        if batch is None:
            return
        if batch.count == 0:  # an interrupt came between opening it and its first record
            self.open = None
            batch.release()
            return
        self.sealed.append(batch)
        batch.state = SEALED
        self.last_size = batch.size
        self.open = None

    def rest(self):
        """Off the producer's lists if nothing is on its way, in one step for every thread."""
        if self.open is None and not self.sealed:
            self.accumulator.pending.pop(self, None)
        if not self.unsynced:
            self.accumulator._unsynced.pop(self, None)

    def list_unsynced(self, batch):
        """Have `batch` synced."""
        self.unsynced[batch] = None
        self.accumulator._unsynced[self] = None

    def __repr__(self):
        return f"<queue of {self.topic}-{self.partition}: {len(self.sealed)} sealed>"


@cython.final
cdef class TopicTarget:
    """What `send()` needs to know of a topic, resolved once; `targets.fill_target` fills it."""

    def __init__(self, topic):
        self.topic = topic
        self.queues = []

    cdef PartitionQueue queue_at(self, Py_ssize_t partition):
        return <PartitionQueue>PyList_GET_ITEM(self.queues, partition)

    cdef PartitionQueue chosen(self, object partition):
        """The queue of a partition that the caller named."""
        if type(partition) is int and 0 <= partition < len(self.queues):
            return self.queue_at(partition)
        return self.queue_at(0).accumulator.added_partition(self, partition)

    cdef int64_t checked_timestamp(self, object timestamp_ms, int64_t now_ms) except? -1:
        """A timestamp that the caller gave, within the topic's bounds (KIP-937)."""
        cdef int64_t timestamp
        if type(timestamp_ms) is not int or not 0 <= timestamp_ms <= NO_LIMIT:
            return arguments.checked_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        timestamp = timestamp_ms
        if not self.append_time and (
            now_ms - timestamp > self.before_max_ms or timestamp - now_ms > self.after_max_ms
        ):
            return arguments.checked_timestamp(self, timestamp_ms, now_ms, "timestamp_ms")
        return timestamp


cdef class RecordAccumulator:
    """The hot half of a `Producer`: takes records into batches, and calls the other half per batch.

    The subclass provides what `accumulator.py` names.
    """

    def __init__(self, config, clock):
        self.acks = config.acks
        self.buffer_memory = config.buffer_memory
        self.send_at_once = config.linger_ms == 0 or config.batch_size == 0
        self.partitioner = config.partitioner
        self.key_serializer = config.key_serializer
        self.value_serializer = config.value_serializer
        self.clock = None if clock is SYSTEM_CLOCK else clock
        self.pending = {}
        self._unsynced = {}
        self._targets = {}

    def send(self, topic, value=None, key=None, headers=None, partition=None, timestamp_ms=None):
        """Send one record; returns its `RecordFuture`. See `Producer`."""
        return self.take(topic, value, key, headers, partition, timestamp_ms)

    cdef RecordFuture take(
        self, object topic, object value, object key, object headers, object partition,
        object timestamp_ms
    ):
        cdef TopicTarget target
        cdef PartitionQueue queue = None
        cdef bytes key_bytes, value_bytes
        cdef tuple pairs = None
        cdef int64_t timestamp
        cdef object found = None
        cdef RecordFuture future
        if self.unusable:
            self._refuse()
        if type(topic) is str:
            found = self._targets.get(topic)
        target = <TopicTarget>(self._open_topic(topic) if found is None else found)
        if partition is not None:
            queue = target.chosen(partition)
        if self.key_serializer is not None:
            key_bytes = arguments.serialized(self.key_serializer, topic, "key", key)
        else:
            key_bytes = key if key is None or type(key) is bytes else arguments.raw(key, "key")
        if self.value_serializer is not None:
            value_bytes = arguments.serialized(self.value_serializer, topic, "value", value)
        else:
            value_bytes = (
                value if value is None or type(value) is bytes else arguments.raw(value, "value")
            )
        if headers:
            pairs = encoded_headers(headers)
        timestamp = self.last_send_ms = self.wall_ms()
        if timestamp_ms is not None:
            timestamp = target.checked_timestamp(timestamp_ms, timestamp)
        if queue is None and self.partitioner is not None:
            found = arguments.custom_partition(self.partitioner, target, key_bytes, value_bytes)
            if found is not None:
                queue = target.chosen(found)
        elif queue is None and key_bytes is not None:
            queue = target.queue_at(partition_of(
                <const uint8_t*>PyBytes_AS_STRING(key_bytes), PyBytes_GET_SIZE(key_bytes),
                <int32_t>len(target.queues),
            ))
        if key_bytes is None and target.requires_key:
            arguments.check_key(target)
        future = self.put_made(target, queue, key_bytes, value_bytes, pairs, timestamp)
        if future is None:
            self._open_topic(topic)  # the next of that name, if there is one
            return self.take(topic, value, key, headers, partition, timestamp_ms)
        return future

    def put(
        self, TopicTarget target not None, PartitionQueue queue, bytes key, bytes value,
        tuple headers, int64_t timestamp
    ):
        """The second half of `send`: a record that is made, into its batch.

        None when the target's topic is gone. Where `_make_room` does not wait but raises `NoRoom`,
        that has its arguments.
        """
        return self.put_made(target, queue, key, value, headers, timestamp)

    cdef RecordFuture put_made(
        self, TopicTarget target, PartitionQueue queue, bytes key, bytes value, tuple headers,
        int64_t timestamp
    ):
        try:
            return self.append(target, queue, key, value, headers, timestamp)
        except NoRoom as postponed:
            postponed.record = (target, queue, key, value, headers, timestamp)
            raise

    cdef RecordFuture append(
        self, TopicTarget target, PartitionQueue queue, bytes key, bytes value, tuple headers,
        int64_t timestamp
    ):
        """Write a record into its partition's open batch; without a queue, into the sticky one.

        None when the target's topic is gone: the record is for another target.
        """
        cdef bint sticky = queue is None
        cdef ProducerBatch batch
        cdef Py_ssize_t body, size
        cdef Py_ssize_t fixed = (
            1
            + span_size(-1 if key is None else PyBytes_GET_SIZE(key))
            + span_size(-1 if value is None else PyBytes_GET_SIZE(value))
            + (1 if headers is None else headers_size(headers))
        )
        cdef RecordFuture future = RecordFuture.__new__(RecordFuture)
        if HEADER_SIZE + fixed + 12 > target.record_limit:  # always so, once the topic is gone
            if target.gone:
                return None
            arguments.check_record_size(target, fixed)
        while True:
            if self.unusable:
                self._refuse()
            if sticky:
                queue = target.queue_at(target.sticky)
            batch = queue.open
            if batch is None:
                if sticky and target.sticky_bytes >= target.batch_limit:
                    self.switch_sticky(target)
                    queue = target.queue_at(target.sticky)
                if not self.open_batch(queue, fixed):
                    return None
                continue
            if batch.count == 0:
                batch.base_timestamp = batch.max_timestamp = timestamp
            body = (
                fixed + varint_size(timestamp - batch.base_timestamp) + varint_size(batch.count)
            )
            size = batch.size + varint_size(body) + body
            if size > batch.limit and batch.count:
                queue.seal()
                if sticky:
                    self.switch_sticky(target)
                self._drain_full(queue)
                batch = None  # its last reference goes here, not after the next look
            elif size > batch.capacity:
                self.grow(batch, size)
            else:
                break
        future.batch = batch
        future.index = batch.count
        future.timestamp = timestamp
        target.sticky_bytes += size - batch.size
        batch.write(body, key, value, headers, timestamp)
        if self.send_at_once or batch.size >= target.batch_limit:
            queue.seal()
            self._drain_full(queue)
        return future

    cdef int open_batch(self, PartitionQueue queue, Py_ssize_t fixed) except -1:
        """Give `queue` an open batch with room for one record; another thread may be first.

        Returns 0 when the topic is gone, else 1.
        """
        cdef Py_ssize_t needed = HEADER_SIZE + fixed + 7  # three one-byte deltas, length to 5
        cdef Py_ssize_t limit = max(queue.target.batch_limit, needed)
        cdef Py_ssize_t capacity = min(limit, max(needed, queue.last_size))
        cdef ProducerBatch batch
        if self._metadata_end() != self._metadata_version:
            self._metadata_moved(queue.target)
        if queue.target.gone:
            return 0
        if self.memory_used + capacity > self.buffer_memory:
            self._make_room(capacity)
        batch = ProducerBatch.__new__(ProducerBatch)
        batch.queue = queue
        batch.buffer = PyByteArray_FromStringAndSize(NULL, capacity)
        batch.base_offset = batch.append_time_ms = -1
        batch.size = HEADER_SIZE
        batch.capacity = batch.reserved = capacity
        batch.limit = limit
        batch.created_s = self.monotonic_s()
        if queue.open is not None or self.unusable:
            if self.unusable:
                self._refuse()
            return 1
        queue.open = batch
        self.memory_used += capacity
        self.pending[queue] = None
        if not self.armed:
            self._arm()
        return 1

    cdef int grow(self, ProducerBatch batch, Py_ssize_t needed) except -1:
        """More room in an open batch, towards its limit."""
        cdef Py_ssize_t capacity = max(needed, min(batch.limit, 4 * batch.capacity))
        if self.memory_used + capacity - batch.capacity > self.buffer_memory:
            self._make_room(capacity - batch.capacity)
        if batch.state != OPEN or capacity <= batch.capacity:
            return 0  # the room that was made was its own, or another thread was faster
        PyByteArray_Resize(batch.buffer, capacity)
        self.memory_used += capacity - batch.capacity
        batch.reserved += capacity - batch.capacity
        batch.capacity = capacity
        return 0

    cdef int switch_sticky(self, TopicTarget target) except -1:
        """Where records without a key go next (KIP-794)."""
        target.sticky_bytes = 0
        if len(target.queues) > 1:
            target.sticky = self._next_sticky(target)
        return 0

    cdef int64_t wall_ms(self) except? -1:
        cdef timespec now
        if self.clock is not None:
            return self.clock.now_ms()
        clock_gettime(CLOCK_REALTIME, &now)
        return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000

    cdef double monotonic_s(self) except? -1:
        cdef timespec now
        if self.clock is not None:
            return self.clock.monotonic()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return <double>now.tv_sec + <double>now.tv_nsec * 1e-9
