"""What a clean end leaves of a partition's active segment (facts 1.7)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from streamlog.storage import failures

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.partition_log import PartitionLog
    from streamlog.storage.shared import PartitionState

_TIME_ENTRY = struct.Struct(">qi")


def last_time_entry(state: PartitionState) -> bytes:
    """What the active segment's time index lacks at a clean end: its largest timestamp."""
    if state.largest_timestamp <= state.last_time_index_timestamp:
        return b""
    relative = state.largest_timestamp_offset - state.base_offset
    return _TIME_ENTRY.pack(state.largest_timestamp, relative)


def settle_indexes(log: PartitionLog) -> None:
    """Give the active segment's indexes their last entry and exact length, on the disk.

    A broker takes an index at its length for full. Raises `DiskFullError`, `InputOutputError`.
    """
    state = log.state()
    if state.log_end == state.base_offset:
        return
    while True:
        log._ensure_open()
        with log._files_lock:  # nobody closes what is written to here
            if log.writer.base_offset < 0:
                continue  # another thread needed room, and closed it just now
            try:
                _settle(log)
            except OSError as error:
                raise failures.cannot_open(log, error) from error
            return


def _settle(log: PartitionLog) -> None:
    writer, filesystem = log.writer, log._filesystem
    with log.locked():
        state = _settle_locked(
            filesystem, log.state(), writer.offset_index_fd, writer.time_index_fd
        )
        log._slots.publish_state(log.slot, state)
    for descriptor in (writer.offset_index_fd, writer.time_index_fd):
        filesystem.fdatasync(descriptor)


def _settle_locked(
    filesystem: Filesystem, state: PartitionState, offset_index: int, time_index: int
) -> PartitionState:
    """Append the last time index entry and cut what nobody published; the state to publish."""
    entry = last_time_entry(state)
    if entry:
        filesystem.write_all(time_index, entry, state.time_index_size)
        state = state._replace(
            time_index_size=state.time_index_size + len(entry),
            last_time_index_timestamp=state.largest_timestamp,
        )
    sizes = ((offset_index, state.offset_index_size), (time_index, state.time_index_size))
    for descriptor, size in sizes:
        if filesystem.size(descriptor) > size:
            filesystem.truncate(descriptor, size)
    return state
