"""Syncing a partition over more than one segment, and the rules of what comes before what.

`PartitionWriter.sync` serves the usual case: one `fdatasync` of the active `.log`. Here is the
rest: a folder that was never synced, and segments that were rolled since. The order is the
promise. `synced_end` never enters a segment before the one before it, with its indexes, is on
the disk and the directory that names it is too. The leader epochs of the first segment follow
from its batches, all of which a recovery reads as long as the synced end is among them: so
their file is synced only when that leaves the segment.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from streamlog.storage.folder import list_bases
from streamlog.storage.names import (
    LEADER_EPOCHS,
    LOG,
    OFFSET_INDEX,
    PARTITION_METADATA,
    TIME_INDEX,
    segment_name,
)
from streamlog.storage.shared import SyncedEnd

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.shared import PartitionState
    from streamlog.storage.slots import SharedState


def sync_segments_locked(
    filesystem: Filesystem,
    slots: SharedState,
    slot: int,
    directory: str,
    retired: list[int],
) -> int:
    """Sync everything of the partition that is published now; the offset it reaches.

    Under the sync byte. `retired` are descriptors of rolled segments; they are synced too,
    since only they are sure to hear of an error from before, and left to the caller to close.
    Raises `OSError`; the synced end then stays where it was.
    """
    synced = slots.read_synced(slot)
    state = slots.read_state(slot)
    for descriptor in retired:
        filesystem.fdatasync(descriptor)
    bases = unsynced_bases(filesystem, directory, synced, state)
    if synced is not None and synced.segment not in bases:
        log_start = slots.read_state(slot).log_start
        _expect_removed(filesystem, directory, synced.segment, log_start)
    if synced is None:
        _sync_file(filesystem, f"{directory}/{PARTITION_METADATA}")
    if len(bases) > 1:
        _sync_file(filesystem, f"{directory}/{LEADER_EPOCHS}")
    for base in bases:
        if not _sync_file(filesystem, f"{directory}/{segment_name(base, LOG)}"):
            _expect_removed(filesystem, directory, base, slots.read_state(slot).log_start)
        for suffix in (OFFSET_INDEX, TIME_INDEX) if base != state.base_offset else ():
            _sync_file(filesystem, f"{directory}/{segment_name(base, suffix)}")
    if synced is None:
        sync_names(filesystem, directory)
    elif synced.segment != state.base_offset:
        filesystem.sync_directory(directory)
    end = SyncedEnd(state.base_offset, state.end_position, state.log_end)
    slots.store_synced(slot, end)
    return end.offset


def sync_identity(filesystem: Filesystem, directory: str) -> None:
    """Have on the disk what a folder's small files say: whose it is, its leader epochs."""
    for name in (PARTITION_METADATA, LEADER_EPOCHS):
        _sync_file(filesystem, f"{directory}/{name}")


def sync_names(filesystem: Filesystem, directory: str) -> None:
    """Have on the disk the names in a folder, and the folder's own."""
    filesystem.sync_directory(directory)
    filesystem.sync_directory(os.path.dirname(directory))


def unsynced_bases(
    filesystem: Filesystem, directory: str, synced: SyncedEnd | None, state: PartitionState
) -> list[int]:
    """The segments from the synced end's to the active one, in order."""
    first = -1 if synced is None else synced.segment
    found = list_bases(filesystem, directory)
    return [base for base in found if first <= base <= state.base_offset]


def _expect_removed(filesystem: Filesystem, directory: str, base: int, log_start: int) -> None:
    """Raises `FileNotFoundError` unless the log starts behind a segment that is missing."""
    if not any(base < other <= log_start for other in list_bases(filesystem, directory)):
        path = f"{directory}/{segment_name(base, LOG)}"
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _sync_file(filesystem: Filesystem, path: str) -> bool:
    """Sync a file; False when there is none: an index may be missing."""
    try:
        descriptor = filesystem.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        filesystem.fdatasync(descriptor)
    finally:
        filesystem.close(descriptor)
    return True
