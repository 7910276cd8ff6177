"""The last changes to a batch before it is written: codec, producer id and sequence, CRC.

Done once per batch, under its partition's lock, when its place in the order is certain. Each
step may be interrupted and is then done again from the start: `batch.wire` is set last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamlog.clients.splitting import refit
from streamlog.record import layout
from streamlog.record.checksum import crc32c
from streamlog.record.compression import NONE, compress
from streamlog.record.layout import ATTRIBUTES_AT, CRC_AT, HEADER_SIZE, LENGTH_AT, LOG_OVERHEAD

if TYPE_CHECKING:
    from streamlog.clients.accumulators import ProducerBatch, TopicTarget


class Sequence(NamedTuple):
    """What an idempotent producer writes into its next batch of a partition (KIP-98)."""

    producer_id: int
    producer_epoch: int
    base_sequence: int

    def after(self, count: int) -> Sequence:
        """What follows a batch of `count` records."""
        return self._replace(base_sequence=layout.increment_sequence(self.base_sequence, count))


def finish(batch: ProducerBatch, target: TopicTarget, sequence: Sequence | None) -> bytearray:
    """The bytes to append: one batch, or several where the topic takes no larger ones any more.

    Raises `RecordTooLargeError` when a record by itself is too large, compressed or not.
    """
    limit = target.config.max_batch_bytes
    if batch.parts is not None:  # encoded by `send_many`, CRC and all
        wire = batch.wire
        assert wire is not None, "released only once it is settled"
        if len(wire) > limit:
            wire, batch.parts = refit(wire, target)
            batch.wire = wire
        if sequence is not None:
            _seal(wire, sequence)
        return wire
    wire = batch.close(target.codec)
    if target.codec != NONE:
        wire = _compressed(wire, target)
    if len(wire) > limit:
        wire, _ = refit(wire, target)
        _seal(wire, sequence)
    else:
        if sequence is not None:
            _write_sequence(wire, 0, sequence)
        _write_crc(wire, 0, len(wire))
    batch.wire = wire
    return wire


def _compressed(plain: bytearray, target: TopicTarget) -> bytearray:
    """The batch with its records compressed."""
    with memoryview(plain) as view:
        payload = compress(target.codec, view[HEADER_SIZE:], target.level)
        wire = bytearray(view[:HEADER_SIZE])
    wire += payload
    layout.INT32.pack_into(wire, LENGTH_AT, len(wire) - LOG_OVERHEAD)
    return wire


def _seal(wire: bytearray, sequence: Sequence | None) -> None:
    """Write consecutive sequences, if any, into the batches of `wire`, and their CRCs."""
    position = 0
    while position < len(wire):
        size = layout.INT32.unpack_from(wire, position + LENGTH_AT)[0] + LOG_OVERHEAD
        if sequence is not None:
            _write_sequence(wire, position, sequence)
            count = layout.INT32.unpack_from(wire, position + layout.COUNT_AT)[0]
            sequence = sequence.after(count)
        _write_crc(wire, position, size)
        position += size


def _write_sequence(wire: bytearray, position: int, sequence: Sequence) -> None:
    layout.INT64.pack_into(wire, position + layout.PRODUCER_ID_AT, sequence.producer_id)
    layout.INT16.pack_into(wire, position + layout.PRODUCER_EPOCH_AT, sequence.producer_epoch)
    layout.INT32.pack_into(wire, position + layout.BASE_SEQUENCE_AT, sequence.base_sequence)


def _write_crc(wire: bytearray, position: int, size: int) -> None:
    with memoryview(wire) as view:
        crc = crc32c(view[position + ATTRIBUTES_AT : position + size])
    layout.UINT32.pack_into(wire, position + CRC_AT, crc)
