"""Messages that cost the most memory for their bytes: arrays of elements as small as can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamlog.protocol import Message, Uuid
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out

Trail = tuple[FieldLayout, ...]

_SMALLEST: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "uuid": Uuid.ZERO}


def arrays(layout: StructLayout, outer: Trail = ()) -> Iterator[Trail]:
    """Every array of a layout, as the fields that lead to it."""
    for field in layout.members:
        if not field.is_absent:
            if field.is_array:
                yield (*outer, field)
            if field.struct is not None:
                yield from arrays(field.struct, (*outer, field))


def dense_messages(kind: Message, version: int, count: int) -> Iterator[tuple[str, bytes]]:
    """For each array its path, and a message with `count` elements in that array."""
    layout = lay_out(kind.definition, version)
    for trail in arrays(layout):
        root = _smallest(kind, layout, kind.Value())
        _fill(kind, root, trail, count)
        yield trail[-1].path, kind.encode(root, version)


def _fill(kind: Message, value: Any, trail: Trail, count: int) -> None:
    field, *inner = trail
    made = [_element(kind, field) for _ in range(1 if inner else count)]
    setattr(value, field.attribute, made if field.is_array else made[0])
    if inner:
        _fill(kind, made[0], tuple(inner), count)


def _element(kind: Message, field: FieldLayout) -> Any:
    if field.struct is not None:
        return _smallest(kind, field.struct, kind.structs[field.type]())
    return _SMALLEST.get(field.type, 0)


def _smallest(kind: Message, layout: StructLayout, value: Any) -> Any:
    for field in layout.fields:
        if field.is_nullable:
            setattr(value, field.attribute, None)
        elif getattr(value, field.attribute) is None:
            setattr(value, field.attribute, [] if field.is_array else _element(kind, field))
    return value
