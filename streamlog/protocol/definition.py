"""Definitions as typed trees, parsed from the compact form that `definitions` describes."""

from __future__ import annotations

from typing import Any

import msgspec

_ANY_LATER_VERSION = 32767

# Format characters of `struct` for the types whose size does not depend on their value.
FIXED_FORMATS = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint16": "H",
    "uint32": "I",
    "float64": "d",
    "uuid": "16s",
}
FIXED_SIZES = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint16": 2,
    "uint32": 4,
    "float64": 8,
    "uuid": 16,
}
VARIABLE_TYPES = frozenset({"string", "bytes", "records"})


class VersionRange(msgspec.Struct, frozen=True):
    """Versions `low` to `high`, both included; empty when `high < low`."""

    low: int
    high: int

    def __contains__(self, version: int) -> bool:
        return self.low <= version <= self.high


NO_VERSIONS = VersionRange(0, -1)


class FieldDefinition(msgspec.Struct, frozen=True):
    """One field: `type` is the element's type where `is_array`, `attribute` its Python name."""

    name: str
    attribute: str
    type: str
    is_array: bool
    versions: VersionRange
    default: Any
    nullable: VersionRange
    tag: int
    tagged: VersionRange
    ignorable: bool
    never_compact: bool

    @property
    def is_fixed_size(self) -> bool:
        return not self.is_array and self.type in FIXED_FORMATS

    @property
    def is_struct(self) -> bool:
        """Whether the type (of an array: its element's) is one of the message's structures."""
        return self.type not in FIXED_FORMATS and self.type not in VARIABLE_TYPES


class StructDefinition(msgspec.Struct, frozen=True):
    """A structure's name and fields in the order of their bytes."""

    name: str
    fields: tuple[FieldDefinition, ...]


class MessageDefinition(msgspec.Struct, frozen=True):
    """A message; `structs` holds its nested structures by name, inner ones first."""

    name: str
    kind: str
    api_key: int | None
    versions: VersionRange
    flexible: VersionRange
    root: StructDefinition
    structs: dict[str, StructDefinition]


def parse_versions(text: str) -> VersionRange:
    """`"3"`, `"1-4"`, `"2+"` or `"none"`."""
    if text == "none":
        return NO_VERSIONS
    if text.endswith("+"):
        return VersionRange(int(text[:-1]), _ANY_LATER_VERSION)
    low, _, high = text.partition("-")
    return VersionRange(int(low), int(high or low))


def to_attribute(name: str) -> str:
    """Kafka's name in snake_case: `TopicId` to `topic_id`, `KRaftVersion` to `kraft_version`."""
    name = name.replace("KRaft", "Kraft")
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and index else letter.lower()
        for index, letter in enumerate(name)
    )


def parse_message(raw: dict[str, Any]) -> MessageDefinition:
    """A message from its line in a definitions file."""
    structs: dict[str, StructDefinition] = {}
    for common in raw.get("structs", ()):
        name = common[0].split()[0]
        structs[name] = _parse_struct(name, common[1:], structs)
    root = _parse_struct(raw["name"], raw["fields"], structs)
    return MessageDefinition(
        name=raw["name"],
        kind=raw["type"],
        api_key=raw.get("apiKey"),
        versions=parse_versions(raw["versions"]),
        flexible=parse_versions(raw["flexible"]),
        root=root,
        structs=_inner_first(root, structs),
    )


def _parse_struct(
    name: str, fields: list[Any], structs: dict[str, StructDefinition]
) -> StructDefinition:
    parsed = []
    for item in fields:
        if isinstance(item, str):
            parsed.append(_parse_field(item))
            continue
        field = _parse_field(item[0])
        structs[field.type] = _parse_struct(field.type, item[1:], structs)
        parsed.append(field)
    return StructDefinition(name, tuple(parsed))


def _parse_field(text: str) -> FieldDefinition:
    name, type_name, versions, *options = text.split(" ")
    is_array = type_name.startswith("[]")
    default: str | None = None
    nullable = tagged = NO_VERSIONS
    tag = -1
    for option in options:
        key, _, setting = option.partition("=")
        if key == "":
            default = setting
        elif key == "null":
            nullable = parse_versions(setting)
        elif key == "tag":
            number, _, tag_versions = setting.partition("@")
            tag, tagged = int(number), parse_versions(tag_versions)
    return FieldDefinition(
        name=name,
        attribute=to_attribute(name),
        type=type_name[2:] if is_array else type_name,
        is_array=is_array,
        versions=parse_versions(versions),
        default=_parse_default(type_name, default),
        nullable=nullable,
        tag=tag,
        tagged=tagged,
        ignorable="ignorable" in options,
        never_compact="flexible=none" in options,
    )


def _parse_default(type_name: str, text: str | None) -> Any:
    """The default as a Python value; `()` stands for an empty array or a default structure."""
    if text == "null":
        return None
    if type_name == "string":
        return text or ""
    if type_name in ("bytes", "records"):
        return b""
    if type_name == "bool":
        return text == "true"
    if type_name == "float64":
        return float(text or 0)
    if type_name == "uuid":
        return bytes(16)
    if type_name in FIXED_FORMATS:
        return int(text or 0)
    return ()


def _inner_first(
    root: StructDefinition, structs: dict[str, StructDefinition]
) -> dict[str, StructDefinition]:
    """The structures in an order in which each comes after those it contains."""
    ordered: dict[str, StructDefinition] = {}

    def visit(struct: StructDefinition) -> None:
        for field in struct.fields:
            if field.is_struct and field.type not in ordered:
                visit(structs[field.type])
                ordered[field.type] = structs[field.type]

    visit(root)
    return ordered
