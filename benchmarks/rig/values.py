"""The values that are written, and the checksum that finds every lost or changed one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

VALUE_BYTES = 100


def make_values(count: int, size: int = VALUE_BYTES) -> list[bytes]:
    """`count` values of `size` bytes, all different from 8 bytes up."""
    if size < 8:
        return [index.to_bytes(8, "big")[-size:] for index in range(count)]
    filler = b"the quick brown fox jumps over the lazy dog; " * (size // 45 + 1)
    return [index.to_bytes(8, "big") + filler[: size - 8] for index in range(count)]


def make_events(count: int) -> list[bytes]:
    """Values of about 100 bytes that compress like the JSON events that people store."""
    return [
        b'{"id":%d,"user":"user-%04d","action":"%s","amount":%d.%02d,"currency":"EUR","ok":true}'
        % (
            1_000_000 + index,
            index * 7919 % 10_000,
            (b"view", b"click", b"order", b"payment")[index * 31 % 4],
            index * 127 % 900,
            index * 13 % 100,
        )
        for index in range(count)
    ]


def checksum(values: Iterable[bytes]) -> int:
    """Of values in any order: records of several partitions come back interleaved."""
    return sum(map(zlib.crc32, values))
