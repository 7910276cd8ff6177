"""kio: a codec whose classes, one for each version, are generated from Kafka's own definitions.

Its types hold less than the bytes can say (no error code that it does not know, no time outside
the calendar), so values are brought into what it knows first: `restrict`.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from dataclasses import Field, fields
from functools import cache
from typing import Any
from uuid import UUID

from kio.index import KioIndexError, load_payload_module
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader, entity_writer
from kio.serial._introspect import classify_field
from kio.static.constants import EntityType

from streamlog.protocol import Message, Uuid
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out

_MILLISECOND = dt.timedelta(milliseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_MS = 1 << 40  # what its arithmetic in seconds still holds exactly


@cache
def entity_class(message: Message, version: int) -> type[Any] | None:
    """kio's class for a message in a version; None where it has none."""
    kind = EntityType.request if message.name.endswith("Request") else EntityType.response
    try:
        module = load_payload_module(message.api_key, version, kind)
    except KioIndexError:
        return None
    found: type[Any] = getattr(module, message.name)
    return found


class KioCodec:
    """What kio reads and writes for one message in one version."""

    def __init__(self, message: Message, version: int) -> None:
        found = entity_class(message, version)
        assert found is not None, "ask entity_class() first"
        self._class = found
        self._message = message
        self._layout = lay_out(message.definition, version)

    def restrict(self, value: Any) -> None:
        """Change what kio's types cannot hold."""
        _restrict(value, self._layout, self._class)

    def decode(self, data: bytes) -> Any:
        """What kio reads from `data`, all of it, as one of our values."""
        entity, size = entity_reader(self._class)(data, 0)
        assert size == len(data), "kio leaves bytes"
        return self._to_value(entity, self._layout)

    def encode(self, value: Any) -> bytes:
        """What kio writes for a value of ours."""
        stream = io.BytesIO()
        entity_writer(self._class)(stream, _to_entity(value, self._layout, self._class))
        return stream.getvalue()

    def _to_value(self, entity: Any, layout: StructLayout) -> Any:
        is_root = layout.name == self._message.name
        made = self._message.Value if is_root else self._message.structs[layout.name]
        pairs = _pairs(layout, type(entity))
        return made(
            **{
                ours.attribute: self._to_field(getattr(entity, theirs.name), ours)
                for ours, theirs in pairs
            }
        )

    def _to_field(self, theirs: Any, field: FieldLayout) -> Any:
        if field.is_array:
            if theirs is None:
                return None
            return [self._to_field(item, field.element) for item in theirs]
        if field.struct is not None:
            return None if theirs is None else self._to_value(theirs, field.struct)
        return _to_plain(theirs, field)


def _pairs(layout: StructLayout, entity: type[Any]) -> Iterator[tuple[FieldLayout, Field[Any]]]:
    """Our fields and theirs, which are in the same order; some names differ."""
    ours = [field for field in layout.members if not field.is_absent]
    for field, their_field in zip(ours, fields(entity), strict=True):
        assert field.attribute[0] == their_field.name[0], (field.path, their_field.name)
        yield field, their_field


def _to_plain(theirs: Any, field: FieldLayout) -> Any:
    if field.type == "uuid":
        return Uuid.ZERO if theirs is None else Uuid(theirs.bytes)
    if isinstance(theirs, dt.timedelta):
        return theirs // _MILLISECOND
    if isinstance(theirs, dt.datetime):
        return (theirs - _EPOCH) // _MILLISECOND
    if field.type == "int64" and theirs is None:
        return -1  # no time
    return int(theirs) if isinstance(theirs, ErrorCode) else theirs


def _to_entity(value: Any, layout: StructLayout, entity: type[Any]) -> Any:
    return entity(
        **{
            theirs.name: _to_their_field(getattr(value, ours.attribute), ours, theirs)
            for ours, theirs in _pairs(layout, entity)
        }
    )


def _to_their_field(ours: Any, field: FieldLayout, theirs: Field[Any]) -> Any:
    if ours is None:
        return None
    if field.is_array:
        return tuple(_to_their_field(item, field.element, theirs) for item in ours)
    if field.struct is not None:
        return _to_entity(ours, field.struct, classify_field(theirs).type_)
    kind = theirs.metadata["kafka_type"]
    if kind == "uuid":
        return None if ours == Uuid.ZERO else UUID(bytes=bytes(ours))
    if kind.startswith("timedelta"):
        return ours * _MILLISECOND
    if kind == "datetime_i64":
        return None if ours == -1 else _EPOCH + ours * _MILLISECOND
    return ErrorCode(ours) if kind == "error_code" else ours


def _restrict(value: Any, layout: StructLayout, entity: type[Any]) -> None:
    for ours, theirs in _pairs(layout, entity):
        content = getattr(value, ours.attribute)
        if content is None:
            continue
        if ours.struct is not None:
            inner = classify_field(theirs).type_
            for item in content if ours.is_array else [content]:
                _restrict(item, ours.struct, inner)
        elif theirs.metadata["kafka_type"] == "error_code":
            setattr(value, ours.attribute, content % len(ErrorCode) - 1)
        elif theirs.metadata["kafka_type"] in ("timedelta_i64", "datetime_i64"):
            setattr(value, ours.attribute, content % _MAX_MS)


assert [int(code) for code in ErrorCode] == list(range(-1, len(ErrorCode) - 1))
