"""Writes the source of a message's decode function for one version."""

from __future__ import annotations

from functools import partial
from struct import unpack_from
from typing import Any

from streamlog.protocol import primitives
from streamlog.protocol.definition import (
    FIXED_FORMATS,
    FIXED_SIZES,
    FieldDefinition,
    MessageDefinition,
    StructDefinition,
)
from streamlog.protocol.source import GeneratedCode, SourceWriter, minimum_element_size
from streamlog.protocol.uuid import Uuid

_NAMES = {name: function for name, function in vars(primitives).items() if "read_" in name}
_NAMES["MalformedError"] = primitives.MalformedError
_NAMES["unpack_from"] = unpack_from
_NAMES["Uuid"] = Uuid
# Skips the length check of Uuid.__new__: a format of "16s" has made it already.
_NAMES["make_uuid"] = partial(bytes.__new__, Uuid)


def generate_decoder(
    message: MessageDefinition, version: int, classes: dict[str, Any]
) -> GeneratedCode:
    """`function(buffer, position) -> (value, position)`; `classes` by structure name."""
    namespace: dict[str, Any] = dict(_NAMES)
    namespace.update((f"new_{name}", made) for name, made in classes.items())
    writer = SourceWriter(namespace)
    for struct in message.structs.values():
        _StructDecoder(writer, message, struct, version).write(f"decode_{struct.name}")
    _StructDecoder(writer, message, message.root, version).write("decode")
    return writer.finish("decode", f"decode {message.name} version {version}")


class _StructDecoder:
    """One structure's function. A field's local has its attribute's name and an underscore."""

    def __init__(
        self,
        writer: SourceWriter,
        message: MessageDefinition,
        struct: StructDefinition,
        version: int,
    ) -> None:
        self.writer = writer
        self.message = message
        self.struct = struct
        self.version = version
        self.flexible = version in message.flexible

    def write(self, function: str) -> None:
        writer = self.writer
        writer.about()
        writer.open(f"def {function}(buffer, position):")
        run: list[FieldDefinition] = []
        tagged: list[FieldDefinition] = []
        for field in self.struct.fields:
            if self.version not in field.versions:
                continue
            if self.version in field.tagged:
                tagged.append(field)
            elif field.is_fixed_size:
                run.append(field)
            else:
                self._write_run(run)
                run = []
                self._write_field(field)
        self._write_run(run)
        if self.flexible:
            self._write_tagged(tagged)
        self._write_return()
        writer.close()

    def _write_run(self, run: list[FieldDefinition]) -> None:
        if not run:
            return
        writer = self.writer
        writer.about(*run)
        name, size = writer.run_format(run)
        targets = "".join(f"{field.attribute}_, " for field in run)
        writer.line(f"{targets.rstrip()} = {name}.unpack_from(buffer, position)")
        writer.line(f"position += {size}")
        for field in run:
            if field.type == "uuid":
                writer.line(f"{field.attribute}_ = make_uuid({field.attribute}_)")

    def _write_field(self, field: FieldDefinition) -> None:
        self.writer.about(field)
        if field.is_array:
            self._write_array(field)
        elif field.is_struct:
            self._write_struct(field)
        else:
            reader = self._reader(field, field.type, self.version in field.nullable)
            self.writer.line(f"{field.attribute}_, position = {reader}(buffer, position)")

    def _write_struct(self, field: FieldDefinition) -> None:
        writer = self.writer
        target = f"{field.attribute}_"
        call = f"{target}, position = decode_{field.type}(buffer, position)"
        if self.version not in field.nullable:
            writer.line(call)
            return
        writer.line("present = buffer[position]")
        writer.line("position += 1")
        # Null is -1 in a signed byte where the field is not tagged, else 0 in a varint.
        writer.open(f"if present {'== 0' if self.version in field.tagged else '> 127'}:")
        writer.line(f"{target} = None")
        writer.close()
        writer.open("else:")
        writer.line(call)
        writer.close()

    def _write_array(self, field: FieldDefinition) -> None:
        writer = self.writer
        nullable = self.version in field.nullable
        minimum = minimum_element_size(self.message, field, self.version)
        reader = self._reader(field, "count", nullable)
        writer.line(f"count, position = {reader}(buffer, position, {minimum})")
        if nullable:
            writer.open("if count is None:")
            writer.line(f"{field.attribute}_ = None")
            writer.close()
            writer.open("else:")
        self._write_elements(field)
        if nullable:
            writer.close()

    def _write_elements(self, field: FieldDefinition) -> None:
        writer = self.writer
        target = f"{field.attribute}_"
        if field.type == "uuid":
            writer.line("stop = position + 16 * count")
            span = "buffer[start:start + 16]"
            writer.line(f"{target} = [Uuid({span}) for start in range(position, stop, 16)]")
            writer.line("position = stop")
        elif field.type in FIXED_FORMATS:
            form = f'f">{{count}}{FIXED_FORMATS[field.type]}"'
            writer.line(f"{target} = list(unpack_from({form}, buffer, position))")
            writer.line(f"position += {FIXED_SIZES[field.type]} * count")
        else:
            reader = (
                f"decode_{field.type}"
                if field.is_struct
                else self._reader(field, field.type, nullable=False)
            )
            writer.line(f"{target} = []")
            writer.open("for _ in range(count):")
            writer.line(f"item, position = {reader}(buffer, position)")
            writer.line(f"{target}.append(item)")
            writer.close()

    def _write_tagged(self, tagged: list[FieldDefinition]) -> None:
        writer = self.writer
        for field in tagged:
            writer.line(f"{field.attribute}_ = {self._default(field)}")
        writer.about()
        writer.line("unknown = ()")
        writer.line("tags, position = read_uvarint(buffer, position)")
        writer.open("if tags:")
        writer.line("unknown = []")
        writer.open("for _ in range(tags):")
        writer.line("tag, position, stop_of_tag = read_tag(buffer, position)")
        keyword = "if"
        for field in tagged:
            writer.about(field)
            writer.open(f"{keyword} tag == {field.tag}:")
            if field.is_fixed_size:
                self._write_run([field])
            else:
                self._write_field(field)
            writer.open("if position != stop_of_tag:")
            writer.line('raise MalformedError("its size is not the announced one")')
            writer.close()
            writer.close()
            keyword = "elif"
        writer.about()
        if tagged:
            writer.open("else:")
        writer.line("unknown.append((tag, bytes(buffer[position:stop_of_tag])))")
        writer.line("position = stop_of_tag")
        if tagged:
            writer.close()
        writer.close()
        writer.line("unknown = tuple(unknown)")
        writer.close()

    def _write_return(self) -> None:
        arguments = [
            f"{field.attribute}_" if self.version in field.versions else self._default(field)
            for field in self.struct.fields
        ]
        if self.flexible:
            arguments.append("unknown")
        self.writer.about()
        self.writer.line(f"return new_{self.struct.name}({', '.join(arguments)}), position")

    def _default(self, field: FieldDefinition) -> str:
        """An expression for the value of a field that is not there."""
        if field.default is None:
            return "None"
        if field.is_array:
            return "[]"
        if field.is_struct:
            return f"new_{field.type}()"
        return "Uuid.ZERO" if field.type == "uuid" else repr(field.default)

    def _reader(self, field: FieldDefinition, kind: str, nullable: bool) -> str:
        compact = "compact_" if self.flexible and not field.never_compact else ""
        return f"read_{compact}{'nullable_' if nullable else ''}{kind}"
