# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`RecordBatchBuilder`, compiled. Its specification is `builder.py`."""

cimport cython
from cpython.buffer cimport PyBUF_READ
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from streamlog.record._encode cimport (
    BatchHeader,
    Span,
    body_size,
    close_span,
    difference,
    headers_size,
    open_span,
    store32,
    varint_size,
    write_batch_header,
    write_headers,
    write_record,
)

from streamlog.record.checksum import crc32c as _crc32c

from streamlog.errors import UsageError
from streamlog.record.byteslike import encoded_headers
from streamlog.record.compression import compress as _compress
from streamlog.record.encode import BatchSettings, batch_too_large, checked_timestamp
from streamlog.record.layout import DEFAULT_BATCH_SIZE as _DEFAULT_BATCH_SIZE

cdef enum:
    HEADER_SIZE = 61
    MAX_RECORD_OVERHEAD = 21
    FIRST_CAPACITY = 256
cdef Py_ssize_t MAX_INT32 = 0x7FFFFFFF


@cython.final
cdef class RecordBatchBuilder:
    """Records in, one complete batch out.

    `size_limit` (bytes, uncompressed) is what `has_room_for` goes by; `append` itself only
    refuses what the format cannot hold. Raises `ConfigError` for settings out of range.
    """

    def __cinit__(
        self,
        *,
        int codec=0,
        level=None,
        int timestamp_type=0,
        int64_t producer_id=-1,
        int64_t producer_epoch=-1,
        int64_t base_sequence=-1,
        bint transactional=False,
        bint control=False,
        int64_t leader_epoch=-1,
        int64_t base_offset=0,
        Py_ssize_t size_limit=_DEFAULT_BATCH_SIZE,
    ):
        # One-record batches are common, so the specification is only asked when it may object.
        if (
            codec | timestamp_type | transactional | control | base_offset
            or producer_id & producer_epoch & base_sequence & leader_epoch != -1
            or level is not None
        ):
            fill_header(
                &self.header,
                BatchSettings(
                    codec=codec,
                    level=level,
                    timestamp_type=timestamp_type,
                    producer_id=producer_id,
                    producer_epoch=producer_epoch,
                    base_sequence=base_sequence,
                    transactional=transactional,
                    control=control,
                    leader_epoch=leader_epoch,
                    base_offset=base_offset,
                ),
            )
        else:
            self.header.leader_epoch = self.header.base_sequence = -1
            self.header.producer_id = self.header.producer_epoch = -1
        self.codec = codec
        self.level = level
        self.out = bytearray(FIRST_CAPACITY)
        self.used = HEADER_SIZE
        self.size_limit = size_limit
        self.base_timestamp = self.max_timestamp = self.min_timestamp = -1

    @property
    def size(self):
        """Bytes so far, before compression, the header included."""
        return self.used

    def has_room_for(self, key, value, headers=()):
        """Whether one more record stays within `size_limit`. The first one always does."""
        cdef Span span
        cdef Py_ssize_t size = 0
        if self.count == 0:
            return True
        open_span(&span, key, "key")
        size += max(0, span.size)
        close_span(&span)
        open_span(&span, value, "value")
        size += max(0, span.size)
        close_span(&span)
        if headers:
            size += headers_size(encoded_headers(headers))
        return self.room_for(size)

    cdef bint room_for(self, Py_ssize_t payload_size) noexcept:
        """The same for a record of `payload_size` bytes of key, value and headers."""
        return (
            self.count == 0
            or self.used + payload_size + MAX_RECORD_OVERHEAD <= self.size_limit
        )

    def append(self, timestamp, key, value, headers=()):
        """Add a record; returns its offset relative to the batch. All or nothing.

        Raises `TypeError` naming the argument, `InvalidTimestampError`, `RecordTooLargeError`
        for what no batch can hold, and `UsageError` once built.
        """
        cdef int64_t checked
        if type(timestamp) is int and 0 <= timestamp <= 0x7FFFFFFFFFFFFFFF:
            checked = timestamp
        else:
            checked = checked_timestamp(timestamp, "timestamp")
        return self.append_record(checked, key, value, headers)

    cdef int32_t append_record(
        self, int64_t timestamp, object key, object value, object headers
    ) except -1:
        cdef Span key_span, value_span
        cdef tuple pairs = None
        if self.built:
            raise UsageError("the batch is built; start another builder")
        open_span(&key_span, key, "key")
        try:
            open_span(&value_span, value, "value")
            try:
                if headers is not None and headers != ():
                    pairs = encoded_headers(headers)
                self._write(timestamp, &key_span, &value_span, pairs)
            finally:
                close_span(&value_span)
        finally:
            close_span(&key_span)
        if self.count == 0:
            self.base_timestamp = self.max_timestamp = self.min_timestamp = timestamp
        elif timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
        elif timestamp < self.min_timestamp:
            self.min_timestamp = timestamp
        self.count += 1
        return self.count - 1

    cdef int _write(self, int64_t timestamp, Span* key, Span* value, tuple headers) except -1:
        cdef int64_t delta = difference(timestamp, self.base_timestamp) if self.count else 0
        cdef Py_ssize_t size_of_headers = headers_size(headers) if headers else 1
        cdef Py_ssize_t body = body_size(
            delta, self.count, key.size, value.size, size_of_headers
        )
        cdef Py_ssize_t needed = self.used + varint_size(body) + body
        cdef uint8_t* p
        if needed > MAX_INT32:
            raise batch_too_large(needed)
        if needed > len(self.out):
            PyByteArray_Resize(self.out, max(needed, 2 * len(self.out)))
        p = write_record(
            <uint8_t*>PyByteArray_AS_STRING(self.out) + self.used,
            body, delta, self.count, key.data, key.size, value.data, value.size,
        )
        if headers:
            write_headers(p, headers)
        else:
            p[0] = 0
        self.used = needed
        return 0

    cpdef bytearray build(self):
        """The complete batch, writable: base offset and leader epoch may be assigned in place.

        Raises `UsageError` when empty or already built.
        """
        cdef bytearray batch = self.out
        cdef bytes payload
        if self.built or self.count == 0:
            raise UsageError("the batch is built already" if self.built else "the batch is empty")
        if self.codec != 0:
            payload = _compress(
                self.codec, memoryview(batch)[HEADER_SIZE : self.used], self.level
            )
            batch = bytearray(HEADER_SIZE + len(payload))
            memcpy(
                PyByteArray_AS_STRING(batch) + HEADER_SIZE, <const char*>payload, len(payload)
            )
        else:
            PyByteArray_Resize(batch, self.used)
        self.header.count = self.count
        self.header.base_timestamp = self.base_timestamp
        self.header.max_timestamp = self.max_timestamp
        finish_batch(<uint8_t*>PyByteArray_AS_STRING(batch), len(batch), &self.header)
        self.built = True
        self.used = 0
        self.out = None
        return batch


cdef int finish_batch(uint8_t* batch, Py_ssize_t size, BatchHeader* header) except -1:
    header.length = <int32_t>(size - 12)
    header.last_offset_delta = header.count - 1
    write_batch_header(batch, header)
    cdef object crc = _crc32c(PyMemoryView_FromMemory(<char*>batch + 21, size - 21, PyBUF_READ))
    store32(batch + 17, <int32_t><unsigned int>crc)
    return 0


cdef int fill_header(BatchHeader* header, object settings) except -1:
    header.base_offset = settings.base_offset
    header.leader_epoch = settings.leader_epoch
    header.attributes = settings.attributes
    header.producer_id = settings.producer_id
    header.producer_epoch = settings.producer_epoch
    header.base_sequence = settings.base_sequence
    return 0
