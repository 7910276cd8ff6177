"""The variable-length encodings of Kafka's protocol, as the generated code calls them.

`read_*` take a buffer and a position and return a value and the position behind it; `write_*`
append to a bytearray. No length or count is believed before its bytes are seen to be there.
They raise `MalformedError`, `IndexError` or `struct.error`: `message` makes `SchemaError` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, TypeAlias

Buffer: TypeAlias = "bytes | bytearray | memoryview"

_int16 = Struct(">h")
_int32 = Struct(">i")
_MAX_UINT32 = 0xFFFFFFFF

NULL_INT16 = b"\xff\xff"
NULL_INT32 = b"\xff\xff\xff\xff"


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


def read_count(buffer: Buffer, position: int, minimum: int) -> tuple[int, int]:
    """An array's count, refused unless `minimum` bytes an element can be there."""
    (count,) = _int32.unpack_from(buffer, position)
    if count < 0:
        raise MalformedError("an array of negative size" if count < -1 else "may not be null")
    return _checked_count(buffer, position + 4, count, minimum)


def read_nullable_count(buffer: Buffer, position: int, minimum: int) -> tuple[int | None, int]:
    """The same, or None for a null array."""
    if buffer[position : position + 4] == NULL_INT32:
        return None, position + 4
    return read_count(buffer, position, minimum)


def read_compact_count(buffer: Buffer, position: int, minimum: int) -> tuple[int, int]:
    """A compact array's count; `minimum` as in `read_count`."""
    count, position = read_uvarint(buffer, position)
    if count == 0:
        raise MalformedError("may not be null")
    return _checked_count(buffer, position, count - 1, minimum)


def read_compact_nullable_count(
    buffer: Buffer, position: int, minimum: int
) -> tuple[int | None, int]:
    """The same, or None for a null array."""
    if buffer[position] == 0:
        return None, position + 1
    return read_compact_count(buffer, position, minimum)


def _checked_count(buffer: Buffer, position: int, count: int, minimum: int) -> tuple[int, int]:
    if count * minimum > len(buffer) - position:
        raise MalformedError(f"{count} elements cannot be in {len(buffer) - position} bytes")
    return count, position


def write_count(out: bytearray, items: Sequence[Any]) -> None:
    """Append an array's count."""
    out += _int32.pack(_length_of(items))


def write_compact_count(out: bytearray, items: Sequence[Any]) -> None:
    """Append a compact array's count."""
    write_uvarint(out, _length_of(items) + 1)


def _length_of(items: Sequence[Any]) -> int:
    # A string is a sequence of strings: one given for a list of names would pass unseen.
    if isinstance(items, (str, bytes)):
        raise TypeError(f"expected a list, not {type(items).__name__}")
    return len(items)


# ---------------------------------------------------------------- strings


def read_string(buffer: Buffer, position: int) -> tuple[str, int]:
    """UTF-8 behind an int16 length."""
    (length,) = _int16.unpack_from(buffer, position)
    start = position + 2
    if length < 0:
        raise MalformedError("a string of negative length" if length < -1 else "may not be null")
    if start + length > len(buffer):
        raise _cut_short(length, len(buffer) - start)
    return str(buffer[start : start + length], "utf-8"), start + length


def read_nullable_string(buffer: Buffer, position: int) -> tuple[str | None, int]:
    """The same, or None."""
    if buffer[position : position + 2] == NULL_INT16:
        return None, position + 2
    return read_string(buffer, position)


def read_compact_string(buffer: Buffer, position: int) -> tuple[str, int]:
    """UTF-8 behind a compact length."""
    start, stop = _compact_extent(buffer, position)
    return str(buffer[start:stop], "utf-8"), stop


def read_compact_nullable_string(buffer: Buffer, position: int) -> tuple[str | None, int]:
    """The same, or None."""
    if buffer[position] == 0:
        return None, position + 1
    start, stop = _compact_extent(buffer, position)
    return str(buffer[start:stop], "utf-8"), stop


def write_string(out: bytearray, text: str) -> None:
    """Append UTF-8 behind an int16 length."""
    raw = text.encode()
    if len(raw) > 0x7FFF:
        raise MalformedError(f"a string of {len(raw)} bytes; at most 32767 fit")
    out += _int16.pack(len(raw))
    out += raw


def write_compact_string(out: bytearray, text: str) -> None:
    """Append UTF-8 behind a compact length; no longer than the other form allows."""
    raw = text.encode()
    if len(raw) > 0x7FFF:
        raise MalformedError(f"a string of {len(raw)} bytes; at most 32767 fit")
    write_uvarint(out, len(raw) + 1)
    out += raw


# ---------------------------------------------------------------- bytes and records


def read_bytes(buffer: Buffer, position: int) -> tuple[bytes, int]:
    """Bytes behind an int32 length."""
    start, stop = _extent(buffer, position)
    return bytes(buffer[start:stop]), stop


def read_nullable_bytes(buffer: Buffer, position: int) -> tuple[bytes | None, int]:
    """The same, or None."""
    if buffer[position : position + 4] == NULL_INT32:
        return None, position + 4
    return read_bytes(buffer, position)


def read_compact_bytes(buffer: Buffer, position: int) -> tuple[bytes, int]:
    """Bytes behind a compact length."""
    start, stop = _compact_extent(buffer, position)
    return bytes(buffer[start:stop]), stop


def read_compact_nullable_bytes(buffer: Buffer, position: int) -> tuple[bytes | None, int]:
    """The same, or None."""
    if buffer[position] == 0:
        return None, position + 1
    return read_compact_bytes(buffer, position)


def read_records(buffer: Buffer, position: int) -> tuple[memoryview, int]:
    """Record batches as a view of the buffer, not a copy."""
    start, stop = _extent(buffer, position)
    return memoryview(buffer)[start:stop], stop


def read_nullable_records(buffer: Buffer, position: int) -> tuple[memoryview | None, int]:
    """The same, or None."""
    if buffer[position : position + 4] == NULL_INT32:
        return None, position + 4
    return read_records(buffer, position)


def read_compact_records(buffer: Buffer, position: int) -> tuple[memoryview, int]:
    """Record batches behind a compact length, as a view."""
    start, stop = _compact_extent(buffer, position)
    return memoryview(buffer)[start:stop], stop


def read_compact_nullable_records(buffer: Buffer, position: int) -> tuple[memoryview | None, int]:
    """The same, or None."""
    if buffer[position] == 0:
        return None, position + 1
    return read_compact_records(buffer, position)


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


write_records = write_bytes
write_compact_records = write_compact_bytes


def _extent(buffer: Buffer, position: int) -> tuple[int, int]:
    (length,) = _int32.unpack_from(buffer, position)
    start: int = position + 4
    if length < 0:
        raise MalformedError("bytes of negative length" if length < -1 else "may not be null")
    if start + length > len(buffer):
        raise _cut_short(length, len(buffer) - start)
    return start, start + length


def _compact_extent(buffer: Buffer, position: int) -> tuple[int, int]:
    length = buffer[position]
    start = position + 1
    if length > 0x7F:
        length, start = read_uvarint(buffer, position)
    if length == 0:
        raise MalformedError("may not be null")
    stop = start + length - 1
    if stop > len(buffer):
        raise _cut_short(length - 1, len(buffer) - start)
    return start, stop


def _cut_short(announced: int, available: int) -> MalformedError:
    return MalformedError(f"{announced} bytes announced, {available} there")


# ---------------------------------------------------------------- uuids and tagged fields


def as_uuid(raw: bytes) -> bytes:
    """`raw` itself, once it is seen to be what the 16-byte format would not pad or cut."""
    if len(raw) != 16:
        raise MalformedError(f"a uuid has 16 bytes, not {len(raw)}")
    return raw


def read_tag(buffer: Buffer, position: int) -> tuple[int, int, int]:
    """A tagged field's tag, where it starts, and where it stops by its own account."""
    tag, position = read_uvarint(buffer, position)
    size, position = read_uvarint(buffer, position)
    if position + size > len(buffer):
        raise _cut_short(size, len(buffer) - position)
    return tag, position, position + size


def write_tagged_fields(
    out: bytearray,
    sections: list[tuple[int, Buffer]],
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
