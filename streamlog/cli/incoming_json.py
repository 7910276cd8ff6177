"""Lines of JSON that become records: each an object, as `consume --json` prints it."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from typing import Any

import msgspec

from streamlog.cli.incoming import (
    Chunk,
    ChunkBuilder,
    Fields,
    Headers,
    Lines,
    fault_in_line,
    field_time,
)

_BOM = b"\xef\xbb\xbf"
_Object = dict[str, msgspec.Raw]
_decode_text = msgspec.json.Decoder(str).decode


def read_json(pieces: Lines, fields: Fields) -> Iterator[Chunk]:
    """Each line is an object; lines of nothing but space are passed over.

    Raises `InvalidRecordError` for the first that is none, or lacks a field.
    """
    decode = msgspec.json.Decoder(_Object).decode
    builder = ChunkBuilder()
    number = 0
    for piece in pieces:
        builder.clear()
        fault = None
        for line in piece:
            number += 1
            text = line.removeprefix(_BOM) if number == 1 else line
            if not text.strip():
                continue
            try:
                _add(builder, number, text, decode(text), fields)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                fault = fault_in_line(number, f"it is no JSON object: {error}")
                break
            except ValueError as error:
                fault = fault_in_line(number, str(error))
                break
        yield builder.chunk()
        if fault is not None:
            raise fault


def _add(builder: ChunkBuilder, number: int, line: bytes, found: _Object, fields: Fields) -> None:
    value = line.strip(b"\r") if fields.value == "." else _bytes(found, fields.value, needed=True)
    builder.add(
        number,
        None if fields.key is None else _bytes(found, fields.key, needed="key" in fields.named),
        value,
        None if fields.time is None else _time(found, fields.time, needed="time" in fields.named),
        headers_of(found[fields.headers]) if fields.headers in found else [],
        None if fields.partition is None else _partition(found, fields.partition),
    )


def _bytes(found: _Object, name: str, *, needed: bool) -> bytes | None:
    """A field's bytes: of a string its text, of null none, of anything else its JSON."""
    raw = found.get(name)
    if raw is None:
        encoded = found.get(f"{name}_base64")
        if encoded is not None:
            return _decoded(_text(encoded, f"{name}_base64"), f"{name}_base64")
        if needed:
            raise ValueError(missing(name))
        return None
    data = bytes(raw)
    if data == b"null":
        return None
    return _decode_text(data).encode() if data[:1] == b'"' else data


def _time(found: _Object, name: str, *, needed: bool) -> int | None:
    raw = found.get(name)
    if raw is None:
        if needed:
            raise ValueError(missing(name))
        return None
    data = bytes(raw)
    if data == b"null":
        return None
    try:
        return field_time(_decode_text(data) if data[:1] == b'"' else data.decode())
    except ValueError as error:
        raise ValueError(f"its {name}: {error}") from None


def _partition(found: _Object, name: str) -> int:
    raw = found.get(name)
    if raw is None:
        raise ValueError(missing(name))
    data = bytes(raw)
    if not data.isdigit():
        raise ValueError(f"its {name} is no partition: {data.decode()}")
    return int(data)


def headers_of(raw: Any) -> Headers:
    """Headers as `consume --json` prints them, or an object of names and texts."""
    try:
        found = msgspec.json.decode(raw, type=list[dict[str, str | None]] | dict[str, str | None])
    except msgspec.ValidationError as error:
        raise ValueError(
            f'its headers are no [{{"key": ..., "value": ...}}] and no object: {error}'
        ) from None
    if isinstance(found, dict):
        return [(name, None if text is None else text.encode()) for name, text in found.items()]
    headers: Headers = []
    for each in found:
        name = each.get("key")
        if name is None:
            raise ValueError('a header has no "key"')
        encoded = each.get("value_base64")
        text = each.get("value")
        if encoded is not None:
            headers.append((name, _decoded(encoded, "value_base64")))
        else:
            headers.append((name, None if text is None else text.encode()))
    return headers


def missing(name: str) -> str:
    """What is said of a line that lacks a field."""
    return f"it has no field {name!r}"


def _text(raw: msgspec.Raw, name: str) -> str:
    try:
        return _decode_text(raw)
    except msgspec.ValidationError:
        raise ValueError(f"its {name} is no text") from None


def _decoded(text: str, name: str) -> bytes:
    try:
        return a2b_base64(text.encode(), strict_mode=True) if text else b""
    except Base64Error as error:
        raise ValueError(f"its {name} is no base64: {error}") from None
