"""What a partition's folder holds, and finishing what a dead process left half done there.

Kafka's order (facts 1.12): `.deleted` files go; an incomplete compaction (`.cleaned`, and the
`.swap` files it had already renamed) is undone; a complete one (`.swap` only) is finished; then
the segments are what `.log` files there are, and indexes without a `.log` go. Only who opens
the directory alone does this. Files whose names are not understood are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streamlog.storage.names import (
    CHECKPOINT,
    CLEANED,
    DELETED,
    INDEX_SUFFIXES,
    LOG,
    SEGMENT_SUFFIXES,
    SNAPSHOT,
    SWAP,
    TORN,
    parse_segment_name,
    segment_name,
)
from streamlog.storage.segment_scan import next_offset_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.storage.filesystem import Filesystem


class PartitionFiles(msgspec.Struct):
    """The names in a partition's folder, sorted out. Offsets ascend."""

    segments: list[int]
    snapshots: list[int]
    torn: list[str]
    names: frozenset[str]


def load_partition_files(filesystem: Filesystem, directory: str) -> PartitionFiles:
    """List `directory` and finish or undo what was interrupted there. Idempotent.

    Raises `FileNotFoundError` when there is no such folder.
    """
    names = filesystem.listdir(directory)
    if any(name.endswith((DELETED, CLEANED, SWAP, ".tmp")) for name in names):
        finish_interrupted(filesystem, directory, names)
        names = filesystem.listdir(directory)
    files = sort_names(names)
    orphans = _orphan_indexes(files)
    for name in orphans:
        filesystem.unlink(f"{directory}/{name}")
    if orphans:
        files.names = files.names.difference(orphans)
    return files


def sort_names(names: Iterable[str]) -> PartitionFiles:
    """Sort out the names of a partition's folder; changes nothing."""
    segments, snapshots, torn = [], [], []
    known = frozenset(names)
    for name in known:
        parsed = parse_segment_name(name)
        if parsed is None:
            continue
        if parsed.suffix == LOG:
            segments.append(parsed.base_offset)
        elif parsed.suffix == SNAPSHOT:
            snapshots.append(parsed.base_offset)
        elif parsed.suffix.endswith(TORN):
            torn.append(name)
    return PartitionFiles(sorted(segments), sorted(snapshots), sorted(torn), known)


def finish_interrupted(filesystem: Filesystem, directory: str, names: list[str]) -> None:
    """Steps 1 and 2 of Kafka's loading: deletions, and compaction's swap either way.

    Every step can be cut and done again: what is removed is removed before the directory is
    synced, and a swap is rolled forward only while its source is still there.
    """
    cleaned = [name for name in names if name.endswith(CLEANED)]
    swaps = [name for name in names if name.endswith(SWAP)]
    cleaned_bases = [_base_of(name) for name in cleaned if _base_of(name) >= 0]
    doomed = [name for name in names if name.endswith(DELETED) and CHECKPOINT not in name]
    doomed += [name for name in names if name.endswith(".tmp")]
    if cleaned_bases:
        undone = [name for name in swaps if _base_of(name) >= min(cleaned_bases)]
        # Before the `.cleaned` go: they are what says that these swaps are incomplete.
        _unlink_all(filesystem, directory, undone)
        swaps = [name for name in swaps if name not in set(undone)]
    _unlink_all(filesystem, directory, doomed)
    _unlink_all(filesystem, directory, cleaned)
    if swaps:
        gone = {*doomed, *cleaned}
        _roll_forward(filesystem, directory, swaps, [name for name in names if name not in gone])


def finish_swaps(filesystem: Filesystem, directory: str, active: int) -> None:
    """Roll forward an exchange of segments that was published as under way. Idempotent.

    For who holds the structure byte, beside others who have the directory open; what they make
    lies behind the segment `active`.
    """
    names = filesystem.listdir(directory)
    swaps = [name for name in names if name.endswith(SWAP)]
    if swaps:
        _roll_forward(filesystem, directory, swaps, names)
    else:
        filesystem.sync_directory(directory)  # the last renames may not be on the disk
    orphans = _orphan_indexes(sort_names(filesystem.listdir(directory)))
    _unlink_all(filesystem, directory, [name for name in orphans if _base_of(name) < active])


def undo_swaps(filesystem: Filesystem, directory: str) -> None:
    """Remove what an exchange made that was never published, the last thing made first.

    For who holds the structure byte, beside others who have the directory open.
    """
    names = filesystem.listdir(directory)
    _unlink_all(filesystem, directory, [name for name in names if name.endswith(SWAP)])
    _unlink_all(filesystem, directory, [name for name in names if name.endswith(CLEANED)])


def _roll_forward(
    filesystem: Filesystem, directory: str, swaps: list[str], names: list[str]
) -> None:
    """Put complete swaps in the place of the segments that they replace."""
    known = frozenset(names)
    logs = {name for name in swaps if name.removesuffix(SWAP).endswith(LOG)}
    bases = {_base_of(name) for name in logs}
    # An index whose log is no swap, and whose name is taken, was forgotten by an undoing. Where
    # the name is free it belongs to a log that was renamed before it, which is Kafka's order.
    orphans = {
        name for name in swaps if _base_of(name) not in bases and name.removesuffix(SWAP) in known
    }
    _unlink_all(filesystem, directory, sorted(orphans))
    if logs:
        end = max(
            next_offset_of(filesystem, f"{directory}/{name}", _base_of(name)) for name in logs
        )
        replaced = _replaced(known, min(bases), end)
        # Indexes first: beside a log that is gone they would be taken for the new one's.
        _unlink_all(filesystem, directory, [name for name in replaced if not name.endswith(LOG)])
        _unlink_all(filesystem, directory, [name for name in replaced if name.endswith(LOG)])
    # Logs last: while one is still a `.swap`, the next loading comes here again.
    for name in sorted({*swaps} - orphans, key=lambda name: (name in logs, name)):
        filesystem.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix(SWAP)}")
    filesystem.sync_directory(directory)


def _replaced(names: frozenset[str], first: int, end: int) -> list[str]:
    """The files of segments from `first` to `end`, whose place is taken by swaps."""
    found = []
    for name in names:
        parsed = parse_segment_name(name)
        if parsed is None or parsed.suffix not in SEGMENT_SUFFIXES:
            continue
        if first <= parsed.base_offset < end and not _was_swapped(names, name, parsed.base_offset):
            found.append(name)
    return sorted(found)


def _was_swapped(names: frozenset[str], name: str, base_offset: int) -> bool:
    """Whether an index is a swap itself, that was renamed already while its log was not."""
    log = segment_name(base_offset, LOG)
    return log + SWAP in names and log not in names and name + SWAP not in names


def _orphan_indexes(files: PartitionFiles) -> list[str]:
    segments = frozenset(files.segments)
    return [
        name
        for name in files.names
        if name.endswith(INDEX_SUFFIXES)
        and (parsed := parse_segment_name(name)) is not None
        and parsed.suffix in INDEX_SUFFIXES
        and parsed.base_offset not in segments
    ]


def _base_of(name: str) -> int:
    parsed = parse_segment_name(name)
    return -1 if parsed is None else parsed.base_offset


def _unlink_all(filesystem: Filesystem, directory: str, names: Iterable[str]) -> None:
    done = False
    for name in names:
        filesystem.unlink(f"{directory}/{name}")
        done = True
    if done:
        filesystem.sync_directory(directory)
