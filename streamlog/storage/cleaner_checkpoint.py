"""How far each log is compacted: `cleaner-offset-checkpoint` (facts 5.2), as Kafka has it.

What it says is a promise about keys below an offset, so it is written when the segments are in
their places. A log is in it before its first segment is exchanged, too: that is how its readers
know that offsets may be missing, also when its topic is compacted no more. And what may lose
offsets is below its recovery point first: above that a recovery takes a gap for a hole that a
power cut left, and cuts.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.checkpoints import (
    raise_offsets,
    read_offset_checkpoint,
    write_offset_checkpoint,
)
from streamlog.storage.names import CLEANER_OFFSETS, RECOVERY_POINTS
from streamlog.storage.structure import structure_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlog.storage.filesystem import FileIdentity, Filesystem
    from streamlog.storage.partition_log import PartitionLog


class CleanerOffsets:
    """The checkpoint of the directory at `path`, read again when it is another file than before.

    One that cannot be read is empty: compaction then begins anew, which loses nothing.
    """

    __slots__ = ("_filesystem", "_identity", "_offsets", "_path")

    def __init__(self, filesystem: Filesystem, path: str) -> None:
        self._filesystem = filesystem
        self._path = f"{path}/{CLEANER_OFFSETS}"
        self._identity: FileIdentity | None = None
        self._offsets: dict[tuple[str, int], int] = {}

    @property
    def offsets(self) -> Mapping[tuple[str, int], int]:
        """By topic and partition the first offset that no pass has looked at."""
        try:
            identity = self._filesystem.identity(self._path)
        except FileNotFoundError:
            return {}
        if identity != self._identity:
            with suppress(CorruptDirectoryError):
                self._offsets = {}
                self._offsets = read_offset_checkpoint(self._filesystem, self._path)
            self._identity = identity
        return self._offsets


def announce_cleaning(
    metadata_log: PartitionLog, log: PartitionLog, first_dirty: int, synced_to: int
) -> None:
    """Have on the disk that offsets of `log` may be missing up to `synced_to`, where it is synced.

    Raises `LockTimeoutError`, and `OSError`.
    """
    filesystem, mode = metadata_log._filesystem, metadata_log.settings.file_mode
    directory = os.path.dirname(metadata_log.directory)
    key = (log.topic, log.partition)
    with structure_lock(metadata_log):
        if not log._slots.is_deleted(log.slot):
            path = f"{directory}/{RECOVERY_POINTS}"
            raise_offsets(filesystem, path, {key: synced_to}, mode=mode)
            path = f"{directory}/{CLEANER_OFFSETS}"
            offsets = CleanerOffsets(filesystem, directory).offsets
            if key not in offsets:
                write_offset_checkpoint(filesystem, path, {**offsets, key: first_dirty}, mode=mode)


def record_cleaner_offset(metadata_log: PartitionLog, log: PartitionLog, offset: int) -> None:
    """Have on the disk that `log` is compacted up to `offset`. Not of a topic that was deleted.

    Raises `LockTimeoutError`, and `OSError`.
    """
    filesystem = metadata_log._filesystem
    directory = os.path.dirname(metadata_log.directory)
    key = (log.topic, log.partition)
    with structure_lock(metadata_log):
        offsets = CleanerOffsets(filesystem, directory).offsets
        if log._slots.is_deleted(log.slot) or offsets.get(key) == offset:
            return
        write_offset_checkpoint(
            filesystem,
            f"{directory}/{CLEANER_OFFSETS}",
            {**offsets, key: offset},
            mode=metadata_log.settings.file_mode,
        )
