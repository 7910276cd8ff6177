"""What a backup has of one partition: its folder as a clean close at the cut would leave it."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from streamlog.broker.backup_files import FileCut
from streamlog.broker.metadata_snapshot import parse_snapshot_name
from streamlog.errors import CorruptDirectoryError, CorruptRecordError
from streamlog.storage.hidden_files import find_hidden
from streamlog.storage.leader_epochs import format_leader_epochs, read_leader_epochs
from streamlog.storage.loading import sort_names
from streamlog.storage.names import (
    LEADER_EPOCHS,
    LOG,
    METADATA_TOPIC,
    OFFSET_INDEX,
    PARTITION_METADATA,
    QUORUM_STATE,
    SNAPSHOT,
    TIME_INDEX,
    TRANSACTION_INDEX,
    partition_directory_name,
    segment_name,
)
from streamlog.storage.partition_metadata import format_partition_metadata
from streamlog.storage.producer_replay import load_producer_state
from streamlog.storage.producer_snapshot import encode_snapshot
from streamlog.storage.settling import last_time_entry

if TYPE_CHECKING:
    from streamlog.broker.backup_cut import PartitionCut
    from streamlog.broker.backup_files import BackupFiles
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.loading import PartitionFiles


class PartitionPlan(NamedTuple):
    """What goes into a partition's folder. `segments` and `snapshots` are offsets."""

    cut: PartitionCut
    folder: str
    files: list[FileCut]
    own: dict[str, bytes]
    segments: list[int]
    snapshots: list[int]


def plan_partition(filesystem: Filesystem, cut: PartitionCut) -> PartitionPlan | None:
    """What a backup has of a partition; None where it never had a folder.

    Under its structure byte. Raises `CorruptDirectoryError`, `OSError`.
    """
    log, state = cut.log, cut.state
    try:
        names = filesystem.listdir(log.directory)
    except FileNotFoundError:
        if state.log_end == 0:
            return None
        raise
    found = sort_names(names)
    if not found.segments and state.log_end == 0:
        return None
    segments = _segments_of(filesystem, cut, found)
    snapshots = [at for at in found.snapshots if segments[0] <= at <= state.log_end]
    folder = partition_directory_name(log.topic, log.partition)
    files = [
        *_segment_files(filesystem, cut, found, segments),
        *(_whole(filesystem, log.directory, segment_name(at, SNAPSHOT)) for at in snapshots),
        *_metadata_files(filesystem, cut, names),
    ]
    files = [file._replace(name=f"{folder}/{file.name}") for file in files]
    epochs = read_leader_epochs(filesystem, log.directory)
    epochs.truncate_from_end(state.log_end + 1)  # one that begins at the end is the current one
    epochs.truncate_from_start(state.log_start)
    own = {
        PARTITION_METADATA: format_partition_metadata(log.topic_id),
        LEADER_EPOCHS: format_leader_epochs(epochs),
    }
    return PartitionPlan(cut, folder, files, own, segments, snapshots)


def finish_partition(files: BackupFiles, plan: PartitionPlan) -> None:
    """Write what the backup has of its own in a folder that has its files, and sync its names."""
    for name, data in plan.own.items():
        files.write(f"{plan.folder}/{name}", data)
    state = plan.cut.state
    if state.producer_batch_end > 0 and state.log_end not in plan.snapshots:
        snapshot = _producer_snapshot(files.filesystem, f"{files.target}/{plan.folder}", plan)
        if snapshot is not None:
            files.write(f"{plan.folder}/{segment_name(state.log_end, SNAPSHOT)}", snapshot)
    files.filesystem.sync_directory(f"{files.target}/{plan.folder}")


# -------------------------------------------------------------------- its files


def _segments_of(filesystem: Filesystem, cut: PartitionCut, found: PartitionFiles) -> list[int]:
    """The segments with records that can be read, ascending; the last one is the active one."""
    log, state = cut.log, cut.state
    active = state.base_offset
    first = find_hidden(filesystem, log.directory, state.log_start, active).keep
    segments = [base for base in found.segments if first <= base < active]
    if active not in found.segments:
        missing = f"{log.directory}/{segment_name(active, LOG)}"
        raise CorruptDirectoryError(
            f"{missing} is missing: it holds records of {log.topic}-{log.partition}", file=missing
        )
    return [*segments, active]


def _segment_files(
    filesystem: Filesystem, cut: PartitionCut, found: PartitionFiles, segments: list[int]
) -> list[FileCut]:
    directory = cut.log.directory
    files: list[FileCut] = []
    for base, following in pairwise(segments):
        log = _whole(filesystem, directory, segment_name(base, LOG))
        # Records follow it on the disk: nobody appends to it again, whatever is lost or cut.
        files.append(log._replace(is_final=following < cut.synced_end))
        files += _whole_indexes(filesystem, directory, found, base)
    return files + _active_files(filesystem, cut, found)


def _whole_indexes(
    filesystem: Filesystem, directory: str, found: PartitionFiles, base: int
) -> list[FileCut]:
    indexes = [segment_name(base, end) for end in (OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX)]
    return [_whole(filesystem, directory, name) for name in indexes if name in found.names]


def _active_files(
    filesystem: Filesystem, cut: PartitionCut, found: PartitionFiles
) -> list[FileCut]:
    """The active segment up to what was published at the cut, its indexes closed."""
    state, directory = cut.state, cut.log.directory
    stem = segment_name(state.base_offset, "")
    entry = last_time_entry(state)
    files = [
        FileCut(stem + LOG, state.end_position),
        FileCut(stem + OFFSET_INDEX, state.offset_index_size),
        FileCut(stem + TIME_INDEX, state.time_index_size, tail=entry),
    ]
    files = [file for file in files if _holds(filesystem, directory, found, file)]
    if stem + TRANSACTION_INDEX in found.names:
        files.append(_whole(filesystem, directory, stem + TRANSACTION_INDEX))
    return files


def _holds(filesystem: Filesystem, directory: str, found: PartitionFiles, file: FileCut) -> bool:
    """Whether a file has what was published. An index that has not is a cache, and rebuilt."""
    if file.name.endswith(LOG):
        return True
    return file.name in found.names and (
        filesystem.file_size(f"{directory}/{file.name}") >= file.length
    )


def _metadata_files(filesystem: Filesystem, cut: PartitionCut, names: list[str]) -> list[FileCut]:
    """The metadata log's snapshots up to the cut, and what a broker keeps beside it."""
    if cut.log.topic != METADATA_TOPIC:
        return []
    wanted = []
    for name in names:
        snapshot = parse_snapshot_name(name)
        if name == QUORUM_STATE or (snapshot is not None and snapshot[0] <= cut.state.log_end):
            wanted.append(name)
    return [_whole(filesystem, cut.log.directory, name) for name in wanted]


def _whole(filesystem: Filesystem, directory: str, name: str) -> FileCut:
    return FileCut(name, filesystem.file_size(f"{directory}/{name}"))


# -------------------------------------------------------------------- its producers


def _producer_snapshot(filesystem: Filesystem, directory: str, plan: PartitionPlan) -> bytes | None:
    """The idempotent producers at the cut, out of the files that the backup has."""
    state = plan.cut.state
    try:
        table = load_producer_state(
            filesystem,
            directory,
            segments=plan.segments,
            snapshots=plan.snapshots,
            end_offset=state.log_end,
            end_position=state.end_position,
        )
    except CorruptRecordError as error:
        # Damage is backed up as it is; without a snapshot the log itself is read for producers.
        logging.getLogger("streamlog").warning("%s: no producer snapshot: %s", directory, error)
        return None
    return encode_snapshot(table) if len(table) else None
