# cython: language_level=3
"""Kafka's key hash in C. The twin is `murmur2.py`."""

from libc.stdint cimport int32_t, uint8_t, uint32_t


cdef inline uint32_t hash_of(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef uint32_t value = 0x9747B28CU ^ <uint32_t>size
    cdef uint32_t k
    cdef const uint8_t* stop = data + (size & ~<Py_ssize_t>3)
    cdef int rest = size & 3
    while data < stop:
        k = (
            <uint32_t>data[0]
            | (<uint32_t>data[1] << 8)
            | (<uint32_t>data[2] << 16)
            | (<uint32_t>data[3] << 24)
        )
        k *= 0x5BD1E995U
        k ^= k >> 24
        k *= 0x5BD1E995U
        value *= 0x5BD1E995U
        value ^= k
        data += 4
    if rest:
        if rest == 3:
            value ^= <uint32_t>data[2] << 16
        if rest >= 2:
            value ^= <uint32_t>data[1] << 8
        value ^= data[0]
        value *= 0x5BD1E995U
    value ^= value >> 13
    value *= 0x5BD1E995U
    return value ^ (value >> 15)


cdef inline int32_t partition_of(
    const uint8_t* key, Py_ssize_t size, int32_t partition_count
) noexcept nogil:
    """`partition_count` must be at least 1."""
    return <int32_t>((hash_of(key, size) & 0x7FFFFFFF) % <uint32_t>partition_count)
