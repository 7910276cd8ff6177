# cython: language_level=3
"""Writing records into memory. cimport from any compiled module.

The caller makes the room: `record_size` says how much one record takes. Twins: `varint.py`,
`encode.py`.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    int count_leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil

cdef struct Span:
    const uint8_t* data
    Py_ssize_t size  # -1: null
    bint held
    Py_buffer buffer


cdef inline int open_span(Span* span, object value, object name) except -1:
    """The memory of bytes-like `value` or None; TypeError naming `name`. Close it afterwards."""
    span.held = False
    if PyBytes_CheckExact(value):
        span.data = <const uint8_t*>PyBytes_AS_STRING(value)
        span.size = PyBytes_GET_SIZE(value)
    elif value is None:
        span.data = NULL
        span.size = -1
    else:
        try:
            PyObject_GetBuffer(value, &span.buffer, PyBUF_SIMPLE)
        except (TypeError, BufferError):
            raise TypeError(
                f"{name} must be bytes-like or None, not {type(value).__name__}"
            ) from None
        span.held = True
        span.data = <const uint8_t*>span.buffer.buf
        span.size = span.buffer.len
    return 0


cdef inline void close_span(Span* span) noexcept:
    if span.held:
        span.held = False
        PyBuffer_Release(&span.buffer)


cdef inline void store16(uint8_t* p, int16_t value) noexcept nogil:
    p[0] = <uint8_t>((<uint16_t>value) >> 8)
    p[1] = <uint8_t>(<uint16_t>value)


cdef inline void store32(uint8_t* p, int32_t value) noexcept nogil:
    cdef uint32_t bits = <uint32_t>value
    p[0] = <uint8_t>(bits >> 24)
    p[1] = <uint8_t>(bits >> 16)
    p[2] = <uint8_t>(bits >> 8)
    p[3] = <uint8_t>bits


cdef inline void store64(uint8_t* p, int64_t value) noexcept nogil:
    store32(p, <int32_t>(<uint32_t>(<uint64_t>value >> 32)))
    store32(p + 4, <int32_t>(<uint32_t>(<uint64_t>value)))


cdef inline int64_t difference(int64_t timestamp, int64_t base_timestamp) noexcept nogil:
    """A timestamp delta, which wraps."""
    return <int64_t>(<uint64_t>timestamp - <uint64_t>base_timestamp)


cdef inline uint64_t zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ (<uint64_t>0 - <uint64_t>(value < 0))


cdef inline int varint_size(int64_t value) noexcept nogil:
    return (63 - count_leading_zeros(zigzag(value) | 1)) // 7 + 1


cdef inline uint8_t* write_varint(uint8_t* p, int64_t value) noexcept nogil:
    cdef uint64_t bits = zigzag(value)
    while bits > 0x7F:
        p[0] = <uint8_t>(bits | 0x80)
        bits >>= 7
        p += 1
    p[0] = <uint8_t>bits
    return p + 1


cdef inline Py_ssize_t span_size(Py_ssize_t size) noexcept nogil:
    """What a nullable byte string of `size` takes, its length included."""
    return varint_size(size) + (size if size > 0 else 0)


cdef inline uint8_t* write_span(uint8_t* p, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    p = write_varint(p, size)
    if size > 0:
        memcpy(p, data, <size_t>size)
        p += size
    return p


cdef inline Py_ssize_t headers_size(tuple headers):
    """What (key, value or None) pairs of bytes take, their count included."""
    cdef Py_ssize_t size = varint_size(len(headers))
    cdef bytes key
    for key, value in headers:
        size += span_size(len(key)) + span_size(-1 if value is None else len(value))
    return size


cdef inline uint8_t* write_headers(uint8_t* p, tuple headers):
    cdef bytes key, value
    p = write_varint(p, len(headers))
    for key, value in headers:
        p = write_span(p, <const uint8_t*>PyBytes_AS_STRING(key), len(key))
        if value is None:
            p = write_varint(p, -1)
        else:
            p = write_span(p, <const uint8_t*>PyBytes_AS_STRING(value), len(value))
    return p


cdef inline Py_ssize_t body_size(
    int64_t timestamp_delta,
    int32_t offset_delta,
    Py_ssize_t key_size,
    Py_ssize_t value_size,
    Py_ssize_t size_of_headers,
) noexcept nogil:
    """The length that a record starts with. Without headers `size_of_headers` is 1."""
    return (
        1
        + varint_size(timestamp_delta)
        + varint_size(offset_delta)
        + span_size(key_size)
        + span_size(value_size)
        + size_of_headers
    )


cdef inline uint8_t* write_record(
    uint8_t* p,
    Py_ssize_t body,
    int64_t timestamp_delta,
    int32_t offset_delta,
    const uint8_t* key,
    Py_ssize_t key_size,
    const uint8_t* value,
    Py_ssize_t value_size,
) noexcept nogil:
    """A record up to its headers, which the caller writes (a zero byte for none)."""
    p = write_varint(p, body)
    p[0] = 0
    p = write_varint(p + 1, timestamp_delta)
    p = write_varint(p, offset_delta)
    p = write_span(p, key, key_size)
    return write_span(p, value, value_size)


cdef struct BatchHeader:
    int64_t base_offset
    int32_t length
    int32_t leader_epoch
    int16_t attributes
    int32_t last_offset_delta
    int64_t base_timestamp
    int64_t max_timestamp
    int64_t producer_id
    int16_t producer_epoch
    int32_t base_sequence
    int32_t count


cdef inline void write_batch_header(uint8_t* p, const BatchHeader* header) noexcept nogil:
    """All of the 61 bytes but the CRC."""
    store64(p, header.base_offset)
    store32(p + 8, header.length)
    store32(p + 12, header.leader_epoch)
    p[16] = 2
    store16(p + 21, header.attributes)
    store32(p + 23, header.last_offset_delta)
    store64(p + 27, header.base_timestamp)
    store64(p + 35, header.max_timestamp)
    store64(p + 43, header.producer_id)
    store16(p + 51, header.producer_epoch)
    store32(p + 53, header.base_sequence)
    store32(p + 57, header.count)
