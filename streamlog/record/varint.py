"""Zigzag varints: 7 bits a byte, little end first; at most 5 bytes (int32) or 10 (int64).

The compiled twin is `_encode.pxd` and `_decode.pxd`.
"""

from __future__ import annotations

from typing import TypeAlias

from streamlog.record.layout import MAX_INT32, MAX_INT64

Buffer: TypeAlias = bytes | bytearray | memoryview


def varint_size(value: int) -> int:
    """Bytes that `value` takes; the same for int32 and int64."""
    zigzag = (value << 1) ^ (value >> 63)
    return max(1, (zigzag.bit_length() + 6) // 7)


def append_varint(out: bytearray, value: int) -> None:
    """Append `value` (an int32 or an int64) to `out`."""
    zigzag = (value << 1) ^ (value >> 63)
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)


def read_varint(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    """Read an int32 at `position`: (value, position behind it).

    Raises `ValueError` when it runs into `end` or does not fit.
    """
    return _read(buffer, position, end, 2 * MAX_INT32 + 1)


def read_varlong(buffer: Buffer, position: int, end: int) -> tuple[int, int]:
    """Read an int64 at `position`: (value, position behind it).

    Raises `ValueError` when it runs into `end` or does not fit.
    """
    return _read(buffer, position, end, 2 * MAX_INT64 + 1)


def _read(buffer: Buffer, position: int, end: int, limit: int) -> tuple[int, int]:
    zigzag = shift = 0
    while position < end:
        byte = buffer[position]
        position += 1
        zigzag |= (byte & 0x7F) << shift
        if zigzag > limit:
            raise ValueError("a varint does not fit")
        if byte < 0x80:
            return (zigzag >> 1) ^ -(zigzag & 1), position
        shift += 7
        # A continuation bit on the last byte that the type allows: more zero bits would fit,
        # but nobody writes them and Kafka refuses them.
        if limit >> shift == 0:
            raise ValueError("a varint is too long")
    raise ValueError("a varint is cut short")
