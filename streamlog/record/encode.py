"""Writes records and batch headers. The compiled twin is `_encode.pxd`."""

from __future__ import annotations

from streamlog.errors import ConfigError, InvalidTimestampError, RecordTooLargeError
from streamlog.record import layout
from streamlog.record.byteslike import EncodedHeaders
from streamlog.record.checksum import crc32c
from streamlog.record.compression import check_level
from streamlog.record.varint import append_varint, varint_size


class BatchSettings:
    """What the header of a batch says beside its records. Shared by both kernels.

    Raises `ConfigError` for a value that the format has no room for.
    """

    __slots__ = (
        "attributes",
        "base_offset",
        "base_sequence",
        "codec",
        "leader_epoch",
        "level",
        "producer_epoch",
        "producer_id",
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
    ) -> None:
        self.attributes = (
            _within("codec", codec, 0, 4)
            | (layout.TIMESTAMP_TYPE_BIT if _within("timestamp_type", timestamp_type, 0, 1) else 0)
            | (layout.TRANSACTIONAL_BIT if transactional else 0)
            | (layout.CONTROL_BIT if control else 0)
        )
        check_level(codec, level)
        self.codec = codec
        self.level = level
        self.producer_id = _within("producer_id", producer_id, -1, layout.MAX_INT64)
        self.producer_epoch = _within("producer_epoch", producer_epoch, -1, layout.MAX_INT16)
        self.base_sequence = _within("base_sequence", base_sequence, -1, layout.MAX_INT32)
        self.leader_epoch = _within("leader_epoch", leader_epoch, -1, layout.MAX_INT32)
        self.base_offset = _within("base_offset", base_offset, 0, layout.MAX_INT64)


def _within(name: str, value: int, low: int, high: int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, not {value}", value=value)
    return int(value)


def checked_timestamp(timestamp: object, name: str) -> int:
    """A timestamp in ms, or -1. Raises `TypeError` or `InvalidTimestampError`."""
    if not isinstance(timestamp, int):
        raise TypeError(f"{name} must be int (ms since 1970), not {type(timestamp).__name__}")
    if not layout.NO_TIMESTAMP <= timestamp <= layout.MAX_INT64:
        raise invalid_timestamp(timestamp, name)
    return timestamp


def timestamp_delta(timestamp: int, base_timestamp: int) -> int:
    """What is written for `timestamp`: an int64 that wraps (from -1 to 2^63 - 1 is too far)."""
    return ((timestamp - base_timestamp + 2**63) & (2**64 - 1)) - 2**63


def invalid_timestamp(timestamp: int, name: str) -> InvalidTimestampError:
    return InvalidTimestampError(
        f"{name} must be ms since 1970, or -1 for none, not {timestamp}", timestamp=timestamp
    )


def batch_too_large(size: int) -> RecordTooLargeError:
    return RecordTooLargeError(
        f"a batch of {size} bytes; the format ends at {layout.MAX_INT32}",
        size=size,
        limit=layout.MAX_INT32,
    )


def span_size(data: bytes | None) -> int:
    return 1 if data is None else varint_size(len(data)) + len(data)


def headers_size(headers: EncodedHeaders) -> int:
    return varint_size(len(headers)) + sum(
        span_size(key) + span_size(value) for key, value in headers
    )


def body_size(
    timestamp_delta: int,
    offset_delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: EncodedHeaders,
) -> int:
    """The length that a record starts with."""
    return (
        1
        + varint_size(timestamp_delta)
        + varint_size(offset_delta)
        + span_size(key)
        + span_size(value)
        + headers_size(headers)
    )


def append_record(
    out: bytearray,
    body: int,
    timestamp_delta: int,
    offset_delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: EncodedHeaders,
) -> None:
    """Append a record whose `body_size` is `body`."""
    append_varint(out, body)
    out.append(0)
    append_varint(out, timestamp_delta)
    append_varint(out, offset_delta)
    _append_span(out, key)
    _append_span(out, value)
    append_varint(out, len(headers))
    for header_key, header_value in headers:
        _append_span(out, header_key)
        _append_span(out, header_value)


def _append_span(out: bytearray, data: bytes | None) -> None:
    if data is None:
        append_varint(out, -1)
    else:
        append_varint(out, len(data))
        out += data


def write_header(
    batch: memoryview,
    settings: BatchSettings,
    *,
    base_sequence: int,
    count: int,
    base_timestamp: int,
    max_timestamp: int,
) -> None:
    """Fill in the 61 bytes of `batch`, whose payload is complete; the CRC is taken over it."""
    layout.HEADER.pack_into(
        batch,
        0,
        settings.base_offset,
        len(batch) - layout.LOG_OVERHEAD,
        settings.leader_epoch,
        layout.MAGIC,
        0,
        settings.attributes,
        count - 1,
        base_timestamp,
        max_timestamp,
        settings.producer_id,
        settings.producer_epoch,
        base_sequence,
        count,
    )
    crc = crc32c(batch[layout.ATTRIBUTES_AT :])
    layout.UINT32.pack_into(batch, layout.CRC_AT, crc)
