"""Finding the next good batch behind bytes that are none.

Batches have no marker to search for, only a header that must make sense and a CRC that must
match. Where a header is damaged its length is too, so the next batch is looked for byte by
byte: every 2 that could be a format number is tried.
"""

from __future__ import annotations

from typing import Final

from streamlog.record.checksum import crc32c
from streamlog.record.layout import ATTRIBUTES_AT, CRC_AT, MAGIC, MAGIC_AT, MAX_INT32, UINT32
from streamlog.storage.batch_headers import BatchHeader, read_header

_CHUNK: Final = 1 << 16
_MAGIC_BYTE: Final = bytes([MAGIC])


def crc_matches(data: memoryview, at: int, size: int) -> bool:
    """Whether the batch of `size` bytes at `data[at:]` has the CRC that its header says."""
    expected: int = UINT32.unpack_from(data, at + CRC_AT)[0]
    return bool(crc32c(data[at + ATTRIBUTES_AT : at + size]) == expected)


def find_batch_behind(data: memoryview, position: int, first_offset: int) -> BatchHeader | None:
    """The first good batch that starts behind `data[0]`, None when there is none.

    `data` is what a segment holds from byte `position` up to its end. The batch's offsets are
    at least `first_offset`, and near enough to share its segment.
    """
    limit = position + len(data)
    for chunk_start in range(0, len(data), _CHUNK):
        chunk = bytes(data[chunk_start : chunk_start + _CHUNK])
        found = chunk.find(_MAGIC_BYTE)
        while found >= 0:
            at = chunk_start + found - MAGIC_AT
            if at > 0:
                header = read_header(data, at, position + at, limit, first_offset)
                if (
                    header is not None
                    and header.base_offset - first_offset <= MAX_INT32
                    and crc_matches(data, at, header.size)
                ):
                    return header
            found = chunk.find(_MAGIC_BYTE, found + 1)
    return None
