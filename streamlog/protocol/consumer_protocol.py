"""What the consumers of a classic group tell each other: int16 version, then the message.

A version newer than known is read as the newest known, and what follows it is left alone
(KIP-429): members of different ages share a group.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from streamlog.errors import SchemaError
from streamlog.protocol.message import message, message_of
from streamlog.protocol.primitives import Buffer

_version = Struct(">h")


def encode_consumer_protocol(value: Any, version: int | None = None) -> bytes:
    """A ConsumerProtocolSubscription or ConsumerProtocolAssignment with its version."""
    kind = message_of(value)
    if not kind.name.startswith("ConsumerProtocol"):
        raise SchemaError(
            f"{kind.name} is not of the consumer protocol",
            message_name=kind.name,
            field="",
            version=version,
        )
    if version is None:
        version = kind.valid_versions[1]
    return _version.pack(version) + kind.encode(value, version)


def decode_subscription(buffer: Buffer) -> Any:
    """A ConsumerProtocolSubscription. SchemaError when the bytes do not fit."""
    return _decode("ConsumerProtocolSubscription", buffer)


def decode_assignment(buffer: Buffer) -> Any:
    """A ConsumerProtocolAssignment. SchemaError when the bytes do not fit."""
    return _decode("ConsumerProtocolAssignment", buffer)


def _decode(name: str, buffer: Buffer) -> Any:
    if len(buffer) < _version.size:
        raise SchemaError(
            f"{name} of {len(buffer)} bytes: two tell its version",
            message_name=name,
            field="",
            version=None,
        )
    kind = message(name)
    (version,) = _version.unpack_from(buffer)
    value, _ = kind.decode(buffer, min(version, kind.valid_versions[1]), _version.size)
    return value
