"""Java properties files, and the two of them that a log directory holds (facts 1.3).

`meta.properties` is Kafka's: who the directory belongs to. `streamlog.properties` is ours: the
number of the format, so that a newer one is refused instead of misread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streamlog.errors import CorruptDirectoryError, UnsupportedFormatError
from streamlog.storage.checkpoints import int_or_none
from streamlog.storage.format_number import FORMAT
from streamlog.storage.names import META, STREAMLOG_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.storage.filesystem import Filesystem

_UNESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", "\\": "\\\\"}
_SEPARATORS = " \t\f=:"


class MetaProperties(msgspec.Struct, frozen=True):
    """The identity of a log directory, version 1 (KRaft). Ids are Kafka's 22-character text."""

    cluster_id: str
    node_id: int
    directory_id: str


def parse_properties(data: bytes) -> dict[str, str]:
    """The pairs of a Java properties file, with its comments, escapes and continued lines.

    Raises `ValueError` for a malformed `\\uXXXX`.
    """
    pairs: dict[str, str] = {}
    for line in _logical_lines(data.decode("latin-1")):
        key, value = _split_pair(line)
        pairs[_unescape(key)] = _unescape(value)
    return pairs


def format_properties(pairs: Mapping[str, str], comment: str | None = None) -> bytes:
    """A properties file: the comment, then `key=value` lines in the mapping's order."""
    lines = [] if comment is None else [f"#{comment}"]
    lines += [
        f"{_escape(key, key=True)}={_escape(value, key=False)}" for key, value in pairs.items()
    ]
    return ("\n".join(lines) + "\n").encode("latin-1")


def parse_meta_properties(data: bytes, file: str = META) -> MetaProperties:
    """Read version 1; `CorruptDirectoryError` (`file`) for anything else, naming what is wrong."""
    pairs = _parse_file(data, file)
    version = pairs.get("version", "0")
    if version != "1":
        raise CorruptDirectoryError(
            f"{file} has version {version!r}; version 1 (KRaft) is expected", file=file
        )
    node_id = int_or_none(pairs.get("node.id", ""))
    if node_id is None or "cluster.id" not in pairs:
        raise CorruptDirectoryError(f"{file} lacks cluster.id or a numeric node.id", file=file)
    return MetaProperties(pairs["cluster.id"], node_id, pairs.get("directory.id", ""))


def format_meta_properties(meta: MetaProperties) -> bytes:
    """The bytes of `meta.properties`."""
    pairs = {
        "cluster.id": meta.cluster_id,
        "directory.id": meta.directory_id,
        "node.id": str(meta.node_id),
        "version": "1",
    }
    return format_properties({key: value for key, value in pairs.items() if value})


def read_meta_properties(filesystem: Filesystem, directory: str) -> MetaProperties:
    """The identity of `directory`. Raises `CorruptDirectoryError`, `FileNotFoundError`."""
    path = f"{directory}/{META}"
    return parse_meta_properties(filesystem.read_file(path), path)


def read_streamlog_format(filesystem: Filesystem, directory: str) -> int | None:
    """The format number of a directory, None when streamlog never wrote it.

    Raises `UnsupportedFormatError` (`found`, `known`) for one above `FORMAT`;
    whether that stops the caller is its to decide (reading is allowed).
    """
    path = f"{directory}/{STREAMLOG_PROPERTIES}"
    if not filesystem.exists(path):
        return None
    found = int_or_none(_parse_file(filesystem.read_file(path), path).get("format", ""))
    if found is None or found < 1:
        raise CorruptDirectoryError(f"{path} does not say its format", file=path)
    if found > FORMAT:
        raise UnsupportedFormatError(
            f"{directory} was written by a newer streamlog (format {found}, known is "
            f"{FORMAT}); upgrade, or open it with read_only=True",
            found=found,
            known=FORMAT,
        )
    return found


def write_streamlog_format(
    filesystem: Filesystem, directory: str, *, mode: int = 0o600, sync_parent: bool = True
) -> None:
    """Write `streamlog.properties`, atomically; durably once the directory is synced."""
    filesystem.write_atomically(
        f"{directory}/{STREAMLOG_PROPERTIES}",
        format_properties({"format": str(FORMAT)}),
        mode=mode,
        sync_parent=sync_parent,
    )


def _parse_file(data: bytes, file: str) -> dict[str, str]:
    try:
        return parse_properties(data)
    except ValueError as error:
        text = f"{file} is not a properties file: {error}"
        raise CorruptDirectoryError(text, file=file) from error


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    continued = False
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = raw.lstrip(" \t\f")
        if not continued and (not line or line[0] in "#!"):
            continue
        backslashes = len(line) - len(line.rstrip("\\"))
        goes_on = backslashes % 2 == 1
        part = line[:-1] if goes_on else line
        if continued:
            lines[-1] += part
        else:
            lines.append(part)
        continued = goes_on
    return lines


def _split_pair(line: str) -> tuple[str, str]:
    end = 0
    while end < len(line) and line[end] not in _SEPARATORS:
        end += 2 if line[end] == "\\" else 1
    rest = line[end:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return line[:end], rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    result = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\" and position < len(text):
            character = text[position]
            position += 1
            if character == "u":
                result.append(chr(int(text[position : position + 4].ljust(4, "?"), 16)))
                position += 4
                continue
            character = _UNESCAPED.get(character, character)
        result.append(character)
    return "".join(result)


def _escape(text: str, *, key: bool) -> str:
    result = []
    for index, character in enumerate(text):
        if character in _ESCAPED:
            result.append(_ESCAPED[character])
        elif character in "=:#!" or (character == " " and (key or index == 0)):
            result.append("\\" + character)
        elif not " " <= character <= "~":
            units = character.encode("utf-16-be").hex()
            result += [f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)]
        else:
            result.append(character)
    return "".join(result)
