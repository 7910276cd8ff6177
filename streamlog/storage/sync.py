"""Syncing a partition over more than one segment, and the rules of what comes before what.

`PartitionWriter.sync` serves the usual case: one `fdatasync` of the active `.log`. Here is the
rest: a folder that was never synced, and segments that were rolled since. The order is the
promise. `synced_end` never enters a segment before the one before it, with its indexes, is on
the disk and the directory that names it is too. The leader epochs of the first segment follow
from its batches, all of which a recovery reads as long as the synced end is among them: so
their file is synced only when that leaves the segment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streamlog.storage.names import (
    LEADER_EPOCHS,
    LOG,
    OFFSET_INDEX,
    PARTITION_METADATA,
    TIME_INDEX,
    parse_segment_name,
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
    bases = _unsynced_bases(filesystem, directory, synced, state)
    if synced is None:
        _sync_file(filesystem, f"{directory}/{PARTITION_METADATA}")
    if len(bases) > 1:
        _sync_file(filesystem, f"{directory}/{LEADER_EPOCHS}")
    for base in bases:
        sealed = base != state.base_offset
        for suffix in (LOG, OFFSET_INDEX, TIME_INDEX) if sealed else (LOG,):
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


def _unsynced_bases(
    filesystem: Filesystem, directory: str, synced: SyncedEnd | None, state: PartitionState
) -> list[int]:
    """The segments from the synced end's to the active one, in order."""
    first = -1 if synced is None else synced.segment
    bases = []
    for name in filesystem.listdir(directory):
        parsed = parse_segment_name(name)
        if parsed is not None and parsed.suffix == LOG:
            bases.append(parsed.base_offset)
    return [base for base in sorted(bases) if first <= base <= state.base_offset]


def _sync_file(filesystem: Filesystem, path: str) -> None:
    try:
        descriptor = filesystem.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        # Retention or a deletion took the file while we looked; an index may be missing.
        return
    try:
        filesystem.fdatasync(descriptor)
    finally:
        filesystem.close(descriptor)
