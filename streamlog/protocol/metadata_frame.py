"""The frame around the records of `__cluster_metadata`.

    uvarint   frame version, always 1
    uvarint   record type (the definition's api key)
    uvarint   version of the record
    ...       the record in that version, which is always a flexible one

Worked example: TopicRecord version 0 of a topic "t" is `01 02 00`, `02 74`, 16 bytes of id, `00`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.errors import SchemaError
from streamlog.protocol.message import message, message_of, names_by_key
from streamlog.protocol.primitives import Buffer, MalformedError, read_uvarint, write_uvarint

FRAME_VERSION = 1


class UnknownRecord(msgspec.Struct, frozen=True):
    """A record of a type that these definitions do not have: kept, never guessed at."""

    api_key: int
    version: int
    payload: bytes


def encode_metadata(value: Any, version: int | None = None) -> bytes:
    """The frame of a metadata record, in its highest version unless told otherwise."""
    out = bytearray()
    if isinstance(value, UnknownRecord):
        _write_head(out, value.api_key, value.version)
        return bytes(out + value.payload)
    kind = message_of(value)
    if kind.definition.kind != "metadata" or kind.api_key is None:
        raise _error(f"{kind.name} is not a metadata record", kind.name, version)
    if version is None:
        version = kind.valid_versions[1]
    _write_head(out, kind.api_key, version)
    kind.encode_into(out, value, version)
    return bytes(out)


def decode_metadata(buffer: Buffer) -> Any:
    """The record of a frame, or an `UnknownRecord`. SchemaError when it is no such frame."""
    try:
        frame_version, position = read_uvarint(buffer, 0)
        api_key, position = read_uvarint(buffer, position)
        version, position = read_uvarint(buffer, position)
    except (MalformedError, IndexError) as error:
        raise _error("the bytes end within a metadata record's frame", "frame", None) from error
    if frame_version != FRAME_VERSION:
        raise _error(
            f"a metadata record's frame has version {frame_version}; only 1 is known",
            "frame",
            frame_version,
        )
    name = names_by_key("metadata_records", "metadata").get(api_key)
    if name is None:
        return UnknownRecord(api_key, version, bytes(buffer[position:]))
    return message(name).decode_whole(buffer, version, position)


def _write_head(out: bytearray, api_key: int, version: int) -> None:
    write_uvarint(out, FRAME_VERSION)
    write_uvarint(out, api_key)
    write_uvarint(out, version)


def _error(text: str, name: str, version: int | None) -> SchemaError:
    return SchemaError(text, message_name=name, field="", version=version)
