"""Batches whose append was interrupted: what they had been given, and whether the log has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.clients.finishing import Sequence
from streamlog.errors import OffsetOutOfRangeError
from streamlog.record import layout

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog


def find_written(log: PartitionLog, wire: bytearray) -> int | None:
    """The base offset of a batch whose append was interrupted, if it is in the log after all.

    Storage stamps the leader epoch under the partition's lock: unstamped means not written.
    """
    if layout.INT32.unpack_from(wire, layout.LEADER_EPOCH_AT)[0] < 0:
        return None
    base_offset: int = layout.INT64.unpack_from(wire, layout.BASE_OFFSET_AT)[0]
    header = bytes(wire[: layout.HEADER_SIZE])
    try:
        found = bytes(log.fetch(base_offset, len(wire)).view[: layout.HEADER_SIZE])
    except OffsetOutOfRangeError:
        found = b""
    if found == header:
        return base_offset
    layout.INT32.pack_into(wire, layout.LEADER_EPOCH_AT, layout.NO_LEADER_EPOCH)
    layout.INT64.pack_into(wire, layout.BASE_OFFSET_AT, 0)
    return None


def written_sequence(wire: bytearray) -> Sequence:
    """The producer id, epoch and first sequence that a batch was written with."""
    return Sequence(
        layout.INT64.unpack_from(wire, layout.PRODUCER_ID_AT)[0],
        layout.INT16.unpack_from(wire, layout.PRODUCER_EPOCH_AT)[0],
        layout.INT32.unpack_from(wire, layout.BASE_SEQUENCE_AT)[0],
    )
