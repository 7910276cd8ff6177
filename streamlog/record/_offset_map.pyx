# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`OffsetMap`, compiled: `offset_map.py` specifies it. And `siphash128`, of `siphash.py`.

A table of slots with linear probing: a key is at its hash's slot or at one of those behind it,
up to the first that is free. Nothing is ever removed. The table is far larger than the
processor's caches, so keys are looked up a few at a time: all their slots are asked for before
the first one is looked at, which halves the time.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

from streamlog.record._batch_run cimport BatchRun, GatheredBatch
from streamlog.record._record_fields cimport (
    BYTES_LEFT_OVER,
    WELL_FORMED,
    Malformed,
    RecordFields,
    read_fields,
)
from streamlog.record._siphash cimport Hash128, hash_of, little64

from streamlog.record.byteslike import bytes_of
from streamlog.record.cleaning_outcome import FillOutcome, map_capacity
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT as _DEFAULT_LIMIT
from streamlog.record.siphash import checked_key


cdef enum:
    IS_FULL = -1


def siphash128(key, data):
    """The 16 bytes of hash of `data`. Raises `ValueError` unless `key` has 16 bytes."""
    cdef Hash128 halves = halves_of(key)
    cdef bytes raw = bytes_of(data, "data")
    cdef Hash128 found = hash_of(&halves, <const uint8_t*>PyBytes_AS_STRING(raw), len(raw))
    return found.low.to_bytes(8, "little") + found.high.to_bytes(8, "little")


cdef Hash128 halves_of(object key) except *:
    cdef bytes raw = checked_key(key)
    cdef Hash128 halves
    halves.low = little64(<const uint8_t*>PyBytes_AS_STRING(raw))
    halves.high = little64(<const uint8_t*>PyBytes_AS_STRING(raw) + 8)
    return halves


@cython.no_gc
@cython.final
cdef class OffsetMap:
    """Key to offset, for as many keys as fit: what compaction knows of the dirty part of a log.

    The compiled map holds no keys but 16 bytes of keyed hash for each: `hash_key` are 16 random
    bytes that nobody who writes keys may know, since two keys with one hash would be taken for
    one. It takes `memory_bytes` (Kafka's `log.cleaner.dedupe.buffer.size`) at 24 bytes a slot
    and is full at `load_factor` of its slots. For one thread at a time. Raises `ConfigError`
    for memory that holds no key.
    """

    def __cinit__(self, Py_ssize_t memory_bytes, hash_key, double load_factor=0.9):
        self.hash_key = halves_of(hash_key)
        self.slots, self.capacity = map_capacity(memory_bytes, load_factor)
        self.latest_offset = -1
        # Pages that no key falls on are never touched, and so take no memory.
        self.entries = <Entry*>calloc(self.slots, sizeof(Entry))
        if self.entries == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.entries)

    def __len__(self):
        return self.used

    def get(self, key):
        """The latest offset of `key`, -1 when it is not in the map."""
        cdef bytes raw = bytes_of(key, "key")
        cdef Hash128 hash = self.announce(<const uint8_t*>PyBytes_AS_STRING(raw), len(raw))
        return self.offset_of(&hash)

    def advance_to(self, int64_t offset):
        """Say that there is nothing more up to `offset`, the last one that a segment may hold."""
        self.latest_offset = max(self.latest_offset, offset)

    def add_batches(
        self,
        data,
        *,
        decide,
        int64_t from_offset=0,
        int64_t expected_offset=0,
        Py_ssize_t decompressed_limit=_DEFAULT_LIMIT,
    ):
        """Take in the keys of the whole batches in `data`, from `from_offset` on.

        Control batches have none, and those of batches that are not to be kept do not count. It
        stops before the first record with a key for which there is no room, even if that key is
        in the map already; `latest_offset` is then the last record before it that was put in.
        `expected_offset` is the lowest that the first batch may have.

        Raises `CorruptRecordError` and `DecompressionError` with the batch's `position` in
        `data`, `UnsupportedFormatError` for message formats v0 and v1.
        """
        cdef BatchRun run = BatchRun(data, decide, expected_offset, decompressed_limit)
        cdef Py_ssize_t at = 0
        cdef int32_t index = 0
        cdef Malformed what = WELL_FORMED
        cdef GatheredBatch* batch
        run.for_map = True
        run.from_offset = from_offset
        while run.gather():
            with nogil:
                for at in range(run.count):
                    what = self.add(&run.batches[at], from_offset, &index)
                    if what != WELL_FORMED or index == IS_FULL:
                        break
            batch = &run.batches[at]
            if index == IS_FULL:
                return FillOutcome(
                    consumed=batch.position,
                    needed=0,
                    next_offset=batch.expected_offset,
                    is_full=True,
                )
            if what != WELL_FORMED:
                raise run.malformed(batch, index, what)
        run.raise_error()
        return FillOutcome(
            consumed=run.consumed,
            needed=run.needed,
            next_offset=run.next_offset,
            is_full=False,
        )

    cdef Malformed add(
        self, GatheredBatch* batch, int64_t from_offset, int32_t* index
    ) noexcept nogil:
        """One batch. `index`: the record that is malformed, or IS_FULL when there was no room."""
        cdef RecordFields fields
        cdef NewEntry[WINDOW] window
        cdef int waiting = 0
        cdef Malformed what = WELL_FORMED
        cdef const uint8_t* p = batch.records
        cdef int32_t at = 0, count = batch.count if p != NULL else 0
        cdef int64_t last_offset = batch.base_offset + batch.last_offset_delta
        fields.offset_delta = -1
        while at < count:
            what = read_fields(
                p, batch.records_end, fields.offset_delta, batch.last_offset_delta, &fields
            )
            if what != WELL_FORMED:
                break
            p = fields.end
            at += 1
            if fields.key_size < 0 or batch.base_offset + fields.offset_delta < from_offset:
                continue
            window[waiting].offset = batch.base_offset + fields.offset_delta
            window[waiting].hash = self.announce(fields.key, fields.key_size)
            waiting += 1
            if waiting == WINDOW:
                if not self.put(window, waiting):
                    index[0] = IS_FULL
                    return WELL_FORMED
                waiting = 0
        index[0] = at
        if waiting and not self.put(window, waiting):
            index[0] = IS_FULL
            return WELL_FORMED
        if what == WELL_FORMED and p != batch.records_end:
            what = BYTES_LEFT_OVER
        if what == WELL_FORMED and last_offset >= from_offset:
            self.latest_offset = last_offset
        return what

    cdef bint put(self, const NewEntry* window, int count) noexcept nogil:
        """False when there is no room for one of them; those before it are in."""
        cdef Entry* entry
        cdef int at
        for at in range(count):
            if self.used >= self.capacity:
                return False
            entry = self.find(&window[at].hash)
            if entry.offset_plus_one == 0:
                entry.hash = window[at].hash
                self.used += 1
            entry.offset_plus_one = <uint64_t>window[at].offset + 1
            self.latest_offset = window[at].offset
        return True

    cdef Hash128 announce(self, const uint8_t* key, Py_ssize_t size) noexcept nogil:
        cdef Hash128 hash = hash_of(&self.hash_key, key, size)
        prefetch(self.entries + slot_of(&hash, self.slots))
        return hash

    cdef Entry* find(self, const Hash128* hash) noexcept nogil:
        # The table is never full, so there is a free entry to end at.
        cdef Entry* end = self.entries + self.slots
        cdef Entry* entry = self.entries + slot_of(hash, self.slots)
        while entry.offset_plus_one:
            if entry.hash.low == hash.low and entry.hash.high == hash.high:
                return entry
            entry += 1
            if entry == end:
                entry = self.entries
        return entry

    cdef int64_t offset_of(self, const Hash128* hash) noexcept nogil:
        return <int64_t>(self.find(hash).offset_plus_one - 1)


cdef inline uint64_t slot_of(const Hash128* hash, uint64_t slots) noexcept nogil:
    """Spreads 32 bits of the hash over the slots, of which there are fewer than 2^32."""
    return ((hash.low >> 32) * slots) >> 32
