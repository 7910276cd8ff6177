"""Many values for one partition into consecutive batches. The compiled twin is in `_bulk.pyx`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from streamlog.record import encode, layout
from streamlog.record.byteslike import encoded_headers, optional_bytes_of
from streamlog.record.compression import NONE, compress
from streamlog.record.layout import DEFAULT_BATCH_SIZE, HEADER_SIZE
from streamlog.record.varint import varint_size


def encode_many(
    values: Iterable[Any],
    keys: Sequence[Any] | None,
    timestamps: Sequence[int | None] | None,
    now_ms: int,
    *,
    headers: Sequence[Any] | None = None,
    indexes: Sequence[int] | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    codec: int = 0,
    level: int | None = None,
    timestamp_type: int = 0,
    producer_id: int = layout.NO_PRODUCER_ID,
    producer_epoch: int = layout.NO_PRODUCER_EPOCH,
    base_sequence: int = layout.NO_SEQUENCE,
    transactional: bool = False,
    leader_epoch: int = layout.NO_LEADER_EPOCH,
) -> tuple[bytearray, list[tuple[int, int, int]]]:
    """Encode `values` into consecutive batches in one writable buffer.

    `keys`, `timestamps` and `headers` go with `values`; `now_ms` stands in for a timestamp that
    is None. With `indexes` only those positions of the sequences are taken, in that order.
    Returns the buffer and a (position, size, record count) for each batch. A batch holds at least
    one record and otherwise at most `batch_size` bytes before compression; sequence numbers run
    on from batch to batch. Nothing is returned unless everything encodes.

    Raises `TypeError` naming the argument, `ValueError` when the lengths differ,
    `InvalidTimestampError`, `ConfigError`, `RecordTooLargeError`.
    """
    values = tuple(values)
    for name, column in (("keys", keys), ("timestamps", timestamps), ("headers", headers)):
        if column is not None and len(column) != len(values):
            raise ValueError(f"{len(values)} values but {len(column)} {name}")
    settings = encode.BatchSettings(
        codec=codec,
        level=level,
        timestamp_type=timestamp_type,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        transactional=transactional,
        leader_epoch=leader_epoch,
    )
    now_ms = encode.checked_timestamp(now_ms, "now_ms")
    writer = _BatchWriter(settings, min(batch_size, layout.MAX_INT32))
    for index in range(len(values)) if indexes is None else indexes:
        if not 0 <= index < len(values):
            raise IndexError(f"index {index} is not among {len(values)} values")
        timestamp = None if timestamps is None else timestamps[index]
        writer.add(
            index,
            now_ms if timestamp is None else timestamp,
            None if keys is None else keys[index],
            values[index],
            None if headers is None else headers[index],
        )
    writer.finish()
    return writer.out, writer.batches


class _BatchWriter:
    """Appends records to the batch at the end of `out`, and starts another when it is full."""

    def __init__(self, settings: encode.BatchSettings, batch_size: int) -> None:
        self.settings = settings
        self.batch_size = batch_size
        self.out = bytearray()
        self.batches: list[tuple[int, int, int]] = []
        self.start = 0
        self.count = 0
        self.base_timestamp = self.max_timestamp = 0
        self.base_sequence = settings.base_sequence

    def add(self, index: int, timestamp: Any, key: Any, value: Any, headers: Any) -> None:
        timestamp = encode.checked_timestamp(timestamp, f"timestamps[{index}]")
        raw_key = optional_bytes_of(key, f"keys[{index}]")
        raw_value = optional_bytes_of(value, f"values[{index}]")
        raw_headers = encoded_headers(headers)
        if self.count:
            delta = encode.timestamp_delta(timestamp, self.base_timestamp)
            body = encode.body_size(delta, self.count, raw_key, raw_value, raw_headers)
            if len(self.out) - self.start + varint_size(body) + body > self.batch_size:
                self.finish()
        if not self.count:
            self.out += bytes(HEADER_SIZE)
            self.base_timestamp = self.max_timestamp = timestamp
            delta = 0
            body = encode.body_size(0, 0, raw_key, raw_value, raw_headers)
            size = HEADER_SIZE + varint_size(body) + body
            if size > layout.MAX_INT32:
                raise encode.batch_too_large(size)
        encode.append_record(self.out, body, delta, self.count, raw_key, raw_value, raw_headers)
        self.max_timestamp = max(self.max_timestamp, timestamp)
        self.count += 1

    def finish(self) -> None:
        """Complete the batch at the end of `out`, if one is begun."""
        if not self.count:
            return
        settings, start = self.settings, self.start
        if settings.codec != NONE:
            with memoryview(self.out) as view:
                payload = compress(settings.codec, view[start + HEADER_SIZE :], settings.level)
            self.out[start + HEADER_SIZE :] = payload
        with memoryview(self.out) as view:
            encode.write_header(
                view[start:],
                settings,
                base_sequence=self.base_sequence,
                count=self.count,
                base_timestamp=self.base_timestamp,
                max_timestamp=self.max_timestamp,
            )
        self.batches.append((start, len(self.out) - start, self.count))
        self.base_sequence = layout.increment_sequence(self.base_sequence, self.count)
        self.start = len(self.out)
        self.count = 0
