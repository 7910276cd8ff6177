# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`RecordBatch` and `RecordIterator`, compiled. `batch.py` and `iterator.py` specify them."""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from streamlog.record._record cimport Record
from streamlog.record._decode cimport load16, load32, load64, loadu32, read_varint, read_varlong

from streamlog.record.checksum import crc32c as _crc32c

from streamlog.record.compression import decompress as _decompress
from streamlog.record.corruption import (
    BAD_FIELDS,
    BAD_LENGTH,
    BAD_OFFSET,
    LEFT_OVER,
    legacy_format,
    malformed_batch,
    malformed_record,
)
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT as _DEFAULT_LIMIT
from streamlog.record.timestamp_type import TimestampType

cdef object CREATE_TIME = TimestampType.CREATE_TIME
cdef object LOG_APPEND_TIME = TimestampType.LOG_APPEND_TIME
cdef enum:
    HEADER_SIZE = 61
cdef int64_t MAX_INT64 = 0x7FFFFFFFFFFFFFFF


# Outside the collector, like all that may hold a memoryview: CPython before 3.11.8 and 3.12.2
# crashes when it clears one in a cycle (gh-77894). Nothing here can be part of a cycle.
@cython.no_gc
cdef class RecordBatch:
    """The batch at `position` of `buffer`: a view which keeps the buffer alive.

    Only the frame is checked here: raises `CorruptRecordError` when no whole batch is there and
    `UnsupportedFormatError` for message formats v0 and v1. `check()` verifies the CRC. The fields
    are read when asked for, so they follow what is assigned in place.
    """

    def __cinit__(self, buffer, Py_ssize_t position=0):
        if position < 0:
            raise ValueError(f"position must not be negative, not {position}")
        PyObject_GetBuffer(buffer, &self.buffer, PyBUF_SIMPLE)
        self.held = True
        self.source = buffer
        self.position = position
        self.size = framed_size(
            <const uint8_t*>self.buffer.buf + position, self.buffer.len - position, position
        )
        self.start = <const uint8_t*>self.buffer.buf + position

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)

    def __len__(self):
        return self.size

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<const char*>self.start, self.size)

    def __iter__(self):
        return self.open_records("", -1, 0, _DEFAULT_LIMIT)

    def __repr__(self):
        return (
            f"RecordBatch(base_offset={self.base_offset}, last_offset={self.last_offset}, "
            f"count={self.count}, size={self.size}, codec={self.codec})"
        )

    cpdef check(self):
        """Raises `CorruptRecordError` unless length, magic, CRC and offsets make sense."""
        if load32(self.start + 8) != self.size - 12:
            raise malformed_batch(self.position, "its length changed")
        if self.start[16] != 2:
            raise malformed_batch(self.position, "its magic changed")
        if loadu32(self.start + 17) != <object>_crc32c(
            PyMemoryView_FromMemory(<char*>self.start + 21, self.size - 21, PyBUF_READ)
        ):
            raise malformed_batch(self.position, "its CRC does not match")
        self.check_offsets()

    cdef int check_offsets(self) except -1:
        cdef int32_t delta = load32(self.start + 23), count = load32(self.start + 57)
        cdef int64_t base_offset = load64(self.start)
        if delta < 0 or count < 0 or count > <int64_t>delta + 1:
            raise malformed_batch(self.position, "its record count does not make sense")
        if base_offset < 0 or base_offset >= MAX_INT64 - delta:
            raise malformed_batch(self.position, "its base offset does not make sense")
        return 0

    def records(self, topic, partition, int64_t min_offset=0, Py_ssize_t limit=_DEFAULT_LIMIT):
        """The records from `min_offset` on, decoded one by one; the payload is decompressed now.

        Raises `DecompressionError` for a broken payload or one larger than `limit` bytes.
        """
        return self.open_records(topic, partition, min_offset, limit)

    cdef RecordIterator open_records(
        self, object topic, object partition, int64_t min_offset, Py_ssize_t limit
    ):
        self.check_offsets()
        cdef RecordIterator records = RecordIterator.__new__(RecordIterator)
        cdef int attributes = load16(self.start + 21)
        records.batch = self
        records.count = load32(self.start + 57)
        if attributes & 7 and records.count > 0:
            records.payload = _decompress(attributes & 7, self.view[HEADER_SIZE:], limit)
            records.at = <const uint8_t*>PyBytes_AS_STRING(records.payload)
            records.end = records.at + PyBytes_GET_SIZE(records.payload)
        else:
            records.at = self.start + HEADER_SIZE
            records.end = self.start + self.size
        records.base_offset = load64(self.start)
        records.base_timestamp = load64(self.start + 27)
        records.max_timestamp = load64(self.start + 35)
        records.min_offset = min_offset
        records.last_offset_delta = load32(self.start + 23)
        records.previous_delta = -1
        records.leader_epoch = load32(self.start + 12)
        records.append_time = (attributes & 8) != 0
        records.timestamp_type = LOG_APPEND_TIME if attributes & 8 else CREATE_TIME
        records.topic = topic
        records.partition = partition
        records.next_offset = max(min_offset, records.base_offset)
        return records

    @property
    def view(self):
        """The bytes of the batch, not copied."""
        cdef object whole = memoryview(self.source)
        if whole.itemsize != 1 or whole.ndim != 1:
            whole = whole.cast("B")
        return whole[self.position : self.position + self.size]

    cdef int64_t get_base_offset(self) noexcept:
        return load64(self.start)

    cdef int64_t get_next_offset(self) noexcept:
        return <int64_t>(<uint64_t>load64(self.start) + load32(self.start + 23) + 1)

    @property
    def base_offset(self):
        """The offset of the batch's first place; its first record may have been compacted away."""
        return load64(self.start)

    @property
    def last_offset(self):
        """The offset of the batch's last place, whether a record is left there or not."""
        return <object>load64(self.start) + load32(self.start + 23)

    @property
    def next_offset(self):
        """The offset behind the batch."""
        return self.last_offset + 1

    @property
    def count(self):
        """Records present: fewer than the offsets covered once compaction removed some."""
        return load32(self.start + 57)

    @property
    def attributes(self):
        """The flags: codec, timestamp type, transactional, control, delete horizon."""
        return load16(self.start + 21)

    @property
    def codec(self):
        """How the records are compressed: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return load16(self.start + 21) & 7

    @property
    def timestamp_type(self):
        """Whether timestamps are the producer's or the log's."""
        return LOG_APPEND_TIME if load16(self.start + 21) & 8 else CREATE_TIME

    @property
    def base_timestamp(self):
        """What the records' timestamps are relative to, or the delete horizon."""
        return load64(self.start + 27)

    @property
    def max_timestamp(self):
        """The largest timestamp of its records in ms, or the time of the append; -1 for none."""
        return load64(self.start + 35)

    @property
    def leader_epoch(self):
        """The leader epoch in which it was appended; -1 before that."""
        return load32(self.start + 12)

    @property
    def producer_id(self):
        """The idempotent producer that sent it; -1 for none."""
        return load64(self.start + 43)

    @property
    def producer_epoch(self):
        """The producer's epoch; -1 for none."""
        return load16(self.start + 51)

    @property
    def base_sequence(self):
        """The first record's sequence number; -1 for none."""
        return load32(self.start + 53)

    @property
    def last_sequence(self):
        """The last record's sequence number; it wraps at 2^31 - 1. -1 without a producer."""
        cdef int32_t base = load32(self.start + 53)
        if base < 0:
            return base
        return (<int64_t>base + load32(self.start + 23)) & 0x7FFFFFFF

    @property
    def crc(self):
        """The CRC-32C that the header gives for everything from the attributes on."""
        return loadu32(self.start + 17)

    @property
    def is_transactional(self):
        """Whether it belongs to a transaction."""
        return (load16(self.start + 21) & 0x10) != 0

    @property
    def is_control(self):
        """Whether it holds a marker of the log's own and no records of a user."""
        return (load16(self.start + 21) & 0x20) != 0

    @property
    def has_delete_horizon(self):
        """Whether `base_timestamp` is the time from which tombstones may go (KIP-534)."""
        return (load16(self.start + 21) & 0x40) != 0


cdef Py_ssize_t framed_size(
    const uint8_t* start, Py_ssize_t remaining, Py_ssize_t position
) except -1:
    """The size of the batch at `start`, all of which is there."""
    if remaining < 17:
        raise malformed_batch(position, "the header is cut short")
    cdef int32_t length = load32(start + 8)
    cdef int magic = start[16]
    if length < 14:
        raise malformed_batch(position, f"a length of {length}")
    if magic < 2:
        raise legacy_format(position, magic)
    if magic != 2:
        raise malformed_batch(position, f"unknown magic {magic}")
    if length < HEADER_SIZE - 12:
        raise malformed_batch(position, f"a length of {length}")
    if length > remaining - 12:
        raise malformed_batch(position, "it is cut short")
    return <Py_ssize_t>length + 12


@cython.no_gc
@cython.final
cdef class RecordIterator:
    """Iterates over the records of one batch, decoding one for each `next()`.

    `next_offset` is the offset behind the last record handed out; once the batch is exhausted
    it is the offset behind the batch, which may be further on where compaction left gaps.

    Records below `min_offset` are passed over without being decoded. Raises
    `CorruptRecordError` at the first record that does not decode, and again when called again.
    """

    def __iter__(self):
        return self

    def __next__(self):
        record = self.next_record()
        if record is None:
            raise StopIteration
        return record

    def take(self, Py_ssize_t count):
        """The next records, at most `count`."""
        cdef list taken = []
        while len(taken) < count:
            record = self.next_record()
            if record is None:
                break
            taken.append(record)
        return taken

    cdef object next_record(self):
        cdef const uint8_t* p
        cdef const uint8_t* end
        cdef int32_t length = 0, offset_delta = 0
        cdef int64_t timestamp_delta = 0
        if self.batch is None:
            raise TypeError("a RecordIterator comes from RecordBatch.records()")
        while self.index < self.count:
            p = read_varint(self.at, self.end, &length)
            if p == NULL or length <= 0 or length > self.end - p:
                self.fail(BAD_LENGTH)
            end = p + length
            p = read_varlong(p + 1, end, &timestamp_delta)
            if p != NULL:
                p = read_varint(p, end, &offset_delta)
            if p == NULL:
                self.fail(BAD_FIELDS)
            if offset_delta <= self.previous_delta or offset_delta > self.last_offset_delta:
                self.fail(BAD_OFFSET)
            if self.base_offset + offset_delta >= self.min_offset:
                return self.decode_rest(timestamp_delta, offset_delta, p, end)
            self.at = end
            self.previous_delta = offset_delta
            self.index += 1
        if self.at != self.end:
            self.fail(LEFT_OVER)
        self.next_offset = max(self.next_offset, self.base_offset + self.last_offset_delta + 1)
        return None

    cdef object decode_rest(
        self, int64_t timestamp_delta, int32_t offset_delta, const uint8_t* p, const uint8_t* end
    ):
        """The record whose key comes at `p`. The position moves only when all of it decodes."""
        cdef Record record = Record.__new__(Record)
        cdef int64_t offset
        cdef int32_t length = 0
        p = read_varint(p, end, &length)
        if p == NULL or length < -1 or length > end - p:
            self.fail(BAD_FIELDS)
        if length >= 0:
            record.key = PyBytes_FromStringAndSize(<const char*>p, length)
            p += length
        p = read_varint(p, end, &length)
        if p == NULL or length < -1 or length > end - p:
            self.fail(BAD_FIELDS)
        if length >= 0:
            record.value = PyBytes_FromStringAndSize(<const char*>p, length)
            p += length
        if end - p == 1 and p[0] == 0:
            record.headers = ()
        else:
            record.headers = decode_headers(p, end)
            if record.headers is None:
                self.fail(BAD_FIELDS)
        record.topic = self.topic
        record.partition = self.partition
        offset = self.base_offset + offset_delta
        record.offset = offset
        record.timestamp_type = self.timestamp_type
        record.leader_epoch = self.leader_epoch
        if self.append_time:
            record.timestamp = self.max_timestamp
        else:
            record.timestamp = <int64_t>(<uint64_t>self.base_timestamp + <uint64_t>timestamp_delta)
        self.at = end
        self.previous_delta = offset_delta
        self.index += 1
        self.next_offset = offset + 1
        return record

    cdef int fail(self, object reason) except -1:
        error = malformed_record(self.base_offset, self.index, reason)
        if self.locate is None:
            raise error
        # Here and not where it is called: a handler around every record costs more than decoding
        # one of its fields.
        locate, fetch, at = self.locate
        raise locate(error, fetch, at, self.next_offset) from error


cdef tuple decode_headers(const uint8_t* p, const uint8_t* end):
    """The headers that fill everything up to `end`; None when they do not."""
    cdef int32_t count = 0, length = 0
    cdef int32_t _index
    cdef list headers = []
    p = read_varint(p, end, &count)
    if p == NULL or count < 0 or count > (end - p) // 2:
        return None
    for _index in range(count):
        p = read_varint(p, end, &length)
        if p == NULL or length < 0 or length > end - p:
            return None
        key = PyUnicode_DecodeUTF8(<char*>p, length, "surrogateescape")
        p += length
        p = read_varint(p, end, &length)
        if p == NULL or length < -1 or length > end - p:
            return None
        if length < 0:
            headers.append((key, None))
        else:
            headers.append((key, PyBytes_FromStringAndSize(<const char*>p, length)))
            p += length
    return tuple(headers) if p == end else None
