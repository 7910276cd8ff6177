"""MurmurHash2 as Kafka's Java client uses it, and the partition it leads to.

partition = (murmur2(key) & 0x7fffffff) mod partition count; the empty key is hashed like any
other. (Java's `Utils.murmur2`, `BuiltInPartitioner.partitionForKey`.)
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from streamlog.record.byteslike import bytes_of

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes | bytearray | memoryview) -> int:
    """The hash of `data`, as Java's signed 32-bit int."""
    return _hash(bytes_of(data, "data"))


def _hash(raw: bytes) -> int:
    length = len(raw)
    value = (_SEED ^ length) & _MASK
    whole = length & ~3
    for position in range(0, whole, 4):
        k = int.from_bytes(raw[position : position + 4], "little") * _MULTIPLIER & _MASK
        k = (k ^ k >> 24) * _MULTIPLIER & _MASK
        value = value * _MULTIPLIER & _MASK ^ k
    if whole < length:
        value ^= int.from_bytes(raw[whole:], "little")
        value = value * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    value ^= value >> 15
    return value - (value >> 31 << 32)


def partition_for_key(key: bytes | bytearray | memoryview, partition_count: int) -> int:
    """The partition that every Java-compatible producer puts `key` in.

    Raises `ValueError` for a count below 1.
    """
    if partition_count < 1:
        raise ValueError(f"partition_count must be at least 1, not {partition_count}")
    return (_hash(bytes_of(key, "key")) & 0x7FFFFFFF) % partition_count


def partition_many(
    keys: Sequence[bytes | bytearray | memoryview | None], partition_count: int
) -> array[int]:
    """`partition_for_key` of each key; -1 where the key is None (the caller chooses)."""
    if partition_count < 1:
        raise ValueError(f"partition_count must be at least 1, not {partition_count}")
    return array(
        "i",
        (
            -1
            if key is None
            else (_hash(bytes_of(key, f"keys[{index}]")) & 0x7FFFFFFF) % partition_count
            for index, key in enumerate(keys)
        ),
    )
