"""Kafka's checkpoint text files (facts 1.1): a version, a count, then one entry a line.

    0
    2
    orders 0 1042
    orders 1 77

The offset checkpoints at the top of a directory and the leader epochs inside a partition
share this form. A file whose count is wrong is refused whole: half of it would be worse than
none. Writing is atomic (temporary file, sync, rename, directory sync).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.names import (
    CLEANER_OFFSETS,
    HIGH_WATERMARKS,
    LOG_STARTS,
    RECOVERY_POINTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamlog.storage.filesystem import Filesystem

_VERSION = "0"


def parse_checkpoint(data: bytes, file: str, columns: int) -> list[list[str]]:
    """The entries' words, `columns` a line. An empty file has none.

    Raises `CorruptDirectoryError` naming `file` for anything Kafka would not read.
    """
    if not data.strip():
        return []
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise _malformed(file, "it is not text") from error
    if lines[0].strip() != _VERSION:
        raise _malformed(file, f"its version is {lines[0][:20]!r}, known is {_VERSION}")
    count = int_or_none(lines[1]) if len(lines) > 1 else None
    rows = [words for line in lines[2:] if (words := line.split())]
    if count is None or count != len(rows):
        raise _malformed(file, f"it has {len(rows)} entries where its count says {count}")
    for words in rows:
        if len(words) != columns:
            raise _malformed(file, f"the line {' '.join(words)[:80]!r} has not {columns} words")
    return rows


def format_checkpoint(rows: Iterable[str]) -> bytes:
    """The file's bytes for entries that are already one line each."""
    lines = list(rows)
    return "\n".join([_VERSION, str(len(lines)), *lines, ""]).encode()


def parse_offset_checkpoint(data: bytes, file: str) -> dict[tuple[str, int], int]:
    """`{(topic, partition): offset}` of a directory's checkpoint.

    Raises `CorruptDirectoryError` for a malformed file.
    """
    offsets: dict[tuple[str, int], int] = {}
    for topic, partition_text, offset_text in parse_checkpoint(data, file, columns=3):
        partition, offset = int_or_none(partition_text), int_or_none(offset_text)
        if partition is None or offset is None or partition < 0 or offset < 0:
            raise _malformed(file, f"{topic} {partition_text} {offset_text} are not numbers")
        offsets[topic, partition] = offset
    return offsets


def format_offset_checkpoint(offsets: Mapping[tuple[str, int], int]) -> bytes:
    """The bytes of a directory's checkpoint, in the mapping's order."""
    return format_checkpoint(
        f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()
    )


def read_offset_checkpoint(filesystem: Filesystem, path: str) -> dict[tuple[str, int], int]:
    """Read a directory's checkpoint; a missing one is empty.

    Raises `CorruptDirectoryError` for a malformed file; what it then means is the caller's
    to decide (a recovery point becomes 0, a log start the first segment).
    """
    if not filesystem.exists(path):
        return {}
    return parse_offset_checkpoint(filesystem.read_file(path), path)


def write_offset_checkpoint(
    filesystem: Filesystem,
    path: str,
    offsets: Mapping[tuple[str, int], int],
    *,
    mode: int = 0o600,
) -> None:
    """Replace a directory's checkpoint atomically and durably."""
    filesystem.write_atomically(path, format_offset_checkpoint(offsets), mode=mode)


def raise_offsets(
    filesystem: Filesystem,
    path: str,
    offsets: Mapping[tuple[str, int], int],
    *,
    mode: int = 0o600,
) -> None:
    """Have a directory's checkpoint say these offsets at least; what it says of others stays.

    One that cannot be read vouches for nothing, and is written anew.
    """
    try:
        known = read_offset_checkpoint(filesystem, path)
    except CorruptDirectoryError:
        known = {}
    raised = {**known, **{key: max(offset, known.get(key, 0)) for key, offset in offsets.items()}}
    if raised != known:
        write_offset_checkpoint(filesystem, path, raised, mode=mode)


def forget_topic(filesystem: Filesystem, directory: str, topic: str, *, mode: int = 0o600) -> None:
    """Take a topic out of the checkpoints in `directory`: they know topics by name only.

    What they say of a deleted topic would later be believed of another one of that name.
    """
    for name in (RECOVERY_POINTS, LOG_STARTS, HIGH_WATERMARKS, CLEANER_OFFSETS):
        path = f"{directory}/{name}"
        try:
            offsets = read_offset_checkpoint(filesystem, path)
        except CorruptDirectoryError:
            continue  # it vouches for nothing, and is written anew when the directory is closed
        kept = {key: offset for key, offset in offsets.items() if key[0] != topic}
        if kept != offsets:
            write_offset_checkpoint(filesystem, path, kept, mode=mode)


def int_or_none(text: str) -> int | None:
    """A decimal of at most 20 characters, or None: no surprise from `int()`'s dialect."""
    stripped = text.strip()
    digits = stripped.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return None
    return int(stripped)


def _malformed(file: str, why: str) -> CorruptDirectoryError:
    return CorruptDirectoryError(f"checkpoint {file} cannot be read: {why}", file=file)
