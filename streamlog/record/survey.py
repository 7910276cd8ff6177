"""What a broker asks of a produced batch's records, in one pass. Compiled twin: `_survey.pyx`.

The batch comes from whoever may write: its counts and lengths are claims, held against its bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from streamlog.record.batch import RecordBatch
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT

NO_TIMESTAMP = -1


class RecordSurvey(NamedTuple):
    """What the records of one batch amount to.

    `first_keyless` is the place of the first record without a key, from 0, -1 when all have one.
    The timestamps are milliseconds, of the records that have one; -1 (`NO_TIMESTAMP`) when none
    has. `is_consecutive`: each record has the offset behind the one before, from the first on.
    """

    first_keyless: int
    smallest_timestamp: int
    largest_timestamp: int
    is_consecutive: bool


def survey_records(batch: RecordBatch, limit: int = DEFAULT_DECOMPRESSED_LIMIT) -> RecordSurvey:
    """Go through every record of `batch`, whose frame is known to be whole; nothing is kept.

    Raises `CorruptRecordError` for records that do not decode, and `DecompressionError` for a
    payload that is broken or larger than `limit` bytes. The CRC is not looked at.
    """
    first_keyless = -1
    smallest = largest = NO_TIMESTAMP
    is_consecutive = True
    for index, record in enumerate(batch.records("", -1, 0, limit)):
        if record.key is None and first_keyless < 0:
            first_keyless = index
        timestamp = record.timestamp
        if timestamp != NO_TIMESTAMP:
            smallest = timestamp if smallest == NO_TIMESTAMP else min(smallest, timestamp)
            largest = timestamp if largest == NO_TIMESTAMP else max(largest, timestamp)
        is_consecutive = is_consecutive and record.offset == batch.base_offset + index
    return RecordSurvey(first_keyless, smallest, largest, is_consecutive)
