# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""`survey_records`, compiled. Its specification is `survey.py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from streamlog.record._decode cimport load16, load32, load64, read_varint, read_varlong
from streamlog.record._records cimport RecordBatch

from streamlog.record.compression import decompress as _decompress
from streamlog.record.corruption import (
    BAD_FIELDS, BAD_LENGTH, BAD_OFFSET, LEFT_OVER, malformed_record,
)
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT as _DEFAULT_LIMIT
from streamlog.record.survey import RecordSurvey

cdef enum:
    HEADER_SIZE = 61
    NO_TIMESTAMP = -1
    # What is wrong with a record; an index into _REASONS.
    NOTHING = 0
    LENGTH = 1
    FIELDS = 2
    OFFSET = 3
    LEFT = 4

cdef tuple _REASONS = ("", BAD_LENGTH, BAD_FIELDS, BAD_OFFSET, LEFT_OVER)


cdef struct Walk:
    # What every record adds to, and what the header says of all of them.
    int64_t base_timestamp
    int32_t count
    int32_t last_offset_delta
    int32_t index
    int32_t first_keyless
    int64_t smallest_timestamp
    int64_t largest_timestamp
    bint is_consecutive


def survey_records(RecordBatch batch not None, Py_ssize_t limit=_DEFAULT_LIMIT):
    """Go through every record of `batch`, whose frame is known to be whole; nothing is kept.

    Raises `CorruptRecordError` for records that do not decode, and `DecompressionError` for a
    payload that is broken or larger than `limit` bytes. The CRC is not looked at.
    """
    cdef Walk walk
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef bytes payload
    cdef int wrong
    cdef int attributes = load16(batch.start + 21)
    batch.check_offsets()
    walk.base_timestamp = load64(batch.start + 27)
    walk.last_offset_delta = load32(batch.start + 23)
    walk.count = load32(batch.start + 57)
    walk.index = 0
    walk.first_keyless = -1
    walk.smallest_timestamp = walk.largest_timestamp = NO_TIMESTAMP
    walk.is_consecutive = True
    if attributes & 7 and walk.count > 0:
        payload = _decompress(attributes & 7, batch.view[HEADER_SIZE:], limit)
        at = <const uint8_t*>PyBytes_AS_STRING(payload)
        end = at + PyBytes_GET_SIZE(payload)
    else:
        at = batch.start + HEADER_SIZE
        end = batch.start + batch.size
    with nogil:
        wrong = go_through(at, end, &walk)
    if wrong:
        raise malformed_record(batch.base_offset, walk.index, _REASONS[wrong])
    if attributes & 8 and walk.count > 0:  # all have the log's time, whatever they say
        walk.smallest_timestamp = walk.largest_timestamp = load64(batch.start + 35)
    return RecordSurvey(
        walk.first_keyless, walk.smallest_timestamp, walk.largest_timestamp,
        bool(walk.is_consecutive),
    )


cdef int go_through(const uint8_t* at, const uint8_t* end, Walk* walk) noexcept nogil:
    cdef const uint8_t* p
    cdef const uint8_t* record_end
    cdef int32_t length = 0, offset_delta = 0, previous_delta = -1
    cdef int64_t timestamp_delta = 0, timestamp
    while walk.index < walk.count:
        p = read_varint(at, end, &length)
        if p == NULL or length <= 0 or length > end - p:
            return LENGTH
        record_end = p + length
        p = read_varlong(p + 1, record_end, &timestamp_delta)
        if p != NULL:
            p = read_varint(p, record_end, &offset_delta)
        if p == NULL:
            return FIELDS
        if offset_delta <= previous_delta or offset_delta > walk.last_offset_delta:
            return OFFSET
        p = read_varint(p, record_end, &length)
        if p == NULL or length < -1 or length > record_end - p:
            return FIELDS
        if length < 0 and walk.first_keyless < 0:
            walk.first_keyless = walk.index
        p = skip_value(p if length < 0 else p + length, record_end)
        if p == NULL or not headers_fill(p, record_end):
            return FIELDS
        timestamp = <int64_t>(<uint64_t>walk.base_timestamp + <uint64_t>timestamp_delta)
        if timestamp != NO_TIMESTAMP:
            if walk.smallest_timestamp == NO_TIMESTAMP or timestamp < walk.smallest_timestamp:
                walk.smallest_timestamp = timestamp
            if walk.largest_timestamp == NO_TIMESTAMP or timestamp > walk.largest_timestamp:
                walk.largest_timestamp = timestamp
        if offset_delta != walk.index:
            walk.is_consecutive = False
        previous_delta = offset_delta
        at = record_end
        walk.index += 1
    return NOTHING if at == end else LEFT


cdef inline const uint8_t* skip_value(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Behind a value or a header's value; NULL when it does not fit."""
    cdef int32_t length = 0
    p = read_varint(p, end, &length)
    if p == NULL or length < -1 or length > end - p:
        return NULL
    return p if length < 0 else p + length


cdef inline bint headers_fill(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Whether the headers at `p` take up everything up to `end`."""
    cdef int32_t count = 0, length = 0
    p = read_varint(p, end, &count)
    if p == NULL or count < 0 or count > (end - p) // 2:
        return False
    while count > 0:
        p = read_varint(p, end, &length)
        if p == NULL or length < 0 or length > end - p:
            return False
        p = skip_value(p + length, end)
        if p == NULL:
            return False
        count -= 1
    return p == end
