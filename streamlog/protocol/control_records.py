"""Keys and values of control records.

    key                          int16 version 0, int16 type
    value of ABORT and COMMIT    int16 version, then EndTxnMarker in that version
    other values                 the message itself, whose first field tells its version

Control records of the metadata log are LEADER_CHANGE, SNAPSHOT_HEADER, SNAPSHOT_FOOTER,
KRAFT_VERSION and KRAFT_VOTERS. As in Kafka, a version newer than known is read as the newest
known, and what follows it is left alone.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from streamlog.errors import SchemaError
from streamlog.protocol.message import message, message_of
from streamlog.protocol.primitives import Buffer

ABORT: Final = 0
COMMIT: Final = 1
LEADER_CHANGE: Final = 2
SNAPSHOT_HEADER: Final = 3
SNAPSHOT_FOOTER: Final = 4
KRAFT_VERSION: Final = 5
KRAFT_VOTERS: Final = 6

_NAMES = {
    ABORT: "EndTxnMarker",
    COMMIT: "EndTxnMarker",
    LEADER_CHANGE: "LeaderChangeMessage",
    SNAPSHOT_HEADER: "SnapshotHeaderRecord",
    SNAPSHOT_FOOTER: "SnapshotFooterRecord",
    KRAFT_VERSION: "KRaftVersionRecord",
    KRAFT_VOTERS: "VotersRecord",
}
_key = Struct(">hh")
_version = Struct(">h")


def encode_key(control_type: int) -> bytes:
    """The key of a control record of that type."""
    return _key.pack(0, control_type)


def decode_key(buffer: Buffer) -> int:
    """The type that a control record's key tells; one that is not known is returned as it is."""
    if len(buffer) < _key.size:
        raise _error(f"a control record's key of {len(buffer)} bytes; it has 4", "key", None)
    version, control_type = _key.unpack_from(buffer)
    if version < 0:
        raise _error(f"a control record's key of version {version}", "key", version)
    return int(control_type)


def encode_value(value: Any) -> bytes:
    """The value of a control record; its `version` field, where it has one, is its version."""
    kind = message_of(value)
    if kind.name not in _NAMES.values():
        raise _error(f"{kind.name} is not a control record", kind.name, None)
    if kind.name == "EndTxnMarker":
        return _version.pack(0) + kind.encode(value, 0)
    return kind.encode(value, value.version)


def decode_value(control_type: int, buffer: Buffer) -> Any:
    """The value of a control record, or None when its type is not known (readers skip it)."""
    name = _NAMES.get(control_type)
    if name is None:
        return None
    if len(buffer) < _version.size:
        raise _error(f"{name} of {len(buffer)} bytes: two tell its version", name, None)
    kind = message(name)
    (version,) = _version.unpack_from(buffer)
    known = min(version, kind.valid_versions[1])
    value, _ = kind.decode(buffer, known, 2 if name == "EndTxnMarker" else 0)
    return value


def _error(text: str, name: str, version: int | None) -> SchemaError:
    return SchemaError(text, message_name=name, field="", version=version)
