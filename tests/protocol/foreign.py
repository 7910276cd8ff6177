"""kafka-python's codec, set to work on our definitions: another reader of the same data.

It parses fields, versions, tags and defaults with its own code from Kafka's JSON form, into
which the compact form is written back here.
"""

from __future__ import annotations

import io
import warnings
from functools import cache
from typing import Any

from streamlog.protocol import Message
from streamlog.protocol.definition import FieldDefinition, StructDefinition
from streamlog.protocol.definitions import find_definition

with warnings.catch_warnings():
    # kafka-python reads its own definitions with what Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.data_container import DataContainer
    from kafka.protocol.schemas import StructField

CANNOT_READ = {
    "NoOpRecord": "no fields",
    "EndTransactionRecord": "no fields",
    "ProducerSnapshot": "uint32",
    "ConsumerGroupMemberMetadataValue": "null in a tagged structure: it differs from Kafka",
    "RequestHeader": "a field with flexible versions of its own",
}


def _to_kafka_field(item: Any, structs: dict[str, list[Any]]) -> dict[str, Any]:
    text, nested = (item, []) if isinstance(item, str) else (item[0], item[1:])
    name, kind, versions, *options = text.split(" ")
    # Its containers have a version of their own, which a field of that name would hide.
    name = "TheVersion" if name == "Version" else name
    field: dict[str, Any] = {"name": name, "type": kind, "versions": versions}
    for option in options:
        key, _, setting = option.partition("=")
        if key == "":
            field["default"] = setting
        elif key == "null":
            field["nullableVersions"] = setting
        elif key == "tag":
            number, _, field["taggedVersions"] = setting.partition("@")
            field["tag"] = int(number)
        elif key == "flexible":
            field["flexibleVersions"] = setting
    nested = nested or structs.get(kind.removeprefix("[]"), [])
    if nested:
        field["fields"] = [_to_kafka_field(inner, structs) for inner in nested]
    return field


@cache
def foreign_class(name: str) -> type[DataContainer]:
    raw = find_definition(name)
    structs = {struct[0].split()[0]: struct[1:] for struct in raw.get("structs", ())}
    definition = {
        "name": name,
        "type": raw["type"],
        "versions": raw["versions"],
        "fields": [_to_kafka_field(item, structs) for item in raw["fields"]],
    }
    field = StructField(definition)
    made = type(name, (DataContainer,), {"_struct": field})
    field.set_data_class(made)
    return made


def decode(message: Message, version: int, data: bytes) -> dict[str, Any]:
    """The fields by our attribute names, as kafka-python reads them; all bytes must be read."""
    flexible = version in message.definition.flexible
    stream = io.BytesIO(data)
    made = foreign_class(message.name)
    container = made._struct.decode(stream, version=version, compact=flexible, tagged=flexible)
    assert stream.read() == b"", "kafka-python leaves bytes"
    return _plain(container, message, message.definition.root, version)


def _plain(container: Any, message: Message, struct: StructDefinition, version: int) -> Any:
    theirs = {field._name: field.name for field in container._struct._fields}
    theirs["Version"] = theirs.get("TheVersion")
    return {
        field.attribute: _plain_value(
            getattr(container, theirs[field.name]), message, field, version
        )
        for field in struct.fields
        if version in field.versions
    }


def _plain_value(value: Any, message: Message, field: FieldDefinition, version: int) -> Any:
    if value is None and not field.is_array:
        # It hands out None for the zero uuid and for a structure that was left at its default.
        if field.type == "uuid":
            return bytes(16)
        if field.is_struct and field.default is not None:
            struct = message.definition.structs[field.type]
            return plain(message.structs[field.type](), message, struct, version)
    if value is None:
        return None
    if field.is_array:
        return [_plain_element(item, message, field, version) for item in value]
    return _plain_element(value, message, field, version)


def _plain_element(value: Any, message: Message, field: FieldDefinition, version: int) -> Any:
    if field.type == "uuid":
        return bytes(16) if value is None else value.bytes
    if field.is_struct:
        return _plain(value, message, message.definition.structs[field.type], version)
    return bytes(value) if isinstance(value, memoryview) else value


def plain(value: Any, message: Message, struct: StructDefinition, version: int) -> Any:
    """Our own value in the same plain form."""
    return {
        field.attribute: _own_value(getattr(value, field.attribute), message, field, version)
        for field in struct.fields
        if version in field.versions
    }


def _own_value(value: Any, message: Message, field: FieldDefinition, version: int) -> Any:
    if value is None or not field.is_struct:
        return value
    struct = message.definition.structs[field.type]
    if field.is_array:
        return [plain(item, message, struct, version) for item in value]
    return plain(value, message, struct, version)
