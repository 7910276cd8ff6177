"""Generated source: written line by line, each line knowing its field, then compiled.

The generated functions hold no error handling: what goes wrong raises where it is, and the line
that raised says which field it was. So the good path pays nothing for precise errors.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from types import TracebackType
from typing import Any

from streamlog.protocol.definition import (
    FIXED_FORMATS,
    FIXED_SIZES,
    FieldDefinition,
    MessageDefinition,
    StructDefinition,
)

_INDENT = "    "


class SourceWriter:
    """Collects the lines of one function set and the names that they use."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._lines: list[str] = []
        self._fields: list[tuple[FieldDefinition, ...]] = []
        self._depth = 0
        self._field: tuple[FieldDefinition, ...] = ()

    def about(self, *fields: FieldDefinition) -> None:
        """The lines that follow belong to these fields."""
        self._field = fields

    def line(self, text: str) -> None:
        self._lines.append(_INDENT * self._depth + text)
        self._fields.append(self._field)

    def open(self, text: str) -> None:
        """A line that starts a block."""
        self.line(text)
        self._depth += 1

    def close(self) -> None:
        self._depth -= 1

    def run_format(self, fields: list[FieldDefinition]) -> tuple[str, int]:
        """The name of the `struct.Struct` for a run of fixed-size fields, and its size."""
        characters = "".join(FIXED_FORMATS[field.type] for field in fields)
        name = f"run_{characters}".replace("?", "B8")
        if name not in self.namespace:
            self.namespace[name] = Struct(">" + characters)
        size: int = self.namespace[name].size
        return name, size

    def finish(self, entry: str, title: str) -> GeneratedCode:
        """Compile what was written; `entry` is the function that starts it."""
        text = "\n".join(self._lines) + "\n"
        exec(compile(text, f"<{title}>", "exec"), self.namespace)
        return GeneratedCode(self.namespace[entry], text, f"<{title}>", self._fields)


class GeneratedCode:
    """A compiled function, its source, and the field of each of its lines."""

    __slots__ = ("_fields", "_file_name", "function", "text")

    def __init__(
        self,
        function: Callable[..., Any],
        text: str,
        file_name: str,
        fields: list[tuple[FieldDefinition, ...]],
    ) -> None:
        self.function = function
        self.text = text
        self._file_name = file_name
        self._fields = fields

    def locate(self, traceback: TracebackType | None) -> str:
        """The path of the field at which `traceback` failed, e.g. `Voters.VoterId`."""
        path = []
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self._file_name:
                fields = self._fields[traceback.tb_lineno - 1]
                if fields:
                    path.append(_culprit(fields, traceback.tb_frame.f_locals).name)
            traceback = traceback.tb_next
        return ".".join(path)


def _culprit(fields: tuple[FieldDefinition, ...], variables: dict[str, Any]) -> FieldDefinition:
    """Which field of a run it was: the value that cannot be packed, or the first one cut off."""
    if len(fields) == 1:
        return fields[0]
    if "value" in variables:
        for field in fields:
            if not _can_pack(field, getattr(variables["value"], field.attribute, None)):
                return field
        return fields[-1]
    remaining = len(variables["buffer"]) - variables["position"]
    for field in fields:
        remaining -= FIXED_SIZES[field.type]
        if remaining < 0:
            return field
    return fields[-1]


def _can_pack(field: FieldDefinition, value: Any) -> bool:
    try:
        Struct(">" + FIXED_FORMATS[field.type]).pack(value)
    except Exception:  # noqa: BLE001 - any failure whatever answers the question
        return False
    return field.type != "uuid" or len(value) == 16


def minimum_size(message: MessageDefinition, struct: StructDefinition, version: int) -> int:
    """The least number of bytes that `struct` takes in `version`."""
    flexible = version in message.flexible
    total = 1 if flexible else 0
    for field in struct.fields:
        if version in field.versions and version not in field.tagged:
            total += minimum_field_size(message, field, version)
    return total


def minimum_field_size(message: MessageDefinition, field: FieldDefinition, version: int) -> int:
    """The least number of bytes that `field` takes in `version`."""
    compact = version in message.flexible and not field.never_compact
    if field.is_array:
        return 1 if compact else 4
    if field.type == "string":
        return 1 if compact else 2
    if field.type in ("bytes", "records"):
        return 1 if compact else 4
    if field.is_struct:
        if version in field.nullable:
            return 1
        return minimum_size(message, message.structs[field.type], version)
    return FIXED_SIZES[field.type]


def minimum_element_size(message: MessageDefinition, field: FieldDefinition, version: int) -> int:
    """The least number of bytes that one element of an array takes, and never less than one."""
    if field.is_struct:
        return max(1, minimum_size(message, message.structs[field.type], version))
    if field.type in FIXED_SIZES:
        return FIXED_SIZES[field.type]
    compact = version in message.flexible
    return 1 if compact else 2 if field.type == "string" else 4
