"""Writes the source of a message's decode function for one version.

It is one function, and nothing is called where the bytes are as they mostly are: fields of fixed
size are unpacked in runs, and a run takes along the first byte or bytes of the length, count or
marker that is behind it. A field's local has its attribute's name and the depth of its structure.
"""

from __future__ import annotations

from struct import calcsize
from typing import Any

from streamlog.protocol import primitives
from streamlog.protocol.definition import FIXED_FORMATS, FIXED_SIZES, MessageDefinition
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out
from streamlog.protocol.source import GeneratedCode, ReadField, SourceWriter
from streamlog.protocol.uuid import Uuid

_NAMES = {
    "MalformedError": primitives.MalformedError,
    "Uuid": Uuid,
    "make_uuid": primitives.make_uuid,
    "no_count": primitives.no_count,
    "no_extent": primitives.no_extent,
    "read_tag": primitives.read_tag,
    "read_unknown_tags": primitives.read_unknown_tags,
    "read_uuids": primitives.read_uuids,
    "read_uvarint": primitives.read_uvarint,
}


def generate_decoder(
    message: MessageDefinition, version: int, classes: dict[str, Any]
) -> GeneratedCode:
    """`function(buffer, position, size) -> (value, position)`; `size` is the buffer's length.

    `classes` are those of the values by their structures' names.
    """
    namespace: dict[str, Any] = dict(_NAMES)
    namespace.update((f"new_{name}", made) for name, made in classes.items())
    writer = SourceWriter(namespace)
    writer.open("def decode(buffer, position, size):")
    _DecoderWriter(writer).struct(lay_out(message, version), "value = {}", 0)
    writer.line("return value, position")
    writer.close()
    return writer.finish("decode", f"decode {message.name} version {version}")


class _DecoderWriter:
    def __init__(self, writer: SourceWriter) -> None:
        self.writer = writer

    def struct(self, layout: StructLayout, sink: str, depth: int) -> None:
        """Read a structure; `sink` is the line in which its value takes the place of `{}`."""
        run: list[FieldLayout] = []
        for field in layout.fields:
            if field.is_fixed_size:
                run.append(field)
            else:
                self.field(field, depth, run)
                run = []
        if layout.is_flexible:
            self.run(run, depth, "tags", "B", layout.path)
            self.tags(layout, depth)
        else:
            self.run(run, depth)
        arguments = [
            _default(field) if field.is_absent else f"{field.attribute}_{depth}"
            for field in layout.members
        ]
        if layout.is_flexible:
            arguments.append(f"unknown_{depth}")
        self.writer.about("")
        self.writer.line(sink.format(f"new_{layout.name}({', '.join(arguments)})"))

    def run(
        self,
        fields: list[FieldLayout],
        depth: int,
        head: str = "",
        head_format: str = "",
        head_path: str = "",
    ) -> None:
        """Read `fields` at once, and behind them `head`, which belongs to `head_path`."""
        if not fields and not head:
            return
        writer = self.writer
        names = [f"{field.attribute}_{depth}" for field in fields]
        places = []
        end = 0
        for field in fields:
            end += FIXED_SIZES[field.type]
            places.append(ReadField(field.path, end))
        if head:
            names.append(head)
            end += calcsize(head_format)
        writer.about(head_path if head else fields[-1].path, places)
        if head_format == "B" and not fields:
            writer.line(f"{head} = buffer[position]")
        else:
            form = "".join(FIXED_FORMATS[field.type] for field in fields) + head_format
            reader = writer.method("unpack_from", form)
            comma = "," if len(names) == 1 else ""
            writer.line(f"{', '.join(names)}{comma} = {reader}(buffer, position)")
        writer.line(f"position += {end}")
        for field, name in zip(fields, names, strict=False):
            if field.type == "uuid":
                writer.line(f"{name} = make_uuid({name})")

    def field(self, field: FieldLayout, depth: int, run: list[FieldLayout]) -> None:
        """Read a field of variable size, and the fixed-size ones in front of it with its head."""
        writer = self.writer
        target = f"{field.attribute}_{depth}"
        if field.struct is not None and not field.is_array and not field.is_nullable:
            self.run(run, depth)
            self.struct(field.struct, f"{target} = {{}}", depth + 1)
            return
        head = "count" if field.is_array else "marker" if field.struct else "length"
        is_null, head_format = _head_of(field)
        self.run(run, depth, head, head_format, field.path)
        writer.about(field.path)
        if head_format == "B":
            writer.open(f"if {head} > 127:")
            writer.line(f"{head}, position = read_uvarint(buffer, position - 1)")
            writer.close()
        if field.is_nullable:
            writer.open(f"if {head} {is_null}:")
            writer.line(f"{target} = None")
            writer.otherwise()
        if field.is_array:
            self.array(field, target, depth)
        elif field.struct is not None:
            self.struct(field.struct, f"{target} = {{}}", depth + 1)
        else:
            self.extent(field, target)
        if field.is_nullable:
            writer.close()

    def extent(self, field: FieldLayout, target: str) -> None:
        """Read `length` bytes as a string, bytes or records."""
        writer = self.writer
        writer.line(f"stop = position + length{' - 1' if field.is_compact else ''}")
        writer.open(f"if {'stop > size' if field.is_nullable else 'not position <= stop <= size'}:")
        writer.line("raise no_extent(stop - position, size - position)")
        writer.close()
        if field.type == "string":
            writer.line(f'{target} = str(buffer[position:stop], "utf-8")')
        elif field.type == "bytes":
            writer.line(f"{target} = bytes(buffer[position:stop])")
        else:
            writer.line(f"{target} = memoryview(buffer)[position:stop]")
        writer.line("position = stop")

    def array(self, field: FieldLayout, target: str, depth: int) -> None:
        """Read `count` elements."""
        writer = self.writer
        if field.is_compact:
            writer.line("count -= 1")
        writer.open(f"if not 0 <= count * {field.least_element_size} <= size - position:")
        writer.line("raise no_count(count, size - position)")
        writer.close()
        if field.type == "uuid":
            writer.line(f"{target} = read_uuids(buffer, position, count)")
            writer.line("position += 16 * count")
        elif field.type in FIXED_FORMATS:
            struct = writer.struct_of_count(FIXED_FORMATS[field.type])
            writer.line(f"{target} = list({struct}.unpack_from(buffer, position))")
            writer.line(f"position += {FIXED_SIZES[field.type]} * count")
        else:
            writer.line(f"{target} = []")
            writer.open("for _ in range(count):")
            if field.struct is not None:
                self.struct(field.struct, f"{target}.append({{}})", depth + 1)
            else:
                self.field(field.element, depth + 1, [])
                writer.line(f"{target}.append(item_{depth + 1})")
            writer.close()

    def tags(self, layout: StructLayout, depth: int) -> None:
        """Read the section of `tags` tagged fields."""
        writer = self.writer
        unknown, end = f"unknown_{depth}", f"end_{depth}"
        tagged = layout.tagged
        for field in tagged:
            writer.line(f"{field.attribute}_{depth} = {_default(field)}")
        writer.about(layout.path)
        writer.line(f"{unknown} = ()")
        writer.open("if tags:")
        if not tagged:
            writer.line(f"{unknown}, position = read_unknown_tags(buffer, position - 1, size)")
            writer.close()
            return
        writer.line("tags, position = read_uvarint(buffer, position - 1)")
        writer.line(f"{unknown} = []")
        writer.open("for _ in range(tags):")
        writer.line(f"tag, position, {end} = read_tag(buffer, position, size)")
        for field in tagged:
            writer.open(f"if tag == {field.tag}:")
            self.tagged_field(field, depth)
            writer.open(f"if position != {end}:")
            writer.line('raise MalformedError("its size is not the announced one")')
            writer.close()
            writer.line("continue")
            writer.close()
        writer.about(layout.path)
        writer.line(f"{unknown}.append((tag, bytes(buffer[position:{end}])))")
        writer.line(f"position = {end}")
        writer.close()
        writer.line(f"{unknown} = tuple({unknown})")
        writer.close()

    def tagged_field(self, field: FieldLayout, depth: int) -> None:
        if field.is_fixed_size:
            self.run([field], depth)
        else:
            self.field(field, depth, [])
        self.writer.about(field.path)


def _head_of(field: FieldLayout) -> tuple[str, str]:
    """How null is told from the head of a field, and the head's format."""
    if field.struct is not None and not field.is_array:
        # Kafka's generator: a signed byte where the field is not tagged, else a varint.
        return ("== 0", "B") if field.is_tagged else ("< 0", "b")
    if field.is_compact:
        return "== 0", "B"
    return "< 0", "h" if field.type == "string" and not field.is_array else "i"


def _default(field: FieldLayout) -> str:
    """An expression for the value of a field that is not there."""
    if field.default is None:
        return "None"
    if field.is_array:
        return "[]"
    if field.default == ():
        return f"new_{field.type}()"
    return "Uuid.ZERO" if field.type == "uuid" else repr(field.default)
