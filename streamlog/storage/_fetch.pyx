# cython: language_level=3, boundscheck=False, wraparound=False
"""How much of a buffer is whole batches (`whole_batches.py` is the specification), and what was
appended behind a cursor (`LogReader.fetch` is).
"""

from libc.stdint cimport int64_t

from streamlog.storage._machine cimport sl_get32, sl_get64
include "_slot.pxi"
from streamlog.storage._system cimport SharedMap, load_acquire


def appended(slots, Py_ssize_t slot, mapped, cursor, int64_t max_bytes, bint has_gaps):
    """What `whole_batches` finds behind `cursor` in the active segment, whose map `mapped` is:
    a view, the next offset, the log's end, and the next position. None where it takes another
    segment, or more bytes, to tell, and where `slots` is no `SharedMap`.
    """
    cdef int64_t[STATE_WORDS] state
    cdef int64_t* words
    cdef int64_t* copy
    cdef int64_t sequence, offset, base, position, size, length, next_offset
    cdef int i
    if not isinstance(slots, SharedMap):
        return None
    words = (<SharedMap> slots).slot(slot)
    offset, base, position, files = cursor
    while True:
        sequence = load_acquire(words + SLOT_SEQUENCE)
        copy = words + SLOT_STATE + STATE_WORDS * (sequence & 1)
        for i in range(STATE_WORDS):
            state[i] = load_acquire(copy + i)
        if load_acquire(words + SLOT_SEQUENCE) == sequence:
            break
    if base != state[BASE_OFFSET] or not state[LOG_START] <= offset < state[LOG_END]:
        return None
    if files != (state[PATH_GENERATION], state[SWAP_GENERATION]):
        return None
    size = min(max_bytes, state[END_POSITION] - position)
    if size <= 0 or state[END_POSITION] > <int64_t> mapped.length:
        return None
    view = mapped.view(position, size)
    length, next_offset = whole_batches(view, offset, -1 if has_gaps else offset)
    if length == 0:
        return None
    if length < size:
        view = view[:length]
    return view, next_offset, state[LOG_END], position + length


cpdef whole_batches(const unsigned char[::1] view, int64_t expected, int64_t wanted=-1):
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
