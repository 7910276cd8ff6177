"""What generated code calls where bytes are not as short and plain as they usually are.

`read_*` take a buffer and a position and return a value and the position behind it; `write_*`
append to a bytearray. No length or count is believed before its bytes are seen to be there.
They raise `MalformedError`, `IndexError` or `struct.error`: `message` makes `SchemaError` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from struct import Struct
from typing import Any, TypeAlias

from streamlog.protocol.uuid import Uuid

Buffer: TypeAlias = "bytes | bytearray | memoryview"
Cuts: TypeAlias = "list[tuple[int, memoryview]]"
"""Records that were left where they are: before which byte of the output they come, and a view."""

_int32 = Struct(">i")
_MAX_UINT32 = 0xFFFFFFFF
_MAX_STRING_BYTES = 0x7FFF
# Fewer bytes are copied sooner than a buffer more is made, passed on and sent.
_CUT_BYTES = 4096


class MalformedError(ValueError):
    """Bytes or values that do not fit; the caller knows the message and the field."""


# ---------------------------------------------------------------- lengths and counts


def read_uvarint(buffer: Buffer, position: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most 32 bits, in at most five bytes."""
    byte = buffer[position]
    if byte < 0x80:
        return byte, position + 1
    number = byte & 0x7F
    for shift in (7, 14, 21, 28):
        position += 1
        byte = buffer[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number > _MAX_UINT32:
                break
            return number, position + 1
    raise MalformedError("a variable-length number of more than 32 bits")


def write_uvarint(out: bytearray, number: int) -> None:
    """Append `number`, 0 to 2^32 - 1."""
    if not 0 <= number <= _MAX_UINT32:
        raise MalformedError(f"{number} does not fit 32 bits")
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def no_extent(length: int, available: int) -> MalformedError:
    """Why `length` bytes cannot be read where `available` are there."""
    if length < 0:
        return MalformedError("may not be null" if length == -1 else f"a length of {length}")
    return MalformedError(f"{length} bytes announced, {available} there")


def no_count(count: int, available: int) -> MalformedError:
    """Why `count` elements cannot be read where `available` bytes are there."""
    if count < 0:
        return MalformedError("may not be null" if count == -1 else f"an array of {count} elements")
    return MalformedError(f"{count} elements cannot be in {available} bytes")


def length_of(items: Sequence[Any]) -> int:
    """The number of elements of a list of numbers or texts.

    Not of text or bytes, whose characters and bytes would pass for such elements.
    """
    if isinstance(items, (str, bytes, bytearray)):
        raise TypeError(f"expected a list, not {type(items).__name__}")
    return len(items)


# ---------------------------------------------------------------- strings, bytes, records


def write_long_length(out: bytearray, length: int) -> None:
    """Append the compact length of a string of 127 bytes or more; at most what `string` allows."""
    if length > _MAX_STRING_BYTES + 1:
        raise MalformedError(f"a string of {length - 1} bytes; at most {_MAX_STRING_BYTES} fit")
    write_uvarint(out, length)


def write_bytes(out: bytearray, raw: Buffer) -> None:
    """Append bytes behind an int32 length."""
    view = memoryview(raw)
    out += _int32.pack(view.nbytes)
    out += view


def write_compact_bytes(out: bytearray, raw: Buffer) -> None:
    """Append bytes behind a compact length."""
    view = memoryview(raw)
    write_uvarint(out, view.nbytes + 1)
    out += view


def write_records(out: bytearray, raw: Buffer, cuts: Cuts | None) -> None:
    """Append record batches behind an int32 length, or the length only and a cut."""
    view = memoryview(raw)
    out += _int32.pack(view.nbytes)
    _append_or_cut(out, view, cuts)


def write_compact_records(out: bytearray, raw: Buffer, cuts: Cuts | None) -> None:
    """Append record batches behind a compact length, or the length only and a cut."""
    view = memoryview(raw)
    write_uvarint(out, view.nbytes + 1)
    _append_or_cut(out, view, cuts)


def _append_or_cut(out: bytearray, view: memoryview, cuts: Cuts | None) -> None:
    if cuts is None or view.nbytes < _CUT_BYTES:
        out += view
    else:
        cuts.append((len(out), view))


def interleave(out: bytearray, cuts: Cuts) -> list[Buffer]:
    """`out` with what was cut out of it in its place, as buffers that follow each other.

    Nothing is copied; `out` cannot grow as long as one of the buffers lives.
    """
    if not cuts:
        return [out]
    whole = memoryview(out)
    buffers: list[Buffer] = []
    start = 0
    for position, view in cuts:
        buffers += (whole[start:position], view)
        start = position
    if start < len(out):
        buffers.append(whole[start:])
    return buffers


# ---------------------------------------------------------------- uuids


def as_uuid(raw: bytes) -> bytes:
    """`raw` itself, once it is seen to be what the 16-byte format would not pad or cut."""
    if len(raw) != 16:
        raise MalformedError(f"a uuid has 16 bytes, not {len(raw)}")
    return raw


make_uuid = partial(bytes.__new__, Uuid)
"""A Uuid without the check of its length, which the one who read the bytes has made."""


def read_uuids(buffer: Buffer, position: int, count: int) -> list[Uuid]:
    """`count` uuids, which are there."""
    stop = position + 16 * count
    return [make_uuid(buffer[start : start + 16]) for start in range(position, stop, 16)]


# ---------------------------------------------------------------- tagged fields


def read_tag(buffer: Buffer, position: int, size: int) -> tuple[int, int, int]:
    """A tagged field's tag, where it starts, and where it stops by its own account."""
    tag, position = read_uvarint(buffer, position)
    length, position = read_uvarint(buffer, position)
    if position + length > size:
        raise no_extent(length, size - position)
    return tag, position, position + length


def read_unknown_tags(
    buffer: Buffer, position: int, size: int
) -> tuple[tuple[tuple[int, bytes], ...], int]:
    """A section of tagged fields of which none is known: pairs of tag and bytes."""
    count, position = read_uvarint(buffer, position)
    found = []
    for _ in range(count):
        tag, position, stop = read_tag(buffer, position, size)
        found.append((tag, bytes(buffer[position:stop])))
        position = stop
    return tuple(found), position


def write_tagged_fields(
    out: bytearray,
    sections: Sequence[tuple[int, Buffer]],
    unknown: Sequence[tuple[int, Buffer]],
) -> None:
    """The section that ends every structure of a flexible version, in the order of tags."""
    if unknown:
        sections = sorted([*sections, *unknown], key=lambda section: section[0])
        if len({tag for tag, _ in sections}) != len(sections):
            raise MalformedError("an unknown tagged field has the tag of a known one")
    write_uvarint(out, len(sections))
    for tag, payload in sections:
        write_uvarint(out, tag)
        write_uvarint(out, len(payload))
        out += payload
