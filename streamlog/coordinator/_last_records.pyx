# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`last_records`, compiled. Its specification is `last_records.py`."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from streamlog.record._decode cimport load16, load32, load64, read_varint, read_varlong
from streamlog.record._murmur2 cimport hash_of

cdef enum:
    HEADER_SIZE = 61
    LOG_OVERHEAD = 12
    MIN_LENGTH = 49
    PLAIN = 0
    OTHER = 1
    NO_MEMORY = 2

# Codec, transactional and control bits.
cdef int16_t NOT_PLAIN = 0x37
cdef int64_t MAX_INT64 = 0x7FFFFFFFFFFFFFFF


cdef struct Entry:
    const uint8_t* key
    const uint8_t* value
    int32_t key_size
    int32_t value_size  # -1: a tombstone
    uint32_t hash
    int64_t offset


cdef struct Table:
    # Open addressing: a slot holds the number of an entry plus one, 0 is empty. At most half full.
    Entry* entries
    uint32_t* slots
    Py_ssize_t count, capacity


cdef struct Walked:
    Py_ssize_t position
    int64_t next_offset
    int status


def last_records(batches, Py_ssize_t position=0):
    """See the twin."""
    cdef Py_buffer whole
    cdef Table table
    cdef Walked walked
    if position < 0:
        raise ValueError(f"position must not be negative, not {position}")
    memset(&table, 0, sizeof(Table))
    PyObject_GetBuffer(batches, &whole, PyBUF_SIMPLE)
    try:
        with nogil:
            walked = walk(&table, <const uint8_t*>whole.buf, position, whole.len)
        if walked.status == NO_MEMORY:
            raise MemoryError()
        found = [tuple_of(&table.entries[number]) for number in range(table.count)]
    finally:
        free(table.entries)
        free(table.slots)
        PyBuffer_Release(&whole)
    found.sort()
    return found, walked.position, walked.next_offset


cdef tuple tuple_of(Entry* entry):
    value = None
    if entry.value_size >= 0:
        value = PyBytes_FromStringAndSize(<const char*>entry.value, entry.value_size)
    return (
        entry.offset, PyBytes_FromStringAndSize(<const char*>entry.key, entry.key_size), value
    )


cdef Walked walk(
    Table* table, const uint8_t* data, Py_ssize_t position, Py_ssize_t end
) noexcept nogil:
    cdef Walked walked
    cdef const uint8_t* batch
    cdef int32_t length, last_delta
    cdef int64_t base_offset
    walked.position = position
    walked.next_offset = -1
    walked.status = PLAIN
    while end - walked.position >= HEADER_SIZE:
        batch = data + walked.position
        length = load32(batch + 8)
        if batch[16] != 2 or length < MIN_LENGTH:
            break
        if length > end - walked.position - LOG_OVERHEAD or load16(batch + 21) & NOT_PLAIN:
            break
        base_offset = load64(batch)
        last_delta = load32(batch + 23)
        # Twice, so that a batch in which something does not fit leaves nothing behind.
        if take_records(NULL, batch, length + LOG_OVERHEAD, base_offset, last_delta) != PLAIN:
            break
        walked.status = take_records(
            table, batch, length + LOG_OVERHEAD, base_offset, last_delta
        )
        if walked.status != PLAIN:
            break
        walked.next_offset = base_offset + last_delta + 1
        walked.position += length + LOG_OVERHEAD
    return walked


cdef int take_records(
    Table* table, const uint8_t* batch, Py_ssize_t size, int64_t base_offset, int32_t last_delta
) noexcept nogil:
    """Put a batch's records into the table, or with NULL only look whether they fit."""
    cdef const uint8_t* p = batch + HEADER_SIZE
    cdef const uint8_t* end = batch + size
    cdef const uint8_t* record_end
    cdef int32_t count = load32(batch + 57)
    cdef int32_t _number, length, delta, headers, key_size
    cdef int32_t previous = -1
    cdef int64_t timestamp
    cdef Entry entry
    if last_delta < 0 or count < 0 or count > <int64_t>last_delta + 1:
        return OTHER
    if base_offset < 0 or base_offset >= MAX_INT64 - last_delta:
        return OTHER
    for _number in range(count):
        p = read_varint(p, end, &length)
        if p == NULL or length <= 0 or length > end - p:
            return OTHER
        record_end = p + length
        p = read_varlong(p + 1, record_end, &timestamp)
        if p == NULL:
            return OTHER
        p = read_varint(p, record_end, &delta)
        if p == NULL or delta <= previous or delta > last_delta:
            return OTHER
        previous = delta
        p = read_bytes(p, record_end, &entry.key, &key_size)
        if p == NULL:
            return OTHER
        p = read_bytes(p, record_end, &entry.value, &entry.value_size)
        if p == NULL:
            return OTHER
        p = read_varint(p, record_end, &headers)
        if p == NULL or headers != 0 or p != record_end:
            return OTHER  # with headers: for who reads them
        if table != NULL and key_size >= 0:
            entry.key_size = key_size
            entry.offset = base_offset + delta
            if not put(table, &entry):
                return NO_MEMORY
    return PLAIN if p == end else OTHER


cdef inline const uint8_t* read_bytes(
    const uint8_t* p, const uint8_t* end, const uint8_t** start, int32_t* size
) noexcept nogil:
    p = read_varint(p, end, size)
    if p == NULL or size[0] < -1 or size[0] > end - p:
        return NULL
    start[0] = p
    return p + size[0] if size[0] > 0 else p


cdef bint put(Table* table, Entry* entry) noexcept nogil:
    cdef uint32_t mask, slot, number
    cdef Entry* known
    if 2 * (table.count + 1) > table.capacity and not grow(table):
        return False
    entry.hash = hash_of(entry.key, entry.key_size)
    mask = <uint32_t>table.capacity - 1
    slot = entry.hash & mask
    while True:
        number = table.slots[slot]
        if number == 0:
            table.entries[table.count] = entry[0]
            table.count += 1
            table.slots[slot] = <uint32_t>table.count
            return True
        known = &table.entries[number - 1]
        if known.hash == entry.hash and known.key_size == entry.key_size:
            if memcmp(known.key, entry.key, entry.key_size) == 0:
                known[0] = entry[0]
                return True
        slot = (slot + 1) & mask


cdef bint grow(Table* table) noexcept nogil:
    cdef Py_ssize_t capacity = table.capacity * 2 if table.capacity else 64
    cdef Py_ssize_t number
    cdef uint32_t mask = <uint32_t>capacity - 1
    cdef uint32_t slot
    cdef uint32_t* slots = <uint32_t*>calloc(capacity, sizeof(uint32_t))
    cdef Entry* entries = <Entry*>realloc(table.entries, capacity // 2 * sizeof(Entry))
    if entries != NULL:
        table.entries = entries
    if slots == NULL or entries == NULL:
        free(slots)
        return False
    for number in range(table.count):
        slot = entries[number].hash & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = <uint32_t>(number + 1)
    free(table.slots)
    table.slots = slots
    table.capacity = capacity
    return True
