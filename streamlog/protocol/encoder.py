"""Writes the source of a message's encode function for one version."""

from __future__ import annotations

from struct import pack
from typing import Any

from streamlog.protocol import primitives
from streamlog.protocol.definition import (
    FIXED_FORMATS,
    FieldDefinition,
    MessageDefinition,
    StructDefinition,
)
from streamlog.protocol.source import GeneratedCode, SourceWriter
from streamlog.protocol.uuid import Uuid

_NAMES = {name: function for name, function in vars(primitives).items() if "write_" in name}
_NAMES["MalformedError"] = primitives.MalformedError
_NAMES["as_uuid"] = primitives.as_uuid
_NAMES["pack"] = pack
_NAMES["Uuid"] = Uuid


def generate_encoder(
    message: MessageDefinition, version: int, classes: dict[str, Any]
) -> GeneratedCode:
    """`function(out, value)`, which appends to the bytearray `out`; `classes` by structure."""
    namespace: dict[str, Any] = dict(_NAMES)
    namespace.update((f"default_{name}", made()) for name, made in classes.items())
    writer = SourceWriter(namespace)
    for struct in message.structs.values():
        _StructEncoder(writer, message, struct, version).write(f"encode_{struct.name}")
    _StructEncoder(writer, message, message.root, version).write("encode")
    return writer.finish("encode", f"encode {message.name} version {version}")


class _StructEncoder:
    """One structure's function."""

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
        writer.open(f"def {function}(out, value):")
        run: list[FieldDefinition] = []
        tagged: list[FieldDefinition] = []
        for field in self.struct.fields:
            if self.version not in field.versions:
                self._write_refusal(field)
            elif self.version in field.tagged:
                tagged.append(field)
            elif field.is_fixed_size:
                run.append(field)
            else:
                self._write_run(run)
                run = []
                self._write_field(field, "out")
        self._write_run(run)
        self._write_tagged(sorted(tagged, key=lambda field: field.tag))
        writer.close()

    def _write_refusal(self, field: FieldDefinition) -> None:
        """A value that this version cannot express is an error, unless it may be ignored."""
        if field.ignorable:
            return
        self.writer.about(field)
        self.writer.open(f"if {self._differs(field)}:")
        self.writer.line('raise MalformedError("this version cannot express a value of it")')
        self.writer.close()

    def _write_run(self, run: list[FieldDefinition], out: str = "out") -> None:
        if not run:
            return
        self.writer.about(*run)
        name, _ = self.writer.run_format(run)
        values = ", ".join(
            f"as_uuid(value.{field.attribute})"
            if field.type == "uuid"
            else f"value.{field.attribute}"
            for field in run
        )
        self.writer.line(f"{out} += {name}.pack({values})")

    def _write_field(self, field: FieldDefinition, out: str) -> None:
        writer = self.writer
        writer.about(field)
        nullable = self.version in field.nullable
        if nullable:
            writer.open(f"if value.{field.attribute} is None:")
            writer.line(self._null(field, out))
            writer.close()
            writer.open("else:")
        if field.is_array:
            self._write_array(field, out)
        elif field.is_struct:
            if nullable:
                writer.line(f"{out}.append(1)")
            writer.line(f"encode_{field.type}({out}, value.{field.attribute})")
        else:
            writer.line(f"{self._writer_of(field, field.type)}({out}, value.{field.attribute})")
        if nullable:
            writer.close()

    def _null(self, field: FieldDefinition, out: str) -> str:
        if field.is_struct and not field.is_array:
            # Kafka's generator: a signed byte where the field is not tagged, else a varint.
            return f"{out}.append({0 if self.version in field.tagged else 255})"
        if self._is_compact(field):
            return f"{out}.append(0)"
        size = 2 if field.type == "string" and not field.is_array else 4
        return f"{out} += {bytes([255] * size)!r}"

    def _write_array(self, field: FieldDefinition, out: str) -> None:
        writer = self.writer
        writer.line(f"items = value.{field.attribute}")
        writer.line(f"{self._writer_of(field, 'count')}({out}, items)")
        if field.type != "uuid" and field.type in FIXED_FORMATS:
            form = f'f">{{len(items)}}{FIXED_FORMATS[field.type]}"'
            writer.line(f"{out} += pack({form}, *items)")
            return
        writer.open("for item in items:")
        if field.type == "uuid":
            writer.line(f"{out} += as_uuid(item)")
        elif field.is_struct:
            writer.line(f"encode_{field.type}({out}, item)")
        else:
            writer.line(f"{self._writer_of(field, field.type)}({out}, item)")
        writer.close()

    def _write_tagged(self, tagged: list[FieldDefinition]) -> None:
        writer = self.writer
        if not self.flexible:
            writer.about()
            if self.message.flexible.low <= self.message.flexible.high:
                writer.open("if value.unknown_tagged_fields:")
                writer.line('raise MalformedError("this version has no tagged fields")')
                writer.close()
            writer.line("return")
            return
        writer.line("sections = []")
        for field in tagged:
            writer.about(field)
            writer.open(f"if {self._differs(field)}:")
            writer.line("section = bytearray()")
            if field.is_fixed_size:
                self._write_run([field], "section")
            else:
                self._write_field(field, "section")
            writer.line(f"sections.append(({field.tag}, section))")
            writer.close()
        writer.about()
        writer.open("if sections or value.unknown_tagged_fields:")
        writer.line("write_tagged_fields(out, sections, value.unknown_tagged_fields)")
        writer.close()
        writer.open("else:")
        writer.line("out.append(0)")
        writer.close()

    def _differs(self, field: FieldDefinition) -> str:
        """An expression that is true when a field is not at its default."""
        value = f"value.{field.attribute}"
        if field.default is None:
            return f"{value} is not None"
        if field.is_array:
            return f"{value} is None or len({value})"
        if field.is_struct:
            return f"{value} != default_{field.type}"
        return f"{value} != {'Uuid.ZERO' if field.type == 'uuid' else repr(field.default)}"

    def _writer_of(self, field: FieldDefinition, kind: str) -> str:
        return f"write_{'compact_' if self._is_compact(field) else ''}{kind}"

    def _is_compact(self, field: FieldDefinition) -> bool:
        return self.flexible and not field.never_compact
