"""kafka-python's codec: another reader and writer of the same data, with code of its own.

It is set to work on our definitions, written back into Kafka's JSON form (`codec`), and on the
definitions that it carries itself (`carried_codec`), which are of some other Kafka release.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

from streamlog.protocol import Message, Uuid
from streamlog.protocol.definitions import find_definition
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out

with warnings.catch_warnings():
    # kafka-python reads its own definitions with what Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import errors as errors  # noqa: PLC0414 - for those who compare error codes
    from kafka.protocol.data_container import DataContainer
    from kafka.protocol.schemas import StructField, load_json

CANNOT_READ = {
    "NoOpRecord": "no fields",
    "EndTransactionRecord": "no fields",
    "ProducerSnapshot": "uint32",
    "ConsumerGroupMemberMetadataValue": "null in a tagged structure: it differs from Kafka",
    "RequestHeader": "a field with flexible versions of its own",
}


class Codec:
    """What kafka-python reads and writes for one message in one version, as our values."""

    def __init__(self, message: Message, version: int, struct: Any) -> None:
        self._message = message
        self._version = version
        self._struct = struct
        self._layout = lay_out(message.definition, version)
        flexible = self._layout.is_flexible
        self._form = {"version": version, "compact": flexible, "tagged": flexible}

    def decode(self, data: bytes) -> Any:
        stream = io.BytesIO(data)
        container = self._struct.decode(stream, **self._form)
        assert stream.read() == b"", "kafka-python leaves bytes"
        return self._to_value(container, self._layout)

    def encode(self, value: Any) -> bytes:
        written: bytes = self._struct.encode(
            self._to_fields(value, self._layout, self._struct), **self._form
        )
        return written

    def _pairs(self, layout: StructLayout, theirs: Any) -> Iterator[tuple[FieldLayout, Any]]:
        """The fields of this version, which are in the same order; some names differ."""
        ours = [field for field in layout.members if not field.is_absent]
        present = [field for field in theirs._fields if field.for_version_q(self._version)]
        return zip(ours, present, strict=True)

    def _class_of(self, layout: StructLayout) -> type[Any]:
        is_root = layout.name == self._message.name
        return self._message.Value if is_root else self._message.structs[layout.name]

    # ---------------------------------------------------------------- theirs to ours

    def _to_value(self, container: Any, layout: StructLayout) -> Any:
        found = {
            ours.attribute: self._to_field(getattr(container, theirs.name), ours)
            for ours, theirs in self._pairs(layout, container._struct)
        }
        return self._class_of(layout)(**found)

    def _to_field(self, theirs: Any, field: FieldLayout) -> Any:
        if field.is_array:
            return None if theirs is None else [self._to_field(i, field.element) for i in theirs]
        # It hands out None for the zero uuid and for a structure that was left at its default.
        if theirs is None and field.type == "uuid":
            return Uuid.ZERO
        if theirs is None and field.struct is not None and field.default is not None:
            return self._class_of(field.struct)()
        if theirs is None:
            return None
        if field.type == "uuid":
            return Uuid(theirs.bytes)
        if field.struct is not None:
            return self._to_value(theirs, field.struct)
        return bytes(theirs) if isinstance(theirs, memoryview) else theirs

    # ---------------------------------------------------------------- ours to theirs

    def _to_fields(self, value: Any, layout: StructLayout, struct: Any) -> dict[str, Any]:
        """The fields by their names there, without tagged ones that are at their default here."""
        found = {}
        # It writes tagged fields in the order in which they are given.
        for ours, theirs in sorted(self._pairs(layout, struct), key=lambda pair: pair[0].tag):
            content = getattr(value, ours.attribute)
            if not (ours.is_tagged and content == self._default(ours)):
                found[theirs.name] = self._to_theirs(content, ours, theirs)
        return found

    def _default(self, field: FieldLayout) -> Any:
        if field.default != ():
            return field.default
        return [] if field.is_array else self._message.structs[field.type]()

    def _to_theirs(self, content: Any, field: FieldLayout, theirs: Any) -> Any:
        if content is None:
            return None
        if field.is_array:
            return [self._to_theirs(item, field.element, theirs) for item in content]
        if field.struct is not None:
            return self._to_fields(content, field.struct, theirs)
        return UUID(bytes=bytes(content)) if field.type == "uuid" else content


def codec(message: Message, version: int) -> Codec:
    """kafka-python's codec on our definition of a message."""
    return Codec(message, version, _struct_of(message.name))


def carried_codec(message: Message, version: int) -> Codec | None:
    """The same on its own definition; None when it has none of that message and version."""
    struct = _carried_struct_of(message.name)
    if struct is None or not struct._versions[0] <= version <= struct._versions[1]:
        return None
    return Codec(message, version, struct)


@cache
def _struct_of(name: str) -> Any:
    raw = find_definition(name)
    structs = {struct[0].split()[0]: struct[1:] for struct in raw.get("structs", ())}
    return _with_classes(
        {
            "name": name,
            "type": raw["type"],
            "versions": raw["versions"],
            "fields": [_to_kafka_field(item, structs) for item in raw["fields"]],
        }
    )


@cache
def _carried_struct_of(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return _with_classes(load_json(name))
        except FileNotFoundError:
            return None


def _with_classes(definition: dict[str, Any]) -> Any:
    field = StructField(definition)
    field.set_data_class(type(field._name, (DataContainer,), {"_struct": field}))
    return field


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
