"""How much of a buffer is whole batches: the pure twin of `_fetch`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlog.storage.fetched import FetchCursor, Fetched
    from streamlog.storage.filesystem import ReadMap

_HEADER = 61
_PREFIX = struct.Struct(">qiib")  # base offset, length, leader epoch, magic
_LAST_DELTA = struct.Struct(">i")


def whole_batches(view: memoryview, expected: int, wanted: int = -1) -> tuple[int, int]:
    """The bytes of the whole version-2 batches at the start of `view`, and the next offset.

    Stops before a batch that is cut off, or that cannot stand there: its offset below
    `expected`, its length or its magic wrong. With `wanted`, an offset that the first batch has
    to hold, no offset may be missing between batches either: the checksum does not cover a
    batch's base offset. (0, expected) when not even one batch is there.
    """
    position = 0
    while len(view) - position >= _HEADER:
        base_offset, length, _, magic = _PREFIX.unpack_from(view, position)
        last_delta = _LAST_DELTA.unpack_from(view, position + 23)[0]
        size = length + 12
        if size < _HEADER or magic != 2 or base_offset < expected or last_delta < 0:
            break
        if size > len(view) - position:
            break
        if wanted >= 0 and not base_offset <= wanted <= base_offset + last_delta:
            break
        position += size
        expected = base_offset + last_delta + 1
        wanted = expected if wanted >= 0 else -1
    return position, expected


def appended(
    slots: Any,  # noqa: ARG001
    slot: int,  # noqa: ARG001
    mapped: ReadMap | None,  # noqa: ARG001
    cursor: FetchCursor,  # noqa: ARG001
    max_bytes: int,  # noqa: ARG001
    has_gaps: bool,  # noqa: ARG001
    path: str,  # noqa: ARG001
) -> Fetched | None:
    """None: without maps there is no shorter way than `LogReader.fetch`."""
    return None
