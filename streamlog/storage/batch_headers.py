"""What storage reads of a batch to find its way: the header, without the records.

A header is *plausible* when its batch could stand where it is: the right format, whole within
the limit, continuing the offsets. That is not yet *good*: only the CRC says that. Walking
plausible headers is how offsets are found; checking is for readers and recovery.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.record.layout import HEADER_SIZE, LOG_OVERHEAD, MAGIC, MIN_LENGTH

if TYPE_CHECKING:
    from streamlog.record.byteslike import BytesLike

# base offset, length, leader epoch, magic, (crc, attributes), last offset delta,
# (base timestamp), max timestamp, producer id
_FIELDS: Final = Struct(">qiib6xi8xqq")


class BatchHeader(NamedTuple):
    """A batch in a segment: where it is, what it spans. `size` is the whole batch, in bytes."""

    position: int
    size: int
    base_offset: int
    last_offset: int
    leader_epoch: int
    max_timestamp: int
    producer_id: int

    @property
    def end(self) -> int:
        """The byte behind the batch."""
        return self.position + self.size

    def holds(self, offset: int) -> bool:
        """Whether `offset` is among those it spans."""
        return self.base_offset <= offset <= self.last_offset


def read_header(
    data: BytesLike, at: int, position: int, limit: int, first_offset: int
) -> BatchHeader | None:
    """The plausible header at `data[at:]`, or None when no batch can stand there.

    `position` is where those bytes are in the segment, `limit` where its data ends, and
    `first_offset` the lowest offset that may come next.
    """
    if limit - position < HEADER_SIZE or len(data) - at < HEADER_SIZE:
        return None
    (base_offset, length, leader_epoch, magic, last_delta, max_timestamp, producer_id) = (
        _FIELDS.unpack_from(data, at)
    )
    size = length + LOG_OVERHEAD
    if (
        magic != MAGIC
        or length < MIN_LENGTH
        or size > limit - position
        or last_delta < 0
        or base_offset < first_offset
    ):
        return None
    return BatchHeader(
        position,
        size,
        base_offset,
        base_offset + last_delta,
        leader_epoch,
        max_timestamp,
        producer_id,
    )
