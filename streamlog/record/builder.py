"""Builds one record batch. The compiled twin is in `_builder.pyx`."""

from __future__ import annotations

from typing import Any

from streamlog.errors import UsageError
from streamlog.record import encode, layout
from streamlog.record.byteslike import encoded_headers, optional_bytes_of
from streamlog.record.compression import NONE, compress
from streamlog.record.layout import DEFAULT_BATCH_SIZE, HEADER_SIZE, MAX_RECORD_OVERHEAD
from streamlog.record.varint import varint_size


class RecordBatchBuilder:
    """Records in, one complete batch out.

    `size_limit` (bytes, uncompressed) is what `has_room_for` goes by; `append` itself only
    refuses what the format cannot hold. Raises `ConfigError` for settings out of range.
    """

    __slots__ = (
        "_built",
        "_out",
        "_settings",
        "base_timestamp",
        "count",
        "max_timestamp",
        "min_timestamp",
        "size_limit",
    )

    def __init__(
        self,
        *,
        codec: int = 0,
        level: int | None = None,
        timestamp_type: int = 0,
        producer_id: int = layout.NO_PRODUCER_ID,
        producer_epoch: int = layout.NO_PRODUCER_EPOCH,
        base_sequence: int = layout.NO_SEQUENCE,
        transactional: bool = False,
        control: bool = False,
        leader_epoch: int = layout.NO_LEADER_EPOCH,
        base_offset: int = 0,
        size_limit: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        self._settings = encode.BatchSettings(
            codec=codec,
            level=level,
            timestamp_type=timestamp_type,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            transactional=transactional,
            control=control,
            leader_epoch=leader_epoch,
            base_offset=base_offset,
        )
        self._out = bytearray(HEADER_SIZE)
        self._built = False
        self.size_limit = size_limit
        self.count = 0
        self.base_timestamp = layout.NO_TIMESTAMP
        self.max_timestamp = layout.NO_TIMESTAMP
        self.min_timestamp = layout.NO_TIMESTAMP

    @property
    def size(self) -> int:
        """Bytes so far, before compression, the header included."""
        return len(self._out)

    def has_room_for(self, key: Any, value: Any, headers: Any = ()) -> bool:
        """Whether one more record stays within `size_limit`. The first one always does."""
        if self.count == 0:
            return True
        size = MAX_RECORD_OVERHEAD
        for name, part in (("key", key), ("value", value)):
            raw = optional_bytes_of(part, name)
            size += 0 if raw is None else len(raw)
        if headers:
            size += encode.headers_size(encoded_headers(headers))
        return self.size + size <= self.size_limit

    def append(self, timestamp: int, key: Any, value: Any, headers: Any = ()) -> int:
        """Add a record; returns its offset relative to the batch. All or nothing.

        Raises `TypeError` naming the argument, `InvalidTimestampError`, `RecordTooLargeError`
        for what no batch can hold, and `UsageError` once built.
        """
        if self._built:
            raise UsageError("the batch is built; start another builder")
        timestamp = encode.checked_timestamp(timestamp, "timestamp")
        raw_key = optional_bytes_of(key, "key")
        raw_value = optional_bytes_of(value, "value")
        raw_headers = encoded_headers(headers)
        base = self.base_timestamp if self.count else timestamp
        delta = encode.timestamp_delta(timestamp, base)
        body = encode.body_size(delta, self.count, raw_key, raw_value, raw_headers)
        size = len(self._out) + varint_size(body) + body
        if size > layout.MAX_INT32:
            raise encode.batch_too_large(size)
        encode.append_record(self._out, body, delta, self.count, raw_key, raw_value, raw_headers)
        if self.count == 0:
            self.base_timestamp = self.max_timestamp = self.min_timestamp = timestamp
        else:
            self.max_timestamp = max(self.max_timestamp, timestamp)
            self.min_timestamp = min(self.min_timestamp, timestamp)
        self.count += 1
        return self.count - 1

    def build(self) -> bytearray:
        """The complete batch, writable: base offset and leader epoch may be assigned in place.

        Raises `UsageError` when empty or already built.
        """
        if self._built or self.count == 0:
            raise UsageError("the batch is built already" if self._built else "the batch is empty")
        settings = self._settings
        batch = self._out
        if settings.codec != NONE:
            payload = compress(settings.codec, memoryview(batch)[HEADER_SIZE:], settings.level)
            batch = bytearray(HEADER_SIZE)
            batch += payload
        encode.write_header(
            memoryview(batch),
            settings,
            base_sequence=settings.base_sequence,
            count=self.count,
            base_timestamp=self.base_timestamp,
            max_timestamp=self.max_timestamp,
        )
        self._built = True
        self._out = bytearray()
        return batch
