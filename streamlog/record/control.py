"""Control batches: the log's own records among the users' (KIP-98, KIP-595).

The key of a control record is an int16 version (0) and an int16 type. A transaction marker's
value is an int16 version (0) and the int32 epoch of its coordinator; the values of the others
are KRaft messages, which are protocol's business.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from streamlog.record.corruption import malformed_batch
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.record.layout import NO_LEADER_EPOCH

_KEY: Final = Struct(">hh")
_MARKER: Final = Struct(">hi")
_VERSION: Final = 0


class ControlType(IntEnum):
    """What a control record says."""

    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


class ControlKey(NamedTuple):
    """A control record's key. `type` is a plain int when it is one that nobody knows yet."""

    version: int
    type: ControlType | int


class EndTransactionMarker(NamedTuple):
    """How a transaction of `producer_id` ended. It covers the offsets before its own."""

    type: ControlType
    coordinator_epoch: int
    producer_id: int
    producer_epoch: int


def control_key(control_type: ControlType) -> bytes:
    return _KEY.pack(_VERSION, control_type)


def parse_control_key(key: bytes) -> ControlKey:
    """Raises `ValueError` for a key that is too short. Newer versions may be longer."""
    if len(key) < _KEY.size:
        raise ValueError(f"a control record's key has at least {_KEY.size} bytes, not {len(key)}")
    version, number = _KEY.unpack_from(key)
    try:
        return ControlKey(version, ControlType(number))
    except ValueError:
        return ControlKey(version, number)


def build_control_batch(
    control_type: ControlType,
    value: bytes,
    *,
    timestamp: int,
    leader_epoch: int = NO_LEADER_EPOCH,
    base_offset: int = 0,
) -> bytearray:
    """A batch of one control record that belongs to no transaction (KRaft's)."""
    builder = RecordBatchBuilder(control=True, leader_epoch=leader_epoch, base_offset=base_offset)
    builder.append(timestamp, control_key(control_type), value)
    return builder.build()


def build_end_transaction_marker(
    marker: EndTransactionMarker,
    *,
    timestamp: int,
    leader_epoch: int = NO_LEADER_EPOCH,
    base_offset: int = 0,
) -> bytearray:
    """The batch that commits or aborts a transaction. Raises `ValueError` for other types."""
    if marker.type not in (ControlType.ABORT, ControlType.COMMIT):
        raise ValueError(f"a transaction ends with ABORT or COMMIT, not {marker.type!r}")
    builder = RecordBatchBuilder(
        producer_id=marker.producer_id,
        producer_epoch=marker.producer_epoch,
        transactional=True,
        control=True,
        leader_epoch=leader_epoch,
        base_offset=base_offset,
    )
    value = _MARKER.pack(_VERSION, marker.coordinator_epoch)
    builder.append(timestamp, control_key(marker.type), value)
    return builder.build()


def parse_control_batch(batch: RecordBatch) -> tuple[ControlKey, bytes]:
    """The key and value of a control batch's first record.

    Raises `CorruptRecordError` when the batch is not a control batch, is empty (ask for `count`
    first: compaction leaves such) or has no proper key.
    """
    record = next(iter(batch), None)
    if not batch.is_control or record is None:
        raise malformed_batch(batch.position, "it is not a control batch with a record")
    try:
        return parse_control_key(record.key or b""), record.value or b""
    except ValueError as error:
        raise malformed_batch(batch.position, str(error)) from None


def parse_end_transaction_marker(batch: RecordBatch) -> EndTransactionMarker | None:
    """The marker in a control batch, or None when it is a control batch of another type."""
    key, value = parse_control_batch(batch)
    if not isinstance(key.type, ControlType) or key.type > ControlType.COMMIT:
        return None
    if len(value) < _MARKER.size:
        raise malformed_batch(batch.position, "its transaction marker is cut short")
    _, coordinator_epoch = _MARKER.unpack_from(value)
    return EndTransactionMarker(
        key.type, coordinator_epoch, batch.producer_id, batch.producer_epoch
    )
