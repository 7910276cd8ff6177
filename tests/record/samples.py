"""Batches that tests cut, flip and read; the golden ones were computed outside this project."""

from __future__ import annotations

import struct
from typing import Any

import crc32c

NOW = 1_700_000_000_000

# Two records: key k, value v; null key, value hello, headers h=x and n=null, 5 ms later.
TWO_RECORDS = bytes.fromhex(
    "0000000000000000 0000004d ffffffff 02 37827b3a 0000 00000001 0000018bcfe56800"
    "0000018bcfe56805 ffffffffffffffff ffff ffffffff 00000002"
    "10 00 00 00 02 6b 02 76 00"
    "24 00 0a 02 01 0a 68656c6c6f 04 02 68 02 78 02 6e 01"
)
# COMMIT at offset 7, leader epoch 1, producer 4000, epoch 2, coordinator epoch 3.
COMMIT_MARKER = bytes.fromhex(
    "0000000000000007 00000042 00000001 02 ad68175d 0030 00000000 0000018bcfe56800"
    "0000018bcfe56800 0000000000000fa0 0002 ffffffff 00000001"
    "20 00 00 00 08 0000 0001 0c 0000 00000003 00"
)
# What compaction leaves of a batch at 100..104 of producer 4000.
EMPTY_BATCH = bytes.fromhex(
    "0000000000000064 00000031 00000001 02 43a692f8 0000 00000004 ffffffffffffffff"
    "0000018bcfe56800 0000000000000fa0 0002 00000009 00000000"
)

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}

RECORDS = [
    (NOW, b"k", b"v", []),
    (NOW + 5, None, b"hello", [("h", b"x"), ("n", None)]),
    (NOW - 7, b"", b"", [("", b"")]),
    (NOW + 86_400_000, b"key" * 30, None, []),
    (NOW, b"k", b"\x00\xff" * 500, [("größe", b"\x01" * 70)] * 3),
]


def with_crc(batch: bytes | bytearray) -> bytes:
    """The batch with length and CRC made right: a writer of nonsense, not a broken disk."""
    fixed = bytearray(batch)
    struct.pack_into(">i", fixed, 8, len(fixed) - 12)
    struct.pack_into(">I", fixed, 17, crc32c.crc32c(bytes(fixed[21:])))
    return bytes(fixed)


def batch_of(
    payload: bytes, *, count: int = 1, last_delta: int | None = None, attributes: int = 0
) -> bytes:
    """A batch with a right CRC around any payload."""
    header = struct.pack(
        ">qiibIhiqqqhii",
        *(0, 0, -1, 2, 0, attributes, count - 1 if last_delta is None else last_delta),
        *(NOW, NOW, -1, -1, -1, count),
    )
    return with_crc(header + payload)


def build(kernel: Any, records: list[Any] = RECORDS, **settings: Any) -> bytearray:
    builder = kernel.RecordBatchBuilder(**settings)
    for timestamp, key, value, headers in records:
        builder.append(timestamp, key, value, headers)
    built: bytearray = builder.build()
    return built


def assign_offsets(batches: bytearray, spans: list[tuple[int, int, int]], first: int = 0) -> int:
    """What storage does on append: base offsets in place. Returns the next offset."""
    for position, _, count in spans:
        struct.pack_into(">q", batches, position, first)
        first += count
    return first


def fields(record: Any) -> tuple[Any, ...]:
    """A record without its type: to compare across kernels."""
    return (
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        record.headers,
        record.leader_epoch,
    )
