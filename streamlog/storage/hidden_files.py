"""What lies below a log's start in a partition's folder, and is no record any more."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from streamlog.storage.names import (
    CLEANED,
    LOG,
    SEGMENT_SUFFIXES,
    SNAPSHOT,
    SWAP,
    TORN,
    parse_segment_name,
    segment_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.storage.filesystem import Filesystem


class HiddenFiles(NamedTuple):
    """`names` are the files, oldest first, each `.log` behind what is beside it: who stops in the
    middle leaves a `.log` that tells of the rest.

    `bases` are the segments among them, `keep` is the base offset of the one that stays,
    `snapshots` are the offsets of all producer snapshots, `is_interrupted` tells of files that
    somebody was making who died.
    """

    names: list[str]
    bases: list[int]
    keep: int
    snapshots: list[int]
    is_interrupted: bool


def find_hidden(filesystem: Filesystem, directory: str, log_start: int, active: int) -> HiddenFiles:
    """What lies below `log_start` in a partition's folder, whose active segment is `active`.

    The segment that holds `log_start` stays. An empty one before the active one does not count:
    a roll that was given up left it, and the log went on in the one before.
    """
    names = filesystem.listdir(directory)
    found = [(name, parsed) for name in names if (parsed := parse_segment_name(name)) is not None]
    bases = sorted(
        parsed.base_offset
        for _, parsed in found
        if parsed.suffix == LOG and parsed.base_offset <= log_start
    )
    while bases and bases[-1] != active and not log_size(filesystem, directory, bases[-1]):
        bases.pop()
    keep = bases[-1] if bases else 0
    hidden = [
        (bisect_right(bases, parsed.base_offset), parsed.suffix == LOG, name)
        for name, parsed in found
        if parsed.base_offset < keep and _goes(parsed.suffix)
    ]
    return HiddenFiles(
        [name for _, _, name in sorted(hidden)],
        bases[:-1],
        keep,
        [parsed.base_offset for _, parsed in found if parsed.suffix == SNAPSHOT],
        any(name.endswith((SWAP, CLEANED)) for name in names),
    )


def remove_files(filesystem: Filesystem, directory: str, names: Iterable[str]) -> None:
    """Remove files in this order. That they are gone is on the disk when this returns."""
    for name in names:
        with suppress(FileNotFoundError):  # a topic that is deleted meanwhile loses them, too
            filesystem.unlink(f"{directory}/{name}")
    filesystem.sync_directory(directory)


def log_size(filesystem: Filesystem, directory: str, base_offset: int) -> int:
    """The size in bytes of a segment's `.log`."""
    return filesystem.file_size(f"{directory}/{segment_name(base_offset, LOG)}")


def _goes(suffix: str) -> bool:
    """Whether files of that suffix go with their segment: what a crash tore off it does, too."""
    return suffix in SEGMENT_SUFFIXES or suffix == SNAPSHOT or suffix.endswith(TORN)
