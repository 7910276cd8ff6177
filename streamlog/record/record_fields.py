"""What cleaning looks at of a record; all of it is checked. The layout is in `iterator.py`.

The compiled twin is `_record_fields.pxd`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streamlog.errors import CorruptRecordError, DecompressionError
from streamlog.record.batch import RecordBatch
from streamlog.record.compression import NONE, decompress
from streamlog.record.corruption import (
    BAD_FIELDS,
    BAD_LENGTH,
    BAD_OFFSET,
    LEFT_OVER,
    in_batch,
    malformed_record,
)
from streamlog.record.iterator import read_headers, read_nullable_bytes, read_record_bounds
from streamlog.record.layout import HEADER_SIZE, INT32, LAST_OFFSET_DELTA_AT
from streamlog.record.varint import read_varint, read_varlong


class RecordFields(NamedTuple):
    """One record. `rest` is everything from its key on, as it was written."""

    timestamp_delta: int
    offset_delta: int
    key: bytes | None
    is_tombstone: bool
    rest: bytes


def fields_of(batch: RecordBatch, decompressed_limit: int) -> Iterator[RecordFields]:
    """The records of `batch`, whose header was checked.

    Raises `CorruptRecordError` and `DecompressionError` with the batch's `position`.
    """
    try:
        payload = batch.view[HEADER_SIZE:]
        if batch.codec != NONE and batch.count > 0:
            data = decompress(batch.codec, payload, decompressed_limit)
        else:
            data = bytes(payload)
        yield from _decode(batch, data)
    except (CorruptRecordError, DecompressionError) as error:
        raise in_batch(batch.position, error) from error


def _decode(batch: RecordBatch, data: bytes) -> Iterator[RecordFields]:
    (last_delta,) = INT32.unpack_from(batch.view, LAST_OFFSET_DELTA_AT)
    position, previous_delta = 0, -1
    for index in range(batch.count):
        try:
            fields, position = _read_fields(data, position, previous_delta, last_delta)
        except ValueError as error:
            reason = str(error) if str(error) in (BAD_LENGTH, BAD_OFFSET) else BAD_FIELDS
            raise malformed_record(batch.base_offset, index, reason) from None
        previous_delta = fields.offset_delta
        yield fields
    if position != len(data):
        raise malformed_record(batch.base_offset, batch.count, LEFT_OVER)


def _read_fields(
    data: bytes, position: int, previous_delta: int, last_delta: int
) -> tuple[RecordFields, int]:
    start, end = read_record_bounds(data, position, len(data))
    timestamp_delta, position = read_varlong(data, start + 1, end)
    offset_delta, position = read_varint(data, position, end)
    if not previous_delta < offset_delta <= last_delta:
        raise ValueError(BAD_OFFSET)
    rest = data[position:end]
    key, position = read_nullable_bytes(data, position, end)
    value, position = read_nullable_bytes(data, position, end)
    _, position = read_headers(data, position, end)
    if position != end:
        raise ValueError(BAD_FIELDS)
    return RecordFields(timestamp_delta, offset_delta, key, value is None, rest), end
