"""Exchanging the segments of a group for those that it was cleaned into.

The order is the promise. `.cleaned` becomes `.swap`, the last segment first: while one of the
`.cleaned` is left, a crash undoes them all. When every `.swap` is on the disk the exchange is
complete, and a crash rolls it forward (`loading`). It is published as under way, so that nobody
believes what he finds; the old files go, the new ones take their names, and that is published.

Of the old files a transaction index that has no successor goes first, and the records go before
the other indexes: beside records, old or new, never stands an index that says too much of them
or, of what was aborted, too little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage.names import (
    CLEANED,
    LOG,
    SEGMENT_SUFFIXES,
    SWAP,
    parse_segment_name,
    segment_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.storage.log_cleaner import CleanedGroup
    from streamlog.storage.partition_log import PartitionLog

_UNDER_WAY = 1


def swap_in_locked(log: PartitionLog, group: CleanedGroup) -> None:
    """Put the cleaned segments in the place of their sources. Under the structure byte.

    Raises `OSError`, and `LockTimeoutError` when somebody does not let go of the partition's lock:
    the next holder of the structure byte finishes, or undoes, what was begun.
    """
    filesystem, directory = log._filesystem, log.directory
    for segment in reversed(group.segments):
        for name in segment.names:
            filesystem.rename(f"{directory}/{name}{CLEANED}", f"{directory}/{name}{SWAP}")
        filesystem.sync_directory(directory)
    _publish(log, restructuring=_UNDER_WAY)
    for names in _old_files(group, frozenset(filesystem.listdir(directory))):
        for name in names:
            filesystem.unlink(f"{directory}/{name}")
        if names:
            filesystem.sync_directory(directory)
    new = [name for segment in group.segments for name in segment.names]
    for name in sorted(new, key=_is_log):  # while a log is still a `.swap`, it goes on from there
        filesystem.rename(f"{directory}/{name}{SWAP}", f"{directory}/{name}")
    filesystem.sync_directory(directory)
    _publish(log, restructuring=0)


def _old_files(group: CleanedGroup, present: frozenset[str]) -> Iterator[list[str]]:
    """What goes, in the order in which it goes; each step is on the disk before the next."""
    new = {name for segment in group.segments for name in segment.names}
    kept = {segment.base_offset for segment in group.segments}
    old = [
        name
        for base_offset in group.sources
        for suffix in SEGMENT_SUFFIXES
        if (name := segment_name(base_offset, suffix)) in present
    ]
    forgotten = [name for name in old if name not in new and _base_of(name) in kept]
    yield forgotten
    yield [name for name in old if _is_log(name)]
    yield [name for name in old if not _is_log(name) and name not in forgotten]


def _publish(log: PartitionLog, *, restructuring: int) -> None:
    with log.locked():
        state = log.state()._replace(restructuring=restructuring)
        if not restructuring:
            state = state._replace(
                generation=state.generation + 1, swap_generation=state.swap_generation + 1
            )
        log._slots.publish_state(log.slot, state)


def _is_log(name: str) -> bool:
    return name.endswith(LOG)


def _base_of(name: str) -> int:
    parsed = parse_segment_name(name)
    assert parsed is not None
    return parsed.base_offset
