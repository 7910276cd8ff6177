# cython: language_level=3
"""Reading big-endian integers and varints out of memory. cimport from any compiled module.

`read_varint` and `read_varlong` return the position behind the value, or NULL when it runs into
`end` or does not fit. The twin is `varint.py`.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef inline int16_t load16(const uint8_t* p) noexcept nogil:
    return <int16_t>((<uint16_t>p[0] << 8) | p[1])


cdef inline uint32_t loadu32(const uint8_t* p) noexcept nogil:
    return (
        (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]
    )


cdef inline int32_t load32(const uint8_t* p) noexcept nogil:
    return <int32_t>loadu32(p)


cdef inline int64_t load64(const uint8_t* p) noexcept nogil:
    return <int64_t>((<uint64_t>loadu32(p) << 32) | loadu32(p + 4))


cdef inline const uint8_t* read_unsigned(
    const uint8_t* p, const uint8_t* end, int max_bytes, uint64_t* out
) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    cdef const uint8_t* stop = p + max_bytes if end - p > max_bytes else end
    while p < stop:
        byte = p[0]
        p += 1
        # The tenth byte has room for one bit.
        if shift == 63 and byte > 1:
            return NULL
        value |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            out[0] = value
            return p
        shift += 7
    return NULL


cdef inline const uint8_t* read_varint(
    const uint8_t* p, const uint8_t* end, int32_t* out
) noexcept nogil:
    cdef uint64_t value
    if p < end and p[0] < 0x80:
        value = p[0]
        p += 1
    else:
        p = read_unsigned(p, end, 5, &value)
        if p == NULL or value > 0xFFFFFFFFU:
            return NULL
    out[0] = <int32_t>(<uint32_t>(value >> 1) ^ (0 - <uint32_t>(value & 1)))
    return p


cdef inline const uint8_t* read_varlong(
    const uint8_t* p, const uint8_t* end, int64_t* out
) noexcept nogil:
    cdef uint64_t value
    if p < end and p[0] < 0x80:
        value = p[0]
        p += 1
    else:
        p = read_unsigned(p, end, 10, &value)
        if p == NULL:
            return NULL
    out[0] = <int64_t>((value >> 1) ^ (0 - (value & 1)))
    return p
