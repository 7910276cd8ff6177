"""Whether zstd input ends where its last frame does.

The streaming reader of `zstandard` reports a frame that is cut short as its end. The block
headers say how long a frame must be (RFC 8878, section 3.1), so they are walked first.
"""

from __future__ import annotations

from streamlog.errors import DecompressionError

_MAGIC = 0xFD2FB528
_SKIPPABLE_MAGIC = 0x184D2A50
_RLE = 1


def check_whole_frames(data: bytes) -> None:
    """Raises `DecompressionError` unless `data` is one or more whole zstd frames."""
    position = 0
    while True:
        position = _frame_end(data, position)
        if position > len(data):
            raise _broken("it is cut short")
        if position == len(data):
            return


def _frame_end(data: bytes, position: int) -> int:
    if position + 8 > len(data):
        raise _broken("it is cut short")
    magic = int.from_bytes(data[position : position + 4], "little")
    if magic & 0xFFFFFFF0 == _SKIPPABLE_MAGIC:
        return position + 8 + int.from_bytes(data[position + 4 : position + 8], "little")
    if magic != _MAGIC:
        raise _broken("no frame starts where one should")
    descriptor = data[position + 4]
    position += 5 + _header_rest(descriptor)
    last = False
    while not last:
        if position + 3 > len(data):
            raise _broken("it is cut short")
        block = int.from_bytes(data[position : position + 3], "little")
        last = bool(block & 1)
        position += 3 + (1 if block >> 1 & 3 == _RLE else block >> 3)
    return position + (4 if descriptor & 4 else 0)


def _header_rest(descriptor: int) -> int:
    """Bytes of the frame header behind its descriptor."""
    single_segment = descriptor >> 5 & 1
    size_flag = descriptor >> 6
    content_size = (single_segment, 2, 4, 8)[size_flag]
    dictionary_id = (0, 1, 2, 4)[descriptor & 3]
    return (1 - single_segment) + dictionary_id + content_size


def _broken(reason: str) -> DecompressionError:
    return DecompressionError(f"broken zstd stream: {reason}", codec="zstd", reason=reason)
