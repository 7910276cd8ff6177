# cython: language_level=3, boundscheck=False, wraparound=False
"""How much of a buffer is whole batches (`whole_batches.py` is the specification), and what was
appended behind a cursor (`LogReader.fetch` is).
"""

from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport int64_t

from streamlog.storage._machine cimport sl_get32, sl_get64
include "_slot.pxi"
from streamlog.storage.fetched import FetchCursor, Fetched
from streamlog.storage._system cimport ReadMap, SharedMap, load_acquire


cdef int64_t walk(
    const unsigned char* data, int64_t length, int64_t* expected, int64_t wanted
) noexcept nogil:
    """The bytes of the whole batches at the start of `data`; `expected` moves behind them."""
    cdef int64_t position = 0, size, base_offset
    cdef const unsigned char* at
    cdef int last_delta
    while length - position >= HEADER:
        at = data + position
        base_offset = sl_get64(at)
        size = <int64_t> sl_get32(at + 8) + 12
        last_delta = sl_get32(at + 23)
        if size < HEADER or at[16] != 2 or base_offset < expected[0] or last_delta < 0:
            break
        if size > length - position:
            break
        if wanted >= 0 and (wanted < base_offset or wanted > base_offset + last_delta):
            break
        position += size
        expected[0] = base_offset + last_delta + 1
        if wanted >= 0:
            wanted = expected[0]
    return position


def whole_batches(const unsigned char[::1] view, int64_t expected, int64_t wanted=-1):
    """The bytes of the whole batches at the start of `view`, and the next offset."""
    cdef int64_t length = 0
    if view.shape[0]:
        length = walk(&view[0], view.shape[0], &expected, wanted)
    return length, expected


# Called without a frame of the interpreter: who has just woken up pays for each one.
cdef object new_tuple = tuple.__new__


def appended(
    slots, Py_ssize_t slot, mapped, cursor, int64_t max_bytes, bint has_gaps, path
):
    """What `LogReader.fetch` gives behind `cursor`, from the active segment, whose map `mapped` is.

    None where it takes another segment, or more bytes, to tell, and where there are no maps.
    """
    cdef int64_t[STATE_WORDS] state
    cdef int64_t sequence, offset, base, position, length, expected
    cdef int64_t* words
    cdef int64_t* copy
    cdef ReadMap read_map
    cdef int i
    if not isinstance(slots, SharedMap) or not isinstance(mapped, ReadMap):
        return None
    read_map = <ReadMap> mapped
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
    if files[0] != state[PATH_GENERATION] or files[1] != state[SWAP_GENERATION]:
        return None
    length = min(max_bytes, state[END_POSITION] - position)
    if length <= 0 or state[END_POSITION] > <int64_t> read_map.length:
        return None
    read_map.make_resident(position, length)
    expected = offset
    length = walk(
        <unsigned char*> read_map.base + position, length, &expected, -1 if has_gaps else offset
    )
    if length == 0:
        return None
    view = PyMemoryView_FromObject(read_map)[position:position + length]
    after = new_tuple(FetchCursor, (expected, base, position + length, files))
    return new_tuple(Fetched, (view, expected, state[LOG_END], after, path, position))
