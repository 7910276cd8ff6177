"""The last record of each key among the batches of a log. The compiled twin is `_last_records.pyx`.

A coordinator's log says the same thing again and again: of a million commits a few are the last
of their partition, and only those need to become Python objects.
"""

from __future__ import annotations

from streamlog.errors import CorruptRecordError
from streamlog.record.kernel import RecordBatch

LastRecord = tuple[int, bytes, "bytes | None"]
"""A record's offset in the log, its key and its value."""


def last_records(
    batches: bytes | memoryview, position: int = 0
) -> tuple[list[LastRecord], int, int]:
    """The last record of each key in the batches from `position` on, in the order of the log.

    Also the position at which it ended, and the offset behind the last batch, -1 if there was
    none. It ends before a batch in which records are not simply there: one of a transaction, one
    that is compressed, a marker, or bytes that are no batch. Records without a key are left out.
    Checksums are not looked at.
    """
    found: dict[bytes, LastRecord] = {}
    next_offset = -1
    while position < len(batches):
        try:
            batch = RecordBatch(batches, position)
            if batch.is_transactional or batch.is_control or batch.codec:
                break
            records = list(batch)
        except CorruptRecordError:
            break
        for record in records:
            if record.key is not None:
                key = bytes(record.key)
                value = record.value
                found[key] = (record.offset, key, None if value is None else bytes(value))
        next_offset = batch.next_offset
        position += batch.size
    return sorted(found.values()), position, next_offset
