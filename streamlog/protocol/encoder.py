"""Writes the source of a message's encode function for one version.

It is one function, and nothing is called for what is short and plain: fields of fixed size are
packed in runs. A field's local has its attribute's name and the depth of its structure.
"""

from __future__ import annotations

from typing import Any

from streamlog.protocol import primitives
from streamlog.protocol.definition import FIXED_FORMATS, MessageDefinition
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out
from streamlog.protocol.source import GeneratedCode, PackedField, SourceWriter
from streamlog.protocol.uuid import Uuid

_NAMES = {
    "MalformedError": primitives.MalformedError,
    "Uuid": Uuid,
    "as_uuid": primitives.as_uuid,
    "length_of": primitives.length_of,
    "write_bytes": primitives.write_bytes,
    "write_compact_bytes": primitives.write_compact_bytes,
    "write_compact_records": primitives.write_compact_records,
    "write_long_length": primitives.write_long_length,
    "write_records": primitives.write_records,
    "write_tagged_fields": primitives.write_tagged_fields,
    "write_uvarint": primitives.write_uvarint,
}


def generate_encoder(
    message: MessageDefinition, version: int, classes: dict[str, Any]
) -> GeneratedCode:
    """`function(out, value, cuts)`, which appends to the bytearray `out`.

    Where `cuts` is a list, large records are not appended but noted there. `classes` are those
    of the values by their structures' names.
    """
    namespace: dict[str, Any] = dict(_NAMES)
    namespace.update((f"default_{name}", made()) for name, made in classes.items())
    writer = SourceWriter(namespace)
    keeps_unknown = message.flexible.low <= message.flexible.high
    writer.open("def encode(out, value, cuts):")
    _EncoderWriter(writer, keeps_unknown).struct(lay_out(message, version), "value", "out", 0)
    writer.line("return")
    writer.close()
    return writer.finish("encode", f"encode {message.name} version {version}")


class _EncoderWriter:
    def __init__(self, writer: SourceWriter, keeps_unknown: bool) -> None:
        self.writer = writer
        self.keeps_unknown = keeps_unknown  # whether any version has tagged fields

    def struct(self, layout: StructLayout, value: str, out: str, depth: int) -> None:
        """Append the structure that the local `value` is."""
        for field in layout.absent:
            if not field.is_ignorable:
                self.refusal(field, value)
        run: list[FieldLayout] = []
        for field in layout.fields:
            if field.is_fixed_size:
                run.append(field)
            else:
                self.run(run, value, out)
                self.field(field, value, out, depth)
                run = []
        self.run(run, value, out)
        if layout.is_flexible:
            self.tags(layout, value, out, depth)
        elif self.keeps_unknown:
            self.writer.about("")
            self.writer.open(f"if {value}.unknown_tagged_fields:")
            self.writer.line('raise MalformedError("this version has no tagged fields")')
            self.writer.close()

    def refusal(self, field: FieldLayout, value: str) -> None:
        """What this version cannot express is an error, unless it may be ignored."""
        self.writer.about(field.path)
        self.writer.open(f"if {_differs(field, f'{value}.{field.attribute}')}:")
        self.writer.line('raise MalformedError("this version cannot express a value of it")')
        self.writer.close()

    def run(self, fields: list[FieldLayout], value: str, out: str) -> None:
        """Append `fields`, all of fixed size, at once."""
        if not fields:
            return
        writer = self.writer
        places = [PackedField(each.path, value, each.attribute, each.type) for each in fields]
        writer.about(fields[-1].path, places)
        form = "".join(FIXED_FORMATS[field.type] for field in fields)
        arguments = [
            f"as_uuid({value}.{field.attribute})"
            if field.type == "uuid"
            else f"{value}.{field.attribute}"
            for field in fields
        ]
        writer.line(f"{out} += {writer.method('pack', form)}({', '.join(arguments)})")

    def field(self, field: FieldLayout, value: str, out: str, depth: int) -> None:
        """Append a field of variable size."""
        writer = self.writer
        local = f"{field.attribute}_{depth}"
        writer.about(field.path)
        writer.line(f"{local} = {value}.{field.attribute}")
        if field.is_nullable:
            writer.open(f"if {local} is None:")
            writer.line(_null(field, out))
            writer.otherwise()
        if field.is_array:
            self.array(field, local, out, depth)
        elif field.struct is not None:
            if field.is_nullable:
                writer.line(f"{out}.append(1)")
            self.struct(field.struct, local, out, depth + 1)
        else:
            self.content(field, local, out)
        if field.is_nullable:
            writer.close()

    def content(self, field: FieldLayout, local: str, out: str) -> None:
        """Append a string, bytes or records."""
        writer = self.writer
        if field.type != "string":
            name = f"write_{'compact_' if field.is_compact else ''}{field.type}"
            # Within a tagged field's section positions are not those of the output.
            cuts = "" if field.type == "bytes" else ", cuts" if out == "out" else ", None"
            writer.line(f"{name}({out}, {local}{cuts})")
            return
        writer.line(f"raw = {local}.encode()")
        if field.is_compact:
            writer.line("length = len(raw) + 1")
            writer.open("if length < 128:")
            writer.line(f"{out}.append(length)")
            writer.otherwise()
            writer.line(f"write_long_length({out}, length)")
            writer.close()
        else:
            writer.line(f"{out} += {writer.method('pack', 'h')}(len(raw))")
        writer.line(f"{out} += raw")

    def array(self, field: FieldLayout, local: str, out: str, depth: int) -> None:
        """Append an array's count and elements."""
        writer = self.writer
        writer.line(f"count = {'len' if field.struct else 'length_of'}({local})")
        if field.is_compact:
            writer.open("if count < 127:")
            writer.line(f"{out}.append(count + 1)")
            writer.otherwise()
            writer.line(f"write_uvarint({out}, count + 1)")
            writer.close()
        else:
            writer.line(f"{out} += {writer.method('pack', 'i')}(count)")
        if field.type != "uuid" and field.type in FIXED_FORMATS:
            struct = writer.struct_of_count(FIXED_FORMATS[field.type])
            writer.line(f"{out} += {struct}.pack(*{local})")
            return
        item = f"item_{depth + 1}"
        writer.open(f"for {item} in {local}:")
        if field.struct is not None:
            self.struct(field.struct, item, out, depth + 1)
        elif field.type == "uuid":
            writer.line(f"{out} += as_uuid({item})")
        else:
            self.content(field, item, out)
        writer.close()

    def tags(self, layout: StructLayout, value: str, out: str, depth: int) -> None:
        """Append the section of tagged fields: those that are not at their defaults."""
        writer = self.writer
        sections, section = f"sections_{depth}", f"section_{depth}"
        tagged = layout.tagged
        if tagged:
            writer.line(f"{sections} = []")
        for field in tagged:
            writer.about(field.path)
            writer.open(f"if {_differs(field, f'{value}.{field.attribute}')}:")
            writer.line(f"{section} = bytearray()")
            if field.is_fixed_size:
                self.run([field], value, section)
            else:
                self.field(field, value, section, depth)
            writer.line(f"{sections}.append(({field.tag}, {section}))")
            writer.close()
        writer.about(layout.path)
        unknown = f"{value}.unknown_tagged_fields"
        writer.open(f"if {f'{sections} or ' if tagged else ''}{unknown}:")
        writer.line(f"write_tagged_fields({out}, {sections if tagged else '()'}, {unknown})")
        writer.otherwise()
        writer.line(f"{out}.append(0)")
        writer.close()


def _null(field: FieldLayout, out: str) -> str:
    if field.struct is not None and not field.is_array:
        # Kafka's generator: a signed byte where the field is not tagged, else a varint.
        return f"{out}.append({0 if field.is_tagged else 255})"
    if field.is_compact:
        return f"{out}.append(0)"
    size = 2 if field.type == "string" and not field.is_array else 4
    return f"{out} += {bytes([255] * size)!r}"


def _differs(field: FieldLayout, value: str) -> str:
    """An expression that is true when a field is not at its default."""
    if field.default is None:
        return f"{value} is not None"
    if field.is_array:
        return f"{value} is None or len({value})"
    if field.default == ():
        return f"{value} != default_{field.type}"
    return f"{value} != {'Uuid.ZERO' if field.type == 'uuid' else repr(field.default)}"
