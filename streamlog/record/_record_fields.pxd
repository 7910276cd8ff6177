# cython: language_level=3
"""What cleaning looks at of a record, in C. The twin is `record_fields.py`."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from streamlog.record._decode cimport read_varint, read_varlong

cdef enum Malformed:
    WELL_FORMED = 0
    LENGTH_MALFORMED = 1
    FIELDS_MALFORMED = 2
    OFFSET_MALFORMED = 3
    BYTES_LEFT_OVER = 4


cdef struct RecordFields:
    int64_t timestamp_delta
    int32_t offset_delta
    int32_t key_size  # -1: null
    const uint8_t* key
    bint is_tombstone
    const uint8_t* rest  # everything from the key on, up to the end
    const uint8_t* end


cdef inline const uint8_t* skip_nullable(
    const uint8_t* p, const uint8_t* end, int32_t* size
) noexcept nogil:
    """Behind a length, which goes to `size`, and as many bytes; NULL when they do not fit."""
    p = read_varint(p, end, size)
    if p == NULL or size[0] < -1 or size[0] > end - p:
        return NULL
    return p + size[0] if size[0] > 0 else p


cdef inline bint headers_fill(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Whether the bytes up to `end` are a count of headers, these headers and nothing else."""
    cdef int32_t count = 0, size = 0
    if end - p == 1 and p[0] == 0:
        return True
    p = read_varint(p, end, &count)
    if p == NULL or count < 0 or count > (end - p) // 2:
        return False
    while count > 0:
        p = skip_nullable(p, end, &size)
        if p == NULL or size < 0:
            return False
        p = skip_nullable(p, end, &size)
        if p == NULL:
            return False
        count -= 1
    return p == end


cdef inline Malformed read_fields(
    const uint8_t* p,
    const uint8_t* limit,
    int32_t previous_delta,
    int32_t last_delta,
    RecordFields* fields,
) noexcept nogil:
    cdef int32_t length = 0, size = 0
    cdef const uint8_t* end
    p = read_varint(p, limit, &length)
    if p == NULL or length <= 0 or length > limit - p:
        return LENGTH_MALFORMED
    end = p + length
    p = read_varlong(p + 1, end, &fields.timestamp_delta)
    if p == NULL:
        return FIELDS_MALFORMED
    p = read_varint(p, end, &fields.offset_delta)
    if p == NULL:
        return FIELDS_MALFORMED
    if fields.offset_delta <= previous_delta or fields.offset_delta > last_delta:
        return OFFSET_MALFORMED
    fields.rest = p
    fields.end = end
    p = skip_nullable(p, end, &fields.key_size)
    if p == NULL:
        return FIELDS_MALFORMED
    fields.key = p - fields.key_size if fields.key_size > 0 else p
    p = skip_nullable(p, end, &size)
    if p == NULL or not headers_fill(p, end):
        return FIELDS_MALFORMED
    fields.is_tombstone = size < 0
    return WELL_FORMED
