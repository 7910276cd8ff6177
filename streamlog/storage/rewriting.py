"""Writing a poisoned partition anew: after a failed sync its page cache is not to be trusted.

The kernel reports a failed write-back once and then calls the pages clean: a second sync says
yes over data that the disk never got. So every segment that holds bytes past the synced end is
copied to a file of its own, synced, and put in the place of the old one. A crash in between
leaves a `.cleaned` file, which the next loading removes, or the old file, still poisoned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.storage.names import CLEANED, LOG, segment_name
from streamlog.storage.shared import SyncedEnd
from streamlog.storage.sync import sync_identity, sync_names
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
    for base_offset in rewritten:
        path = f"{directory}/{segment_name(base_offset, LOG)}"
        copy = f"{path}{CLEANED}"
        size = filesystem.file_size(path)
        copy_range(filesystem, path, 0, size, copy)
    for base_offset in rewritten:
        path = f"{directory}/{segment_name(base_offset, LOG)}"
        filesystem.rename(f"{path}{CLEANED}", path)
    if found.synced is None:
        sync_identity(filesystem, directory)
    sync_names(filesystem, directory)
    found.state = state._replace(poisoned=0)
    found.synced = SyncedEnd(state.base_offset, state.end_position, state.log_end)
    # What others saw before the failure may have differed: readers have to look again.
    found.lost_tail = True
