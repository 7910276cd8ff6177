# cython: language_level=3, boundscheck=False, wraparound=False
"""How much of a buffer is whole batches. `whole_batches.py` is the specification."""

from libc.stdint cimport int64_t

from streamlog.storage._machine cimport sl_get32, sl_get64

cdef enum:
    HEADER = 61


def whole_batches(const unsigned char[::1] view, int64_t expected, int64_t wanted=-1):
    """The bytes of the whole batches at the start of `view`, and the next offset."""
    cdef int64_t length = view.shape[0], position = 0, size, base_offset
    cdef const unsigned char* at
    cdef int last_delta
    while length - position >= HEADER:
        at = &view[position]
        base_offset = sl_get64(at)
        size = <int64_t> sl_get32(at + 8) + 12
        last_delta = sl_get32(at + 23)
        if size < HEADER or at[16] != 2 or base_offset < expected or last_delta < 0:
            break
        if size > length - position:
            break
        if wanted >= 0 and (wanted < base_offset or wanted > base_offset + last_delta):
            break
        position += size
        expected = base_offset + last_delta + 1
        if wanted >= 0:
            wanted = expected
    return position, expected
