"""Decodes the records of a batch, one at a time. The compiled twin is in `_records.pyx`.

length varint (bytes behind it) | attributes int8 | timestamp delta varlong | offset delta varint
| key length varint (-1: null) | key | value length varint (-1: null) | value | header count varint
| per header: key length varint | key | value length varint (-1: null) | value
"""

from __future__ import annotations

from streamlog.record.byteslike import header_key
from streamlog.record.corruption import (
    BAD_FIELDS,
    BAD_LENGTH,
    BAD_OFFSET,
    LEFT_OVER,
    malformed_record,
)
from streamlog.record.layout import MAX_INT32
from streamlog.record.record import Record
from streamlog.record.timestamp_type import TimestampType
from streamlog.record.varint import read_varint, read_varlong


class BatchFrame:
    """What a record takes from the header of its batch."""

    __slots__ = (
        "append_time",
        "base_offset",
        "base_timestamp",
        "count",
        "last_offset_delta",
        "leader_epoch",
        "max_timestamp",
        "timestamp_type",
    )

    append_time: bool
    base_offset: int
    base_timestamp: int
    count: int
    last_offset_delta: int
    leader_epoch: int
    max_timestamp: int
    timestamp_type: TimestampType


class RecordIterator:
    """Iterates over the records of one batch, decoding one for each `next()`.

    `next_offset` is the offset behind the last record handed out; once the batch is exhausted
    it is the offset behind the batch, which may be further on where compaction left gaps.

    Records below `min_offset` are passed over without being decoded. Raises
    `CorruptRecordError` at the first record that does not decode, and again when called again.
    """

    __slots__ = (
        "_data",
        "_end",
        "_frame",
        "_index",
        "_min_offset",
        "_position",
        "_previous_delta",
        "next_offset",
        "partition",
        "topic",
    )

    def __init__(
        self, frame: BatchFrame, data: bytes, topic: str, partition: int, min_offset: int
    ) -> None:
        self._frame = frame
        self._data = data
        self._position = 0
        self._end = len(data)
        self._index = 0
        self._previous_delta = -1
        self._min_offset = min_offset
        self.topic = topic
        self.partition = partition
        self.next_offset = max(min_offset, frame.base_offset)

    def __iter__(self) -> RecordIterator:
        return self

    def __next__(self) -> Record:
        record = self.next_record()
        if record is None:
            raise StopIteration
        return record

    def take(self, count: int) -> list[Record]:
        """The next records, at most `count`."""
        taken: list[Record] = []
        while len(taken) < count and (record := self.next_record()) is not None:
            taken.append(record)
        return taken

    def next_record(self) -> Record | None:
        """The next record, or None behind the last one."""
        frame = self._frame
        while self._index < frame.count:
            try:
                record = self._decode()
            except ValueError as error:
                reason = str(error) if str(error) in (BAD_LENGTH, BAD_OFFSET) else BAD_FIELDS
                raise malformed_record(frame.base_offset, self._index, reason) from None
            self._index += 1
            if record is not None:
                self.next_offset = record.offset + 1
                return record
        if self._position != self._end:
            raise malformed_record(frame.base_offset, self._index, LEFT_OVER)
        self.next_offset = max(self.next_offset, frame.base_offset + frame.last_offset_delta + 1)
        return None

    def _decode(self) -> Record | None:
        """The record at the position, which moves only when all of it decodes; None: skipped."""
        data, frame = self._data, self._frame
        start, end = read_record_bounds(data, self._position, self._end)
        timestamp_delta, position = read_varlong(data, start + 1, end)
        offset_delta, position = read_varint(data, position, end)
        if not self._previous_delta < offset_delta <= frame.last_offset_delta:
            raise ValueError(BAD_OFFSET)
        offset = frame.base_offset + offset_delta
        if offset < self._min_offset:
            self._position, self._previous_delta = end, offset_delta
            return None
        key, position = read_nullable_bytes(data, position, end)
        value, position = read_nullable_bytes(data, position, end)
        headers, position = read_headers(data, position, end)
        if position != end:
            raise ValueError(BAD_FIELDS)
        self._position, self._previous_delta = end, offset_delta
        return Record(
            topic=self.topic,
            partition=self.partition,
            offset=offset,
            timestamp=frame.max_timestamp
            if frame.append_time
            else wrapped_int64(frame.base_timestamp + timestamp_delta),
            timestamp_type=frame.timestamp_type,
            key=key,
            value=value,
            headers=headers,
            leader_epoch=frame.leader_epoch,
        )


def wrapped_int64(value: int) -> int:
    return ((value + 2**63) & (2**64 - 1)) - 2**63


def read_record_bounds(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Where the record at `position` starts behind its length, and where it ends."""
    try:
        length, start = read_varint(data, position, end)
    except ValueError:
        raise ValueError(BAD_LENGTH) from None
    if not 0 < length <= end - start:
        raise ValueError(BAD_LENGTH)
    return start, start + length


def read_nullable_bytes(data: bytes, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = read_varint(data, position, end)
    if length == -1:
        return None, position
    if not 0 <= length <= end - position:
        raise ValueError(BAD_FIELDS)
    return data[position : position + length], position + length


def read_headers(
    data: bytes, position: int, end: int
) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    count, position = read_varint(data, position, end)
    # A header takes two bytes at least; more than fit is a lie, told before anything is allocated.
    if not 0 <= count <= min(MAX_INT32, (end - position) // 2):
        raise ValueError(BAD_FIELDS)
    headers = []
    for _ in range(count):
        key, position = read_nullable_bytes(data, position, end)
        if key is None:
            raise ValueError(BAD_FIELDS)
        value, position = read_nullable_bytes(data, position, end)
        headers.append((header_key(key), value))
    return tuple(headers), position
