"""Snapshotting and trimming the metadata log: a new process replays little, however old the log.

When a segment is full, whoever's change began the next one writes a snapshot of the image, and
lets the log start at the new segment. The order is the promise: the snapshot is durable before
the log start moves, and that is durable before the files that it hides go (`storage.removal`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.broker import metadata_records, metadata_snapshot
from streamlog.storage.removal import record_log_starts, remove_hidden
from streamlog.storage.structure import structure_lock

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.properties import MetaProperties


def trim(
    filesystem: Filesystem,
    log: PartitionLog,
    image: MetadataImage,
    end_offset: int,
    meta: MetaProperties,
    now_ms: int,
) -> None:
    """Write a snapshot of `image`, which is replayed up to `end_offset`, and let the log start
    at its active segment. Safe to be run by two processes, or to be cut anywhere.
    """
    epoch = log.state().leader_epoch
    data = metadata_snapshot.encode_snapshot(
        metadata_records.snapshot_records(image, meta.node_id),
        epoch=epoch,
        last_timestamp=now_ms,
        now_ms=now_ms,
    )
    name = metadata_snapshot.snapshot_name(end_offset, epoch)
    filesystem.write_atomically(f"{log.directory}/{name}", data, mode=log.settings.file_mode)
    log.advance_log_start(min(log.state().base_offset, end_offset))
    remove_hidden(log, record_log_starts(log, [log])[log])
    _remove_older_snapshots(filesystem, log, end_offset)


def _remove_older_snapshots(filesystem: Filesystem, log: PartitionLog, snapshot_end: int) -> None:
    """Remove what the newest snapshot stands for; what a power cut brings back goes next time."""
    with structure_lock(log):
        for name in filesystem.listdir(log.directory):
            older = metadata_snapshot.parse_snapshot_name(name)
            if older is not None and older[0] < snapshot_end:
                filesystem.unlink(f"{log.directory}/{name}")
