"""The batches of a log without what later ones replaced. The compiled twin: `_cleaning.pyx`."""

from __future__ import annotations

from collections.abc import Container

from streamlog.record import layout
from streamlog.record.batch import RecordBatch
from streamlog.record.batch_run import BatchRun
from streamlog.record.byteslike import BytesLike
from streamlog.record.checksum import crc32c
from streamlog.record.cleaning_outcome import BatchDecision, CleaningOutcome, Decide
from streamlog.record.compression import NONE, compress
from streamlog.record.encode import batch_too_large, timestamp_delta
from streamlog.record.iterator import wrapped_int64
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT, HEADER_SIZE, MAX_INT64
from streamlog.record.offset_map import OffsetMap
from streamlog.record.record_fields import RecordFields, fields_of
from streamlog.record.varint import append_varint, varint_size

_KEPT_BITS = (
    layout.CODEC_MASK
    | layout.TIMESTAMP_TYPE_BIT
    | layout.TRANSACTIONAL_BIT
    | layout.CONTROL_BIT
    | layout.DELETE_HORIZON_BIT
)


def clean_batches(
    data: BytesLike,
    offset_map: OffsetMap,
    *,
    decide: Decide,
    retain_empty: Container[int] = (),
    now_ms: int,
    delete_retention_ms: int,
    expected_offset: int = 0,
    decompressed_limit: int = DEFAULT_DECOMPRESSED_LIMIT,
) -> CleaningOutcome:
    """Copy the whole batches in `data`, each without the records that compaction removes.

    A record stays when it is beyond the map, or has a key, the latest offset for it, and a value
    or a tombstone's time left. A batch that keeps all its records is copied byte for byte, unless
    it holds a tombstone (or an expiring marker) and has no delete horizon yet: it gets
    `now_ms + delete_retention_ms` (KIP-534). Any other is written anew in its own codec, with its
    offsets, producer, sequence and flags. One without records goes, unless its last offset is
    in `retain_empty`: then its header stays.

    Raises what `OffsetMap.add_batches` raises.
    """
    cleaning = _Cleaning(offset_map, retain_empty, now_ms, delete_retention_ms, decompressed_limit)
    run = BatchRun(data, decide, expected_offset)
    for batch, decision in run:
        cleaning.add(batch, decision)
    return CleaningOutcome(
        output=cleaning.output,
        consumed=run.consumed,
        needed=run.needed,
        next_offset=run.next_offset,
        batches_read=cleaning.batches_read,
        batches_kept=cleaning.batches_kept,
        records_read=cleaning.records_read,
        records_kept=cleaning.records_kept,
        tombstones_kept=cleaning.tombstones_kept,
        tombstones_dropped=cleaning.tombstones_dropped,
        keyless_dropped=cleaning.keyless_dropped,
    )


class _Cleaning:
    """The rules, and what they have let through so far."""

    def __init__(
        self,
        offset_map: OffsetMap,
        retain_empty: Container[int],
        now_ms: int,
        delete_retention_ms: int,
        decompressed_limit: int,
    ) -> None:
        self.offset_map = offset_map
        self.retain_empty = retain_empty
        self.now_ms = now_ms
        self.new_horizon = min(now_ms + delete_retention_ms, MAX_INT64)
        self.decompressed_limit = decompressed_limit
        self.output = bytearray()
        self.batches_read = self.batches_kept = 0
        self.records_read = self.records_kept = 0
        self.tombstones_kept = self.tombstones_dropped = self.keyless_dropped = 0

    def add(self, batch: RecordBatch, decision: BatchDecision) -> None:
        self.batches_read += 1
        self.records_read += batch.count
        kept: list[RecordFields] = []
        if decision <= BatchDecision.EXPIRE:
            kept = self._surviving(batch)
        tombstones = sum(record.is_tombstone for record in kept)
        if kept:
            expires = tombstones > 0 or decision == BatchDecision.EXPIRE
            sets_horizon = expires and not batch.has_delete_horizon
            if len(kept) == batch.count and not sets_horizon:
                self.output += batch.view
            else:
                self.output += _rewritten(batch, kept, self.new_horizon if sets_horizon else None)
        elif decision == BatchDecision.EMPTY or batch.last_offset in self.retain_empty:
            self.output += _emptied(batch)
        else:
            return
        self.batches_kept += 1
        self.records_kept += len(kept)
        self.tombstones_kept += tombstones

    def _surviving(self, batch: RecordBatch) -> list[RecordFields]:
        records = fields_of(batch, self.decompressed_limit)
        if batch.is_control:
            return list(records)
        keeps_tombstones = not batch.has_delete_horizon or self.now_ms < batch.base_timestamp
        return [record for record in records if self._survives(batch, record, keeps_tombstones)]

    def _survives(self, batch: RecordBatch, record: RecordFields, keeps_tombstones: bool) -> bool:
        offset = batch.base_offset + record.offset_delta
        if offset > self.offset_map.latest_offset:
            return True
        if record.key is None:
            self.keyless_dropped += 1
            return False
        if record.is_tombstone and not keeps_tombstones:
            self.tombstones_dropped += 1
            return False
        return offset >= self.offset_map.get(record.key)


def _rewritten(batch: RecordBatch, kept: list[RecordFields], new_horizon: int | None) -> bytearray:
    """The batch with these of its records. Timestamps count from the delete horizon if it has one,
    else from the first of them.
    """
    attributes = batch.attributes & _KEPT_BITS
    if new_horizon is not None:
        attributes |= layout.DELETE_HORIZON_BIT
    if batch.timestamp_type:  # the records' own timestamps mean nothing
        timestamps = [batch.max_timestamp] * len(kept)
    else:
        old_base = batch.base_timestamp
        timestamps = [wrapped_int64(old_base + record.timestamp_delta) for record in kept]
    if new_horizon is not None:
        base_timestamp = new_horizon
    elif batch.has_delete_horizon:
        base_timestamp = batch.base_timestamp
    else:
        base_timestamp = timestamps[0]
    max_timestamp = max(layout.NO_TIMESTAMP, *timestamps)
    payload = bytearray()
    for record, timestamp in zip(kept, timestamps, strict=True):
        _append(payload, record, timestamp_delta(timestamp, base_timestamp))
    if batch.codec != NONE:
        payload = bytearray(compress(batch.codec, payload))
    return _with_header(batch, attributes, base_timestamp, max_timestamp, len(kept), payload)


def _append(out: bytearray, record: RecordFields, delta: int) -> None:
    size = 1 + varint_size(delta) + varint_size(record.offset_delta) + len(record.rest)
    append_varint(out, size)
    out.append(0)
    append_varint(out, delta)
    append_varint(out, record.offset_delta)
    out += record.rest


def _emptied(batch: RecordBatch) -> bytearray:
    """Only the header: what producers' sequence numbers and the log's end are read from."""
    attributes = batch.attributes & (
        layout.TIMESTAMP_TYPE_BIT | layout.TRANSACTIONAL_BIT | layout.CONTROL_BIT
    )
    return _with_header(batch, attributes, layout.NO_TIMESTAMP, batch.max_timestamp, 0, bytearray())


def _with_header(
    batch: RecordBatch,
    attributes: int,
    base_timestamp: int,
    max_timestamp: int,
    count: int,
    payload: bytearray,
) -> bytearray:
    size = HEADER_SIZE + len(payload)
    if size > layout.MAX_INT32:
        raise batch_too_large(size)
    out = bytearray(batch.view[:HEADER_SIZE]) + payload
    layout.INT32.pack_into(out, layout.LENGTH_AT, size - layout.LOG_OVERHEAD)
    layout.INT16.pack_into(out, layout.ATTRIBUTES_AT, attributes)
    layout.INT64.pack_into(out, layout.BASE_TIMESTAMP_AT, base_timestamp)
    layout.INT64.pack_into(out, layout.MAX_TIMESTAMP_AT, max_timestamp)
    layout.INT32.pack_into(out, layout.COUNT_AT, count)
    layout.UINT32.pack_into(out, layout.CRC_AT, crc32c(memoryview(out)[layout.ATTRIBUTES_AT :]))
    return out
