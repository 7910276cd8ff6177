"""Generated source: written line by line, each line knowing its field, then compiled.

The generated functions hold no error handling: what goes wrong raises where it is, and the line
that raised says which field it was. So the good path pays nothing for precise errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, error, pack
from types import TracebackType
from typing import Any, NamedTuple

from streamlog.protocol.definition import FIXED_FORMATS

_INDENT = "    "
_FEW = 16  # most arrays of numbers are shorter


class ReadField(NamedTuple):
    """A field that ends `end` bytes behind the position at which the line reads."""

    path: str
    end: int

    def is_culprit(self, variables: dict[str, Any]) -> bool:
        return bool(variables["position"] + self.end > variables["size"])


class PackedField(NamedTuple):
    """A field that is packed from an attribute of the local `owner`."""

    path: str
    owner: str
    attribute: str
    type: str

    def is_culprit(self, variables: dict[str, Any]) -> bool:
        value: Any = getattr(variables[self.owner], self.attribute, None)
        try:
            pack(">" + FIXED_FORMATS[self.type], value)
        except (error, TypeError, OverflowError):
            return True
        return self.type == "uuid" and len(value) != 16


Candidate = ReadField | PackedField


class Place(NamedTuple):
    """What a line is about: the field at `path`, unless one of the others was the culprit."""

    path: str
    others: Sequence[Candidate] = ()

    def blame(self, variables: dict[str, Any]) -> str:
        culprits = (other.path for other in self.others if other.is_culprit(variables))
        return next(culprits, self.path)


class SourceWriter:
    """Collects the lines of a function and the names that they use."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._lines: list[str] = []
        self._places: list[Place] = []
        self._depth = 0
        self._about = Place("")

    def about(self, path: str, others: Sequence[Candidate] = ()) -> None:
        """The lines that follow belong to the field at `path`, unless it was one of `others`."""
        self._about = Place(path, others)

    def line(self, text: str) -> None:
        self._lines.append(_INDENT * self._depth + text)
        self._places.append(self._about)

    def open(self, text: str) -> None:
        """A line that starts a block."""
        self.line(text)
        self._depth += 1

    def close(self) -> None:
        self._depth -= 1

    def otherwise(self) -> None:
        """End a block, start its `else`."""
        self.close()
        self.open("else:")

    def method(self, name: str, form: str) -> str:
        """What stands for a method of the `struct.Struct` that has the format `form`."""
        called = f"{name}_{form.replace('?', 'o')}"
        if called not in self.namespace:
            self.namespace[called] = getattr(Struct(">" + form), name)
        return called

    def struct_of_count(self, character: str) -> str:
        """An expression: the `struct.Struct` for `count` values of a kind. Small ones are kept."""
        called = f"few_{character.replace('?', 'o')}"
        if called not in self.namespace:
            few = [Struct(f">{count}{character}") for count in range(_FEW)]
            self.namespace[called] = few
            self.namespace["Struct"] = Struct
        return f'({called}[count] if count < {_FEW} else Struct(f">{{count}}{character}"))'

    def finish(self, entry: str, title: str) -> GeneratedCode:
        """Compile what was written; `entry` is the function's name."""
        text = "\n".join(self._lines) + "\n"
        exec(compile(text, f"<{title}>", "exec"), self.namespace)
        return GeneratedCode(self.namespace[entry], text, f"<{title}>", self._places)


class GeneratedCode:
    """A compiled function, its source, and what each of its lines is about."""

    __slots__ = ("_file_name", "_places", "function", "text")

    def __init__(
        self, function: Callable[..., Any], text: str, file_name: str, places: list[Place]
    ) -> None:
        self.function = function
        self.text = text
        self._file_name = file_name
        self._places = places

    def locate(self, traceback: TracebackType | None) -> str:
        """The path of the field at which `traceback` failed, empty where it was at none."""
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_filename == self._file_name:
                return self._places[traceback.tb_lineno - 1].blame(frame.f_locals)
            traceback = traceback.tb_next
        return ""
