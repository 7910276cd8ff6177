"""Serializers and deserializers for common types, to be passed to producers and consumers.

Kafka's `StringSerializer`, `LongSerializer` and `UUIDSerializer` write the same bytes; JSON is
what everybody's JSON serializer writes, without blanks. They take and return one value; None
never reaches them, and stays None (a tombstone).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from uuid import UUID

_LONG = Struct(">q")


def serialize_text(value: str) -> bytes:
    """UTF-8."""
    return value.encode()


def deserialize_text(data: bytes) -> str:
    return data.decode()


def serialize_long(value: int) -> bytes:
    """Eight bytes, big-endian and signed."""
    return _LONG.pack(value)


def deserialize_long(data: bytes) -> int:
    number: int = _LONG.unpack(data)[0]
    return number


def serialize_uuid(value: UUID) -> bytes:
    """The 36 characters of the usual text form."""
    return str(value).encode()


def deserialize_uuid(data: bytes) -> UUID:
    from uuid import UUID

    return UUID(data.decode())


def serialize_json(value: Any) -> bytes:
    """JSON without blanks; also of structs, dates and the like (`msgspec`)."""
    return msgspec.json.encode(value)


def deserialize_json(data: bytes) -> Any:
    return msgspec.json.decode(data)


def path_in(error: Exception) -> str | None:
    """Where in a key or value the trouble is (`$.amount`), as msgspec says it; None elsewhere."""
    if isinstance(error, msgspec.ValidationError):
        _, found, path = str(error).rpartition(" - at `")
        return path.removesuffix("`") if found else "$"
    return None
