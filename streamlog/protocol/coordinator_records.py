"""Keys and values of the topics in which coordinators keep their state.

    key      int16 record type, then the key's fields
    value    int16 version, then the value's fields in that version; no bytes at all: a tombstone

Record types mean something within one topic only, so each topic has a `CoordinatorRecords`:
`OFFSETS` for `__consumer_offsets`, `TRANSACTIONS` for `__transaction_state`, `SHARE` for
`__share_group_state`. Worked example: offset key (g1, orders, 3) is
`0001 0002 6731 0006 6f7264657273 00000003`.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from streamlog.errors import SchemaError
from streamlog.protocol.message import Message, message, message_of, names_by_key
from streamlog.protocol.primitives import Buffer

_prefix = Struct(">h")
_KEY_VERSION = 0

# Kafka's own writers stop short of the highest version here: 4 is reserved.
_WRITTEN_VERSIONS = {"GroupMetadataValue": 3}


class UnknownKey(msgspec.Struct, frozen=True):
    """A key of a type that these definitions do not have; readers skip such records."""

    record_type: int
    payload: bytes


class CoordinatorRecords:
    """The records of one coordinator's topic."""

    def __init__(self, family: str) -> None:
        self._family = family

    def encode_key(self, key: Any) -> bytes:
        """The bytes of a key. SchemaError when it is not a key of this topic."""
        kind = self._of_kind(key, "coordinator-key")
        out = bytearray(_prefix.pack(kind.api_key))
        kind.encode_into(out, key, _KEY_VERSION)
        return bytes(out)

    def encode_value(self, value: Any, version: int | None = None) -> bytes:
        """The bytes of a value, by default in the version that Kafka itself writes."""
        kind = self._of_kind(value, "coordinator-value")
        if version is None:
            version = _WRITTEN_VERSIONS.get(kind.name, kind.valid_versions[1])
        out = bytearray(_prefix.pack(version))
        kind.encode_into(out, value, version)
        return bytes(out)

    def decode_key(self, buffer: Buffer) -> Any:
        """A key's value, or an `UnknownKey`. SchemaError when the bytes do not fit."""
        record_type = _read_prefix(buffer, "key")
        name = names_by_key(self._family, "coordinator-key").get(record_type)
        if name is None:
            return UnknownKey(record_type, bytes(buffer[2:]))
        return message(name).decode_whole(buffer, _KEY_VERSION, 2)

    def decode_value(self, key: Any, buffer: Buffer | None) -> Any:
        """The value that belongs to a decoded `key`; None for a tombstone.

        SchemaError when the bytes do not fit, or are of a version that is not known.
        """
        if buffer is None:
            return None
        record_type = self._of_kind(key, "coordinator-key").api_key
        assert record_type is not None, "every key has a type"
        name = names_by_key(self._family, "coordinator-value")[record_type]
        return message(name).decode_whole(buffer, _read_prefix(buffer, name), 2)

    def _of_kind(self, value: Any, kind: str) -> Message:
        found = message_of(value)
        key = found.api_key
        if key is None or names_by_key(self._family, kind).get(key) != found.name:
            raise SchemaError(
                f"{found.name} is no {kind} of {self._family}",
                message_name=found.name,
                field="",
                version=None,
            )
        return found


OFFSETS = CoordinatorRecords("offsets_records")
TRANSACTIONS = CoordinatorRecords("transaction_records")
SHARE = CoordinatorRecords("share_records")


def _read_prefix(buffer: Buffer, name: str) -> int:
    if len(buffer) < 2:
        raise SchemaError(
            f"a coordinator's {name} of {len(buffer)} bytes: two say its type or version",
            message_name=name,
            field="",
            version=None,
        )
    number: int = _prefix.unpack_from(buffer)[0]
    return number
