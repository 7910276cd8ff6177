"""Opening a partition that was closed cleanly, reading as little as proves that it was.

A thousand partitions are opened in half a second: one listing, the last segment's size, the
last entry of each index, the headers from there to the end, the first header. The walk has to
end exactly at the file's end and at the recovery point; otherwise this was no clean close
after all and the partition is recovered as if the power had gone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptDirectoryError
from streamlog.record.layout import HEADER_SIZE
from streamlog.storage.batch_headers import BatchHeader, read_header
from streamlog.storage.indexes import (
    OFFSET_ENTRY,
    OFFSET_ENTRY_SIZE,
    TIME_ENTRY,
    TIME_ENTRY_SIZE,
)
from streamlog.storage.leader_epochs import LeaderEpochs, parse_leader_epochs
from streamlog.storage.names import (
    LEADER_EPOCHS,
    LOG,
    OFFSET_INDEX,
    SNAPSHOT,
    TIME_INDEX,
    segment_name,
)
from streamlog.storage.partition_recovery import PartitionRecovery, missing_start
from streamlog.storage.producer_snapshot import read_snapshot
from streamlog.storage.shared import PartitionState, SyncedEnd

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.loading import PartitionFiles

_LARGEST_WALK: Final = 1 << 22
_WINDOW: Final = 1 << 14


def load_cleanly_closed(
    filesystem: Filesystem,
    directory: str,
    files: PartitionFiles,
    *,
    recovery_point: int,
    log_start: int,
    now_ms: int,
) -> PartitionRecovery | None:
    """The state of a cleanly closed partition; None when the files do not bear that out.

    Changes nothing on disk.
    """
    if not files.segments or not _indexes_are_there(files):
        return None
    state = _read_last_segment(filesystem, directory, files.segments[-1], now_ms)
    if state is None or state.log_end != recovery_point:
        return None
    epochs = _read_epochs(filesystem, directory, files)
    last_stable = _last_stable_offset(filesystem, directory, files, state.log_end)
    if epochs is None or last_stable is None:
        return None
    problems = missing_start(directory, epochs, log_start, files)
    log_start = max(log_start, files.segments[0])
    if log_start > state.log_end:
        return None
    epochs.truncate_from_end(state.log_end + 1)  # one that begins at the end is the current one
    epochs.truncate_from_start(log_start)
    latest = epochs.latest
    state = state._replace(
        log_start=log_start,
        high_watermark=state.log_end,
        last_stable_offset=last_stable,
        leader_epoch=0 if latest is None else latest.epoch,
        # Who closes leaves a snapshot where there are producers; so does a broker, always.
        producer_batch_end=state.log_end if files.snapshots else 0,
    )
    synced = SyncedEnd(state.base_offset, state.end_position, state.log_end)
    return PartitionRecovery(state, synced, epochs, problems=problems)


def _indexes_are_there(files: PartitionFiles) -> bool:
    return all(
        segment_name(base, suffix) in files.names
        for base in files.segments
        for suffix in (OFFSET_INDEX, TIME_INDEX)
    )


def _read_last_segment(
    filesystem: Filesystem, directory: str, base_offset: int, now_ms: int
) -> PartitionState | None:
    stem = f"{directory}/{segment_name(base_offset, '')}"
    offset_size, offset_tail = _read_tail(filesystem, stem + OFFSET_INDEX, OFFSET_ENTRY_SIZE)
    time_size, time_tail = _read_tail(filesystem, stem + TIME_INDEX, TIME_ENTRY_SIZE)
    if offset_size % OFFSET_ENTRY_SIZE or time_size % TIME_ENTRY_SIZE:
        return None
    indexed_offset, position = OFFSET_ENTRY.unpack(offset_tail) if offset_tail else (-1, 0)
    timestamp, timestamp_offset = TIME_ENTRY.unpack(time_tail) if time_tail else (-1, 0)
    state = PartitionState(
        base_offset=base_offset,
        log_end=base_offset,
        offset_index_size=offset_size,
        time_index_size=time_size,
        last_time_index_timestamp=timestamp,
        largest_timestamp=timestamp,
        largest_timestamp_offset=base_offset + timestamp_offset if time_tail else -1,
        created_ms=now_ms,
    )
    descriptor = filesystem.open(stem + LOG, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = filesystem.size(descriptor)
        if size == 0:
            return None if offset_size or time_size else state
        if not 0 <= position < size or size - position > _LARGEST_WALK:
            return None
        return _walk_to_end(
            filesystem, descriptor, state, size, position, base_offset + indexed_offset
        )
    finally:
        filesystem.close(descriptor)


def _walk_to_end(
    filesystem: Filesystem,
    descriptor: int,
    state: PartitionState,
    size: int,
    position: int,
    indexed_offset: int,
) -> PartitionState | None:
    """The state at the file's end, walking the headers from the last indexed batch on."""
    start = position
    timestamp, timestamp_offset = state.largest_timestamp, state.largest_timestamp_offset
    window, window_start = b"", position
    first: BatchHeader | None = None
    header: BatchHeader | None = None
    expected = state.base_offset
    while position < size:
        if position - window_start + HEADER_SIZE > len(window):
            window_start = position
            window = filesystem.pread(descriptor, min(_WINDOW, size - position), position)
        header = read_header(window, position - window_start, position, size, expected)
        if header is None:
            return None
        if position == start:
            first = header
            if state.offset_index_size and header.last_offset != indexed_offset:
                return None
        if header.max_timestamp > timestamp:
            timestamp, timestamp_offset = header.max_timestamp, header.last_offset
        position, expected = header.end, header.last_offset + 1
    if start > 0:
        data = filesystem.pread(descriptor, HEADER_SIZE, 0)
        first = read_header(data, 0, 0, size, state.base_offset)
    if first is None:
        return None
    return state._replace(
        log_end=expected,
        end_position=size,
        first_timestamp=first.max_timestamp,
        largest_timestamp=timestamp,
        largest_timestamp_offset=timestamp_offset,
        bytes_since_index_entry=size - start,
    )


def _read_tail(filesystem: Filesystem, path: str, entry_size: int) -> tuple[int, bytes]:
    """A file's size and its last entry; no bytes when it is empty or cut inside an entry."""
    descriptor = filesystem.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = filesystem.size(descriptor)
        if size < entry_size:
            return size, b""
        return size, filesystem.pread(descriptor, entry_size, size - entry_size)
    finally:
        filesystem.close(descriptor)


def _read_epochs(
    filesystem: Filesystem, directory: str, files: PartitionFiles
) -> LeaderEpochs | None:
    if LEADER_EPOCHS not in files.names:
        return LeaderEpochs()
    path = f"{directory}/{LEADER_EPOCHS}"
    try:
        return parse_leader_epochs(filesystem.read_file(path), path)
    except CorruptDirectoryError:
        return None  # recovery rebuilds it from the batches and says so


def _last_stable_offset(
    filesystem: Filesystem, directory: str, files: PartitionFiles, log_end: int
) -> int | None:
    """Where an open transaction begins, by the snapshot that a clean close leaves at the end."""
    if segment_name(log_end, SNAPSHOT) not in files.names:
        return log_end
    try:
        first_open = read_snapshot(filesystem, directory, log_end).first_open_offset
    except CorruptDirectoryError:
        return None
    return log_end if first_open is None else first_open
