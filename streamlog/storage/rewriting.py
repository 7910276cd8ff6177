"""Writing a poisoned partition anew: after a failed sync its page cache is not to be trusted.

The kernel reports a failed write-back once and then calls the pages clean: a second sync says
yes over data that the disk never got. So every segment that holds bytes past the synced end is
copied to a file of its own, synced, and put in the place of the old one. A crash in between
leaves a `.cleaned` file, which the next loading removes, or the old file, still poisoned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage.names import (
    CLEANED,
    LEADER_EPOCHS,
    LOG,
    OFFSET_INDEX,
    PARTITION_METADATA,
    TIME_INDEX,
    segment_name,
)
from streamlog.storage.shared import SyncedEnd
from streamlog.storage.sync import sync_names
from streamlog.storage.tearing import copy_range

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_recovery import PartitionRecovery


def rewrite_unsynced(
    filesystem: Filesystem, directory: str, segments: list[int], found: PartitionRecovery
) -> None:
    """Copy, sync and swap the segments from `found.synced` on; then all of it is synced.

    What was read from the cache has been checked before. `OSError` when the disk still fails:
    the partition stays poisoned, and nothing is worse than before.
    """
    state = found.state
    first = -1 if found.synced is None else found.synced.segment
    rewritten = [base for base in segments if first <= base <= state.base_offset]
    names: list[str] = []
    for base_offset in rewritten:
        names += copy_segment(
            filesystem,
            directory,
            base_offset,
            filesystem.file_size(f"{directory}/{segment_name(base_offset, LOG)}"),
            sealed=base_offset != state.base_offset,
        )
    swap_in(filesystem, directory, names)
    if found.synced is None:
        rewrite_identity(filesystem, directory)
    sync_names(filesystem, directory)
    found.state = state._replace(poisoned=0)
    found.synced = SyncedEnd(state.base_offset, state.end_position, state.log_end)
    # What others saw before the failure may have differed: readers have to look again.
    found.lost_tail = True


def copy_segment(
    filesystem: Filesystem, directory: str, base_offset: int, end: int, *, sealed: bool
) -> list[str]:
    """Copy a segment up to byte `end` beside itself, synced; the names of the files copied.

    With its indexes when it is sealed: nobody writes or syncs those again.
    """
    log = segment_name(base_offset, LOG)
    copy_range(filesystem, f"{directory}/{log}", 0, end, f"{directory}/{log}{CLEANED}")
    copied = [log]
    for suffix in (OFFSET_INDEX, TIME_INDEX) if sealed else ():
        name = segment_name(base_offset, suffix)
        path = f"{directory}/{name}"
        if filesystem.exists(path):
            copy_range(filesystem, path, 0, filesystem.file_size(path), path + CLEANED)
            copied.append(name)
    return copied


def swap_in(filesystem: Filesystem, directory: str, names: list[str]) -> None:
    """Give each copy its file's name; each step leaves bytes that are the same."""
    for name in names:
        filesystem.rename(f"{directory}/{name}{CLEANED}", f"{directory}/{name}")


def rewrite_identity(filesystem: Filesystem, directory: str) -> None:
    """Write anew what says whose the folder is: its sync may be the one that failed.

    The names follow when the caller syncs them.
    """
    for name in (PARTITION_METADATA, LEADER_EPOCHS):
        path = f"{directory}/{name}"
        if filesystem.exists(path):
            filesystem.write_atomically(path, filesystem.read_file(path), sync_parent=False)
