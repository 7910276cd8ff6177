"""What a scan of a segment found."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

StopReason = Literal["short", "torn", "length", "magic", "legacy", "crc", "offset"]
"""Why a scan ended before its end:

    short    fewer bytes left than tell one format from another
    torn     a batch that ends behind the end of the scan
    length   a length that no format allows (zeros, mostly)
    magic    not a format that exists
    legacy   a good message of format v0 or v1: not ours to read, and not to be cut off either
    crc      the CRC does not match
    offset   offsets that go backwards, or too far for the segment, or a count that cannot be
"""


class ProducerBatch(NamedTuple):
    """A batch that an idempotent or transactional producer wrote, in the order of the log."""

    producer_id: int
    producer_epoch: int
    base_sequence: int
    last_sequence: int
    base_offset: int
    last_offset: int
    max_timestamp: int
    is_transactional: bool
    is_control: bool
    position: int


class ScanOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The good batches of a segment, and the index entries that Kafka would have written.

    `stop` is None when the scan reached its end on a batch boundary. `max_timestamp` and
    `max_timestamp_offset` (the last offset of the batch that carries it) include what the scan
    was told of before; -1 for none. `offset_index` and `time_index` are whole entries in Kafka's
    format, for the batches scanned. `last_producer_batch_end` is the offset behind the last
    batch with a producer id, -1 for none. `epochs` are (leader epoch, first offset) wherever the
    epoch changed.
    """

    valid_end: int
    next_offset: int
    stop: StopReason | None
    batch_count: int
    max_timestamp: int
    max_timestamp_offset: int
    first_batch_max_timestamp: int
    offset_index: bytes
    time_index: bytes
    bytes_since_index_entry: int
    last_time_index_timestamp: int
    producer_batches: list[ProducerBatch]
    last_producer_batch_end: int
    epochs: list[tuple[int, int]]
