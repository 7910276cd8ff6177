# `RecordFuture` and `ProducerBatch`: a part of `_accumulator.pyx`, the twin of `batch.py`.

@cython.final
@cython.no_gc  # it refers to its batch only: a cycle through it always passes a tracked object
@cython.freelist(1024)
cdef class RecordFuture:
    """The outcome of one `send()`: `result()` waits for it, and so does `await`."""

    def done(self):
        """Whether the outcome is known."""
        return self.batch.queue.acks == 0 or self.batch.state >= DONE

    def result(self, timeout=None):
        """The `RecordMetadata`, once the record is as durable as `acks` asks.

        Sends the record's batch at once, linger or not. `timeout` (seconds) bounds the wait for
        other threads; a write or sync that has begun is not cut short. Raises what made the
        send fail, `TimeoutError`, or `ForkedHandleError` in a forked child.
        """
        cdef ProducerBatch batch = self.batch
        if batch.state != DONE or batch.queue.accumulator.unusable:
            delivery.complete(self, batch, timeout)
        return delivery.record_metadata(batch, self.index, self.timestamp)

    def exception(self, timeout=None):
        """The error that made the send fail, or None; waits like `result`."""
        return delivery.exception_of(self, self.batch, timeout)

    def add_done_callback(self, callback):
        """Call `callback(future)` when the outcome is known, from whichever thread knows it."""
        delivery.add_callback(self, self.batch, callback)

    def observe(self):
        """Note that somebody has seen this outcome; `flush()` need not raise it."""
        if not self.observed:
            self.observed = True
            self.batch.observed += 1

    def __await__(self):
        return delivery.wait_async(self, self.batch)

    def __repr__(self):
        return delivery.describe(self.batch, self.index)


@cython.final
@cython.freelist(64)
cdef class ProducerBatch:
    """What one append writes: the open batch of a partition, or an encoded run of `send_many`."""

    def __init__(self, PartitionQueue queue not None, wire, parts, int32_t count, double created_s):
        self.queue = queue
        self.wire = wire
        self.parts = parts
        self.count = count
        self.created_s = created_s
        self.base_offset = self.append_time_ms = -1
        self.state = SEALED

    def close(self, int attributes):
        """The encoded batch, CRC and producer excepted. May be called again, if interrupted."""
        cdef BatchHeader header
        if self.size != self.capacity:
            PyByteArray_Resize(self.buffer, self.size)
            self.capacity = self.size
        header.base_offset = 0
        header.length = <int32_t>(self.size - 12)
        header.leader_epoch = -1
        header.attributes = <short>attributes
        header.last_offset_delta = self.count - 1
        header.base_timestamp = self.base_timestamp
        header.max_timestamp = self.max_timestamp
        header.producer_id = -1
        header.producer_epoch = -1
        header.base_sequence = -1
        header.count = self.count
        write_batch_header(<uint8_t*>PyByteArray_AS_STRING(self.buffer), &header)
        return self.buffer

    def release(self):
        """Give the memory back: nothing will be encoded or written any more."""
        self.queue.accumulator.memory_used -= self.reserved
        self.reserved = 0
        self.wire = self.buffer = None

    cdef void write(
        self, Py_ssize_t body, bytes key, bytes value, tuple headers, int64_t timestamp
    ) noexcept:
        cdef uint8_t* start = <uint8_t*>PyByteArray_AS_STRING(self.buffer)
        cdef uint8_t* p
        p = write_record(
            start + self.size, body, timestamp - self.base_timestamp, self.count,
            NULL if key is None else <const uint8_t*>PyBytes_AS_STRING(key),
            -1 if key is None else PyBytes_GET_SIZE(key),
            NULL if value is None else <const uint8_t*>PyBytes_AS_STRING(value),
            -1 if value is None else PyBytes_GET_SIZE(value),
        )
        if headers is None:
            p[0] = 0
            p += 1
        else:
            p = write_headers(p, headers)
        self.size = p - start
        self.count += 1
        if timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
