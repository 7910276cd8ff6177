"""A view over one record batch. The compiled twin is in `_records.pyx`."""

from __future__ import annotations

from typing import Any

from streamlog.record import layout
from streamlog.record.byteslike import BytesLike
from streamlog.record.checksum import crc32c
from streamlog.record.compression import NONE, decompress
from streamlog.record.corruption import legacy_format, malformed_batch
from streamlog.record.iterator import BatchFrame, RecordIterator
from streamlog.record.layout import DEFAULT_DECOMPRESSED_LIMIT, HEADER_SIZE
from streamlog.record.timestamp_type import TimestampType


class RecordBatch:
    """The batch at `position` of `buffer`: a view which keeps the buffer alive.

    Only the frame is checked here: raises `CorruptRecordError` when no whole batch is there and
    `UnsupportedFormatError` for message formats v0 and v1. `check()` verifies the CRC. The fields
    are read when asked for, so they follow what is assigned in place.
    """

    __slots__ = ("_view", "position", "size")

    def __init__(self, buffer: BytesLike, position: int = 0) -> None:
        whole = memoryview(buffer)
        if whole.itemsize != 1 or whole.ndim != 1:
            whole = whole.cast("B")
        if position < 0:
            raise ValueError(f"position must not be negative, not {position}")
        self.position = position
        self.size = _framed_size(whole, position)
        self._view = whole[position : position + self.size]

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return bytes(self._view)

    def __iter__(self) -> RecordIterator:
        return self.records("", -1)

    def __repr__(self) -> str:
        return (
            f"RecordBatch(base_offset={self.base_offset}, last_offset={self.last_offset}, "
            f"count={self.count}, size={self.size}, codec={self.codec})"
        )

    def check(self) -> None:
        """Raises `CorruptRecordError` unless length, magic, CRC and offsets make sense."""
        if self._int32(layout.LENGTH_AT) != self.size - layout.LOG_OVERHEAD:
            raise malformed_batch(self.position, "its length changed")
        if self._view[layout.MAGIC_AT] != layout.MAGIC:
            raise malformed_batch(self.position, "its magic changed")
        if self.crc != crc32c(self._view[layout.ATTRIBUTES_AT :]):
            raise malformed_batch(self.position, "its CRC does not match")
        self._check_offsets()

    def _check_offsets(self) -> None:
        delta, count = self._int32(layout.LAST_OFFSET_DELTA_AT), self.count
        if delta < 0 or not 0 <= count <= delta + 1:
            raise malformed_batch(self.position, "its record count does not make sense")
        if not 0 <= self.base_offset < layout.MAX_INT64 - delta:
            raise malformed_batch(self.position, "its base offset does not make sense")

    def records(
        self,
        topic: str,
        partition: int,
        min_offset: int = 0,
        limit: int = DEFAULT_DECOMPRESSED_LIMIT,
    ) -> RecordIterator:
        """The records from `min_offset` on, decoded one by one; the payload is decompressed now.

        Raises `DecompressionError` for a broken payload or one larger than `limit` bytes.
        """
        self._check_offsets()
        payload: Any = self._view[HEADER_SIZE:]
        if self.codec != NONE and self.count > 0:
            payload = decompress(self.codec, payload, limit)
        return RecordIterator(self._frame(), bytes(payload), topic, partition, min_offset)

    def _frame(self) -> BatchFrame:
        frame = BatchFrame()
        frame.base_offset = self.base_offset
        frame.last_offset_delta = self._int32(layout.LAST_OFFSET_DELTA_AT)
        frame.base_timestamp = self.base_timestamp
        frame.max_timestamp = self.max_timestamp
        frame.timestamp_type = self.timestamp_type
        frame.append_time = bool(self.timestamp_type)
        frame.leader_epoch = self.leader_epoch
        frame.count = self.count
        return frame

    @property
    def view(self) -> memoryview:
        """The bytes of the batch, not copied."""
        return self._view

    @property
    def base_offset(self) -> int:
        """The offset of the batch's first place; its first record may have been compacted away."""
        return self._int64(layout.BASE_OFFSET_AT)

    @property
    def last_offset(self) -> int:
        """The offset of the batch's last place, whether a record is left there or not."""
        return self.base_offset + self._int32(layout.LAST_OFFSET_DELTA_AT)

    @property
    def next_offset(self) -> int:
        """The offset behind the batch."""
        return self.last_offset + 1

    @property
    def count(self) -> int:
        """Records present: fewer than the offsets covered once compaction removed some."""
        return self._int32(layout.COUNT_AT)

    @property
    def attributes(self) -> int:
        """The flags: codec, timestamp type, transactional, control, delete horizon."""
        return self._int16(layout.ATTRIBUTES_AT)

    @property
    def codec(self) -> int:
        """How the records are compressed: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & layout.CODEC_MASK

    @property
    def timestamp_type(self) -> TimestampType:
        """Whether timestamps are the producer's or the log's."""
        return TimestampType(bool(self.attributes & layout.TIMESTAMP_TYPE_BIT))

    @property
    def base_timestamp(self) -> int:
        """What the records' timestamps are relative to, or the delete horizon."""
        return self._int64(layout.BASE_TIMESTAMP_AT)

    @property
    def max_timestamp(self) -> int:
        """The largest timestamp of its records in ms, or the time of the append; -1 for none."""
        return self._int64(layout.MAX_TIMESTAMP_AT)

    @property
    def leader_epoch(self) -> int:
        """The leader epoch in which it was appended; -1 before that."""
        return self._int32(layout.LEADER_EPOCH_AT)

    @property
    def producer_id(self) -> int:
        """The idempotent producer that sent it; -1 for none."""
        return self._int64(layout.PRODUCER_ID_AT)

    @property
    def producer_epoch(self) -> int:
        """The producer's epoch; -1 for none."""
        return self._int16(layout.PRODUCER_EPOCH_AT)

    @property
    def base_sequence(self) -> int:
        """The first record's sequence number; -1 for none."""
        return self._int32(layout.BASE_SEQUENCE_AT)

    @property
    def last_sequence(self) -> int:
        """The last record's sequence number; it wraps at 2^31 - 1. -1 without a producer."""
        return layout.increment_sequence(
            self.base_sequence, self._int32(layout.LAST_OFFSET_DELTA_AT)
        )

    @property
    def crc(self) -> int:
        """The CRC-32C that the header gives for everything from the attributes on."""
        value: int = layout.UINT32.unpack_from(self._view, layout.CRC_AT)[0]
        return value

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & layout.TRANSACTIONAL_BIT)

    @property
    def is_control(self) -> bool:
        """Whether it holds a marker of the log's own and no records of a user."""
        return bool(self.attributes & layout.CONTROL_BIT)

    @property
    def has_delete_horizon(self) -> bool:
        """Whether `base_timestamp` is the time from which tombstones may go (KIP-534)."""
        return bool(self.attributes & layout.DELETE_HORIZON_BIT)

    def _int16(self, at: int) -> int:
        value: int = layout.INT16.unpack_from(self._view, at)[0]
        return value

    def _int32(self, at: int) -> int:
        value: int = layout.INT32.unpack_from(self._view, at)[0]
        return value

    def _int64(self, at: int) -> int:
        value: int = layout.INT64.unpack_from(self._view, at)[0]
        return value


def _framed_size(buffer: memoryview, position: int) -> int:
    """The size of the batch at `position`, all of which is there."""
    remaining = len(buffer) - position
    if remaining < layout.MAGIC_END:
        raise malformed_batch(position, "the header is cut short")
    length: int = layout.INT32.unpack_from(buffer, position + layout.LENGTH_AT)[0]
    magic: int = buffer[position + layout.MAGIC_AT]
    if length < layout.MIN_LEGACY_LENGTH:
        raise malformed_batch(position, f"a length of {length}")
    if magic < layout.MAGIC:
        raise legacy_format(position, magic)
    if magic != layout.MAGIC:
        raise malformed_batch(position, f"unknown magic {magic}")
    if length < layout.MIN_LENGTH:
        raise malformed_batch(position, f"a length of {length}")
    if length > remaining - layout.LOG_OVERHEAD:
        raise malformed_batch(position, "it is cut short")
    return length + layout.LOG_OVERHEAD
