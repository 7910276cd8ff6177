"""A partition's folder: made at the first append, its active segment's files opened for it.

The topic's record is durable in the metadata before its folder appears. Nothing here is
synced: the partition's first sync does that (`sync.py`), and until then nothing in the folder
was promised to survive more than the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from streamlog.storage.leader_epochs import LeaderEpochs, format_leader_epochs
from streamlog.storage.names import (
    LEADER_EPOCHS,
    LOG,
    OFFSET_INDEX,
    PARTITION_METADATA,
    TIME_INDEX,
    parse_segment_name,
    segment_name,
)
from streamlog.storage.partition_metadata import format_partition_metadata

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem


class ActiveFiles(NamedTuple):
    """Descriptors of the segment that is appended to."""

    log: int
    offset_index: int
    time_index: int


def directory_mode(file_mode: int) -> int:
    """The mode of a folder whose files have `file_mode`: who may read may also enter."""
    return file_mode | (file_mode & 0o444) >> 2


def list_bases(filesystem: Filesystem, directory: str) -> list[int]:
    """The base offsets of the segments in a folder, ascending: published, removed or neither."""
    parsed = map(parse_segment_name, filesystem.listdir(directory))
    return sorted(name.base_offset for name in parsed if name is not None and name.suffix == LOG)


def create_folder(
    filesystem: Filesystem, directory: str, topic_id: bytes, leader_epoch: int, file_mode: int
) -> None:
    """Make the folder and say whose it is. Under the partition's lock; idempotent."""
    if not filesystem.is_directory(directory):
        filesystem.mkdir(directory, directory_mode(file_mode))
    identity = format_partition_metadata(topic_id)
    _write_whole(filesystem, f"{directory}/{PARTITION_METADATA}", identity, file_mode)
    epochs = format_leader_epochs(LeaderEpochs([(leader_epoch, 0)]))
    _write_whole(filesystem, f"{directory}/{LEADER_EPOCHS}", epochs, file_mode)
    for suffix in (LOG, OFFSET_INDEX, TIME_INDEX):
        path = f"{directory}/{segment_name(0, suffix)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        filesystem.close(filesystem.open(path, flags, file_mode))


def _write_whole(filesystem: Filesystem, path: str, content: bytes, file_mode: int) -> None:
    """Have the file hold `content`, also when a full disk or a dead process left half of it."""
    if filesystem.exists(path) and filesystem.read_file(path) == content:
        return
    try:
        filesystem.write_file(path, content, mode=file_mode, sync=False)
    except OSError:
        if filesystem.exists(path):
            filesystem.unlink(path)
        raise


def open_active_files(
    filesystem: Filesystem, directory: str, base_offset: int, file_mode: int
) -> ActiveFiles:
    """Open the segment at `base_offset` for appending; a missing index is begun again.

    Raises `FileNotFoundError` when there is no such `.log`.
    """
    opened: list[int] = []
    try:
        for suffix, create in ((LOG, 0), (OFFSET_INDEX, os.O_CREAT), (TIME_INDEX, os.O_CREAT)):
            path = f"{directory}/{segment_name(base_offset, suffix)}"
            flags = os.O_RDWR | os.O_NOFOLLOW | create
            opened.append(filesystem.open(path, flags, file_mode))
    except BaseException:
        for descriptor in opened:
            filesystem.close(descriptor)
        raise
    return ActiveFiles(*opened)
