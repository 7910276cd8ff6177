"""Snapshotting and trimming the metadata log: a new process replays little, however old the log.

When a segment is full, whoever's change began the next one writes a snapshot of the image, and
lets the log start at the new segment. The order is the promise: the snapshot is durable before
the log start moves, and the log start moves before the files that it hides go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.broker import metadata_records, metadata_snapshot
from streamlog.storage.leader_epochs import read_leader_epochs, write_leader_epochs
from streamlog.storage.names import SEGMENT_SUFFIXES, SNAPSHOT, parse_segment_name

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.properties import MetaProperties
    from streamlog.storage.slots import SharedState


def trim_is_due(log: PartitionLog, image: MetadataImage) -> bool:
    """Whether full segments lie before the active one, and a snapshot could stand for them."""
    state = log.state()
    return state.base_offset > state.log_start and image.is_complete


def trim(
    filesystem: Filesystem,
    slots: SharedState,
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
    with log.locked():
        state = log.state()
        start = min(state.base_offset, end_offset)
        if start <= state.log_start:
            return
        epochs = read_leader_epochs(filesystem, log.directory)
        if epochs.truncate_from_start(start):
            write_leader_epochs(filesystem, log.directory, epochs)
        slots.publish_state(
            log.slot, state._replace(log_start=start, generation=state.generation + 1)
        )
    _remove_hidden(filesystem, log.directory, start, end_offset)


def _remove_hidden(
    filesystem: Filesystem, directory: str, log_start: int, snapshot_end: int
) -> None:
    """Remove the segments before `log_start` and the snapshots before the newest."""
    bases = []
    for name in filesystem.listdir(directory):
        parsed = parse_segment_name(name)
        if parsed is not None and parsed.suffix in (*SEGMENT_SUFFIXES, SNAPSHOT):
            bases.append((parsed.base_offset, name))
        older = metadata_snapshot.parse_snapshot_name(name)
        if older is not None and older[0] < snapshot_end:
            bases.append((-1, name))
    for base_offset, name in bases:
        if base_offset < log_start:
            try:
                filesystem.unlink(f"{directory}/{name}")
            except FileNotFoundError:
                continue  # another process trims too
    filesystem.sync_directory(directory)
