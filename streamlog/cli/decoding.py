"""Records that are not the users': control records, and those of Kafka's internal topics."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from streamlog.errors import SchemaError
from streamlog.protocol import Uuid, control_records
from streamlog.protocol.coordinator_records import OFFSETS, SHARE, TRANSACTIONS
from streamlog.protocol.metadata_frame import decode_metadata
from streamlog.record.control import ControlType
from streamlog.record.kernel import Record
from streamlog.storage.names import METADATA_TOPIC

_COORDINATORS = {
    "__consumer_offsets": OFFSETS,
    "__transaction_state": TRANSACTIONS,
    "__share_group_state": SHARE,
}


class Decoded(NamedTuple):
    """A record by its name in Kafka's definitions, and its fields as plain values."""

    name: str
    fields: dict[str, Any]


def decode(topic: str, record: Record, *, is_control: bool) -> Decoded | None:
    """What an internal record says; None for one of a user's.

    Raises `SchemaError` for one that does not fit its definition.
    """
    if is_control:
        return _decode_control(record)
    if topic == METADATA_TOPIC:
        if record.value is None:
            raise SchemaError("a metadata record has a value", message_name="", field="")
        value = decode_metadata(record.value)
        return Decoded(type(value).__name__, plain(value))
    coordinator = _COORDINATORS.get(topic)
    if coordinator is None:
        return None
    if record.key is None:
        raise SchemaError("a coordinator's record has a key", message_name="", field="")
    key = coordinator.decode_key(record.key)
    name = type(key).__name__
    if name == "UnknownKey":
        return Decoded(name, plain(key))
    value = coordinator.decode_value(key, record.value)
    return Decoded(name.removesuffix("Key"), {"key": plain(key), "value": plain(value)})


def _decode_control(record: Record) -> Decoded:
    control_type = control_records.decode_key(record.key or b"")
    try:
        name = ControlType(control_type).name
    except ValueError:
        name = f"CONTROL_{control_type}"
    value = control_records.decode_value(control_type, record.value or b"")
    return Decoded(name, {} if value is None else plain(value))


def plain(value: Any) -> Any:
    """A message as what JSON has: objects by field name, ids as Kafka prints them."""
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if not fields.get("unknown_tagged_fields", True):
            del fields["unknown_tagged_fields"]
        return fields
    if isinstance(value, Uuid):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": msgspec.to_builtins(bytes(value))}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
