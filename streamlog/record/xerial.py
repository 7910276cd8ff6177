"""Snappy as Kafka frames it: the stream of xerial's snappy-java.

    82 53 4e 41 50 50 59 00   magic
    00 00 00 01 00 00 00 01   version and lowest compatible version, big-endian
    int32 length, raw snappy block; again and again; blocks hold 32 KiB before compression

The header may come again between blocks (streams put one behind the other). Input without the
magic is one raw snappy block: librdkafka writes that, and snappy-java reads it.
"""

from __future__ import annotations

from typing import Final

from streamlog.errors import DecompressionError
from streamlog.record.layout import INT32

MAGIC: Final = b"\x82SNAPPY\x00"
HEADER: Final = MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
BLOCK_SIZE: Final = 32 * 1024

_MAX_EXPANSION: Final = 22
"""No snappy element says more than 64 bytes in 3."""


def compress(data: bytes | memoryview) -> bytes:
    import snappy

    parts = [HEADER]
    for position in range(0, len(data), BLOCK_SIZE):
        block: bytes = snappy.compress(data[position : position + BLOCK_SIZE])
        parts.append(INT32.pack(len(block)))
        parts.append(block)
    return b"".join(parts)


def decompress(data: bytes, limit: int) -> bytes:
    """Both framings. Raises `DecompressionError` for broken input or beyond `limit` bytes."""
    if not data.startswith(MAGIC):
        return _decompress_block(data, limit, limit)
    parts: list[bytes] = []
    room = limit
    position = 0
    while position < len(data):
        if data.startswith(MAGIC, position):
            position += len(HEADER)
            if position > len(data):
                raise _broken("the stream header is cut short")
            continue
        if position + 4 > len(data):
            raise _broken("a block length is cut short")
        (length,) = INT32.unpack_from(data, position)
        position += 4
        if length < 0 or length > len(data) - position:
            raise _broken(f"a block of {length} bytes does not fit")
        part = _decompress_block(data[position : position + length], room, limit)
        parts.append(part)
        room -= len(part)
        position += length
    return b"".join(parts)


def _decompress_block(block: bytes, room: int, limit: int) -> bytes:
    """A raw block. The size it declares is checked first, since all of it is allocated."""
    import snappy

    declared = _declared_size(block)
    if declared > room:
        raise DecompressionError(
            f"a snappy stream decompresses to more than {limit} bytes", codec="snappy", limit=limit
        )
    if declared > len(block) * _MAX_EXPANSION:
        raise _broken(f"a block of {len(block)} bytes declares {declared}")
    try:
        part: bytes = snappy.uncompress(block)
    except snappy.UncompressError as error:
        raise _broken("a block does not decompress") from error
    return part


def _declared_size(block: bytes) -> int:
    size = 0
    for index, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise _broken("a block without a size")


def _broken(reason: str) -> DecompressionError:
    return DecompressionError(f"broken snappy stream: {reason}", codec="snappy", reason=reason)
