# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`encode_many` and the partitioner, compiled. Their specification is `bulk.py`, `murmur2.py`."""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from streamlog.record._builder cimport fill_header, finish_batch
from streamlog.record._encode cimport (
    BatchHeader,
    Span,
    body_size,
    close_span,
    difference,
    headers_size,
    open_span,
    varint_size,
    write_headers,
    write_record,
)
from streamlog.record._murmur2 cimport hash_of, partition_of

from array import array

from streamlog.record.byteslike import encoded_headers, not_bytes
from streamlog.record.compression import compress as _compress
from streamlog.record.encode import BatchSettings, batch_too_large, checked_timestamp
from streamlog.record.layout import DEFAULT_BATCH_SIZE as _DEFAULT_BATCH_SIZE

cdef enum:
    HEADER_SIZE = 61
cdef Py_ssize_t MAX_INT32 = 0x7FFFFFFF


def murmur2(data):
    """The hash of `data`, as Java's signed 32-bit int."""
    cdef Span span
    open_required(&span, data, "data")
    cdef int32_t value = <int32_t>hash_of(span.data, span.size)
    close_span(&span)
    return value


def partition_for_key(key, partition_count):
    """The partition that every Java-compatible producer puts `key` in.

    Raises `ValueError` for a count below 1.
    """
    cdef Span span
    cdef int32_t count = checked_count(partition_count)
    open_required(&span, key, "key")
    cdef int32_t partition = partition_of(span.data, span.size, count)
    close_span(&span)
    return partition


def partition_many(keys, partition_count):
    """`partition_for_key` of each key; -1 where the key is None (the caller chooses)."""
    cdef Span span
    cdef int32_t count = checked_count(partition_count)
    cdef tuple items = tuple(keys)
    cdef object partitions = array("i", bytes(4 * len(items)))
    cdef int[::1] out
    cdef Py_ssize_t index
    if not items:
        return partitions
    out = partitions
    for index in range(len(items)):
        try:
            open_span(&span, items[index], "key")
        except TypeError:
            raise not_bytes(f"keys[{index}]", items[index]) from None
        out[index] = -1 if span.size < 0 else partition_of(span.data, span.size, count)
        close_span(&span)
    return partitions


cdef int32_t checked_count(object partition_count) except -1:
    if partition_count < 1:
        raise ValueError(f"partition_count must be at least 1, not {partition_count}")
    return partition_count


cdef int open_required(Span* span, object value, str name) except -1:
    if value is None:
        raise not_bytes(name, value)
    try:
        return open_span(span, value, name)
    except TypeError:
        raise not_bytes(name, value) from None


def encode_many(
    values,
    keys,
    timestamps,
    now_ms,
    *,
    headers=None,
    indexes=None,
    Py_ssize_t batch_size=_DEFAULT_BATCH_SIZE,
    codec=0,
    level=None,
    timestamp_type=0,
    producer_id=-1,
    producer_epoch=-1,
    base_sequence=-1,
    transactional=False,
    leader_epoch=-1,
):
    """Encode `values` into consecutive batches in one writable buffer.

    `keys`, `timestamps` and `headers` go with `values`; `now_ms` stands in for a timestamp that
    is None. With `indexes` only those positions of the sequences are taken, in that order.
    Returns the buffer and a (position, size, record count) for each batch. A batch holds at least
    one record and otherwise at most `batch_size` bytes before compression; sequence numbers run
    on from batch to batch. Nothing is returned unless everything encodes.

    Raises `TypeError` naming the argument, `ValueError` when the lengths differ,
    `InvalidTimestampError`, `ConfigError`, `RecordTooLargeError`.
    """
    cdef BatchWriter writer = BatchWriter.__new__(BatchWriter)
    writer.values = tuple(values)
    writer.keys = column_of(keys, "keys", len(writer.values))
    writer.timestamps = column_of(timestamps, "timestamps", len(writer.values))
    writer.headers = column_of(headers, "headers", len(writer.values))
    writer.now_ms = checked_timestamp(now_ms, "now_ms")
    fill_header(
        &writer.header,
        BatchSettings(
            codec=codec,
            level=level,
            timestamp_type=timestamp_type,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            transactional=transactional,
            leader_epoch=leader_epoch,
        ),
    )
    writer.codec = codec
    writer.level = level
    writer.batch_size = min(batch_size, MAX_INT32)
    writer.out = bytearray()
    writer.batches = []
    writer.run(indexes)
    PyByteArray_Resize(writer.out, writer.used)
    return writer.out, writer.batches


cdef tuple column_of(object column, str name, Py_ssize_t count):
    if column is None:
        return None
    cdef tuple items = tuple(column)
    if len(items) != count:
        raise ValueError(f"{count} values but {len(items)} {name}")
    return items


@cython.final
cdef class BatchWriter:
    """Appends records to the batch at the end of `out`, and starts another when it is full."""

    cdef BatchHeader header  # of the batch that is begun; its count is 0 between batches
    cdef tuple values, keys, timestamps, headers
    cdef int64_t now_ms
    cdef Py_ssize_t batch_size
    cdef int codec
    cdef object level
    cdef bytearray out
    cdef list batches
    cdef Py_ssize_t start
    cdef Py_ssize_t used

    cdef int run(self, object indexes) except -1:
        cdef Py_ssize_t index, count = len(self.values)
        if indexes is None:
            for index in range(count):
                self.add(index)
        else:
            for index in indexes:
                if not 0 <= index < count:
                    raise IndexError(f"index {index} is not among {count} values")
                self.add(index)
        self.finish()
        return 0

    cdef int add(self, Py_ssize_t index) except -1:
        cdef Span key, value
        cdef int64_t timestamp = self.now_ms
        cdef tuple pairs = None
        if self.timestamps is not None and self.timestamps[index] is not None:
            timestamp = checked_timestamp_at(self.timestamps[index], index)
        if self.headers is not None:
            pairs = encoded_headers(self.headers[index])
        try:
            open_span(&key, None if self.keys is None else self.keys[index], "key")
        except TypeError:
            raise wrong_type("keys", index, self.keys[index]) from None
        try:
            try:
                open_span(&value, self.values[index], "value")
            except TypeError:
                raise wrong_type("values", index, self.values[index]) from None
            try:
                self.write(timestamp, &key, &value, pairs)
            finally:
                close_span(&value)
        finally:
            close_span(&key)
        return 0

    cdef int write(self, int64_t timestamp, Span* key, Span* value, tuple pairs) except -1:
        cdef BatchHeader* header = &self.header
        cdef Py_ssize_t size_of_headers = headers_size(pairs) if pairs else 1
        cdef int64_t delta = 0
        cdef Py_ssize_t body = 0, size = 0
        cdef uint8_t* p
        if header.count:
            delta = difference(timestamp, header.base_timestamp)
            body = body_size(delta, header.count, key.size, value.size, size_of_headers)
            size = varint_size(body) + body
            if self.used - self.start + size > self.batch_size:
                self.finish()
        if not header.count:
            delta = 0
            body = body_size(0, 0, key.size, value.size, size_of_headers)
            size = varint_size(body) + body
            if HEADER_SIZE + size > MAX_INT32:
                raise batch_too_large(HEADER_SIZE + size)
            header.base_timestamp = header.max_timestamp = timestamp
            self.reserve(HEADER_SIZE)
            self.used += HEADER_SIZE
        self.reserve(size)
        p = <uint8_t*>PyByteArray_AS_STRING(self.out) + self.used
        p = write_record(
            p, body, delta, header.count, key.data, key.size, value.data, value.size
        )
        if pairs:
            write_headers(p, pairs)
        else:
            p[0] = 0
        self.used += size
        if timestamp > header.max_timestamp:
            header.max_timestamp = timestamp
        header.count += 1
        return 0

    cdef inline int reserve(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t capacity = PyByteArray_GET_SIZE(self.out)
        if self.used + size > capacity:
            PyByteArray_Resize(self.out, max(self.used + size, 2 * capacity))
        return 0

    cdef int finish(self) except -1:
        """Complete the batch at the end of `out`, if one is begun."""
        cdef BatchHeader* header = &self.header
        cdef bytes payload
        cdef Py_ssize_t at = self.start + HEADER_SIZE
        if not header.count:
            return 0
        if self.codec != 0:
            payload = _compress(self.codec, memoryview(self.out)[at : self.used], self.level)
            self.used = at
            self.reserve(len(payload))
            memcpy(PyByteArray_AS_STRING(self.out) + at, <const char*>payload, len(payload))
            self.used += len(payload)
        finish_batch(
            <uint8_t*>PyByteArray_AS_STRING(self.out) + self.start, self.used - self.start, header
        )
        self.batches.append((self.start, self.used - self.start, header.count))
        if header.base_sequence >= 0:
            header.base_sequence = <int32_t>(
                (<int64_t>header.base_sequence + header.count) & 0x7FFFFFFF
            )
        self.start = self.used
        header.count = 0
        return 0


cdef int64_t checked_timestamp_at(object timestamp, Py_ssize_t index) except? -1:
    if type(timestamp) is int and 0 <= timestamp <= 0x7FFFFFFFFFFFFFFF:
        return timestamp
    return checked_timestamp(timestamp, f"timestamps[{index}]")


cdef object wrong_type(str name, Py_ssize_t index, object value):
    return TypeError(
        f"{name}[{index}] must be bytes-like or None, not {type(value).__name__}"
    )
