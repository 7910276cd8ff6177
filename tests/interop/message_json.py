"""Our values as Kafka writes its own of them in JSON."""

from __future__ import annotations

import base64
from typing import Any

from streamlog.protocol import Message, Uuid
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out


def as_json(kind: Message, value: Any, version: int) -> dict[str, Any]:
    """The JSON of `value` in `version`; tagged fields that are at their default are not in it."""
    return _struct(kind, lay_out(kind.definition, version), value)


def _struct(kind: Message, layout: StructLayout, value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in layout.members:
        content = getattr(value, field.attribute)
        if field.is_absent or (field.is_tagged and content == _default(kind, field)):
            continue
        name = field.path.rpartition(".")[2]
        name = name[0].lower() + name[1:]
        found[name] = _field(kind, field, content)
    return found


def _default(kind: Message, field: FieldLayout) -> Any:
    if field.default != ():
        return field.default
    return [] if field.is_array else kind.structs[field.type]()


def _field(kind: Message, field: FieldLayout, content: Any) -> Any:
    if content is None:
        return None
    if field.is_array:
        return [_field(kind, field.element, item) for item in content]
    if field.struct is not None:
        return _struct(kind, field.struct, content)
    if field.type == "records":
        return ""  # of which Kafka's JSON shows nothing; the bytes are compared elsewhere
    if isinstance(content, Uuid):
        return str(content)
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
