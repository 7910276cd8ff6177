# cython: language_level=3
"""SipHash-2-4-128 in C. The twin is `siphash.py`."""

from libc.stdint cimport uint8_t, uint64_t

cdef struct Hash128:
    uint64_t low
    uint64_t high


cdef struct SipState:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline uint64_t little64(const uint8_t* p) noexcept nogil:
    return (
        <uint64_t>p[0]
        | (<uint64_t>p[1] << 8)
        | (<uint64_t>p[2] << 16)
        | (<uint64_t>p[3] << 24)
        | (<uint64_t>p[4] << 32)
        | (<uint64_t>p[5] << 40)
        | (<uint64_t>p[6] << 48)
        | (<uint64_t>p[7] << 56)
    )


cdef inline uint64_t rotated(uint64_t word, int by) noexcept nogil:
    return (word << by) | (word >> (64 - by))


cdef inline void sip_round(SipState* s) noexcept nogil:
    s.v0 += s.v1
    s.v2 += s.v3
    s.v1 = rotated(s.v1, 13) ^ s.v0
    s.v3 = rotated(s.v3, 16) ^ s.v2
    s.v0 = rotated(s.v0, 32) + s.v3
    s.v2 += s.v1
    s.v1 = rotated(s.v1, 17) ^ s.v2
    s.v3 = rotated(s.v3, 21) ^ s.v0
    s.v2 = rotated(s.v2, 32)


cdef inline void absorb(SipState* s, uint64_t word) noexcept nogil:
    s.v3 ^= word
    sip_round(s)
    sip_round(s)
    s.v0 ^= word


cdef inline uint64_t squeeze(SipState* s) noexcept nogil:
    sip_round(s)
    sip_round(s)
    sip_round(s)
    sip_round(s)
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3


cdef inline Hash128 hash_of(
    const Hash128* key, const uint8_t* data, Py_ssize_t size
) noexcept nogil:
    """`key.low` and `key.high` are the halves of the key, each read little end first."""
    cdef SipState s
    cdef Hash128 result
    cdef const uint8_t* stop = data + (size & ~<Py_ssize_t>7)
    cdef uint64_t last = <uint64_t>(size & 0xFF) << 56
    cdef int at, rest = size & 7
    s.v0 = key.low ^ 0x736F6D6570736575ULL
    s.v1 = key.high ^ 0x646F72616E646F6DULL ^ 0xEE
    s.v2 = key.low ^ 0x6C7967656E657261ULL
    s.v3 = key.high ^ 0x7465646279746573ULL
    while data < stop:
        absorb(&s, little64(data))
        data += 8
    for at in range(rest):
        last |= <uint64_t>data[at] << (8 * at)
    absorb(&s, last)
    s.v2 ^= 0xEE
    result.low = squeeze(&s)
    s.v1 ^= 0xDD
    result.high = squeeze(&s)
    return result
