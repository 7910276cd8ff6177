"""Every record of a batch decodes: the check that a CRC cannot make.

A CRC says that the bytes are what the producer sent, not that the producer wrote sense.
"""

from __future__ import annotations

from streamlog.record.corruption import malformed_record
from streamlog.record.kernel import RecordBatch
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT


def verify_batch_records(batch: RecordBatch, limit: int = DEFAULT_DECOMPRESSED_LIMIT) -> int:
    """Check `batch`, decompress it and decode every record. Returns how many there are.

    Raises `CorruptRecordError` (CRC, lengths, counts, offsets out of order, bytes left over, a
    maximum timestamp that a record exceeds) and `DecompressionError`.
    """
    batch.check()
    count = 0
    for record in batch.records("", -1, 0, limit):
        if record.timestamp > batch.max_timestamp:
            raise malformed_record(
                batch.base_offset, count, "its timestamp is above the batch's maximum"
            )
        count += 1
    return count
