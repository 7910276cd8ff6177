"""The layout of a record batch, format v2 (magic 2), and its limits.

     0  base offset            int64     assigned by the log; not in the CRC
     8  length                 int32     bytes behind this field, at least 49
    12  partition leader epoch int32     set by the log; not in the CRC
    16  magic                  int8      2
    17  CRC                    uint32    CRC-32C of everything from the attributes on
    21  attributes             int16     the bits below
    23  last offset delta      int32
    27  base timestamp         int64     or the delete horizon, with bit 6
    35  max timestamp          int64
    43  producer id            int64     -1: none
    51  producer epoch         int16
    53  base sequence          int32
    57  record count           int32
    61  records, or one compressed stream of them

All integers are big-endian. Source: KIP-98, KIP-534.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

HEADER: Final = Struct(">qiibIhiqqqhii")
"""All header fields, in the order of the table above."""

INT16: Final = Struct(">h")
INT32: Final = Struct(">i")
INT64: Final = Struct(">q")
UINT32: Final = Struct(">I")

BASE_OFFSET_AT: Final = 0
LENGTH_AT: Final = 8
LEADER_EPOCH_AT: Final = 12
MAGIC_AT: Final = 16
CRC_AT: Final = 17
ATTRIBUTES_AT: Final = 21
LAST_OFFSET_DELTA_AT: Final = 23
BASE_TIMESTAMP_AT: Final = 27
MAX_TIMESTAMP_AT: Final = 35
PRODUCER_ID_AT: Final = 43
PRODUCER_EPOCH_AT: Final = 51
BASE_SEQUENCE_AT: Final = 53
COUNT_AT: Final = 57
HEADER_SIZE: Final = 61

LOG_OVERHEAD: Final = 12
"""Base offset and length: what the length field does not count."""

MAGIC_END: Final = 17
"""Bytes needed to tell one message format from another."""

MIN_LENGTH: Final = HEADER_SIZE - LOG_OVERHEAD
MIN_LEGACY_LENGTH: Final = 14
"""The smallest length of any format: a v0 message without key and value."""

MAGIC: Final = 2

CODEC_MASK: Final = 0x07
TIMESTAMP_TYPE_BIT: Final = 0x08
TRANSACTIONAL_BIT: Final = 0x10
CONTROL_BIT: Final = 0x20
DELETE_HORIZON_BIT: Final = 0x40

NO_TIMESTAMP: Final = -1
NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
NO_SEQUENCE: Final = -1
NO_LEADER_EPOCH: Final = -1

MAX_INT16: Final = 2**15 - 1
MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1

MAX_RECORD_OVERHEAD: Final = 21
"""The most a record costs beside its key, value and headers (Kafka's estimate)."""

DEFAULT_BATCH_SIZE: Final = 16_384
"""Kafka's `batch.size`."""

DEFAULT_DECOMPRESSED_LIMIT: Final = 256 * 1024 * 1024
"""What a batch may decompress to unless the reader says otherwise."""

DEFAULT_INDEX_INTERVAL_BYTES: Final = 4096
"""Kafka's `index.interval.bytes`."""


def increment_sequence(sequence: int, delta: int) -> int:
    """The sequence number `delta` after `sequence`; it wraps at 2^31 - 1. -1 stays -1."""
    if sequence < 0:
        return sequence
    return (sequence + delta) & MAX_INT32
