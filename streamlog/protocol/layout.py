"""What a message looks like in one version: the tree from which both generators write."""

from __future__ import annotations

from typing import Any

import msgspec

from streamlog.protocol.definition import (
    FIXED_SIZES,
    FieldDefinition,
    MessageDefinition,
    StructDefinition,
)


class FieldLayout(msgspec.Struct, frozen=True):
    """A field as one version has it.

    `path` leads to it from the message: `Topics.Partitions.Index`. `struct` is the layout of a
    structure, or of an array's elements.
    """

    path: str
    attribute: str
    type: str
    default: Any
    tag: int
    is_array: bool
    is_absent: bool
    is_ignorable: bool
    is_tagged: bool
    is_nullable: bool
    is_compact: bool
    struct: StructLayout | None

    @property
    def is_fixed_size(self) -> bool:
        return self.type in FIXED_SIZES and not self.is_array

    @property
    def least_size(self) -> int:
        """The least number of bytes that the field takes."""
        if self.is_absent or self.is_tagged:
            return 0
        if self.is_fixed_size:
            return FIXED_SIZES[self.type]
        if self.struct is not None and not self.is_array:
            return 1 if self.is_nullable else self.struct.least_size
        return self._least_head

    @property
    def least_element_size(self) -> int:
        """The least number of bytes that one element of the array takes.

        Never none (a test says so), or a count could not be held against the bytes that are there.
        """
        if self.struct is not None:
            return max(1, self.struct.least_size)
        return FIXED_SIZES.get(self.type) or self.element._least_head

    @property
    def element(self) -> FieldLayout:
        """An element of the array as a field of its own."""
        return msgspec.structs.replace(
            self, attribute="item", is_array=False, is_nullable=False, is_tagged=False
        )

    @property
    def _least_head(self) -> int:
        if self.is_compact:
            return 1
        return 2 if self.type == "string" and not self.is_array else 4


class StructLayout(msgspec.Struct, frozen=True):
    """A structure as one version has it.

    `members` are all its fields, in the order of the definition, also those that only other
    versions have.
    """

    name: str
    path: str
    members: tuple[FieldLayout, ...]
    is_flexible: bool

    @property
    def fields(self) -> list[FieldLayout]:
        """The fields that are always there, in the order of their bytes."""
        return [field for field in self.members if not (field.is_absent or field.is_tagged)]

    @property
    def tagged(self) -> list[FieldLayout]:
        """The tagged fields, in the order of their tags."""
        found = [field for field in self.members if field.is_tagged and not field.is_absent]
        return sorted(found, key=lambda field: field.tag)

    @property
    def absent(self) -> list[FieldLayout]:
        """The fields that this version does not have."""
        return [field for field in self.members if field.is_absent]

    @property
    def least_size(self) -> int:
        """The least number of bytes that the structure takes."""
        return sum(field.least_size for field in self.members) + self.is_flexible


def lay_out(message: MessageDefinition, version: int) -> StructLayout:
    """The layout of `message` in `version`, which is one of those that it has."""
    return _lay_out_struct(message, message.root, version, "")


def _lay_out_struct(
    message: MessageDefinition, struct: StructDefinition, version: int, path: str
) -> StructLayout:
    members = tuple(_lay_out_field(message, field, version, path) for field in struct.fields)
    return StructLayout(struct.name, path, members, version in message.flexible)


def _lay_out_field(
    message: MessageDefinition, field: FieldDefinition, version: int, parent: str
) -> FieldLayout:
    path = f"{parent}.{field.name}" if parent else field.name
    struct = None
    if field.is_struct and version in field.versions:
        struct = _lay_out_struct(message, message.structs[field.type], version, path)
    return FieldLayout(
        path=path,
        attribute=field.attribute,
        type=field.type,
        default=field.default,
        tag=field.tag,
        is_array=field.is_array,
        is_absent=version not in field.versions,
        is_ignorable=field.ignorable,
        is_tagged=version in field.tagged,
        is_nullable=version in field.nullable,
        is_compact=version in message.flexible and not field.never_compact,
        struct=struct,
    )
