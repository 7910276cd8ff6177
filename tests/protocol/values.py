"""Values for any message in any version, from a seed: edges of every type, nulls, empty lists."""

from __future__ import annotations

from random import Random
from typing import Any

from streamlog.protocol import Message, Uuid
from streamlog.protocol.definition import FieldDefinition, StructDefinition

INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
}
TEXTS = ("", "a", "orders", "größe", "日本", "x" * 127, "y" * 128, "z" * 300)


def make_value(rng: Random, message: Message, version: int) -> Any:
    """A value that `version` can express."""
    return make_struct(rng, message, message.definition.root, version)


def make_struct(rng: Random, message: Message, struct: StructDefinition, version: int) -> Any:
    made = {
        field.attribute: make_field(rng, message, field, version)
        for field in struct.fields
        if version in field.versions
    }
    kind = message.Value if struct.name == message.name else message.structs[struct.name]
    return kind(**made)


def make_field(rng: Random, message: Message, field: FieldDefinition, version: int) -> Any:
    if version in field.nullable and rng.random() < 0.3:
        return None
    if field.is_array:
        count = rng.choice((0, 1, 1, 2, 3, 130 if field.type == "int32" else 2))
        return [make_element(rng, message, field, version) for _ in range(count)]
    return make_element(rng, message, field, version)


def make_element(rng: Random, message: Message, field: FieldDefinition, version: int) -> Any:
    if field.type in INTEGERS:
        low, high = INTEGERS[field.type]
        return rng.choice((0, 1, low, high, rng.randint(low, high)))
    if field.type == "bool":
        return rng.random() < 0.5
    if field.type == "float64":
        return rng.choice((0.0, -1.5, 1e300, rng.random()))
    if field.type == "uuid":
        return rng.choice((Uuid.ZERO, Uuid(rng.randbytes(16))))
    if field.type == "string":
        return rng.choice(TEXTS)
    if field.type in ("bytes", "records"):
        return rng.randbytes(rng.choice((0, 1, 126, 127, 128, 20_000)))
    return make_struct(rng, message, message.definition.structs[field.type], version)


def internal_versions() -> list[tuple[str, int]]:
    """Every version of every record that is kept on disk or inside other records."""
    return _versions(lambda family: family not in ("requests", "responses"))


def wire_versions() -> list[tuple[str, int]]:
    """Every version of every request and response."""
    return _versions(lambda family: family in ("requests", "responses"))


def _versions(wanted: Any) -> list[tuple[str, int]]:
    from streamlog.protocol import message
    from streamlog.protocol.definitions import FAMILIES, load_family

    return [
        (name, version)
        for family in FAMILIES
        if wanted(family)
        for name in load_family(family)
        for version in range(message(name).valid_versions[0], message(name).valid_versions[1] + 1)
    ]
