"""Where a log begins, and having that on the disk: `log-start-offset-checkpoint`.

A log's start moves by one publication, after which nobody reads what lies before it, and it never
moves back while anybody has the directory open. Files go only when the checkpoint says so too:
otherwise a power cut could bring back the log start without the files, and removals that reach
the disk out of order would look like damage.

The checkpoints of a directory are written by whoever holds the structure byte of the metadata
log, so that no two processes write one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from streamlog.storage.checkpoints import raise_offsets
from streamlog.storage.names import LOG_STARTS
from streamlog.storage.structure import structure_lock

if TYPE_CHECKING:
    from streamlog.storage.partition_log import PartitionLog


def record(metadata_log: PartitionLog, logs: Collection[PartitionLog]) -> dict[PartitionLog, int]:
    """Have the published log starts of `logs` on the disk, with one write; each, by its log.

    A topic that was deleted meanwhile is left out: another one of its name may be there.
    Raises `LockTimeoutError`, and `OSError`.
    """
    directory = os.path.dirname(metadata_log.directory)
    with structure_lock(metadata_log):
        starts = {log: log.log_start for log in logs if not log._slots.is_deleted(log.slot)}
        raise_offsets(
            metadata_log._filesystem,
            f"{directory}/{LOG_STARTS}",
            {(log.topic, log.partition): start for log, start in starts.items()},
            mode=metadata_log.settings.file_mode,
        )
    return starts
