"""`Message`: one message's Python classes and its encode and decode functions, built on use."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from streamlog.errors import SchemaError
from streamlog.protocol.decoder import generate_decoder
from streamlog.protocol.definition import (
    FieldDefinition,
    MessageDefinition,
    StructDefinition,
    VersionRange,
    parse_message,
)
from streamlog.protocol.definitions import find_definition, load_family
from streamlog.protocol.encoder import generate_encoder
from streamlog.protocol.primitives import Buffer, Cuts
from streamlog.protocol.source import GeneratedCode
from streamlog.protocol.uuid import Uuid

_DECODE_FAILURES = (struct.error, IndexError, ValueError)
_ENCODE_FAILURES = (*_DECODE_FAILURES, AttributeError, TypeError, OverflowError)

_messages: dict[type, Message] = {}


class Message:
    """A message of Kafka's protocol, in every version that its definition has.

    `Value` is its class: keyword arguments, Kafka's defaults, equality. `structs` holds the
    classes of its nested structures by Kafka's name. Tagged fields that a version does not know
    are kept in `unknown_tagged_fields`, pairs of tag and bytes, and written again.
    """

    def __init__(self, definition: MessageDefinition) -> None:
        self.definition = definition
        self.name = definition.name
        self.api_key = definition.api_key
        self.valid_versions = (definition.versions.low, definition.versions.high)
        self.flexible_versions = (definition.flexible.low, definition.flexible.high)
        self.structs: dict[str, type[Any]] = {}
        for inner in definition.structs.values():
            self.structs[inner.name] = _make_class(inner, definition.flexible, self.structs)
        self.Value: type[Any] = _make_class(definition.root, definition.flexible, self.structs)
        self._encoders: dict[int, GeneratedCode] = {}
        self._decoders: dict[int, GeneratedCode] = {}
        _messages[self.Value] = self

    def __repr__(self) -> str:
        low, high = self.valid_versions
        return f"<Message {self.name} versions {low}-{high}>"

    def encode(self, value: Any, version: int) -> bytes:
        """The bytes of `value`. SchemaError when it does not fit the definition or the version."""
        out = bytearray()
        self.encode_into(out, value, version)
        return bytes(out)

    def encode_into(
        self, out: bytearray, value: Any, version: int, cuts: Cuts | None = None
    ) -> None:
        """Append the bytes of `value` to `out`, which is of no use after an error.

        With a list for `cuts` large `records` are not copied: `primitives.interleave(out, cuts)`
        makes the buffers to send.
        """
        code = self._encoders.get(version) or self._build_encoder(version)
        try:
            code.function(out, value, cuts)
        except _ENCODE_FAILURES as error:
            raise self._explain("encode", code, version, error) from error

    def decode(self, buffer: Buffer, version: int, position: int = 0) -> tuple[Any, int]:
        """The value at `position` and the position behind it.

        `records` fields are views of `buffer`. SchemaError when the bytes are no such message.
        """
        code = self._decoders.get(version) or self._build_decoder(version)
        if position < 0:
            raise ValueError("a position cannot be negative")
        try:
            value, end = code.function(buffer, position, len(buffer))
        except _DECODE_FAILURES as error:
            raise self._explain("decode", code, version, error) from error
        return value, end

    def decode_whole(self, buffer: Buffer, version: int, position: int = 0) -> Any:
        """The value that fills `buffer` from `position` on; SchemaError when bytes are left."""
        value, end = self.decode(buffer, version, position)
        if end != len(buffer):
            raise SchemaError(
                f"{self.name} version {version} ends {len(buffer) - end} bytes before the "
                "bytes given for it",
                message_name=self.name,
                field="",
                version=version,
            )
        return value

    def source(self, version: int) -> str:
        """The generated source of both functions, for whoever debugs them."""
        encoder = self._encoders.get(version) or self._build_encoder(version)
        decoder = self._decoders.get(version) or self._build_decoder(version)
        return encoder.text + "\n\n" + decoder.text

    def _build_encoder(self, version: int) -> GeneratedCode:
        self._check_version(version)
        code = generate_encoder(self.definition, version, self._classes())
        return self._encoders.setdefault(version, code)

    def _build_decoder(self, version: int) -> GeneratedCode:
        self._check_version(version)
        code = generate_decoder(self.definition, version, self._classes())
        return self._decoders.setdefault(version, code)

    def _classes(self) -> dict[str, type[Any]]:
        return {**self.structs, self.name: self.Value}

    def _check_version(self, version: int) -> None:
        low, high = self.valid_versions
        if not low <= version <= high:
            raise SchemaError(
                f"{self.name} has versions {low} to {high}, not {version}",
                message_name=self.name,
                field="",
                version=version,
            )

    def _explain(
        self, verb: str, code: GeneratedCode, version: int, error: Exception
    ) -> SchemaError:
        field = code.locate(error.__traceback__)
        where = f", field {field}" if field else ""
        cut_short = verb == "decode" and isinstance(error, (IndexError, struct.error))
        reason = "the bytes end before its end" if cut_short else str(error)
        return SchemaError(
            f"cannot {verb} {self.name} version {version}{where}: {reason}",
            message_name=self.name,
            field=field,
            version=version,
        )


@cache
def message(name: str) -> Message:
    """The message of that name, e.g. "TopicRecord". LookupError when Kafka has none."""
    return Message(parse_message(find_definition(name)))


def message_of(value: Any) -> Message:
    """The message that `value` is one of. SchemaError when it is of no message's class."""
    found = _messages.get(type(value))
    if found is None:
        raise SchemaError(
            f"{type(value).__name__} is not a message's value class",
            message_name=type(value).__name__,
            field="",
            version=None,
        )
    return found


@cache
def names_by_key(family: str, kind: str) -> dict[int, str]:
    """The names of a family's messages of one kind by their api key."""
    return {
        definition["apiKey"]: name
        for name, definition in load_family(family).items()
        if definition["type"] == kind
    }


def _make_class(
    definition: StructDefinition, flexible: VersionRange, structs: dict[str, type[Any]]
) -> type[Any]:
    fields: list[tuple[str, Any, Any]] = [
        (field.attribute, Any, _default_of(field, structs)) for field in definition.fields
    ]
    if flexible.low <= flexible.high:
        fields.append(("unknown_tagged_fields", Any, ()))
    # Values hold no cycles, so that the collector need not follow them.
    return msgspec.defstruct(
        definition.name, fields, module=__name__, gc=False, repr_omit_defaults=True
    )


def _default_of(field: FieldDefinition, structs: dict[str, type[Any]]) -> Any:
    if field.default is None:
        return None
    if field.is_array:
        return msgspec.field(default_factory=list)
    if field.is_struct:
        factory: Callable[[], Any] = structs[field.type]
        return msgspec.field(default_factory=factory)
    return Uuid.ZERO if field.type == "uuid" else field.default
