# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`BatchRun`, compiled: `batch_run.py` specifies it.

What needs the interpreter (checksums, codecs, decisions) is done for many batches at once, so
that the loops over their records can do without it for a while: beside a busy Python thread
each time that the interpreter is asked for again may cost milliseconds.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, realloc

from streamlog.record._decode cimport load16, load32, load64
from streamlog.record._records cimport RecordBatch

from streamlog.errors import DecompressionError
from streamlog.record.compression import decompress as _decompress
from streamlog.record.corruption import (
    BAD_FIELDS,
    BAD_LENGTH,
    BAD_OFFSET,
    LEFT_OVER,
    in_batch,
    malformed_batch,
    malformed_record,
)

cdef enum:
    HEADER_SIZE = 61
    CODEC_BITS = 0x07
    CONTROL_BIT = 0x20
    DECIDED_BITS = 0x30
    # Batches and decompressed bytes that are gathered before their records are looked at.
    MAX_BATCHES = 1 << 14
    MAX_PAYLOAD = 1 << 22

cdef tuple REASONS = ("", BAD_LENGTH, BAD_FIELDS, BAD_OFFSET, LEFT_OVER)


@cython.no_gc
@cython.final
cdef class BatchRun:
    def __cinit__(self, data, decide, int64_t expected_offset, Py_ssize_t decompressed_limit):
        PyObject_GetBuffer(data, &self.buffer, PyBUF_SIMPLE)
        self.held = True
        self.data = data
        self.decide = decide
        self.retain_empty = ()
        self.payloads = []
        self.decompressed_limit = decompressed_limit
        self.next_offset = expected_offset

    def __dealloc__(self):
        free(self.batches)
        if self.held:
            PyBuffer_Release(&self.buffer)

    cdef Py_ssize_t gather(self) except -1:
        cdef Py_ssize_t room = MAX_PAYLOAD
        self.count = 0
        self.payloads.clear()
        while self.error is None and self.consumed < self.buffer.len:
            if room <= 0 or self.count == MAX_BATCHES:
                break
            self.needed = missing_size(
                <const uint8_t*>self.buffer.buf + self.consumed, self.buffer.len - self.consumed
            )
            if self.needed:
                break
            if self.count == self.room:
                grow(self)
            try:
                room -= self.add()
            except Exception as error:
                self.error = error  # raised when those before it have been looked at
        return self.count

    cdef Py_ssize_t add(self) except -1:
        """Gather the batch that begins here; the bytes that it decompressed to."""
        cdef RecordBatch batch = RecordBatch(self.data, self.consumed)
        cdef GatheredBatch* gathered = &self.batches[self.count]
        cdef bytes payload
        cdef Py_ssize_t decompressed = 0
        batch.check()
        gathered.start = batch.start
        gathered.size = batch.size
        gathered.position = self.consumed
        gathered.expected_offset = self.next_offset
        gathered.base_offset = load64(batch.start)
        if gathered.base_offset < self.next_offset:
            raise malformed_batch(self.consumed, BAD_OFFSET)
        gathered.last_offset_delta = load32(batch.start + 23)
        gathered.count = load32(batch.start + 57)
        gathered.attributes = load16(batch.start + 21)
        gathered.decision = KEEP
        if gathered.attributes & DECIDED_BITS:
            gathered.decision = <Decision><int>self.decide(batch)
        gathered.retain_empty = (
            gathered.base_offset + gathered.last_offset_delta in self.retain_empty
        )
        gathered.records = gathered.records_end = NULL
        if wants_records(self, gathered):
            gathered.records = batch.start + HEADER_SIZE
            gathered.records_end = batch.start + batch.size
            if gathered.attributes & CODEC_BITS and gathered.count > 0:
                payload = payload_of(
                    batch, gathered.attributes & CODEC_BITS, self.decompressed_limit
                )
                self.payloads.append(payload)
                decompressed = PyBytes_GET_SIZE(payload)
                gathered.records = <const uint8_t*>PyBytes_AS_STRING(payload)
                gathered.records_end = gathered.records + decompressed
        self.count += 1
        self.consumed += batch.size
        self.next_offset = gathered.base_offset + gathered.last_offset_delta + 1
        return decompressed

    cdef int raise_error(self) except -1:
        if self.error is not None:
            raise self.error
        return 0

    cdef object malformed(self, GatheredBatch* batch, int32_t index, Malformed what):
        return in_batch(
            batch.position, malformed_record(batch.base_offset, index, REASONS[what])
        )


cdef int grow(BatchRun run) except -1:
    cdef Py_ssize_t room = max(64, 2 * run.room)
    cdef void* batches = realloc(run.batches, room * sizeof(GatheredBatch))
    if batches == NULL:
        raise MemoryError
    run.batches = <GatheredBatch*>batches
    run.room = room
    return 0


cdef Py_ssize_t missing_size(const uint8_t* start, Py_ssize_t remaining) noexcept:
    """The size of the batch that begins here and is not all there; 0 for any other bytes."""
    cdef int32_t length
    if remaining < 17:
        return HEADER_SIZE
    length = load32(start + 8)
    if start[16] != 2 or length < HEADER_SIZE - 12 or length <= remaining - 12:
        return 0
    return <Py_ssize_t>length + 12


cdef bint wants_records(BatchRun run, GatheredBatch* batch) noexcept:
    if batch.decision > EXPIRE:
        return False
    if not run.for_map:
        return True
    return (
        batch.decision == KEEP
        and not batch.attributes & CONTROL_BIT
        and batch.base_offset + batch.last_offset_delta >= run.from_offset
    )


cdef bytes payload_of(RecordBatch batch, int codec, Py_ssize_t limit):
    try:
        return _decompress(codec, batch.view[HEADER_SIZE:], limit)
    except DecompressionError as error:
        raise in_batch(batch.position, error) from error
