# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`clean_batches`, compiled. Its specification is `cleaning.py`."""

cimport cython
from cpython.buffer cimport PyBUF_READ
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from streamlog.record._batch_run cimport EMPTY, EXPIRE, BatchRun, GatheredBatch
from streamlog.record._decode cimport load64
from streamlog.record._encode cimport (
    difference,
    store16,
    store32,
    store64,
    varint_size,
    write_varint,
)
from streamlog.record._offset_map cimport WINDOW, OffsetMap
from streamlog.record._record_fields cimport (
    BYTES_LEFT_OVER,
    WELL_FORMED,
    Malformed,
    RecordFields,
    read_fields,
)
from streamlog.record._siphash cimport Hash128

from streamlog.record.checksum import crc32c as _crc32c

from streamlog.record.cleaning_outcome import CleaningOutcome
from streamlog.record.compression import compress as _compress
from streamlog.record.encode import batch_too_large
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT as _DEFAULT_LIMIT

cdef enum:
    HEADER_SIZE = 61
    MAX_RECORD_OVERHEAD = 21
    CODEC_BITS = 0x07
    APPEND_TIME_BIT = 0x08
    CONTROL_BIT = 0x20
    HORIZON_BIT = 0x40
    EMPTY_BITS = 0x38  # timestamp type, transactional, control
    KNOWN_BITS = 0x7F
cdef Py_ssize_t MAX_INT32 = 0x7FFFFFFF
cdef int64_t MAX_INT64 = 0x7FFFFFFFFFFFFFFF


cdef enum Fate:
    DROPPED
    COPIED  # byte for byte
    REWRITTEN
    EMPTIED


cdef struct Candidate:
    RecordFields fields
    Hash128 hash
    bint survives
    bint is_looked_up  # it survives if the map has no later offset for its key


cdef struct Survivor:
    int64_t timestamp_delta
    int64_t timestamp  # of a batch that is rewritten
    int32_t offset_delta
    const uint8_t* rest
    const uint8_t* end


cdef struct Verdict:
    Fate fate
    int attributes
    int64_t base_timestamp
    int64_t max_timestamp
    int32_t count
    Py_ssize_t payload_at  # in the scratch memory; of a rewritten batch, not yet compressed
    Py_ssize_t payload_size


def clean_batches(
    data,
    OffsetMap offset_map not None,
    *,
    decide,
    retain_empty=(),
    int64_t now_ms,
    int64_t delete_retention_ms,
    int64_t expected_offset=0,
    Py_ssize_t decompressed_limit=_DEFAULT_LIMIT,
):
    """Copy the whole batches in `data`, each without the records that compaction removes.

    A record stays when it is beyond the map, or has a key, the latest offset for it, and a value
    or a tombstone's time left. A batch that keeps all its records is copied byte for byte, unless
    it holds a tombstone (or an expiring marker) and has no delete horizon yet: it gets
    `now_ms + delete_retention_ms` (KIP-534). Any other is written anew in its own codec, with its
    offsets, producer, sequence and flags. One without records goes, unless its last offset is
    in `retain_empty`: then its header stays.

    Raises what `OffsetMap.add_batches` raises.
    """
    cdef BatchRun run = BatchRun(data, decide, expected_offset, decompressed_limit)
    cdef Cleaning cleaning = Cleaning.__new__(Cleaning)
    run.retain_empty = retain_empty
    cleaning.offset_map = offset_map
    cleaning.now_ms = now_ms
    cleaning.new_horizon = min(<object>now_ms + delete_retention_ms, MAX_INT64)
    cleaning.output = bytearray(run.buffer.len)  # more only if what is rewritten grows
    while run.gather():
        cleaning.add_run(run)
    run.raise_error()
    return cleaning.outcome(run)


@cython.no_gc
@cython.final
cdef class Cleaning:
    """The rules, and what they have let through so far."""

    cdef OffsetMap offset_map
    cdef int64_t now_ms, new_horizon
    cdef bytearray output
    cdef Py_ssize_t output_size
    cdef Py_ssize_t batches_read, batches_kept, records_read, records_kept
    cdef Py_ssize_t tombstones_kept, tombstones_dropped, keyless_dropped
    # Of one run, or of one batch of it: kept for the next one.
    cdef Verdict* verdicts
    cdef Survivor* survivors
    cdef uint8_t* scratch
    cdef Py_ssize_t verdict_room, survivor_room, scratch_room, scratch_size

    def __dealloc__(self):
        free(self.verdicts)
        free(self.survivors)
        free(self.scratch)

    cdef object outcome(self, BatchRun run):
        PyByteArray_Resize(self.output, self.output_size)
        return CleaningOutcome(
            output=self.output,
            consumed=run.consumed,
            needed=run.needed,
            next_offset=run.next_offset,
            batches_read=self.batches_read,
            batches_kept=self.batches_kept,
            records_read=self.records_read,
            records_kept=self.records_kept,
            tombstones_kept=self.tombstones_kept,
            tombstones_dropped=self.tombstones_dropped,
            keyless_dropped=self.keyless_dropped,
        )

    cdef int add_run(self, BatchRun run) except -1:
        cdef Py_ssize_t at = 0
        cdef int32_t index = 0
        cdef int what = WELL_FORMED
        self.scratch_size = 0
        if run.count > self.verdict_room:
            self.verdicts = <Verdict*>resized(self.verdicts, run.count * sizeof(Verdict))
            self.verdict_room = run.count
        with nogil:
            for at in range(run.count):
                what = self.judge(&run.batches[at], &self.verdicts[at], &index)
                if what != WELL_FORMED:
                    break
        if what != WELL_FORMED:
            raise run.malformed(&run.batches[at], index, <Malformed>what)
        for at in range(run.count):
            self.emit(&run.batches[at], &self.verdicts[at])
        return 0

    cdef int judge(
        self, GatheredBatch* batch, Verdict* verdict, int32_t* index
    ) except -1 nogil:
        """What becomes of a batch; its surviving records go to the scratch memory if it changes.

        When a record is malformed, `index` says which one.
        """
        cdef int what
        cdef Py_ssize_t tombstones = 0
        cdef bint expires, sets_horizon
        verdict.fate = DROPPED
        verdict.count = 0
        self.batches_read += 1
        self.records_read += batch.count
        if batch.records != NULL:
            what = self.sift(batch, verdict, &tombstones, index)
            if what != WELL_FORMED:
                return what
        if verdict.count:
            expires = tombstones > 0 or batch.decision == EXPIRE
            sets_horizon = expires and not batch.attributes & HORIZON_BIT
            if verdict.count == batch.count and not sets_horizon:
                verdict.fate = COPIED
            else:
                verdict.fate = REWRITTEN
                self.rewrite(batch, verdict, sets_horizon)
        elif batch.decision == EMPTY or batch.retain_empty:
            verdict.fate = EMPTIED
            verdict.attributes = batch.attributes & EMPTY_BITS
            verdict.base_timestamp = -1
            verdict.max_timestamp = load64(batch.start + 35)
            verdict.payload_at = verdict.payload_size = 0
        else:
            return WELL_FORMED
        self.batches_kept += 1
        self.records_kept += verdict.count
        self.tombstones_kept += tombstones
        return WELL_FORMED

    cdef int sift(
        self, GatheredBatch* batch, Verdict* verdict, Py_ssize_t* tombstones, int32_t* index
    ) except -1 nogil:
        """Put the records of a batch that survive into `survivors`, and count them."""
        cdef Candidate[WINDOW] window
        cdef RecordFields* fields
        cdef Malformed what
        cdef const uint8_t* p = batch.records
        cdef int32_t previous_delta = -1
        cdef int waiting = 0
        index[0] = 0
        while index[0] < batch.count:
            fields = &window[waiting].fields
            what = read_fields(
                p, batch.records_end, previous_delta, batch.last_offset_delta, fields
            )
            if what != WELL_FORMED:
                return what
            p = fields.end
            previous_delta = fields.offset_delta
            self.examine(batch, &window[waiting])
            waiting += 1
            index[0] += 1
            if waiting == WINDOW or index[0] == batch.count:
                self.settle(batch, verdict, window, waiting, tombstones)
                waiting = 0
        return WELL_FORMED if p == batch.records_end else BYTES_LEFT_OVER

    cdef void examine(self, GatheredBatch* batch, Candidate* candidate) noexcept nogil:
        """Whether a record survives, as far as that does not depend on the map."""
        cdef RecordFields* fields = &candidate.fields
        cdef int64_t offset = batch.base_offset + fields.offset_delta
        candidate.survives = True
        candidate.is_looked_up = False
        if batch.attributes & CONTROL_BIT or offset > self.offset_map.latest_offset:
            return
        if fields.key_size < 0:
            self.keyless_dropped += 1
            candidate.survives = False
        elif (
            fields.is_tombstone
            and batch.attributes & HORIZON_BIT
            and self.now_ms >= load64(batch.start + 27)
        ):
            self.tombstones_dropped += 1
            candidate.survives = False
        else:
            candidate.is_looked_up = True
            candidate.hash = self.offset_map.announce(fields.key, fields.key_size)

    cdef int settle(
        self,
        GatheredBatch* batch,
        Verdict* verdict,
        const Candidate* window,
        int count,
        Py_ssize_t* tombstones,
    ) except -1 nogil:
        cdef const RecordFields* fields
        cdef int at
        if verdict.count + count > self.survivor_room:
            self.make_room_for_survivors()
        for at in range(count):
            fields = &window[at].fields
            if not window[at].survives:
                continue
            if window[at].is_looked_up and (
                batch.base_offset + fields.offset_delta
                < self.offset_map.offset_of(&window[at].hash)
            ):
                continue
            self.survivors[verdict.count].timestamp_delta = fields.timestamp_delta
            self.survivors[verdict.count].offset_delta = fields.offset_delta
            self.survivors[verdict.count].rest = fields.rest
            self.survivors[verdict.count].end = fields.end
            verdict.count += 1
            tombstones[0] += fields.is_tombstone
        return 0

    cdef int rewrite(
        self, GatheredBatch* batch, Verdict* verdict, bint sets_horizon
    ) except -1 nogil:
        """Write the survivors to the scratch memory, and say what the header becomes."""
        cdef Py_ssize_t at, needed = self.scratch_size
        cdef uint8_t* p
        verdict.attributes = batch.attributes & KNOWN_BITS
        verdict.max_timestamp = -1
        for at in range(verdict.count):
            self.survivors[at].timestamp = timestamp_of(batch, &self.survivors[at])
            verdict.max_timestamp = max(verdict.max_timestamp, self.survivors[at].timestamp)
            needed += MAX_RECORD_OVERHEAD + (self.survivors[at].end - self.survivors[at].rest)
        if sets_horizon:
            verdict.attributes |= HORIZON_BIT
            verdict.base_timestamp = self.new_horizon
        elif batch.attributes & HORIZON_BIT:
            verdict.base_timestamp = load64(batch.start + 27)
        else:
            verdict.base_timestamp = self.survivors[0].timestamp
        self.make_room_in_scratch(needed)
        p = self.scratch + self.scratch_size
        for at in range(verdict.count):
            p = write_survivor(p, &self.survivors[at], verdict.base_timestamp)
        verdict.payload_at = self.scratch_size
        verdict.payload_size = (p - self.scratch) - self.scratch_size
        self.scratch_size += verdict.payload_size
        return 0

    cdef int make_room_for_survivors(self) except -1 nogil:
        cdef Py_ssize_t room = 2 * self.survivor_room + 16 * WINDOW
        self.survivors = <Survivor*>resized(self.survivors, room * sizeof(Survivor))
        self.survivor_room = room
        return 0

    cdef int make_room_in_scratch(self, Py_ssize_t needed) except -1 nogil:
        if needed > self.scratch_room:
            needed = max(needed, 2 * self.scratch_room)
            self.scratch = <uint8_t*>resized(self.scratch, needed)
            self.scratch_room = needed
        return 0

    cdef int emit(self, GatheredBatch* batch, Verdict* verdict) except -1:
        cdef const uint8_t* payload = self.scratch + verdict.payload_at
        cdef Py_ssize_t payload_size = verdict.payload_size
        cdef bytes compressed
        if verdict.fate == DROPPED:
            return 0
        if verdict.fate == COPIED:
            memcpy(self.room_for(batch.size), batch.start, batch.size)
            return 0
        if verdict.attributes & CODEC_BITS:
            compressed = _compress(
                verdict.attributes & CODEC_BITS,
                PyMemoryView_FromMemory(<char*>payload, payload_size, PyBUF_READ),
            )
            payload = <const uint8_t*>PyBytes_AS_STRING(compressed)
            payload_size = PyBytes_GET_SIZE(compressed)
        self.append(batch, verdict, payload, payload_size)
        return 0

    cdef int append(
        self,
        GatheredBatch* batch,
        Verdict* verdict,
        const uint8_t* payload,
        Py_ssize_t payload_size,
    ) except -1:
        """A batch with the header of an old one but for what its records change."""
        cdef Py_ssize_t size = HEADER_SIZE + payload_size
        cdef uint8_t* p
        if size > MAX_INT32:
            raise batch_too_large(size)
        p = self.room_for(size)
        memcpy(p, batch.start, HEADER_SIZE)
        store32(p + 8, <int32_t>(size - 12))
        store16(p + 21, verdict.attributes)
        store64(p + 27, verdict.base_timestamp)
        store64(p + 35, verdict.max_timestamp)
        store32(p + 57, verdict.count)
        if payload_size:
            memcpy(p + HEADER_SIZE, payload, payload_size)
        cdef object crc = _crc32c(PyMemoryView_FromMemory(<char*>p + 21, size - 21, PyBUF_READ))
        store32(p + 17, <int32_t><unsigned int>crc)
        return 0

    cdef uint8_t* room_for(self, Py_ssize_t size) except NULL:
        """`size` bytes more at the end of the output."""
        cdef Py_ssize_t at = self.output_size
        cdef Py_ssize_t capacity = PyByteArray_GET_SIZE(self.output)
        if at + size > capacity:
            PyByteArray_Resize(self.output, max(at + size, 2 * capacity))
        self.output_size += size
        return <uint8_t*>PyByteArray_AS_STRING(self.output) + at


cdef inline int64_t timestamp_of(GatheredBatch* batch, const Survivor* survivor) noexcept nogil:
    if batch.attributes & APPEND_TIME_BIT:  # the records' own timestamps mean nothing
        return load64(batch.start + 35)
    return <int64_t>(<uint64_t>load64(batch.start + 27) + <uint64_t>survivor.timestamp_delta)


cdef inline uint8_t* write_survivor(
    uint8_t* p, const Survivor* survivor, int64_t base_timestamp
) noexcept nogil:
    cdef int64_t delta = difference(survivor.timestamp, base_timestamp)
    cdef Py_ssize_t rest = survivor.end - survivor.rest
    p = write_varint(p, 1 + varint_size(delta) + varint_size(survivor.offset_delta) + rest)
    p[0] = 0
    p = write_varint(p + 1, delta)
    p = write_varint(p, survivor.offset_delta)
    memcpy(p, survivor.rest, rest)
    return p + rest


cdef void* resized(void* memory, Py_ssize_t size) except NULL nogil:
    cdef void* moved = realloc(memory, size)
    if moved == NULL:
        with gil:
            raise MemoryError
    return moved
