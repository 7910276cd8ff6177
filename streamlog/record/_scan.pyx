# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`scan_segment` and `count_good_batches`, compiled. Their specification is `scan.py`."""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport (
    PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize,
)
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memchr

from streamlog.record._decode cimport load16, load32, load64, loadu32
from streamlog.record._encode cimport store32, store64

from streamlog.record.checksum import KEEP_GIL_IF_SHORT, RELEASE_GIL, crc32c as _crc32c

from streamlog.record.scan import _SEARCH_CRC_LIMIT, _SEARCH_LIMIT, _is_legacy
from streamlog.record.scan_outcome import ProducerBatch, ScanOutcome

cdef enum:
    HEADER_SIZE = 61
cdef int64_t MAX_INT32 = 0x7FFFFFFF
cdef int64_t MAX_INT64 = 0x7FFFFFFFFFFFFFFF


def scan_segment(
    buffer,
    *,
    Py_ssize_t start,
    Py_ssize_t end,
    int64_t segment_base_offset,
    int64_t expected_offset,
    Py_ssize_t check_crc_from=0,
    int64_t no_gaps_from=MAX_INT64,
    Py_ssize_t index_interval_bytes=4096,
    int64_t previous_max_timestamp=-1,
    int64_t previous_max_timestamp_offset=-1,
    Py_ssize_t bytes_since_index_entry=0,
    int64_t last_time_index_timestamp=-1,
    int32_t previous_leader_epoch=-1,
    int64_t buffer_position=0,
    bint release_gil=False,
):
    """Walk the whole batches in `buffer[start:end]` up to the first bad one.

    A batch is good when it fits, has magic 2, matches its CRC (looked at from position
    `check_crc_from` on) and continues the offsets: not before `expected_offset`, and from
    position `no_gaps_from` on exactly there; gaps are what compaction leaves. The `previous_...`
    values carry over from an earlier scan of the same segment. Index entries follow Kafka's rule
    (`LogSegment.append`): before a batch is added, when more than `index_interval_bytes` came
    since the last entry. The buffer begins at byte `buffer_position` of the segment: so count
    the positions in index entries and of producer batches, while all others are the buffer's.
    `release_gil` lets other threads run during each CRC, also of small batches: for who scans in
    several threads. Beside one that computes in Python it would be waited for at each batch.
    """
    cdef Walk walk = Walk.__new__(Walk)
    if segment_base_offset < 0:
        raise ValueError(f"segment_base_offset must not be negative, not {segment_base_offset}")
    walk.base_offset = segment_base_offset
    walk.next_offset = expected_offset
    walk.no_gaps_from = no_gaps_from
    walk.index_interval_bytes = index_interval_bytes
    walk.max_timestamp = previous_max_timestamp
    walk.max_timestamp_offset = previous_max_timestamp_offset
    walk.bytes_since_index_entry = bytes_since_index_entry
    walk.last_time_index_timestamp = last_time_index_timestamp
    walk.leader_epoch = previous_leader_epoch
    walk.buffer_position = buffer_position
    walk.gil_mode = RELEASE_GIL if release_gil else KEEP_GIL_IF_SHORT
    cdef Py_buffer whole
    PyObject_GetBuffer(buffer, &whole, PyBUF_SIMPLE)
    try:
        if not 0 <= start <= end <= whole.len:
            raise ValueError(f"no range from {start} to {end} in {whole.len} bytes")
        walk.run(<const uint8_t*>whole.buf, start, end, check_crc_from)
        if walk.stop == "magic" and _is_legacy(
            PyMemoryView_FromMemory(<char*>whole.buf, end, PyBUF_READ),
            walk.position,
            load32(<const uint8_t*>whole.buf + walk.position + 8),
            end - walk.position,
        ):
            walk.stop = "legacy"
    finally:
        PyBuffer_Release(&whole)
    return walk.outcome()


cdef bint crc_matches(
    const uint8_t* batch, Py_ssize_t size, object gil_mode=KEEP_GIL_IF_SHORT
) except -1:
    cdef uint32_t computed = _crc32c(
        PyMemoryView_FromMemory(<char*>batch + 21, size - 21, PyBUF_READ), 0, gil_mode
    )
    return computed == loadu32(batch + 17)


@cython.final
cdef class Walk:
    """What has been gathered from the batches so far."""

    cdef int64_t base_offset, next_offset, no_gaps_from, buffer_position
    cdef int64_t max_timestamp, max_timestamp_offset, first_batch_max_timestamp
    cdef int64_t last_time_index_timestamp, last_producer_batch_end
    cdef int32_t leader_epoch
    cdef Py_ssize_t position, batch_count, index_interval_bytes, bytes_since_index_entry
    cdef str stop
    cdef object gil_mode
    cdef bytearray offset_index, time_index
    cdef list producer_batches, epochs

    def __cinit__(self):
        self.first_batch_max_timestamp = self.last_producer_batch_end = -1
        self.offset_index = bytearray()
        self.time_index = bytearray()
        self.producer_batches = []
        self.epochs = []

    cdef int run(
        self, const uint8_t* data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t check_crc_from
    ) except -1:
        cdef Py_ssize_t remaining
        cdef const uint8_t* batch
        cdef int32_t length
        self.position = start
        while self.position < end and self.stop is None:
            remaining = end - self.position
            batch = data + self.position
            if remaining < 17:
                self.stop = "short"
                break
            length = load32(batch + 8)
            if length < 14:
                self.stop = "length"
            elif batch[16] != 2:
                self.stop = "magic"
            elif length < HEADER_SIZE - 12:
                self.stop = "length"
            elif length > remaining - 12:
                self.stop = "torn"
            elif self.position >= check_crc_from and not crc_matches(
                batch, length + 12, self.gil_mode
            ):
                self.stop = "crc"
            elif not self.add(batch, length):
                self.stop = "offset"
            else:
                self.position += <Py_ssize_t>length + 12
        return 0

    cdef bint add(self, const uint8_t* batch, int32_t length) except -1:
        """Take in one batch; False when its offsets are wrong."""
        cdef int64_t base_offset = load64(batch), last_offset
        cdef int32_t delta = load32(batch + 23), count = load32(batch + 57)
        cdef int32_t leader_epoch = load32(batch + 12)
        cdef int64_t max_timestamp = load64(batch + 35)
        if delta < 0 or count < 0 or count > <int64_t>delta + 1:
            return False
        if base_offset < self.next_offset or base_offset < self.base_offset:
            return False
        if base_offset != self.next_offset and self.position >= self.no_gaps_from:
            return False
        # Neither difference overflows: base_offset is not below the segment's, which is not
        # negative.
        if base_offset - self.base_offset > MAX_INT32 - delta:
            return False
        last_offset = base_offset + delta
        if self.batch_count == 0:
            self.first_batch_max_timestamp = max_timestamp
        if max_timestamp > self.max_timestamp:
            self.max_timestamp = max_timestamp
            self.max_timestamp_offset = last_offset
        if self.bytes_since_index_entry > self.index_interval_bytes:
            self.index(last_offset)
        self.bytes_since_index_entry += <Py_ssize_t>length + 12
        if leader_epoch != self.leader_epoch and leader_epoch >= 0:
            self.leader_epoch = leader_epoch
            self.epochs.append((leader_epoch, base_offset))
        if load64(batch + 43) >= 0:
            self.note_producer(batch, last_offset)
        self.batch_count += 1
        self.next_offset = last_offset + 1
        return True

    cdef int index(self, int64_t last_offset) except -1:
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(self.offset_index)
        cdef uint8_t* entry
        PyByteArray_Resize(self.offset_index, size + 8)
        entry = <uint8_t*>PyByteArray_AS_STRING(self.offset_index) + size
        store32(entry, <int32_t>(last_offset - self.base_offset))
        store32(entry + 4, <int32_t>(self.buffer_position + self.position))
        if self.max_timestamp > self.last_time_index_timestamp:
            size = PyByteArray_GET_SIZE(self.time_index)
            PyByteArray_Resize(self.time_index, size + 12)
            entry = <uint8_t*>PyByteArray_AS_STRING(self.time_index) + size
            store64(entry, self.max_timestamp)
            store32(entry + 8, <int32_t>(self.max_timestamp_offset - self.base_offset))
            self.last_time_index_timestamp = self.max_timestamp
        self.bytes_since_index_entry = 0
        return 0

    cdef int note_producer(self, const uint8_t* batch, int64_t last_offset) except -1:
        cdef int32_t base_sequence = load32(batch + 53)
        cdef int32_t last_sequence = base_sequence
        cdef int attributes = load16(batch + 21)
        if base_sequence >= 0:
            last_sequence = <int32_t>(
                (<int64_t>base_sequence + load32(batch + 23)) & 0x7FFFFFFF
            )
        self.producer_batches.append(
            ProducerBatch(
                load64(batch + 43), load16(batch + 51), base_sequence, last_sequence,
                load64(batch), last_offset, load64(batch + 35),
                (attributes & 0x10) != 0, (attributes & 0x20) != 0,
                self.buffer_position + self.position,
            )
        )
        self.last_producer_batch_end = last_offset + 1
        return 0

    cdef object outcome(self):
        return ScanOutcome(
            valid_end=self.position,
            next_offset=self.next_offset,
            stop=self.stop,
            batch_count=self.batch_count,
            max_timestamp=self.max_timestamp,
            max_timestamp_offset=self.max_timestamp_offset,
            first_batch_max_timestamp=self.first_batch_max_timestamp,
            offset_index=bytes(self.offset_index),
            time_index=bytes(self.time_index),
            bytes_since_index_entry=self.bytes_since_index_entry,
            last_time_index_timestamp=self.last_time_index_timestamp,
            producer_batches=self.producer_batches,
            last_producer_batch_end=self.last_producer_batch_end,
            epochs=self.epochs,
        )


def count_good_batches(buffer, Py_ssize_t start):
    """How many batches with a matching CRC lie anywhere behind `start`; for reports.

    Looks at every position, since behind a torn batch nothing says where the next one starts.
    Gives up after 64 MiB, or 256 MiB of CRCs.
    """
    cdef Py_buffer whole
    PyObject_GetBuffer(buffer, &whole, PyBUF_SIMPLE)
    try:
        if not 0 <= start <= whole.len:
            raise ValueError(f"no position {start} in {whole.len} bytes")
        return search(
            <const uint8_t*>whole.buf + start,
            <const uint8_t*>whole.buf + min(whole.len, start + <Py_ssize_t>_SEARCH_LIMIT),
        )
    finally:
        PyBuffer_Release(&whole)


cdef Py_ssize_t search(const uint8_t* p, const uint8_t* end) except -1:
    cdef Py_ssize_t budget = _SEARCH_CRC_LIMIT, found = 0, size
    cdef const uint8_t* hit
    while end - p >= HEADER_SIZE and budget > 0:
        # Jump to where a magic byte could be.
        hit = <const uint8_t*>memchr(p + 16, 2, <size_t>(end - p - 16))
        if hit == NULL:
            break
        p = hit - 16
        size = plausible_size(p, end)
        budget -= size
        if size and crc_matches(p, size):
            found += 1
            p += size
        else:
            p += 1
    return found


cdef Py_ssize_t plausible_size(const uint8_t* p, const uint8_t* end) noexcept:
    """The size of what may be a batch; 0 when it cannot be one."""
    if end - p < HEADER_SIZE:
        return 0
    cdef int32_t length = load32(p + 8), delta = load32(p + 23), count = load32(p + 57)
    if length < HEADER_SIZE - 12 or length > end - p - 12:
        return 0
    if delta < 0 or count < 0 or count > <int64_t>delta + 1:
        return 0
    return <Py_ssize_t>length + 12
